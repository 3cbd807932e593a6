"""Rows that are made already survive any end of a process, and nothing else is taken for them."""

from __future__ import annotations

import json

import pytest

from cli.predict_journal import Journal
from ground.errors import Refusal

ROW = {"status": "answered", "shd_probability": 0.123456, "lvef_percent": 51.0, "regular": True}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.csv.part"


def test_rows_come_back_as_they_were_in_the_same_run_and_in_the_next(path):
    with Journal(path) as journal:
        journal.add("a", ROW)
        journal.add("b", {"status": "refused", "reason": "Größe\n"})
        assert journal.row("a") == ROW
    with Journal(path) as journal:
        assert "c" not in journal
        journal.add("c", ROW)
        assert [journal.was_there(key) for key in "abc"] == [True, True, False]
        assert [journal.row(key) for key in "abc"] == [ROW, {"status": "refused", "reason": "Größe\n"}, ROW]


def test_cut_at_any_byte_the_whole_lines_before_the_cut_count_and_rows_can_be_added(path):
    with Journal(path) as journal:
        journal.add("a", ROW)
        journal.add("b", ROW)
    whole = path.read_bytes()
    for kept in range(len(whole)):
        path.write_bytes(whole[:kept])
        with Journal(path) as journal:
            assert len(journal) == max(0, whole[:kept].count(b"\n") - 1)
            journal.add("d", ROW)
        with Journal(path) as journal:
            assert journal.row("d") == ROW


def test_what_failed_is_tried_again_by_the_next_run(path):
    with Journal(path) as journal:
        journal.add("a", {"status": "failed"})
        assert journal.row("a") == {"status": "failed"}
    with Journal(path) as journal:
        assert "a" not in journal
        journal.add("a", ROW)
    with Journal(path) as journal:
        assert journal.row("a") == ROW


@pytest.mark.parametrize(
    "line",
    [
        '{"key": "b", "row": ["status"]}', '{"key": "b", "row": null}', '{"key": "b", "row": {}}',
        '{"key": ["b"], "row": {"status": "failed"}}', '{"key": "b", "row": {"status": "done"}}',
        '{"key": "b", "row": {"status": "refused", "reason": {}}}', '{"key": "b"}', "[]", "7", "\x00", "[" * 9000,
    ],
)  # fmt: skip
def test_a_line_that_is_no_row_ends_what_counts(path, line):
    with Journal(path) as journal:
        journal.add("a", ROW)
    path.write_bytes(path.read_bytes() + line.encode() + b"\n")
    with Journal(path) as journal:
        assert ("a" in journal, len(journal)) == (True, 1)
        journal.add("c", ROW)
    with Journal(path) as journal:
        assert [journal.row(key) for key in "ac"] == [ROW, ROW]


def test_rows_of_a_finished_table_are_taken_as_those_of_an_earlier_run_but_what_failed(path):
    with Journal(path) as journal:
        journal.add("a", ROW)
        journal.take([("b", ROW), ("c", {"status": "failed"})])
        assert ("c" in journal, [journal.was_there(key) for key in "ab"]) == (False, [True, True])
        journal.add("d", ROW)
        assert not journal.was_there("d")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"my own notes\n", "journal_unknown"),
        (b"my own notes", "journal_unknown"),
        (b'{"key": "a"}\n', "journal_unknown"),
        (json.dumps({"journal": "echo2ecg predict", "schema_version": 2}).encode() + b"\n", "journal_newer"),
    ],
)
def test_a_file_of_that_name_that_is_something_else_is_left_as_it_is(path, content, code):
    path.write_bytes(content)
    with pytest.raises(Refusal) as refused:
        Journal(path)
    assert refused.value.code == code
    assert path.read_bytes() == content


def test_two_runs_do_not_write_one_table(path):
    with Journal(path) as journal:
        journal.add("a", ROW)
        with pytest.raises(Refusal, match="Another run is writing this table"):
            Journal(path)
    with Journal(path) as journal:
        assert "a" in journal
