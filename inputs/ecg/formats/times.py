"""The time column of a text table: which one it is, and the sampling rate that its steps tell.

Times are numbers in a unit that the column's name states, or times of a clock: `0:00.002`, `10:15:30.002`, with a date
(ISO 8601 or any other) before or behind.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.cells import holds_number, is_number, leads_in, numbers_of
from inputs.ecg.formats.repeats import begins_again, check_counter
from inputs.errors import UnreadableFile
from inputs.records import InputWarning

SECONDS = {"s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0}
SECONDS |= {"ms": 1e-3, "msec": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3}
SECONDS |= {"millisec": 1e-3, "min": 60.0, "mins": 60.0, "minute": 60.0, "minutes": 60.0}
SECONDS |= {"h": 3600.0, "hr": 3600.0, "hrs": 3600.0, "hour": 3600.0, "hours": 3600.0}
SECONDS |= {"us": 1e-6, "µs": 1e-6, "μs": 1e-6, "usec": 1e-6, "microseconds": 1e-6, "ns": 1e-9, "nanoseconds": 1e-9}
SECONDS |= {"sekunde": 1.0, "sekunden": 1.0, "millisekunden": 1e-3}
_NAME = re.compile(
    r"(?:t|times?|timestamps?|(?:elapsed|sample)[ _.]?time|date[ _/]?time|time +date|clock|zeit)"
    rf"(?:(?:_|/| ?[\[(]| |\.{{1,2}}|,? in |, )(?P<unit>{'|'.join(SECONDS)})[\]).]?)?"
    rf"|(?P<alone>{'|'.join(unit for unit in SECONDS if unit in ('ms', 'us', 'µs') or len(unit) > 2)})",
    re.IGNORECASE,
)
"""Behind the word a unit in any spelling, as R's `Time..ms.` is; or the unit alone, of more letters than a lead's."""
_CLOCK = re.compile(
    r"(?<![0-9:.])(?:(?P<hour>[0-9]{1,3}):)?(?P<minute>[0-9]{1,3}):(?P<second>[0-9]{2}(?:[.,][0-9]{1,9})?)"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\b)?"
)
_MOST_LETTERS = 60
_MOST_LETTERS_OF_TIMES = 2000
_FEWEST_TIMES = 10
_DAY_S = 86400.0
_MOST_SECONDS_ASTRAY = 2.0
_MOST_SECONDS_A_STEP = 0.05
"""Steps as small as these, in a unit smaller than the second, would be 20 kHz: no ECG has that."""
_LEAST_SECONDS_A_STEP = 5e-5
_FEWEST_TIMES = 10


@dataclass(frozen=True)
class Steps:
    """Even steps that are or may be those of times. step: in `unit`, which is one of SECONDS.

    whole: whether all numbers are whole. called_time: whether a name says that they are times. unit_is_stated: or else
    it goes by their size. what: holds them, as sentences call it.
    """

    step: float
    unit: str
    whole: bool
    called_time: bool = False
    unit_is_stated: bool = False
    what: str = "A column beside the leads"

    def __str__(self) -> str:
        return f"{self.what} looks like times in steps of {self.step:.4g} {self.unit}"

    @property
    def rate_hz(self) -> float:
        """Samples per second if these are times."""
        return float(round(1.0 / (self.step * SECONDS[self.unit]), 1))


def is_time(name: str) -> bool:
    """Whether a column's name says that it holds times, with a unit or without."""
    return len(name) <= _MOST_LETTERS and _NAME.fullmatch(name) is not None


def unit_of_time(name: str, below: str = "") -> str | None:
    """The unit that a column's name states, or else the cell below it, where a row of units stands there."""
    match = _NAME.fullmatch(name)
    if match is not None and (unit := match["unit"] or match["alone"]):
        return str(unit).lower()
    text = below.strip("[]()' ").lower()
    return text if text in SECONDS else None


def times_of(cells: Sequence[str]) -> NDArray[np.float64]:
    """Numbers as they stand, clock times in seconds. Raises UnreadableFile for what is neither."""
    if all(map(is_number, cells[:1])):
        return numbers_of(cells, "The time column")
    return np.fromiter(map(_seconds, cells), np.float64, len(cells))


def rate_from_times(
    times_N: NDArray[np.float64], unit: str | None, *, clock: bool, given_hz: float | None = None
) -> float | None:
    """Samples per second; None where the times do not tell: sample numbers, or a clock of whole seconds.

    clock: the times are those of a clock, in seconds. given_hz: a rate that such a clock is held to. Raises
    UnreadableFile for times that do not rise in even steps, whatever they are given in.
    """
    if not clock:
        check_counter(times_N, "The times", rounded=True)
    if clock:
        times_N = times_N + _DAY_S * np.concatenate([[0], np.cumsum(np.diff(times_N) < -_DAY_S / 2)])
    steps = len(times_N) - 1
    step = (times_N[-1] - times_N[0]) / steps if steps else 0.0
    if clock and given_hz and not np.any(times_N % 1) and np.all(np.diff(times_N) >= 0) and step < 1:
        if abs(steps / given_hz - step * steps) > _MOST_SECONDS_ASTRAY:
            raise UnreadableFile("rate_conflict", "The times of the table contradict the parameter rate_hz.")
        if given_hz >= 1 and np.diff(times_N).max() > 1:
            raise UnreadableFile("samples_missing", "The times of the table leave out a second: samples are missing.")
        return None
    if clock and np.any(np.diff(times_N) < 0):
        raise begins_again("The times of the table begin again")
    if unit is None and not clock and not 0 < step < _MOST_SECONDS_A_STEP:
        return None
    even = times_N[0] + step * np.arange(len(times_N))
    if not step > 0 or not np.abs(times_N - even).max() < 0.5 * step:
        raise UnreadableFile(
            "rate_missing",
            "The time column of the table does not rise in even steps.",
            hint="Leave the column out or give each sample its own time, and add rate_hz to the request.",
        )
    # Times are often rounded to milliseconds: rates are given in tenths of a hertz at most.
    return float(round(1.0 / (step * SECONDS[unit or "s"]), 1))


def step_without_unit(step: float) -> Steps | None:
    """A step of times by its size; None for one, which numbers samples, and for what no ECG has.

    An ECG has 20 to 20,000 samples per second, so that a step is one of seconds or one of milliseconds, never both.
    """
    if not _LEAST_SECONDS_A_STEP < step < 1000 * _MOST_SECONDS_A_STEP or abs(step - 1) < 1e-6:
        return None
    return Steps(step, "s" if step < _MOST_SECONDS_A_STEP else "ms", whole=step % 1 == 0)


def steps_of(numbers_N: NDArray[np.float64], unit: str | None = None) -> Steps | None:
    """What numbers are as times, in a unit or by their size; None where they rise in no even steps."""
    if len(numbers_N) < _FEWEST_TIMES or not np.isfinite(numbers_N).all():
        return None
    step = float(numbers_N[-1] - numbers_N[0]) / (len(numbers_N) - 1)
    even = numbers_N[0] + step * np.arange(len(numbers_N))
    if not (step > 0 and np.abs(numbers_N - even).max() < 0.5 * step):
        return None
    whole = not np.any(np.mod(numbers_N, 1))
    if unit is not None:
        return Steps(step, unit, whole, unit_is_stated=True)
    found = step_without_unit(step)
    return None if found is None else replace(found, whole=whole)


def check_steps(found: Steps, known_hz: float) -> InputWarning | None:
    """Hold a rate to what may be times beside the leads: a contradiction is refused, of whole numbers a warning.

    Whole numbers may also number the samples of a record of which only some are there. Raises UnreadableFile.
    """
    if abs(found.rate_hz - known_hz) <= 0.01 * known_hz:
        return None
    says = f"{found}, which is {found.rate_hz:g} Hz"
    if found.whole and not found.called_time:
        return InputWarning("rate_doubted", f"{says}; the rate of {known_hz:g} Hz was used.")
    hint = f"Name it time_{found.unit} and leave rate_hz out, or leave the column out if it holds no times."
    raise UnreadableFile("rate_conflict", f"{says} and not {known_hz:g} Hz.", hint=hint)


def rate_in_header(lines: Sequence[str], separator: str) -> float | None:
    """Samples per second by the times, in seconds, above rows of a lead each; None where the line holds none."""
    cells = lines[0][:_MOST_LETTERS_OF_TIMES].split(separator)[1:-1] if lines else []
    if (
        len(cells) < _FEWEST_TIMES
        or any(leads_in(lines[0][:_MOST_LETTERS].split(separator)[:1]))
        or not all(map(holds_number, cells))
    ):
        return None
    steps = np.diff(numbers_of(cells, "The header"))
    step = float(np.mean(steps))
    if not 0 < step < _MOST_SECONDS_A_STEP or np.abs(steps - step).max() > 0.5 * step:
        return None
    return float(round(1.0 / step, 1))


def _seconds(cell: str) -> float:
    match = _CLOCK.search(cell[:_MOST_LETTERS])
    if match is None:
        raise UnreadableFile("unreadable_file", "The time column of the table holds text that is no time.")
    hour = int(match["hour"] or 0)
    if match["half"] and match["hour"]:
        hour = hour % 12 + (12 if match["half"] in "Pp" else 0)
    minutes = 60 * hour + int(match["minute"])
    return 60.0 * minutes + float(match["second"].replace(",", "."))
