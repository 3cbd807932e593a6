"""Several recordings below each other in one text table, and samples that are missing in between.

Told by columns beside the leads: ids of records, which change from one to the next, and numbers of samples and times,
which begin again or jump.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.exams import Ids, known_name, place_of_exam
from inputs.ecg.formats.stated import key
from inputs.errors import UnreadableFile

_RECORDS = {
    "record", "recording", "patient", "subject", "participant", "person", "exam", "study", "file", "visit", "session",
    "encounter",
}  # fmt: skip
_ENDS = ("id", "name", "no", "nr", "number", "index", "code", "key")
_IDS = {"id", "pid", "mrn", "path", "filepath"} | _RECORDS
_IDS |= {name + end for name in _RECORDS | {"ecg", "tracing", "trace", "case"} for end in _ENDS}
_COUNTERS = {
    "sample", "samples", "sampleno", "samplenr", "samplenumber", "samplenum", "sampleindex", "sampleid", "sampleidx",
    "sampleinterval", "index", "idx", "row", "rowid", "rownumber", "rowno", "no", "nr", "n", "number", "point",
    "points", "counter", "count", "seq", "sequence", "tick", "ticks", "frame", "ts", "id", "unnamed0", "level0",
    "level1", "",
}  # fmt: skip
_WRAPS = (2**8, 2**16, 2**32)
"""Where counters of a device begin again of themselves."""
_FEWEST_ROWS = 10
"""Of a recording, and of a column in which a rule can be seen."""
_MOST_CHANGES = 1000
"""Of ids; tables that change them more often are not chosen from."""
_HINT = "Send one recording at a time, or put a column record_id beside the leads and choose one with exam."


def is_id(name: str) -> bool:
    """Whether a column of this name may hold the ids of recordings."""
    return key(name) in _IDS


def is_counter(name: str) -> bool:
    """Whether a column of this name may hold the numbers of samples; one without a name is what pandas writes."""
    return key(name) in _COUNTERS


class Recordings:
    """The recordings of a table by the texts of its columns of ids, looked at a few rows at a time."""

    def __init__(self, columns: Sequence[int], names: Sequence[str]) -> None:
        self._columns = columns
        self._names = [f"column {known_name(key(name))}" if is_id(name) else "column of ids" for name in names]
        self._last = [""] * len(columns)
        self._starts: list[int] = []
        self._ids: list[tuple[str, ...]] = []
        self._rows = 0

    def look_at(self, rows: Sequence[Sequence[str]]) -> None:
        """Raises UnreadableFile where ids change too often and yet are not those of rows."""
        for row in rows if self._columns and len(self._ids) <= _MOST_CHANGES else ():
            ids = [row[column].strip() or last for column, last in zip(self._columns, self._last, strict=True)]
            if ids != self._last or not self._starts:
                self._starts.append(self._rows)
                self._ids.append(tuple(ids))
            self._last = ids
            self._rows += 1
        if len(self._ids) > _MOST_CHANGES and not self.of_rows:
            raise begins_again(f"The ids of the table change more than {_MOST_CHANGES} times")

    @property
    def of_rows(self) -> bool:
        """Whether the ids are those of rows, each of its own, and not of recordings."""
        return len(set(self._ids)) * _FEWEST_ROWS > self._rows > 1

    def chosen(self, exam: str | None) -> slice:
        """The rows of the one recording, or of the one whose id is given. Raises UnreadableFile."""
        if not self._starts or self.of_rows:
            place_of_exam("The table", 1, None, exam)
            return slice(None)
        by_column = list(zip(*self._ids, strict=True))
        column = max(range(len(by_column)), key=lambda place: len(set(by_column[place])))
        ids, by = by_column[column], f"its id in the {self._names[column]}"
        if len(set(ids)) < len(set(self._ids)):  # no column alone tells them apart
            ids = tuple(" ".join(each) for each in self._ids)
            by = f"its ids in the {' and the '.join(self._names)}, with a blank between"
        if len(set(ids)) < len(ids):
            raise UnreadableFile(
                "several_ecgs", "The rows of a recording do not stand together in the table.", hint=_HINT
            )
        place = place_of_exam("The table", len(ids), Ids(ids, by), exam)
        stops = [*self._starts[1:], self._rows]
        return slice(self._starts[place], stops[place])


def check_counter(numbers_N: NDArray[np.float64], what: str, *, rounded: bool = False) -> None:
    """Refuse numbers of samples, or times, that begin again or leave samples out; what rises by no rule is none.

    what: the column, as sentences call it. rounded: of times, two of which may be one, or two units apart.
    """
    steps = np.diff(numbers_N)
    if len(steps) < _FEWEST_ROWS or not np.isfinite(numbers_N).all() or np.mean(steps > 0) < 0.9:
        return
    step = float(np.median(steps[steps > 0]))
    falls = steps < 0
    wraps = np.any([np.isclose(steps + wrap, step, rtol=0, atol=0.5 * step) for wrap in _WRAPS], axis=0)
    if np.any(falls & ~wraps):
        place = int(np.flatnonzero(falls & ~wraps)[0]) + 2
        raise begins_again(f"{what} of the table begin again at sample {place}")
    rises = steps[~falls]
    gaps = rises != step if not rounded and np.mean(rises == step) >= 0.9 else rises > 2 * step
    if np.any(gaps):
        raise UnreadableFile(
            "samples_missing",
            f"{what} of the table do not rise in even steps: samples are missing, or rows stand twice.",
            hint="Write a row for each sample, with empty cells where one is missing, or send one whole stretch.",
        )


def begins_again(sentence: str) -> UnreadableFile:
    """The refusal of a table that holds a second recording."""
    return UnreadableFile("several_ecgs", f"{sentence}: it holds more than one recording.", hint=_HINT)
