"""Cells of text tables: what separates them, which of them name a lead and in which unit, which number one holds."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import millivolts_per
from inputs.ecg.formats.text import number, written_plainly
from inputs.ecg.leads import lead_from_name, leads_from_names
from inputs.errors import UnreadableFile

SEPARATORS = (",", "\t", ";", "|", " ")
"""A blank stands for any number of them."""
_QUOTED = re.compile(r'"[^"]*"?')
_UNIT = re.compile(r"(?P<name>.*?)[ _]*[\[(](?P<unit>[^\])]{1,40})[\])]")
_BARE_UNIT = re.compile(
    r"(?P<name>.*?)(?P<mark>(?P<dots>\.{1,2})|[ _/:,.-]*)(?P<unit>[numµμ]?v|(?:nano|micro|milli)?volts?)"
    r"(?(dots)\.?)",
    re.IGNORECASE,
)
"""With dots around it where R wrote them for brackets, as in `V1..mV.`."""
_GROUPED = re.compile(r"[-+]?[1-9][0-9]{0,2}(?:[.,][0-9]{3})+")
"""A cell of which nobody can say whether its mark is a decimal or a thousands mark, as in `1,367`."""
_MISSING = {"", "-", "nan", "na", "n/a", "null", "none"}
"""Cells that stand for no sample, infinite numbers besides."""
_NOT_CONNECTED = -32768
"""How 16-bit exports mark a lead that was not connected."""
_MOST_LETTERS_OF_A_NAME = 200
_MOST_CELLS_LOOKED_AT = 300


def cells_of(line: str, separator: str) -> list[str]:
    """The cells of a line, without blanks and single quotes around them. Raises UnreadableFile."""
    text = line.strip() if separator == " " else line
    try:
        row = next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
    except csv.Error as error:
        raise impossibly_long() from error
    return [_bare(cell) for cell in row]


def separator_of(line: str, below: str = "") -> str | None:
    """What separates the cells of a line: what makes most of them lead names or numbers, else the first that is there.

    below: the next line, which has as many cells: blanks within names, as in `Lead 1,Lead 2`, separate nothing then.
    None for a line of one cell.
    """
    bare = _QUOTED.sub("", line).strip()
    there = [separator for separator in SEPARATORS if separator in bare]
    if len(there) > 1 and below:
        there = [mark for mark in there if len(cells_of(line, mark)) == len(cells_of(below, mark)) > 1] or there
    return max(there, key=lambda separator: _told(line, separator)) if len(there) > 1 else next(iter(there), None)


def leads_in(header: Sequence[str]) -> tuple[str | None, ...]:
    """The lead that each cell of a header names, with or without a unit; None for any other, numbers among them."""
    return leads_from_names(["" if holds_number(cell) else split_unit(cell)[0] for cell in header])


def split_unit(cell: str) -> tuple[str, str | None]:
    """`V1 (uV)`, `V1_uV` or `V1/mV` to name and unit; what stands in brackets is one, voltage or not, but for remarks.

    A remark, as in `Lead I (Einthoven)`, is what the lead's name may have behind itself.
    """
    if len(cell) > _MOST_LETTERS_OF_A_NAME or lead_from_name(cell) is not None:
        return cell, None
    match = _UNIT.fullmatch(cell)
    if match is not None:
        return match["name"], match["unit"].strip()
    match = _BARE_UNIT.fullmatch(cell)
    if match is None or not match["name"]:
        return cell, None
    is_lead = lead_from_name(match["name"]) is not None
    plain_volt = match["unit"].casefold() in ("v", "volt", "volts")
    if (is_lead and not plain_volt) or (match["mark"] and (is_lead or not plain_volt)):
        return match["name"], match["unit"]
    return cell, None


def unit_in(cell: str) -> str | None:
    """The unit of voltage that a cell below a lead's name is, as `mV` or `[uV]`; None for any other."""
    text = cell.strip("[]()' ")
    return text if millivolts_per(text) is not None else None


def is_missing(cell: str) -> bool:
    """Whether a cell stands for no sample."""
    return cell.strip().lower() in _MISSING


def is_number(cell: str) -> bool:
    """Whether a cell holds a number or stands for no sample."""
    try:
        number(_spelt_out(cell))
    except ValueError:
        return False
    return True


def holds_number(cell: str) -> bool:
    return not is_missing(cell) and is_number(cell)


def numbers_of(cells: Sequence[str], name: str, marks: Marks | None = None) -> NDArray[np.float64]:
    """The numbers of many cells, NaN where there is no sample. name: of their column or row, as sentences call it.

    marks: what looks at them, where a comma may be in a number. Raises UnreadableFile.
    """
    if marks is not None:
        marks.look_at(cells)
    read: Callable[[str], float] = float if written_plainly("".join(cells)) else number  # for all at once: quicker
    try:
        try:
            values = np.fromiter(map(read, cells), np.float64, len(cells))
        except ValueError:  # an empty cell, a word or a decimal comma among them
            values = np.fromiter((read(_spelt_out(cell)) for cell in cells), np.float64, len(cells))
    except ValueError as error:
        raise UnreadableFile("unreadable_file", f"{name} of the table holds text.") from error
    values[(values == _NOT_CONNECTED) | np.isinf(values)] = np.nan
    return values


class Marks:
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


def marks_for(separator: str, data: bytes) -> Marks | None:
    """What looks at a table's numbers: none where a comma separates and nothing is quoted, so that none is in one."""
    return None if separator == "," and b'"' not in data else Marks()


def impossibly_long() -> UnreadableFile:
    return UnreadableFile("unreadable_file", "A cell of the table is impossibly long.")


def _told(line: str, separator: str) -> tuple[float, int]:
    """How many of the first cells are what a table is made of, as a share and as a number."""
    cells = cells_of(line, separator)[:_MOST_CELLS_LOOKED_AT]
    known = sum(holds_number(cell) or lead_from_name(split_unit(cell)[0]) is not None for cell in cells)
    return (known / len(cells) if cells else 0.0), known


def _bare(cell: str) -> str:
    cell = cell.strip()
    return cell[1:-1].strip() if len(cell) > 1 and cell[0] == cell[-1] == "'" else cell


def _spelt_out(cell: str) -> str:
    """A cell as Python spells numbers."""
    cell = cell.strip()
    return "nan" if cell.lower() in _MISSING else cell.replace(",", ".")  # decimal commas
