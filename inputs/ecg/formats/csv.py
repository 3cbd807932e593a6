"""Text tables: a header row with lead names, then one row per sample; or one row for each lead (`csv_rows.py`).

What separates cells, where the header stands and what lines before it state is told in `layout.py`, `cells.py`,
`comments.py` and `times.py`. Positions never name a lead.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.arrays import place_of_exam
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
from inputs.ecg.formats.comments import SaidBefore, comments_below, said_before
from inputs.ecg.formats.csv_rows import channels_by_rows, rows_are_leads, warning_of_others
from inputs.ecg.formats.edf import looks_like_edf
from inputs.ecg.formats.factors import with_factor
from inputs.ecg.formats.layout import LINES_LOOKED_AT, Layout, is_sure, layout_of
from inputs.ecg.formats.not_read import name_if_not_read
from inputs.ecg.formats.programs import program_header
from inputs.ecg.formats.repeats import Recordings, begins_again, check_counters, goes_on, is_counter, is_id
from inputs.ecg.formats.text import check_lines, first_lines, lines_of, rows_of_numbers, text_start, told
from inputs.ecg.formats.times import is_time, rate_from_times, rate_in_header, times_of, unit_of_time
from inputs.ecg.formats.xml import root_of
from inputs.ecg.leads import are_numbers
from inputs.errors import UnreadableFile
from inputs.limits import MAX_SAMPLES, MAX_TABLE_CELLS, MAX_TABLE_COLUMNS
from inputs.records import STANDARD_LEADS, EcgRecording, InputWarning, ReadHints

_ROWS_AT_A_TIME = 1024
_FEWEST_LEADS = 8
_MOST_BESIDE = 8
"""Columns of sample numbers that are looked at."""
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
    if layout.separator is None:
        raise _one_column(layout)
    said = said_before([*layout.said, *comments_below(data)])
    if layout.by_rows or rows_are_leads(data, layout, hints.leads):
        if hints.leads is None and not layout.by_rows:
            raise _unnamed("The rows of the table have no lead names.")
        channels, warnings = channels_by_rows(data, layout, hints.leads)
        timed_hz = rate_in_header(first_lines(data, 1), layout.separator)
        said = replace(said, rate_hz=timed_hz if said.rate_hz is None else agreed_rate(timed_hz, said.rate_hz))
        place_of_exam("The table", 1, None, hints.exam)
        if hints.leads is None:
            _check_names([channel.lead or "" for channel in channels])
        return _recording(channels, said, hints, warnings)
    return _by_columns(data, layout, said, hints)


def _by_columns(data: bytes, layout: Layout, said: SaidBefore, hints: ReadHints) -> EcgRecording:
    table = _opened(data, layout, named=hints.leads is not None)
    header, warnings = list(layout.header), []
    if hints.leads is not None:
        if len(hints.leads) != len(header):
            raise UnreadableFile(
                "leads_missing",
                f"The table has {len(header)} columns, and {len(hints.leads)} lead names were given.",
                hint="Give a name for each column, such as time_s for one of times and x for one to be left out.",
            )
        warnings += warning_of_others(layout.header, hints.leads)
        header = list(hints.leads)
    else:
        _check_names(header)
    kept = {index: lead for index, lead in enumerate(leads_in(header)) if lead is not None}
    if not kept:
        raise _unnamed("The first row of the table does not name the leads.")
    check_no_lead_twice(tuple(kept.values()))
    check_size(len(kept), table.most_rows)
    units = layout.units or [""] * len(header)
    own = list(layout.header)  # what is given are names: units and times stay those of the table
    times = (index for index, cells in enumerate(zip(header, own, strict=True)) if any(map(is_time, cells)))
    time = next((index for index in times if index not in kept), None)
    names = [(header[index],) if layout.headless else (header[index], own[index]) for index in range(len(header))]
    beside = [index for index in range(len(header)) if index not in kept and index != time]
    ids = [index for index in beside if any(map(is_id, names[index]))]
    counters = [index for index in beside if any(map(is_counter, names[index]))][:_MOST_BESIDE]
    recordings = Recordings(ids, [index for index in beside if index not in ids])
    second = said.rate_hz or hints.rate_hz or float(table.most_rows)
    numbered = {index: next(filter(is_counter, names[index])) for index in counters}
    columns, times_N, clock = table.columns(list(kept), time, numbered, recordings, (hints.exam, second))
    _check_first_row(columns)
    rate_hz = said.rate_hz
    if time is not None and times_N is not None:
        unit = unit_of_time(own[time] if is_time(own[time]) else header[time], units[time])
        timed_hz = rate_from_times(times_N, unit, clock=clock, given_hz=hints.rate_hz)
        if timed_hz is not None:
            if rate_hz is not None and abs(rate_hz - timed_hz) > 0.01 * timed_hz:
                raise UnreadableFile("rate_conflict", "The time column and the lines before the table disagree.")
            rate_hz = timed_hz
            if unit is None and not clock:
                warnings.append(InputWarning("time_unit_assumed", "The times were taken as seconds."))
    stated = {
        index: split_unit(header[index])[1] or split_unit(own[index])[1] or units[index].strip("[]()' ")
        for index in kept
    }
    channels = [Channel(lead, stated[index], columns[index]) for index, lead in kept.items()]
    others = sum(bool(header[index]) for index in beside)
    if others:
        message = f"{others} columns that are not ECG leads were left out."
        warnings.append(InputWarning("channels_ignored", message))
    return _recording(channels, replace(said, rate_hz=rate_hz), hints, warnings)


def _check_first_row(columns: Mapping[int, NDArray[np.float64]]) -> None:
    """Refuse a row of gains below the header: no heart gives all leads one voltage that is not zero."""
    first, second = ([samples[place : place + 1].sum() for samples in columns.values()] for place in (0, 1))
    if len(first) >= _FEWEST_LEADS and len(set(first)) == 1 and first[0] > 0 and set(second) != set(first):
        raise UnreadableFile(
            "scale_unclear",
            "The first row below the header holds one number for all leads: it may be their factor or a sample.",
            hint="Send the samples in mV or uV, and no such row.",
        )


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
    channels: Sequence[Channel], said: SaidBefore, hints: ReadHints, warnings: Sequence[InputWarning]
) -> EcgRecording:
    """The recording of channels that may have no unit, at the rate stated or given. Raises UnreadableFile."""
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
    lacks_unit = None in stated and hints.unit is None
    if (stated_hz is None and hints.rate_hz is None) or lacks_unit:
        lacks_rate = stated_hz is None and hints.rate_hz is None
        needed = [name for name, lacks in (("rate_hz", lacks_rate), ("unit", lacks_unit)) if lacks]
        raise UnreadableFile(
            "rate_missing" if lacks_rate else "unit_missing",
            "The table does not say its sampling rate or unit.",
            hint=f"Add {' and '.join(needed)} to the request, for example rate_hz=500 and unit=mV.",
        )
    rate_hz = checked_rate(hints.rate_hz or 0.0) if stated_hz is None else agreed_rate(hints.rate_hz, stated_hz)
    in_units = [Channel(each.lead, each.unit or stated_unit or hints.unit or "", each.samples) for each in channels]
    return build_recording(in_units, rate_hz, "csv", warnings)


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
        counters: Mapping[int, str],
        recordings: Recordings,
        choice: tuple[str | None, float],
    ) -> tuple[dict[int, NDArray[np.float64]], NDArray[np.float64] | None, bool]:
        """The wanted columns by position, as float64, NaN where a cell stands for no sample; times, if of a clock.

        Of the one recording that the exam of `choice` tells, whose counters, by position and name, go on from row to
        row; the other of `choice` is how many rows are a second.
        """
        found = {column: np.empty(self.most_rows) for column in wanted}
        counted = {column: np.empty(self.most_rows) for column in counters}
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
        on = on or any(goes_on(values[:filled], counters[column]) for column, values in counted.items())
        exam, second = choice
        chosen = recordings.chosen(exam, filled, None if on else second)
        numbers = {column: values[:filled][chosen] for column, values in counted.items()}
        check_counters([(counters[each], numbers[each]) for each in numbers if not recordings.are_ids(each)])
        columns = {column: values[:filled][chosen] for column, values in found.items()}
        return columns, None if times_N is None else times_N[:filled][chosen], clock

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


def _unnamed(sentence: str) -> UnreadableFile:
    return UnreadableFile(
        "leads_missing", sentence, hint=f"{_HEADER} Or give the parameter leads with their names in order."
    )


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
