"""Text tables: a header row with lead names, then one row per sample; or one row for each lead (`csv_rows.py`).

What separates cells, where the header stands and what lines before it state is told in `layout.py`, `cells.py`,
`comments.py` and `times.py`. Positions never name a lead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

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
    leads_in,
    split_unit,
)
from inputs.ecg.formats.comments import SaidBefore, comments_below, said_before
from inputs.ecg.formats.csv_rows import channels_by_rows, rows_are_leads, warning_of_others
from inputs.ecg.formats.csv_table import open_table
from inputs.ecg.formats.edf import looks_like_edf
from inputs.ecg.formats.exams import place_of_exam
from inputs.ecg.formats.factors import with_factor
from inputs.ecg.formats.layout import LINES_LOOKED_AT, Layout, is_sure, layout_of
from inputs.ecg.formats.no_samples import no_samples
from inputs.ecg.formats.not_read import name_if_not_read
from inputs.ecg.formats.programs import program_header
from inputs.ecg.formats.repeats import Recordings, is_counter, is_id
from inputs.ecg.formats.text import first_lines, rows_of_numbers, text_start
from inputs.ecg.formats.times import (
    Steps,
    check_steps,
    is_time,
    rate_from_times,
    rate_in_header,
    steps_of,
    unit_of_time,
)
from inputs.ecg.formats.xml import root_of
from inputs.ecg.leads import are_numbers, names_given
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, EcgRecording, InputWarning, ReadHints

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
    hints = replace(hints, leads=names_given(hints.leads))
    if layout.separator is None:
        raise _one_column(layout)
    said = said_before([*layout.said, *comments_below(data)])
    if layout.by_rows or rows_are_leads(data, layout, hints.leads):
        if hints.leads is None and not layout.by_rows:
            raise _unnamed("The rows of the table have no lead names.")
        channels, warnings, steps = channels_by_rows(data, layout, hints.leads)
        timed_hz = rate_in_header(first_lines(data, 1), layout.separator)
        said = replace(said, rate_hz=timed_hz if said.rate_hz is None else agreed_rate(timed_hz, said.rate_hz))
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
    table = open_table(data, layout, named=hints.leads is not None)
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
    times = [
        index for index in times if not is_counter(named[index]) or table.rising([index])
    ]  # seconds beside samples
    times.sort(key=lambda index: unit_of_time(named[index], units[index]) is None)  # one that states its unit first
    time = next(iter(times), None)
    names = [(header[index],) if layout.headless else (header[index], own[index]) for index in range(len(header))]
    beside = [index for index in range(len(header)) if index not in kept and index != time]
    ids = [index for index in beside if any(map(is_id, names[index]))]
    counters = [index for index in beside if any(map(is_counter, names[index]))][:_MOST_BESIDE]
    rising = table.rising([index for index in beside if index not in ids and index not in counters])
    unclear = [index for index in beside if index not in (*ids, *counters) and not is_time(named[index])]
    lacking = [lead for lead in EIGHT_LEADS if lead not in kept.values()]
    if hints.leads is None and 0 < len(lacking) <= len(unclear):
        raise _unnamed(f"{len(unclear)} of the {len(header)} columns have names that are not read as leads.", lacking)
    recordings = Recordings({index: own[index] for index in ids}, [index for index in beside if index not in ids])
    second = said.rate_hz or hints.rate_hz or float(table.most_rows)
    numbered = {index: next(filter(is_counter, names[index])) for index in counters}
    columns = table.columns(list(kept), time, numbered, rising[:_MOST_BESIDE], recordings, (hints.exam, second))
    times_N, clock = columns.times_N, columns.clock
    _check_first_row(columns.signals)
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


CSV = EcgFormat(
    "csv",
    looks_like_table,
    of_one_file(read_csv),
    states_itself=False,
    confirms=is_sure,
    chooses=frozenset({"exam"}),
)
