"""The rows of a text table, within limits: counted before they are taken apart, and read a few at a time.

Letters in array names: N samples.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.cells import holds_number, impossibly_long, marks_for, numbers_of
from inputs.ecg.formats.layout import Layout
from inputs.ecg.formats.repeats import Recordings, begins_again, check_counters, goes_on
from inputs.ecg.formats.text import check_lines, lines_of, told
from inputs.ecg.formats.times import times_of
from inputs.errors import UnreadableFile
from inputs.limits import MAX_SAMPLES, MAX_TABLE_CELLS, MAX_TABLE_COLUMNS

_ROWS_AT_A_TIME = 1024


@dataclass(frozen=True)
class Columns:
    """What was read of a table. signals: by position, NaN where a cell stands for no sample.

    clock: whether the times are those of one, in seconds. beside: numbers of columns beside the leads.
    """

    signals: dict[int, NDArray[np.float64]]
    times_N: NDArray[np.float64] | None
    clock: bool
    beside: dict[int, NDArray[np.float64]]


@dataclass(frozen=True)
class Table:
    """A table whose size is known and whose rows are still text. most_rows: as many as there are lines for."""

    data: bytes
    layout: Layout
    headless: bool
    most_rows: int

    def columns(
        self,
        wanted: Sequence[int],
        time: int | None,
        counters: Mapping[int, str],
        rising: Sequence[int],
        recordings: Recordings,
        choice: tuple[str | None, float],
    ) -> Columns:
        """The wanted columns, and the numbers in those of counters and rising ones that hold nothing else.

        Of the one recording that the exam of `choice` tells, whose counters, by position and name, go on from row to
        row; the other of `choice` is how many rows are a second.
        """
        found = {column: np.empty(self.most_rows) for column in wanted}
        counted = {column: np.empty(self.most_rows) for column in (*counters, *rising)}
        times_N = None if time is None else np.empty(self.most_rows)
        clock = False
        marks = marks_for(self.layout.separator or ",", self.data)
        filled = 0
        for rows in self._some_rows():
            part = slice(filled, filled + len(rows))
            for column, values in found.items():
                values[part] = numbers_of([row[column] for row in rows], f"Column {column + 1}", marks)
            for column in list(counted):
                try:
                    counted[column][part] = numbers_of([row[column] for row in rows], "")
                except UnreadableFile:  # words, which number nothing
                    del counted[column]
            recordings.look_at(rows)
            if time is not None and times_N is not None:
                clock = clock or not holds_number(rows[0][time])
                times_N[part] = times_of([row[time] for row in rows])
            filled += len(rows)
        if marks is not None:
            marks.check()
        if filled == 0:
            raise UnreadableFile("signal_empty", "The table holds no sample.")
        on = times_N is not None and goes_on(times_N[:filled], None)
        on = on or any(
            goes_on(counted[column][:filled], name) for column, name in counters.items() if column in counted
        )
        exam, second = choice
        chosen = recordings.chosen(exam, filled, None if on else second)
        beside = {column: values[:filled][chosen] for column, values in counted.items()}
        checked = [each for each in counters if each in beside and not recordings.are_ids(each)]
        check_counters([(counters[each], beside[each]) for each in checked])
        columns = {column: values[:filled][chosen] for column, values in found.items()}
        times_N = None if times_N is None else times_N[:filled][chosen]
        return Columns(columns, times_N, clock, beside)

    def rising(self, columns: Sequence[int]) -> list[int]:
        """The columns in which the second number is more than the first."""
        rows = list(itertools.islice(self._rows(), 2))
        found = []
        for column in columns if len(rows) == 2 else ():
            cells = [row[column] for row in rows]
            if all(map(holds_number, cells)):
                first, second = numbers_of(cells, "")
                found += [column] if second > first else []
        return found

    def _some_rows(self) -> Iterator[list[list[str]]]:
        """The rows below the header, a few at a time."""
        rows = self._rows()
        while some := list(itertools.islice(rows, _ROWS_AT_A_TIME)):
            yield some

    def _rows(self) -> Iterator[list[str]]:
        """The rows of samples. Refuses one that has not the header's number of cells."""
        width = len(self.layout.header)
        lines = _lines_of_table(self.data, self.layout)
        rows = csv.reader(lines, delimiter=self.layout.separator or ",", skipinitialspace=True)
        skipped = 0 if self.headless else 2 if self.layout.units else 1
        try:
            for place, row in enumerate(rows, start=1):
                if len(row) == width + 1 and row[-1].strip()[:1] in ("", "#"):
                    row = row[:-1]  # a separator or a remark ends the row
                if len(row) != width:
                    raise _ragged(place, width)
                if place > skipped:
                    yield row
        except csv.Error as error:
            raise impossibly_long() from error


def _lines_of_table(data: bytes, layout: Layout) -> Iterator[str]:
    """The lines from the header on, or from the first sample."""
    lines = itertools.islice(told(lines_of(data)), layout.before, None)
    return (line.strip() for line in lines) if layout.separator == " " else lines


def open_table(data: bytes, layout: Layout, *, named: bool) -> Table:
    """A table within limits: its lines and cells are counted before any row is taken apart.

    named: the columns have names from elsewhere, so that the first row may hold samples.
    """
    check_lines(data)
    separator, width = layout.separator or ",", len(layout.header)
    if width > MAX_TABLE_COLUMNS:
        raise UnreadableFile(
            "too_many_channels",
            f"The table has {width} columns; at most {MAX_TABLE_COLUMNS} are read.",
            hint="Save one column for each lead and one row for each sample.",
        )
    headless = layout.headless and (named or layout.names_leads)
    quoted, most_rows, odd = b'"' in data, -int(not headless), None
    begins = layout.begins or None
    for place, line in enumerate(_lines_of_table(data, layout), start=1):
        if begins is not None and line.lstrip().startswith(begins) and (place > 1 or layout.headless):
            raise begins_again(f"The header of the table comes again in row {place}")
        if odd is None and not quoted:
            cells = len(line.split()) if separator == " " else line.count(separator) + 1
            if cells != width and not (cells == width + 1 and _ends_in_nothing(line, separator)):
                odd = place
        most_rows += 1
    if most_rows <= 0:
        raise UnreadableFile("signal_empty", "The table holds no sample.")
    if most_rows > MAX_SAMPLES:
        raise UnreadableFile("too_long", f"The table has {most_rows} rows; at most {MAX_SAMPLES} are read.")
    if odd is not None:
        raise _ragged(odd, width)
    if most_rows * width > MAX_TABLE_CELLS:
        raise UnreadableFile(
            "too_long", f"The table has {most_rows * width} cells; at most {MAX_TABLE_CELLS} are read."
        )
    return Table(data, layout, headless, most_rows)


def _ends_in_nothing(line: str, separator: str) -> bool:
    """Whether the last cell of a line is empty or a remark, as LabChart writes them."""
    return line.rpartition(separator)[2].strip(" ")[:1] in ("", "#")


def _ragged(place: int, width: int) -> UnreadableFile:
    return UnreadableFile("unreadable_file", f"Row {place} of the table has not the {width} cells of the first row.")
