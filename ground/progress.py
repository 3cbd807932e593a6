"""How a long run says how far it is: to a callable in its own process, or as lines that another process reads.

A line is a JSON object: `{"done", "total", "message"}` per step, and at the end `{"report"}` or `{"error"}`.
No torch here: the processes that read files import this too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TextIO

Progress = Callable[[int, int, str], None]
"""Called with (done, total, message) as work goes on; done and total start afresh with every stage of a run."""


def silent(done: int, total: int, message: str) -> None:
    """The progress of a run that nobody watches."""


@dataclass(frozen=True)
class Step:
    """How far a run is."""

    done: int = 0
    total: int = 0
    message: str = ""

    def to_line(self) -> str:
        return _line(asdict(self))


@dataclass(frozen=True)
class Report:
    """What a run that ended well has to say; JSON values only."""

    content: Mapping[str, Any]

    def to_line(self) -> str:
        return _line({"report": dict(self.content)})


@dataclass(frozen=True)
class Failure:
    """Why a run failed, in a sentence for whoever asked for it: it names no path of the machine it ran on."""

    sentence: str

    def to_line(self) -> str:
        return _line({"error": self.sentence})


def parse_line(line: bytes) -> Step | Report | Failure | None:
    """What one line of a run says; None for a line that is none of these, which a reader passes over."""
    try:
        members = json.loads(line)
    except (ValueError, RecursionError):  # the latter of brackets in brackets in brackets
        return None
    match members:
        case {"report": dict(content)}:
            return Report(content)
        case {"error": sentence}:
            return Failure(str(sentence))
        case {"done": int(done), "total": int(total), "message": str(message)}:
            return Step(done, total, message)
    return None


def lines_to(file: TextIO) -> Progress:
    """Progress as lines for whoever reads `file`, each sent at once."""

    def tell(done: int, total: int, message: str) -> None:
        file.write(Step(done, total, message).to_line())
        file.flush()

    return tell


def _line(members: Mapping[str, Any]) -> str:
    return json.dumps(members) + "\n"
