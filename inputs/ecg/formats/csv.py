"""Text tables: a header row with lead names, then one row per sample."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import (
    Channel,
    EcgFormat,
    agreed_rate,
    build_recording,
    check_no_lead_twice,
    check_size,
    checked_rate,
    millivolts_per,
    of_one_file,
)
from inputs.ecg.formats.edf import looks_like_edf
from inputs.ecg.formats.not_read import name_if_not_read
from inputs.ecg.formats.text import check_lines, first_lines, lines_of, number, text_start, told, written_plainly
from inputs.ecg.formats.xml import root_of
from inputs.ecg.leads import lead_from_name, leads_from_names
from inputs.errors import UnreadableFile
from inputs.limits import MAX_SAMPLES, MAX_TABLE_CELLS, MAX_TABLE_COLUMNS
from inputs.records import EcgRecording, InputWarning, ReadHints

_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "us": 1e-6, "µs": 1e-6}
_TIME = re.compile(r"(?:t|time|timestamp)(?:_| ?[\[(])(?P<unit>s|sec|seconds|ms|msec|us|µs)[\])]?", re.IGNORECASE)
_UNIT = re.compile(r"(?P<name>.*?)[ _]*[\[(](?P<unit>[^\])]{1,40})[\])]")
_REMARKS = {"einthoven", "goldberger", "wilson"}
"""Brackets behind a lead that say whose it is. Any other holds a unit, known or not."""
_QUOTED = re.compile(r'"[^"]*"?')
_SEPARATORS = (",", "\t", ";")
_GROUPED = re.compile(r"[-+]?[1-9][0-9]{0,2}(?:[.,][0-9]{3})+")
"""A cell of which nobody can say whether its mark is a decimal or a thousands mark, as in `1,367`."""
_MISSING = {"", "-", "nan", "na", "n/a", "null", "none"}
"""Cells that stand for no sample, infinite numbers besides."""
_NOT_CONNECTED = -32768
"""How 16-bit exports mark a lead that was not connected."""
_MOST_LETTERS_OF_A_NAME = 200
_ROWS_AT_A_TIME = 1024


def looks_like_table(data: bytes) -> bool:
    """Text whose first line that is neither blank nor a comment has several cells, and which is no other format's."""
    if "\0" in text_start(data) or name_if_not_read(data) is not None:
        return False
    if root_of(data) is not None or looks_like_edf(data):  # both may be text, with commas in their first lines
        return False
    return any(separator in line for line in first_lines(data, 1) for separator in _SEPARATORS)


def names_leads(data: bytes) -> bool:
    """Whether the first row names a lead and the second has a number, no sample or a unit below it."""
    try:
        first, second = first_lines(data, 2)
        separator = _separator(first)
        header, row = _cells(first, separator), _cells(second, separator)
    except (ValueError, UnreadableFile):
        return False
    below = [cell for name, cell in zip(header, row, strict=False) if lead_from_name(_split_unit(name)[0])]
    return any(_is_number(cell, separator) or millivolts_per(cell.strip("[]() ")) is not None for cell in below)


def read_csv(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read a table with one column per lead, in any order; other columns are left out with a warning.

    `hints.unit` is needed unless the columns carry one, as in `V1 (uV)`; `hints.rate_hz` unless there is a column such
    as `time_s` or `time (ms)`. `hints.leads` replaces the names of the header row, which a table of numbers alone may
    then lack. Raises UnreadableFile, also where decimal and thousands marks cannot be told apart.
    """
    rate_hz = hints.rate_hz
    table = _opened(data, named=hints.leads is not None)
    header = table.header
    if hints.leads is not None:
        if len(hints.leads) != len(header):
            raise UnreadableFile(
                "leads_missing", f"The table has {len(header)} columns, and {len(hints.leads)} lead names were given."
            )
        header = list(hints.leads)
    named = [_split_unit(cell) for cell in header]
    found = leads_from_names([name for name, _ in named])
    kept = {index: lead for index, lead in enumerate(found) if lead is not None}
    if not kept:
        raise UnreadableFile(
            "leads_missing",
            "The first row of the table does not name the leads.",
            hint="Start the file with a row such as I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6.",
        )
    check_no_lead_twice(tuple(kept.values()))
    check_size(len(kept), table.most_rows)
    times = next(
        ((index, match["unit"]) for index, cell in enumerate(header) if (match := _TIME.fullmatch(cell))), None
    )
    columns = table.columns([*kept, *([times[0]] if times else [])])
    if times:
        rate_hz = agreed_rate(rate_hz, _rate_from_times(columns[times[0]], _SECONDS[times[1].lower()]))
    units = {index: named[index][1] or hints.unit for index in kept}
    if rate_hz is None or None in units.values():
        needed = [name for name, lacks in (("rate_hz", rate_hz is None), ("unit", None in units.values())) if lacks]
        raise UnreadableFile(
            "rate_missing" if rate_hz is None else "unit_missing",
            "The table does not say its sampling rate or unit.",
            hint=f"Add {' and '.join(needed)} to the request, for example rate_hz=500 and unit=mV.",
        )
    channels = [Channel(lead, units[index] or "", columns[index]) for index, lead in kept.items()]
    warnings = []
    others = len(header) - len(kept) - (1 if times else 0)
    if others:
        message = f"{others} columns that are not ECG leads were left out."
        warnings.append(InputWarning("channels_ignored", message))
    return build_recording(channels, checked_rate(rate_hz), "csv", warnings)


@dataclass(frozen=True)
class _Table:
    """A table whose size is known and whose rows are still text.

    header: the cells of the first row, whose names do not count where it is `headless`. most_rows: as many as there are
    lines for.
    """

    data: bytes
    separator: str
    header: list[str]
    headless: bool
    most_rows: int

    def columns(self, wanted: Sequence[int]) -> dict[int, NDArray[np.float64]]:
        """The wanted columns by position, as float64, NaN where a cell stands for no sample."""
        found = {column: np.empty(self.most_rows) for column in wanted}
        marks = _Marks()
        filled = 0
        for rows in self._some_rows():
            for column, values in found.items():
                cells = [row[column] for row in rows]
                if self.separator != ",":  # which is no decimal mark then, and in a number no thousands mark
                    marks.look_at(cells)
                values[filled : filled + len(rows)] = self._numbers(cells, column)
            filled += len(rows)
        marks.check()
        return {column: values[:filled] for column, values in found.items()}

    def _some_rows(self) -> Iterator[list[list[str]]]:
        """The rows below the header, a few at a time."""
        rows = self._rows()
        while some := list(itertools.islice(rows, _ROWS_AT_A_TIME)):
            yield some

    def _rows(self) -> Iterator[list[str]]:
        """The rows of samples. Refuses one that has not the header's number of cells."""
        width = len(self.header)
        rows = csv.reader(told(lines_of(self.data)), delimiter=self.separator, skipinitialspace=True)
        try:
            for place, row in enumerate(rows, start=1):
                if len(row) != width:
                    raise _ragged(place, width)
                if place > 1 or self.headless:
                    yield row
        except csv.Error as error:
            raise UnreadableFile("unreadable_file", "A cell of the table is impossibly long.") from error

    def _numbers(self, cells: list[str], column: int) -> NDArray[np.float64]:
        read = float if written_plainly("".join(cells)) else number  # asked for all at once: it is quicker
        try:
            try:
                values = np.fromiter(map(read, cells), np.float64, len(cells))
            except ValueError:  # an empty cell, a word or a decimal comma among them
                spelt = (read(_spelt_out(cell, self.separator)) for cell in cells)
                values = np.fromiter(spelt, np.float64, len(cells))
        except ValueError as error:
            raise UnreadableFile("unreadable_file", f"Column {column + 1} of the table holds text.") from error
        values[(values == _NOT_CONNECTED) | np.isinf(values)] = np.nan
        return values


class _Marks:
    """The marks in a table's numbers, which are decimal ones as soon as one cell can mean nothing else."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._decimal = False

    def look_at(self, cells: Sequence[str]) -> None:
        text = "\n".join(cells)
        there = {mark for mark in ".," if mark in text}
        self._seen |= there
        if there and not self._decimal:
            marked = (cell.strip() for cell in cells if "." in cell or "," in cell)
            self._decimal = any(_GROUPED.fullmatch(cell) is None for cell in marked)

    def check(self) -> None:
        """Refuse numbers that may be a thousand times what they are taken for."""
        if len(self._seen) > 1 or (self._seen and not self._decimal):
            raise UnreadableFile(
                "numbers_ambiguous",
                "The numbers of the table do not tell decimal marks from thousands marks.",
                hint="Write them without thousands marks and with a decimal point, such as 1367 or 1.367.",
            )


def _opened(data: bytes, *, named: bool) -> _Table:
    """A table within limits: its lines and cells are counted before any row is taken apart.

    named: the columns have names from elsewhere, so that the first row may hold samples.
    """
    check_lines(data)
    lines = told(lines_of(data))
    first = next(lines, "")
    separator = _separator(first) if first else ","
    header = _cells(first, separator)
    width = len(header)
    if width > MAX_TABLE_COLUMNS:
        raise UnreadableFile(
            "too_many_channels", f"The table has {width} columns; at most {MAX_TABLE_COLUMNS} are read."
        )
    headless = named and _holds_samples(header, separator)
    quoted, most_rows, odd = b'"' in data, int(headless), None
    for place, line in enumerate(lines, start=2):
        if odd is None and not quoted and line.count(separator) != width - 1:
            odd = place
        most_rows += 1
    if most_rows == 0:
        raise UnreadableFile("signal_empty", "The table holds no sample.")
    if most_rows > MAX_SAMPLES:
        raise UnreadableFile("too_long", f"The table has {most_rows} rows; at most {MAX_SAMPLES} are read.")
    if odd is not None:
        raise _ragged(odd, width)
    if most_rows * width > MAX_TABLE_CELLS:
        raise UnreadableFile(
            "too_long", f"The table has {most_rows * width} cells; at most {MAX_TABLE_CELLS} are read."
        )
    return _Table(data, separator, header, headless, most_rows)


def _holds_samples(row: Sequence[str], separator: str) -> bool:
    """Whether a first row is one of samples: numbers, and not those of the columns, as some programs write them."""
    if not any(row) or not all(_is_number(cell, separator) for cell in row):
        return False
    return all(list(row) != [str(first + place) for place in range(len(row))] for first in (0, 1))


def _cells(line: str, separator: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    except csv.Error as error:
        raise UnreadableFile("unreadable_file", "A cell of the table is impossibly long.") from error


def _separator(header: str) -> str:
    """What separates the cells of a header row: the first of comma, tab and semicolon outside of quotes."""
    bare = _QUOTED.sub("", header)
    found = next((separator for separator in _SEPARATORS if separator in bare), None)
    if found is None:
        raise UnreadableFile("unreadable_file", "The table has no recognisable delimiter.")
    return found


def _spelt_out(cell: str, separator: str) -> str:
    """A cell as Python spells numbers."""
    cell = cell.strip()
    if cell.lower() in _MISSING:
        return "nan"
    return cell if separator == "," else cell.replace(",", ".")  # decimal commas


def _is_number(cell: str, separator: str) -> bool:
    """Whether a cell holds a number or stands for no sample."""
    try:
        number(_spelt_out(cell, separator))
    except ValueError:
        return False
    return True


def _ragged(place: int, width: int) -> UnreadableFile:
    return UnreadableFile("unreadable_file", f"Row {place} of the table has not the {width} cells of the first row.")


def _split_unit(cell: str) -> tuple[str, str | None]:
    """`V1 (uV)` to name and unit, voltage or not; a remark, as in `Lead I (Einthoven)`, stays in the name."""
    match = _UNIT.fullmatch(cell) if len(cell) <= _MOST_LETTERS_OF_A_NAME else None
    if match is None or match["unit"].strip().casefold() in _REMARKS:
        return cell, None
    return match["name"], match["unit"]


def _rate_from_times(times_N: NDArray[np.float64], seconds_per_unit: float) -> float:
    steps = len(times_N) - 1
    step = (times_N[-1] - times_N[0]) / steps if steps else 0.0
    even = times_N[0] + step * np.arange(len(times_N))
    if not step > 0 or not np.abs(times_N - even).max() < 0.5 * step:
        raise UnreadableFile("rate_missing", "The time column of the table does not rise in even steps.")
    # Times are often rounded to milliseconds: rates are given in tenths of a hertz at most.
    return float(round(1.0 / (step * seconds_per_unit), 1))


CSV = EcgFormat("csv", looks_like_table, of_one_file(read_csv), states_itself=False, confirms=names_leads)
