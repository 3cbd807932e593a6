"""How a long run says how far it is. No torch here: the processes that read files import this too."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with (done, total, message) as work goes on; done and total start afresh with every stage of a run."""


def silent(done: int, total: int, message: str) -> None:
    """The progress of a run that nobody watches."""
