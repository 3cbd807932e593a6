"""What says that a newer version wrote it is told from everything else that may stand in a file."""

import pytest

from ground.schema import is_newer, is_newer_json


@pytest.mark.parametrize("content", [b'{"schema_version": 3}', b'{"schema_version": 2.5, "a": []}'])
def test_a_higher_number_is_a_newer_version(content):
    assert is_newer_json(content, 2)


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[3]", b"3", b"{}", b'{"schema_version": 2}', b'{"schema_version": "3"}', b"null"]
)
def test_whatever_names_no_higher_number_is_not(content):
    assert not is_newer_json(content, 2)


def test_true_is_no_number():
    assert not is_newer({"schema_version": True}, 1)
