"""How commands speak: results on standard output, progress and errors on standard error.

Progress is a bar on a terminal and plain lines otherwise.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column
from rich.text import Text
from typer.core import TyperGroup

from ground.letters import made_visible
from ground.progress import Progress

PIPED_WIDTH = 120
"""Columns where there is no terminal to ask: tables in a log or a file keep their words whole."""


class PlainConsole(Console):
    """A console that takes text as text: no markup, no emoji codes, no colours by content, control characters visible.

    What is printed comes from files, tables, services and exceptions, so every string, in tables too, is shown on one
    line and letter by letter. A `Text` is printed as it is: its maker answers for what is in it (`made_visible`).
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(made_visible(text), **options)

    def print_json(self, json: str | None = None, *, data: Any = None, **options: Any) -> None:
        """JSON in ASCII, so that no letter of a string is more than a letter."""
        super().print_json(json, data=data, **(options | {"ensure_ascii": True}))


def led_by(word: str, text: str) -> Text:
    """A line that begins with a word in bold."""
    return Text.assemble((word, "bold"), " ", made_visible(text))


class CommandTable(TyperGroup):
    """The table of commands, whose complaints show arguments letter by letter."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _complaints_made_visible():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with _complaints_made_visible():
            return super().invoke(ctx)


@contextmanager
def _complaints_made_visible() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if hasattr(error, "exit_code") and isinstance(message := getattr(error, "message", None), str):
            error.message = made_visible(message)  # type: ignore[attr-defined]
        raise


out = PlainConsole(width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = PlainConsole(stderr=True)

PLAIN_INTERVAL_S = 5.0
MESSAGE_WIDTH = 80
"""Columns of a terminal that numbers and message need; the bar gets what is left."""


@contextmanager
def progress(title: str, *, goes_on: bool = False) -> Iterator[Progress]:
    """Report long work in the way that fits whoever is reading.

    goes_on: whether the same command, once interrupted, begins where it stopped; then an interrupt says so.
    """
    try:
        with _reported(title) as report:
            yield report
    except KeyboardInterrupt:
        if goes_on:
            err.print("Interrupted. The same command goes on from here.")
        raise


@contextmanager
def _reported(title: str) -> Iterator[Progress]:
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
            bar.update(task, completed=done, total=total, note=made_visible(message))

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
        err.print(", ".join(words), soft_wrap=True)


def _duration(seconds: float) -> str:
    """To a precision that a guess deserves."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
