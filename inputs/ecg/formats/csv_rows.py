"""Text tables with a row for each lead: its name, then its samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import Channel, check_no_lead_twice, check_size
from inputs.ecg.formats.cells import cells_of, holds_number, leads_in, marks_for, numbers_of, split_unit
from inputs.ecg.formats.layout import Layout
from inputs.ecg.formats.text import check_lines, lines_of, told
from inputs.ecg.formats.times import Steps, is_time, steps_of, unit_of_time
from inputs.errors import UnreadableFile
from inputs.limits import MAX_CHANNELS, MAX_TABLE_COLUMNS
from inputs.records import InputWarning

_MOST_LETTERS_OF_A_ROW = 8 * 2**20
"""Of the longest lead that is read, with a dozen letters a sample."""


def channels_by_rows(
    data: bytes, layout: Layout, given: Sequence[str] | None
) -> tuple[list[Channel], list[InputWarning], list[Steps]]:
    """A channel for each row, its unit empty where the row states none, what must be said of the names, and times.

    given: names for the rows, which replace theirs, but not their units, and which rows of numbers alone need. Raises
    UnreadableFile.
    """
    separator = layout.separator or ","
    check_lines(data, _MOST_LETTERS_OF_A_ROW)
    marks = marks_for(separator, data)
    labels: list[str] = []
    rows = []
    for line in _rows(data, layout):
        if len(labels) == MAX_CHANNELS:
            raise _too_many_rows()
        check_size(len(labels) + 1, line.count(separator) if separator != " " else 0)
        cells = cells_of(line, separator)
        label, samples = (cells[0], cells[1:]) if layout.by_rows else ("", cells)
        if samples and not samples[-1]:  # a separator ends each row
            samples = samples[:-1]
        check_size(len(labels) + 1, len(samples))
        labels.append(label)
        rows.append(numbers_of(samples, f"Row {len(labels)}", marks))
    if marks is not None:
        marks.check()
    if len({len(row) for row in rows}) > 1:
        raise UnreadableFile(
            "length_mismatch", "The rows of the table differ in length.", hint="Each row holds one lead, or one sample."
        )
    if given is not None and len(given) != len(rows):
        raise UnreadableFile(
            "leads_missing", f"The table has {len(rows)} rows of a lead each, and {len(given)} lead names were given."
        )
    leads = leads_in(given or labels)
    check_no_lead_twice([lead for lead in leads if lead is not None])
    units = [split_unit(name)[1] or split_unit(own)[1] for name, own in zip(given or labels, labels, strict=True)]
    timed = [unit_of_time(label) if is_time(label) else None for label in labels]
    steps = [_steps(row, unit) for label, unit, row in zip(labels, timed, rows, strict=True) if is_time(label)]
    above = layout.header[1:]  # numbers for names, as pandas writes a table that was turned
    if layout.by_rows and len(above) == len(rows[0]) and all(map(holds_number, above)):
        steps.append(steps_of(numbers_of(above, "The first row")))
    # What the file says of its rate is no channel that was left out.
    told = [place for place, label in enumerate(labels) if not (is_time(label) and timed[place])]
    channels = [Channel(leads[place], units[place] or "", rows[place]) for place in told]
    return channels, warning_of_others(labels, given), [found for found in steps if found is not None]


def _steps(row_N: NDArray[np.float64], unit: str | None) -> Steps | None:
    """Those of a row that is called times. Raises UnreadableFile where it has a unit and no even steps."""
    found = steps_of(row_N, unit)
    if found is None and unit is not None:
        raise UnreadableFile(
            "rate_missing",
            "The row of times in the table does not rise in even steps.",
            hint="Leave the row out, and add rate_hz to the request, if no sample is missing.",
        )
    return None if found is None else replace(found, called_time=True, what="A row beside the leads")


def warning_of_others(own: Sequence[str], given: Sequence[str] | None) -> list[InputWarning]:
    """A warning where a table names its leads itself and otherwise than is given; `V1` to `V12` may be mere numbers."""
    stated = leads_in(own)
    pairs = zip(stated, leads_in(given or own), strict=True)
    if not {"I", "II"} <= set(stated) or all(lead == said or None in (lead, said) for lead, said in pairs):
        return []
    message = "The table names its leads otherwise than the parameter leads, whose names were used."
    return [InputWarning("leads_replaced", message)]


def rows_are_leads(data: bytes, layout: Layout, given: Sequence[str] | None) -> bool:
    """Whether rows of numbers alone are leads: too long for rows of samples, or as many as the names that are given.

    Columns come first: where as many names are given as there are columns, they are theirs.
    """
    width = len(layout.header)
    if not layout.headless or layout.names_leads or (given is not None and len(given) == width):
        return False
    rows = len(list(itertools.islice(_rows(data, layout), MAX_CHANNELS + 1)))
    return rows <= MAX_CHANNELS and (width > MAX_TABLE_COLUMNS or (given is not None and len(given) == rows < width))


def _rows(data: bytes, layout: Layout) -> Iterator[str]:
    return itertools.islice(told(lines_of(data)), layout.before, None)


def _too_many_rows() -> UnreadableFile:
    return UnreadableFile(
        "too_many_channels",
        f"The table has more than {MAX_CHANNELS} rows that begin with a lead's name.",
        hint="Save one column for each lead and one row for each sample, or one row for each lead.",
    )
