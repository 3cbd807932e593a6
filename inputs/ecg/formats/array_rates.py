"""The sampling rate of an ECG in a file of named arrays: a number, an interval or a list of times, which must agree.

An interval or times without a unit are seconds or milliseconds by their size (`times.steps_of`), and it is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.stated import INTERVALS, UNITS, Contents, Fact, Numbers, key, loose_rate, stated_rate
from inputs.ecg.formats.times import SECONDS, Steps, check_steps, is_time, step_without_unit, steps_of, unit_of_time
from inputs.errors import UnreadableFile
from inputs.records import InputWarning

_TIMES = {"tvec", "timevector", "timevec", "timeaxis", "taxis", "tim"}
_INTERVAL = re.compile(r"\s*(?P<value>[0-9]{1,7}(?:\.[0-9]{1,9})?)\s*(?P<unit>[a-zµμ]{1,12})?\s*", re.IGNORECASE)
_PLACE = re.compile("[0-9]{1,3}")
"""Of a cell, in which FieldTrip keeps the times of each trial."""


@dataclass(frozen=True)
class ArrayRate:
    """What a file says. rate_hz: None where it says none. steps: of what may be times, to which a rate is held."""

    rate_hz: float | None
    warnings: tuple[InputWarning, ...]
    steps: tuple[Steps, ...]

    def doubts(self, given_hz: float | None) -> list[InputWarning]:
        """What must be said of the rate that is used, of those in the file besides. Raises UnreadableFile."""
        known_hz = self.rate_hz or given_hz
        found = [check_steps(steps, known_hz) for steps in self.steps] if known_hz else []
        return [*self.warnings, *(doubt for doubt in found if doubt is not None)]


def rate_of(contents: Contents, arrays: Sequence[Numbers], exams: int, place: int) -> ArrayRate:
    """The sampling rate that a file states for these arrays. Raises UnreadableFile where it states several."""
    rate_hz = stated_rate(contents, arrays, exams, place)
    found = [*_intervals(contents, arrays[0])] if exams == 1 else []
    steps = [*_times(contents, arrays[0])]
    certain = [each for each in (*found, *steps) if each.unit_is_stated or not each.whole]
    told = {each.rate_hz for each in certain} | ({rate_hz} if rate_hz else set())
    if told and max(told) > 1.01 * min(told):
        raise UnreadableFile(
            "rates_differ",
            f"The {contents.kind} file states more than one sampling rate: its rate, its interval or its times differ.",
            hint="Save the right one alone.",
        )
    warnings = []
    if rate_hz is None and certain:
        best = min(certain, key=lambda each: not each.unit_is_stated)
        rate_hz = best.rate_hz
        if not best.unit_is_stated:
            word = "seconds" if best.unit == "s" else "milliseconds"
            warnings.append(InputWarning("time_unit_assumed", f"The times were taken as {word}."))
    if rate_hz is None:
        rate_hz = loose_rate(contents, arrays[0].path)
    unclear = tuple(each for each in (*found, *steps) if each not in certain)
    return ArrayRate(rate_hz, tuple(warnings), unclear)


def doubts_of_rows(signal_LN: NDArray[Any], leads: Sequence[str | None], rate_hz: float) -> list[InputWarning]:
    """What rows that are no leads say of a rate, where they may be times. Raises UnreadableFile."""
    rows = (np.asarray(row_N, np.float64) for row_N, lead in zip(signal_LN, leads, strict=True) if lead is None)
    found = (replace(steps, what="A row beside the leads") for row_N in rows if (steps := steps_of(row_N)) is not None)
    return [doubt for steps in found if (doubt := check_steps(steps, rate_hz)) is not None]


def _intervals(contents: Contents, array: Numbers) -> Iterator[Steps]:
    for fact in contents.around(array.path, INTERVALS):
        value, unit = _interval(fact)
        unit = unit or INTERVALS[key(fact.path[-1])] or _unit_of(contents, fact.path)
        if value is not None and unit in SECONDS:
            yield Steps(value, unit, whole=False, unit_is_stated=True)
        elif value is not None and key(fact.path[-1]) != "isi":  # which between stimuli is no interval of samples
            step = step_without_unit(value)
            yield from () if step is None else [replace(step, what=f"An interval in the {contents.kind} file")]


def _interval(fact: Fact) -> tuple[float | None, str | None]:
    if len(fact.values) != 1:
        return None, None
    match = _INTERVAL.fullmatch(str(fact.values[0])[:40])
    value = float(match["value"]) if match is not None and isinstance(fact.values[0], str) else None
    if not isinstance(fact.values[0], str):
        value = float(fact.values[0])
    if value is None or not 0 < value < math.inf:
        return None, None
    return value, match["unit"].lower() if match is not None and match["unit"] else None


def _unit_of(contents: Contents, path: tuple[str, ...]) -> str | None:
    """The unit of times that stands in an attribute, or beside as in BIOPAC's `isi_units`, of what has this path."""
    own = key(path[-1])
    for fact in contents.facts:
        beside = fact.path[:-1] == path[:-1] and key(fact.path[-1]) in (own + "unit", own + "units")
        below = fact.path[:-1] == path and key(fact.path[-1]) in UNITS
        if (beside or below) and len(fact.values) == 1 and isinstance(fact.values[0], str):
            word = (fact.values[0].split() or [""])[0].lower()  # netCDF: `seconds since 2020-01-01`
            return word if word in SECONDS else None
    return None


def _times(contents: Contents, array: Numbers) -> Iterator[Steps]:
    """What lists of as many numbers as there are samples, called times, would say; beside or above the ECG."""
    samples = max(array.shape[-2:])
    for other in contents.arrays:
        path = other.path[:-1] if len(other.path) > 1 and _PLACE.fullmatch(other.path[-1]) else other.path
        named = is_time(path[-1]) or key(path[-1]) in _TIMES
        near = array.path[: len(path) - 1] == path[:-1] and other.path != array.path
        if not (named and near and other.dtype.kind in "fiu" and math.prod(other.shape) == samples):
            continue
        times_N = np.asarray(other.load(None), np.float64).ravel()
        unit = unit_of_time(path[-1]) or _unit_of(contents, path)
        found = steps_of(times_N, unit)
        if found is not None:
            what = f"A list in the {contents.kind} file"
            yield replace(found, called_time=True, what=what)
        elif np.all(np.diff(times_N) > 0) and not np.all(np.diff(times_N) == 1):
            raise UnreadableFile(
                "rate_missing",
                f"The times in the {contents.kind} file do not rise in even steps.",
                hint="Leave them out, and state the rate, if no sample is missing.",
            )
