"""Tables and texts that name no leads because they hold no samples as columns: lists of exams, long tables, letters.

Told from the first lines alone, before anything is taken apart.
"""

from __future__ import annotations

from inputs.ecg.formats.cells import cells_of, holds_number, is_missing, split_unit
from inputs.ecg.formats.layout import LINES_LOOKED_AT, Layout
from inputs.ecg.formats.repeats import is_id
from inputs.ecg.formats.text import first_lines
from inputs.ecg.formats.times import is_time
from inputs.ecg.leads import lead_from_name
from inputs.errors import UnreadableFile

_MOST_LETTERS = 4096
_SEND = "Send the recording itself: the file that holds the samples of each lead."


def no_samples(data: bytes, layout: Layout) -> UnreadableFile | None:
    """Why a table that names no leads holds no columns of samples; None where it may well do so."""
    lines = first_lines(data, layout.before + LINES_LOOKED_AT)[layout.before :]
    rows = [cells_of(line[:_MOST_LETTERS], layout.separator or ",") for line in lines]
    below = rows if layout.headless else rows[1:]
    if len(rows) > 1 and not any(holds_number(cell) for row in rows for cell in row):
        return UnreadableFile(
            "unsupported_format", "The text holds no numbers: there are no samples in it.", hint=_SEND
        )
    width = len(layout.header)
    if len(below) < 2 or any(len(row) != width for row in below[:-1]):
        return None
    columns = [[row[place] for row in below if len(row) == width] for place in range(width)]
    if any(all(lead_from_name(split_unit(cell)[0]) and not holds_number(cell) for cell in each) for each in columns):
        return UnreadableFile(
            "leads_missing",
            "The table has one row for each sample of each lead, and a column that says which lead it is.",
            hint="Write one column a lead and one row a sample, as pandas' pivot(index='t', columns='lead') does.",
        )
    words = 0
    for name, cells in zip(layout.header, columns, strict=True):
        told = [cell for cell in cells if not is_missing(cell)]
        words += bool(told) and not any(map(holds_number, told)) and not is_time(name) and not is_id(name)
    if not words:
        return None
    has = "1 of them holds" if words == 1 else f"{words} of them hold"
    return UnreadableFile(
        "unsupported_format",
        f"The table has {width} columns, {has} words and none is named as a lead: there are no samples in it.",
        hint=_SEND,
    )
