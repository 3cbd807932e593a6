"""Text tables: a header row with lead names, then one row per sample; or one row for each lead (`csv_rows.py`).

What separates cells, where the header stands and what lines before it state is told in `layout.py`, `cells.py`,
`comments.py` and `times.py`. Positions never name a lead.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.arrays import EIGHT_LEADS, check_given
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
from inputs.ecg.formats.cells import (
    SEPARATORS,
    holds_number,
    impossibly_long,
    leads_in,
    marks_for,
    numbers_of,
    split_unit,
)
from inputs.ecg.formats.comments import SaidBefore, said_before
from inputs.ecg.formats.csv_rows import channels_by_rows, rows_are_leads, warning_of_others
from inputs.ecg.formats.edf import looks_like_edf
from inputs.ecg.formats.exams import place_of_exam
from inputs.ecg.formats.factors import with_factor
from inputs.ecg.formats.layout import LINES_LOOKED_AT, Layout, is_sure, layout_of
from inputs.ecg.formats.no_samples import no_samples
from inputs.ecg.formats.not_read import name_if_not_read
from inputs.ecg.formats.programs import program_header
from inputs.ecg.formats.repeats import Recordings, begins_again, check_counter, is_counter, is_id
from inputs.ecg.formats.text import check_lines, first_lines, lines_of, rows_of_numbers, text_start, told
from inputs.ecg.formats.times import (
    Steps,
    check_steps,
    is_time,
    rate_from_times,
    steps_of,
    times_of,
    unit_of_time,
)
from inputs.ecg.formats.xml import root_of
from inputs.ecg.leads import are_numbers, names_given
from inputs.errors import UnreadableFile
from inputs.limits import MAX_SAMPLES, MAX_TABLE_CELLS, MAX_TABLE_COLUMNS
from inputs.records import STANDARD_LEADS, EcgRecording, InputWarning, ReadHints

_ROWS_AT_A_TIME = 1024
_MOST_BESIDE = 8
"""Columns of ids, or of sample numbers, that are looked at."""
_HEADER = "Start the file with a row such as I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6."


def looks_like_table(data: bytes) -> bool:
    """Text that is no other format's: its first line that is neither blank nor a comment has several cells.

    What has blanks between its cells, or one cell a line, is a table only where leads and numbers are told from it.
    """
    if "\0" in text_start(data) or name_if_not_read(data) is not None:
        return False
    if root_of(data) is not None or looks_like_edf(data):  # both may be text, with commas in their first lines
        return False
    first = first_lines(data, 1)
    if any(separator in line for line in first for separator in SEPARATORS if separator != " "):
        return True
    if rows_of_numbers(data) or is_sure(data) or program_header(first_lines(data, LINES_LOOKED_AT)):
        return True
    lines = [line.strip() for line in first_lines(data, 2)]
    return len(lines) == 2 and all(map(holds_number, lines))


def read_csv(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read a table with one column per lead, in any order, or one row; others are left out with a warning.

    `hints.unit` is needed unless leads or a line before the table carry one, as in `V1 (uV)`; `hints.rate_hz` unless a
    time column or a line before the table states it. `hints.leads` replaces the names of the table, which one of
    numbers alone may then lack. Raises UnreadableFile, also where decimal and thousands marks cannot be told apart.
    """
    layout = layout_of(data)
    hints = replace(hints, leads=names_given(hints.leads))
    if layout.separator is None:
        raise _one_column(layout)
    said = said_before(layout.said)
    if layout.by_rows or rows_are_leads(data, layout, hints.leads):
        if hints.leads is None and not layout.by_rows:
            raise _unnamed("The rows of the table have no lead names.")
        channels, warnings, steps = channels_by_rows(data, layout, hints.leads)
        place_of_exam("The table", 1, None, hints.exam)
        if hints.leads is None:
            _check_names([channel.lead or "" for channel in channels])
        stated = {found.rate_hz for found in steps if found.unit_is_stated} | ({said.rate_hz} - {None})
        if len(stated) > 1:
            raise UnreadableFile("rate_conflict", "The times of the table and the lines before it disagree.")
        said = replace(said, rate_hz=next(iter(stated), None))
        return _recording(channels, said, hints, warnings, [found for found in steps if not found.unit_is_stated])
    return _by_columns(data, layout, said, hints)


def _by_columns(data: bytes, layout: Layout, said: SaidBefore, hints: ReadHints) -> EcgRecording:
    if hints.leads is None and not layout.names_leads:
        raise no_samples(data, layout) or _unnamed(
            f"The first row of the table does not name the leads: none of its {len(layout.header)} cells is one."
        )
    table = _opened(data, layout, named=hints.leads is not None)
    header, warnings = list(layout.header), []
    if hints.leads is not None:
        if len(hints.leads) != len(header):
            raise UnreadableFile(
                "leads_missing",
                f"The table has {len(header)} columns, and {len(hints.leads)} lead names were given.",
                hint="Give a name for each column, with commas between, such as time_s for one of times and x for one"
                " to be left out.",
            )
        warnings += warning_of_others(layout.header, hints.leads)
        header = list(hints.leads)
    else:
        _check_names(header)
    kept = {index: lead for index, lead in enumerate(leads_in(header)) if lead is not None}
    if not kept:
        raise _unnamed("None of the given names is that of a lead.")
    check_no_lead_twice(tuple(kept.values()))
    check_size(len(kept), table.most_rows)
    units = layout.units or [""] * len(header)
    own = list(layout.header)  # what is given are names: units and times stay those of the table
    named = [own[index] if is_time(own[index]) else header[index] for index in range(len(header))]
    times = [index for index, name in enumerate(named) if is_time(name) and index not in kept]
    times.sort(key=lambda index: unit_of_time(named[index], units[index]) is None)  # one that states its unit first
    time = next(iter(times), None)
    names = [(header[index],) if layout.headless else (header[index], own[index]) for index in range(len(header))]
    beside = [index for index in range(len(header)) if index not in kept and index != time]
    ids = [index for index in beside if any(map(is_id, names[index]))][:_MOST_BESIDE]
    counters = [index for index in beside if any(map(is_counter, names[index]))][:_MOST_BESIDE]
    rising = table.rising([index for index in beside if index not in ids and index not in counters])
    unclear = [index for index in beside if index not in (*ids, *counters) and not is_time(named[index])]
    lacking = [lead for lead in EIGHT_LEADS if lead not in kept.values()]
    if hints.leads is None and 0 < len(lacking) <= len(unclear):
        raise _unnamed(f"{len(unclear)} of the {len(header)} columns have names that are not read as leads.", lacking)
    columns = table.columns(list(kept), time, ids, counters, rising[:_MOST_BESIDE], hints.exam)
    times_N, clock = columns.times_N, columns.clock
    rate_hz = said.rate_hz
    timed_hz = None
    steps = [found for each_N in columns.beside.values() if (found := steps_of(each_N)) is not None]
    if time is not None and times_N is not None:
        unit = unit_of_time(named[time], units[time])
        timed_hz = rate_from_times(times_N, unit, clock=clock, given_hz=hints.rate_hz)
        if timed_hz is not None:
            if rate_hz is not None and abs(rate_hz - timed_hz) > 0.01 * timed_hz:
                raise UnreadableFile("rate_conflict", "The time column and the lines before the table disagree.")
            rate_hz = timed_hz
            if unit is None and not clock:
                warnings.append(InputWarning("time_unit_assumed", "The times were taken as seconds."))
        elif not clock and (found := steps_of(times_N)) is not None:
            steps.insert(0, replace(found, called_time=True))
    stated = {
        index: split_unit(header[index])[1] or split_unit(own[index])[1] or units[index].strip("[]()' ")
        for index in kept
    }
    channels = [Channel(lead, stated[index], columns.signals[index]) for index, lead in kept.items()]
    unnamed = {index for index, numbers_N in columns.beside.items() if np.isfinite(numbers_N).any()}
    others = sum(bool(header[index]) or index in unnamed for index in beside)
    others += time is not None and timed_hz is None
    if others:
        what = "1 column that is no ECG lead was" if others == 1 else f"{others} columns that are not ECG leads were"
        message = f"{what} left out."
        warnings.append(InputWarning("channels_ignored", message))
    return _recording(channels, replace(said, rate_hz=rate_hz), hints, warnings, steps)


def _check_names(names: Sequence[str]) -> None:
    """Refuse the names that R makes up: twelve of them begin with the six chest leads and are none."""
    named = [name for name in names if not is_counter(name) and not is_time(name)]
    if are_numbers(named):
        raise UnreadableFile(
            "leads_missing",
            "The table numbers its leads as V1, V2 and so on beyond V6, as R does where they have no names.",
            hint="Give the parameter leads with their names in order.",
        )


def _recording(
    channels: Sequence[Channel],
    said: SaidBefore,
    hints: ReadHints,
    warnings: Sequence[InputWarning],
    steps: Sequence[Steps] = (),
) -> EcgRecording:
    """The recording of channels that may have no unit, at the rate stated or given. Raises UnreadableFile.

    steps: of what may be times beside the leads.
    """
    if said.factor is not None:
        channels, more = with_factor(channels, said.factor, said.unit or hints.unit)
        warnings = [*warnings, *more]
    stated_hz, stated_unit = said.rate_hz, said.unit
    leads = [channel for channel in channels if channel.lead is not None]
    stated = {channel.unit or stated_unit for channel in leads}
    factors = {millivolts_per(unit or "") for unit in stated}  # of those that are no voltage others will speak
    if hints.unit is not None and None not in factors and factors != {millivolts_per(hints.unit)}:
        raise UnreadableFile(
            "unit_conflict",
            "The table states another unit than the parameter unit.",
            hint="Leave unit out: the table states its own.",
        )
    known_hz = stated_hz or hints.rate_hz
    if known_hz is not None:
        warnings = [*warnings, *(doubt for found in steps if (doubt := check_steps(found, known_hz)) is not None)]
    check_given(
        "The table",
        rate_is_known=known_hz is not None,
        unit_is_known=None not in stated or hints.unit is not None,
        hint="".join(f" {found}: name it time_{found.unit} if it is so." for found in steps[:1]),
    )
    rate_hz = checked_rate(hints.rate_hz or 0.0) if stated_hz is None else agreed_rate(hints.rate_hz, stated_hz)
    in_units = [Channel(each.lead, each.unit or stated_unit or hints.unit or "", each.samples) for each in channels]
    return build_recording(in_units, rate_hz, "csv", warnings)


@dataclass(frozen=True)
class _Columns:
    """What was read of a table. signals: by position, NaN where a cell stands for no sample.

    clock: whether the times are those of one, in seconds. beside: numbers of columns beside the leads.
    """

    signals: dict[int, NDArray[np.float64]]
    times_N: NDArray[np.float64] | None
    clock: bool
    beside: dict[int, NDArray[np.float64]]


@dataclass(frozen=True)
class _Table:
    """A table whose size is known and whose rows are still text. most_rows: as many as there are lines for."""

    data: bytes
    layout: Layout
    headless: bool
    most_rows: int

    def columns(
        self,
        wanted: Sequence[int],
        time: int | None,
        ids: Sequence[int],
        counters: Sequence[int],
        rising: Sequence[int],
        exam: str | None,
    ) -> _Columns:
        """The wanted columns, and the numbers in those of counters and rising ones that hold nothing else.

        Of the one recording that ids and exam tell, whose counters go on from row to row.
        """
        found = {column: np.empty(self.most_rows) for column in wanted}
        counted = {column: np.empty(self.most_rows) for column in (*counters, *rising)}
        recordings = Recordings(ids, [self.layout.header[column] for column in ids])
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
        chosen = recordings.chosen(exam)
        beside = {column: values[:filled][chosen] for column, values in counted.items()}
        for column in set(counters) & set(beside):
            if column not in ids or recordings.of_rows:
                check_counter(beside[column], "The sample numbers")
        columns = {column: values[:filled][chosen] for column, values in found.items()}
        times_N = None if times_N is None else times_N[:filled][chosen]
        return _Columns(columns, times_N, clock, beside)

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


def _opened(data: bytes, layout: Layout, *, named: bool) -> _Table:
    """A table within limits: its lines and cells are counted before any row is taken apart.

    named: the columns have names from elsewhere, so that the first row may hold samples.
    """
    check_lines(data)
    separator, width = layout.separator or ",", len(layout.header)
    if width > MAX_TABLE_COLUMNS:
        raise UnreadableFile(
            "too_many_channels", f"The table has {width} columns; at most {MAX_TABLE_COLUMNS} are read."
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
    return _Table(data, layout, headless, most_rows)


def _ends_in_nothing(line: str, separator: str) -> bool:
    """Whether the last cell of a line is empty or a remark, as LabChart writes them."""
    return line.rpartition(separator)[2].strip(" ")[:1] in ("", "#")


def _one_column(layout: Layout) -> UnreadableFile:
    lead = next(iter(leads_in(layout.header)), None)
    what = "numbers without a name" if lead is None else f"lead {lead} alone"
    return UnreadableFile(
        "leads_missing",
        f"The table has one column: {what}.",
        hint="At least leads I, II and V1 to V6 are needed: one column, or one row, for each.",
        leads=tuple(each for each in STANDARD_LEADS if each != lead),
    )


def _unnamed(sentence: str, leads: Sequence[str] = STANDARD_LEADS) -> UnreadableFile:
    hint = f"{_HEADER} Or give the parameter leads with their names in order."
    return UnreadableFile("leads_missing", sentence, hint=hint, leads=tuple(leads))


def _ragged(place: int, width: int) -> UnreadableFile:
    return UnreadableFile("unreadable_file", f"Row {place} of the table has not the {width} cells of the first row.")


CSV = EcgFormat(
    "csv",
    looks_like_table,
    of_one_file(read_csv),
    states_itself=False,
    confirms=is_sure,
    chooses=frozenset({"exam"}),
)
