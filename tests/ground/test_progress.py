"""The lines by which one process tells another how far it is."""

from __future__ import annotations

import io
import json

import pytest

from ground.progress import Failure, Report, Step, lines_to, parse_line


@pytest.mark.parametrize(
    ("said", "members"),
    [
        (Step(3, 9, "s3"), {"done": 3, "total": 9, "message": "s3"}),
        (Report({"studies": 20}), {"report": {"studies": 20}}),
        (Failure("There is no space."), {"error": "There is no space."}),
    ],
)
def test_what_is_said_is_one_json_line_and_is_read_back_as_it_was(said, members):
    line = said.to_line()
    assert json.loads(line) == members
    assert line.count("\n") == 1
    assert parse_line(line.encode()) == said


@pytest.mark.parametrize(
    "line", [b"not json", b"[1]", b"\xff\xfe", b"{}", b'{"done": "x"}', b'{"report": 3}', b"", b"[" * 200_000]
)
def test_a_line_that_says_nothing_of_this_is_passed_over(line):
    assert parse_line(line) is None


def test_each_step_reaches_the_reader_at_once():
    class Pipe(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    pipe = Pipe()
    tell = lines_to(pipe)
    tell(1, 2, "half")
    assert pipe.flushed == 1
    tell(2, 2, "")
    assert [parse_line(line.encode()) for line in pipe.getvalue().splitlines()] == [Step(1, 2, "half"), Step(2, 2, "")]
