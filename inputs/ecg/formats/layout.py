"""How a text table lies: where its header stands, what separates cells, whether a lead is a column or a row.

Everything is told from the first lines, in which nothing is split before it has been counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inputs.ecg.formats.cells import (
    cells_of,
    holds_number,
    is_missing,
    is_number,
    leads_in,
    separator_of,
    split_unit,
    unit_in,
)
from inputs.ecg.formats.programs import program_header
from inputs.ecg.formats.text import first_comments, first_lines
from inputs.ecg.leads import lead_from_name
from inputs.errors import UnreadableFile
from inputs.limits import MAX_TABLE_COLUMNS

LINES_LOOKED_AT = 40
_MOST_LETTERS_OF_A_HEADER = 16_384


@dataclass(frozen=True)
class Layout:
    """Where a table begins, among the lines that are neither blank nor comments.

    separator: None for a table of one cell a line. header: the cells of the row of names, or of the first row where
    none names leads. before: how many lines stand before it, or before the samples where the header is a comment or
    missing. headless: that row holds samples. units: the cells of a row of units below the header. by_rows: the first
    cell of a row names a lead and the others are its samples; the header is the line above them then. said: lines
    beside the table, comments among them. begins: how the first line of the header begins; one that does so again
    begins another recording.
    """

    separator: str | None
    header: tuple[str, ...]
    before: int = 0
    headless: bool = False
    units: tuple[str, ...] = ()
    by_rows: bool = False
    said: tuple[str, ...] = ()
    begins: str = ""

    @property
    def names_leads(self) -> bool:
        """Whether a lead is named, where leads should be."""
        return self.by_rows or any(leads_in(self.header))


def layout_of(data: bytes) -> Layout:
    """The layout of what `check_lines` may not have seen yet. Raises UnreadableFile for a line that is no cells."""
    lines = first_lines(data, LINES_LOOKED_AT)
    comments = first_comments(data)
    place = _place_of_header(lines)
    if not lines:
        return Layout(",", ("",), said=tuple(comments))
    if (of_program := program_header(lines)) is not None:
        found = of_program
        said = (*comments, *found.said)
        return Layout(found.separator, found.names, found.before, True, found.units, False, said, found.begins)
    said = (*comments, *lines[:place])
    separator = separator_of(lines[place], "".join(lines[place + 1 : place + 2]))
    if separator is None or (separator == " " and any(leads_in([lines[place].strip()]))):
        headless = is_number(lines[place].strip())
        return Layout(None, (lines[place].strip(),), place, headless, said=said)
    header = tuple(cells_of(lines[place], separator))
    if any(_is_row_of_lead(line) for line in lines[place : place + 2]):
        skipped = place if _is_row_of_lead(lines[place]) else place + 1
        separator = separator_of(lines[skipped])
        above = tuple(cells_of(lines[skipped - 1], separator or ",")) if skipped else ()
        return Layout(separator, above, skipped, by_rows=True, said=said)
    if holds_samples(header):
        above = _header_in(comments, separator, len(header))
        return Layout(separator, above or header, place, headless=True, said=said)
    below = tuple(cells_of(lines[place + 1], separator)) if len(lines) > place + 1 else ()
    units = below if len(below) == len(header) and _are_units(header, below) else ()
    return Layout(separator, header, place, units=units, said=said, begins=lines[place].strip())


def is_sure(data: bytes) -> bool:
    """Whether a table names a lead with a number, a unit or no sample where the lead's first sample should be."""
    try:
        layout = layout_of(data)
        if layout.by_rows:
            return True
        below = first_lines(data, layout.before + 2)[layout.before + (0 if layout.headless else 1) :]
        row = cells_of(below[0], layout.separator or ",") if below else []
    except UnreadableFile:
        return False
    named = zip(leads_in(layout.header), row, strict=False)
    return any(lead and (is_number(cell) or unit_in(cell) is not None) for lead, cell in named)


def holds_samples(row: Sequence[str]) -> bool:
    """Whether a first row is one of samples: numbers, and not those of the columns, as some programs write them."""
    if not any(row) or not all(is_number(cell) for cell in row):
        return False
    return len(row) == 1 or all(list(row) != [str(first + place) for place in range(len(row))] for first in (0, 1))


def _place_of_header(lines: Sequence[str]) -> int:
    """Which line names leads, with a row of as many cells below it; the first where none of them does so."""
    for place, line in enumerate(lines[:-1]):
        if len(line) > _MOST_LETTERS_OF_A_HEADER or not any(letter.isalpha() for letter in line):
            continue
        if _is_row_of_lead(line):
            return place
        separator = separator_of(line, lines[place + 1])
        cells = cells_of(line, separator) if separator is not None else []
        if not 1 < len(cells) <= MAX_TABLE_COLUMNS or sum(lead is not None for lead in leads_in(cells)) < 2:
            continue
        below = cells_of(lines[place + 1], separator or ",")
        if place == 0 or (len(below) == len(cells) and any(is_number(cell) or unit_in(cell) for cell in below)):
            return place
    return 0


def _is_row_of_lead(line: str) -> bool:
    """Whether a row begins with the name of a lead and goes on with its samples."""
    start = line[:2000]
    separator = separator_of(start)
    cells = cells_of(start, separator)[:5] if separator is not None else []
    if len(cells) < 3 or holds_number(cells[0]) or lead_from_name(split_unit(cells[0])[0]) is None:
        return False
    return all(map(is_number, cells[1:])) and any(map(holds_number, cells[1:]))


def _header_in(comments: Sequence[str], separator: str, width: int) -> tuple[str, ...]:
    """The names of the columns where they stand in a comment, as numpy writes them."""
    for comment in comments:
        for way in (separator, separator_of(comment) or separator):
            cells = cells_of(comment, way)
            if len(cells) == width and sum(lead is not None for lead in leads_in(cells)) > 1:
                return tuple(cells)
    return ()


def _are_units(header: Sequence[str], below: Sequence[str]) -> bool:
    """Whether the row below a header holds units: one of voltage, and no number, below the leads."""
    cells = [cell for lead, cell in zip(leads_in(header), below, strict=True) if lead and not is_missing(cell)]
    cells = cells or list(below)  # of names that are given elsewhere
    return any(unit_in(cell) for cell in cells) and not any(holds_number(cell) for cell in cells)
