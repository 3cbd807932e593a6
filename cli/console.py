"""How commands speak: results on standard output, progress and errors on standard error.

Progress is a bar on a terminal and plain lines otherwise.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column

from ground.progress import Progress

PIPED_WIDTH = 120
"""Columns where there is no terminal to ask: tables in a log or a file keep their words whole."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False)


PLAIN_INTERVAL_S = 5.0
MESSAGE_WIDTH = 80
"""Columns of a terminal that numbers and message need; the bar gets what is left."""


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """Report long work in the way that fits whoever is reading."""
    if not err.is_terminal:
        yield _PlainLines(title)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=max(4, min(40, err.width - MESSAGE_WIDTH))),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn(
            "{task.fields[note]}",
            style="dim",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),  # what there is no room for is cut here
        ),
    )
    with Bar(*columns, console=err, expand=True) as bar:
        task = bar.add_task(title, total=None, note="")

        def update(done: int, total: int, message: str = "") -> None:
            bar.update(task, completed=done, total=total, note=message)

        yield update


class _PlainLines:
    """One line every few seconds, with the time left once there is something to reckon it from.

    What is said again of the same step, as a score after an epoch's last one, is news and always gets its line.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._last_s = self._started_s = 0.0
        self._done = self._total = self._done_before = 0

    def __call__(self, done: int, total: int, message: str = "") -> None:
        now = time.monotonic()
        news = (done, total) == (self._done, self._total)
        if total != self._total or done < self._done:  # a new stage, perhaps one that goes on from the middle
            self._started_s, self._done_before, self._total = now, done, total
        self._done = done
        if done < total and not news and now - self._last_s < PLAIN_INTERVAL_S:
            return
        self._last_s = now
        words = [f"{self._title}: {done}/{total} {message}".rstrip()]
        if self._done_before < done < total:
            left_s = (now - self._started_s) * (total - done) / (done - self._done_before)
            words.append(f"{_duration(left_s)} left")
        err.print(", ".join(words), markup=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    """To a precision that a guess deserves."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
