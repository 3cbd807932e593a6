"""How commands speak: results on standard output, progress and errors on standard error.

Progress is a bar on a terminal, plain lines otherwise, and JSON lines where another program reads (`--progress json`).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PIPED_WIDTH = 120
"""Columns where there is no terminal to ask: tables in a log or a file keep their words whole."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False)


class ProgressCallback(Protocol):
    """Called as work goes on, from the thread that does it."""

    def __call__(self, done: int, total: int, message: str = "") -> None: ...


ProgressStyle = Literal["auto", "json"]
PLAIN_INTERVAL_S = 5.0


@contextmanager
def progress(title: str, style: ProgressStyle = "auto") -> Iterator[ProgressCallback]:
    """Report long work in the way that fits whoever is reading."""
    if style == "json":
        yield _json_line
        return
    if not err.is_terminal:
        yield _PlainLines(title)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=err) as bar:
        task = bar.add_task(title, total=None, note="")

        def update(done: int, total: int, message: str = "") -> None:
            bar.update(task, completed=done, total=total, note=message)

        yield update


def _json_line(done: int, total: int, message: str = "") -> None:
    sys.stdout.write(json.dumps({"done": done, "total": total, "message": message}) + "\n")
    sys.stdout.flush()


class _PlainLines:
    def __init__(self, title: str) -> None:
        self._title = title
        self._last = 0.0

    def __call__(self, done: int, total: int, message: str = "") -> None:
        now = time.monotonic()
        if done < total and now - self._last < PLAIN_INTERVAL_S:
            return
        self._last = now
        err.print(f"{self._title}: {done}/{total} {message}".rstrip(), markup=False, soft_wrap=True)
