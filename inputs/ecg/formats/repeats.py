"""Several recordings below each other in one text table, and samples that are missing in between.

Told by columns beside the leads: ids of records, which change from one to the next, and numbers of samples and times,
which begin again or jump.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.exams import Ids, known_name, place_of_exam
from inputs.ecg.formats.stated import key
from inputs.ecg.formats.text import is_numeric
from inputs.errors import UnreadableFile

_RECORDS = {
    "record", "recording", "patient", "subject", "subj", "participant", "person", "proband", "exam", "study", "file",
    "visit", "session", "encounter", "paciente", "examen", "exame",
}  # fmt: skip
_ENDS = ("id", "name", "no", "nr", "number", "index", "code", "key")
_IDS = {"mrn", "path", "filepath", "name"} | _RECORDS
_IDS |= {name + end for name in _RECORDS | {"ecg", "tracing", "trace", "case"} for end in _ENDS}
_ID_WORDS = {"id", "ids", "uid", "uuid", "guid", "pid", "eid", "ptid"}
_PARTS = {
    "sample", "row", "point", "frame", "beat", "segment", "window", "event", "annotation", "class", "label", "lead",
    "channel",
}  # fmt: skip
"""What has ids within one recording."""
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_COUNTERS = {
    "sample", "samples", "sampleno", "samplenr", "samplenumber", "samplenum", "sampleindex", "sampleid", "sampleidx",
    "sampleinterval", "index", "idx", "row", "rowid", "rownumber", "rowno", "no", "nr", "n", "number", "point",
    "points", "counter", "count", "seq", "sequence", "tick", "ticks", "frame", "ts", "id", "unnamed0", "level0",
    "level1", "",
}  # fmt: skip
_OF_ROWS = {
    "index", "idx", "row", "rowid", "rownumber", "rowno", "no", "nr", "n", "number", "count", "id", "unnamed0",
    "level0", "level1", "",
}  # fmt: skip
"""What programs number rows by, however many recordings they put below each other."""
_WRAPS = (2**4, 2**5, 2**6, 2**7, 2**8, 2**16, 2**32)
"""Where counters of a device begin again of themselves."""
_WHOLE = re.compile(r"([0-9]{1,18})\.0{1,18}")
_FEWEST_ROWS = 10
"""Of a recording, and of a column in which a rule can be seen."""
_MOST_CHANGES = 1000
"""Of ids; tables that change them more often are not chosen from."""
_HINT = "Send one recording at a time, or put a column record_id beside the leads and choose one with exam."


_SECONDS = {"second", "seconds", "sec", "secs"}
"""Columns of whole seconds, within each of which samples may be numbered anew."""


def is_id(name: str) -> bool:
    """Whether a column of this name may hold the ids of recordings."""
    if key(name) in _IDS:
        return True
    words = {word.casefold() for word in _WORDS.findall(name[:200])}
    return bool(words & _ID_WORDS) and not words & _PARTS


def is_counter(name: str) -> bool:
    """Whether a column of this name may hold the numbers of samples; one without a name is what pandas writes."""
    return key(name) in _COUNTERS | _SECONDS


def goes_on(numbers_N: NDArray[np.float64], name: str | None) -> bool:
    """Whether numbers of samples rise from the first to the last row, or times do, which have no name here."""
    if len(numbers_N) < 2 or (name is not None and key(name) in _OF_ROWS):
        return False
    steps = np.diff(numbers_N)
    some = name is None or key(name) in _SECONDS
    return not np.any(steps < 0) and bool(np.any(steps > 0) if some else np.mean(steps > 0) >= 0.9)


def check_counters(counters: Sequence[tuple[str, NDArray[np.float64]]]) -> None:
    """Refuse sample numbers, by the names of their columns, as `check_counter` does. Raises UnreadableFile."""
    seconds = [np.diff(numbers_N) for name, numbers_N in counters if key(name) in _SECONDS]
    for name, numbers_N in counters:
        falls = np.diff(numbers_N) < 0
        if key(name) in _SECONDS:
            continue
        if np.any(falls) and any(np.isin(rises, (0, 1)).all() and np.all(rises[falls] == 1) for rises in seconds):
            span = np.ptp(numbers_N) + 1
            numbers_N = numbers_N + span * np.concatenate([[0], np.cumsum(falls)])
        check_counter(numbers_N, "The sample numbers")


class _Column:
    """Where the text of a column changes. starts, values: of each stretch, up to more than are chosen from.

    fills: a blank cell stands for the text above.
    """

    def __init__(self, place: int, *, fills: bool) -> None:
        self.place = place
        self._fills = fills
        self.starts: list[int] = []
        self.values: list[str] = []
        self.rows = 0

    @property
    def is_full(self) -> bool:
        return len(self.values) > _MOST_CHANGES

    @property
    def numbers_rows(self) -> bool:
        """Whether the texts are those of rows, hardly one like another, and not of recordings."""
        runs = len(self.values)
        return runs * _FEWEST_ROWS > self.rows > 1 and 2 * len(set(self.values)) > runs

    def look_at(self, cells: Sequence[str]) -> None:
        same = self.values and cells.count(cells[0]) == len(cells)
        if same and _plain(cells[0]) in (self.values[-1], "" if self._fills else self.values[-1]):
            self.rows += len(cells)
            return
        for cell in cells:
            value = _plain(cell) or (self.values[-1] if self.values and self._fills else "")
            if not self.values or value != self.values[-1]:
                self.starts.append(self.rows)
                self.values.append(value)
            self.rows += 1
            if self.is_full:
                return

    def stays_for(self, rows: float) -> bool:
        """Whether the text changes, and each time stays the same for so many rows, without being a measured number."""
        if len(self.values) < 2 or self.is_full or any(map(_is_measured, self.values)):
            return False
        return bool(np.diff([*self.starts, self.rows]).min() >= rows)


class Recordings:
    """The recordings of a table by the texts of the columns beside its leads, looked at a few rows at a time.

    ids: names by place of the columns that are named as ids of recordings are. others: further ones, which may be ids
    by another name.
    """

    def __init__(self, ids: Mapping[int, str], others: Iterable[int] = ()) -> None:
        self._names = ids
        self._ids = [_Column(place, fills=True) for place in ids]
        self._others = [_Column(place, fills=False) for place in others]

    def look_at(self, rows: Sequence[Sequence[str]]) -> None:
        """Take the next rows, which are not kept."""
        for column in (*self._ids, *self._others):
            if not column.is_full:
                column.look_at([row[column.place] for row in rows])

    def are_ids(self, place: int) -> bool:
        """Whether a column holds ids of recordings, and numbers no rows."""
        return any(column.place == place and not column.numbers_rows for column in self._ids)

    def chosen(self, exam: str | None, rows: int, second: float | None) -> slice:
        """The rows of the one recording, or of the one whose id is given, out of so many rows.

        second: how many rows are one, where no times go on through the table; then what stays the same for that long
        speaks of recordings by any name. Raises UnreadableFile.
        """
        columns = [column for column in self._ids if not column.numbers_rows]
        if any(column.is_full for column in columns):
            raise begins_again(f"The ids of the table change more than {_MOST_CHANGES} times")
        if second is not None and not any(len(column.values) > 1 for column in columns):
            unnamed = [column for column in self._others if column.stays_for(second)]
            if unnamed and exam is None:
                raise _may_be_several(max(len(column.values) for column in unnamed))
            columns += unnamed
        if not columns:
            place_of_exam("The table", 1, None, exam)
            return slice(None)
        starts = sorted({start for column in columns for start in column.starts})
        if len(starts) > _MOST_CHANGES:
            raise begins_again(f"The ids of the table change more than {_MOST_CHANGES} times")
        by_column = [
            [column.values[np.searchsorted(column.starts, start, "right") - 1] for start in starts]
            for column in columns
        ]
        place = _place(by_column, [self._named(column.place) for column in columns], exam)
        return slice(starts[place], [*starts[1:], rows][place])

    def _named(self, place: int) -> str:
        name = self._names.get(place, "")
        return f"column {known_name(key(name))}" if is_id(name) else "column of ids"


def _plain(cell: str) -> str:
    """An id without what programs add to whole numbers: `1.0` is `1`."""
    cell = cell.strip()
    match = _WHOLE.fullmatch(cell)
    return cell if match is None else match[1]


def _is_measured(value: str) -> bool:
    return is_numeric(value) and not value.lstrip("-").isdigit()


def _place(by_column: Sequence[Sequence[str]], names: Sequence[str], exam: str | None) -> int:
    """Which recording is meant: by its id in any column, or by those of all with a blank between."""
    together = [" ".join(each) for each in zip(*by_column, strict=True)]
    if len(set(together)) < len(together):
        raise UnreadableFile("several_ecgs", "The rows of a recording do not stand together in the table.", hint=_HINT)
    if len(by_column) == 1:
        ids = Ids(tuple(together), f"its id in the {names[0]}")
        return place_of_exam("The table", len(together), ids, exam if exam is None else _plain(exam))
    if exam is None and len(together) == 1:
        return 0
    ways = f"its id in the {' or the '.join(names)}, or the values of all of them in this order with a blank between."
    if exam is None:
        raise UnreadableFile(
            "exam_missing", f"The table holds {len(together)} ECGs.", hint=f"Choose one with the parameter exam: {ways}"
        )
    wanted = " ".join(map(_plain, exam.split(" ")))
    places = {place for ids in (*by_column, together) for place, one in enumerate(ids) if one == wanted}
    if len(places) != 1:
        many = f"{len(places)} ECGs" if places else "no ECG"
        sentence = f"The table holds {many} of the exam that was asked for."
        raise UnreadableFile("exam_not_found", sentence, hint=f"Give {ways}")
    return places.pop()


def _may_be_several(stretches: int) -> UnreadableFile:
    return UnreadableFile(
        "several_ecgs",
        f"A column beside the leads stays the same in {stretches} long stretches, and no times go on through them:"
        " the table may hold as many recordings.",
        hint="Choose one with the parameter exam: the column's value in it. If it is one recording, leave the column"
        " out or add one of times.",
    )


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
    if rounded or np.mean(np.abs(rises - step) < 0.1 * step) < 0.9:
        gaps = rises > 2 * step
    else:  # one left out makes two steps of one; one of less, now and then, is due to rounding
        gaps = (rises > 1.9 * step) | ((rises == 0) & (not _come_evenly(rises == 0)))
    if np.any(gaps):
        raise UnreadableFile(
            "samples_missing",
            f"{what} of the table do not rise in even steps: samples are missing, or rows stand twice.",
            hint="Write a row for each sample, with empty cells where one is missing, or send one whole stretch.",
        )


def _come_evenly(odd_N: NDArray[np.bool_]) -> bool:
    """Whether odd steps come back again and again after as many others, as rounding makes them."""
    places = np.flatnonzero(odd_N)
    spaces = np.diff(places)
    return len(places) > 2 and bool(np.ptp(spaces) <= 1)


def begins_again(sentence: str) -> UnreadableFile:
    """The refusal of a table that holds a second recording."""
    return UnreadableFile("several_ecgs", f"{sentence}: it holds more than one recording.", hint=_HINT)
