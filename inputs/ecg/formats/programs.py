"""Headers of text that programs write above their numbers and that are no row of names: LabChart, AcqKnowledge, rdsamp.

LabChart and AcqKnowledge: as their exports look in public repositories; rdsamp: WFDB Applications Guide.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from inputs.ecg.formats.cells import cells_of, holds_number
from inputs.ecg.formats.text import is_numeric

_LABCHART = "Interval="
_KEY = re.compile(r"[A-Za-z]{2,30}=")
_RANGE = re.compile(r"[-+.,0-9]+[ ]*(?P<unit>\S+)")
_CHANNELS = re.compile(r"(?P<count>[0-9]{1,2}) channels?", re.IGNORECASE)
_PER_SAMPLE = re.compile(r"[0-9.,]+ ?(?:sec|msec|usec)/sample\b.*|[0-9.,]+ ?samples/sec(?:ond)?\b.*", re.IGNORECASE)
_AMPLIFIER = re.compile(r" {0,3}[-,] {0,3}[A-Z]{2,4}[0-9]{3}[A-Z]?$")
"""Behind the name of a channel of AcqKnowledge: the module that recorded it, as in `Lead I - ECG100C`."""
_TWO_WORDS = {"elapsed time", "sample #", "sample interval"}
"""Names of rdsamp's first column, which are one cell although blanks may stand between cells."""


@dataclass(frozen=True)
class ProgramHeader:
    """What stands above the numbers. before: how many lines that is. units: one for each name, or none.

    said: its rate, as a line of comment says it. begins: how its first line begins, which a second recording repeats.
    """

    separator: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    before: int
    said: tuple[str, ...]
    begins: str


def program_header(lines: Sequence[str]) -> ProgramHeader | None:
    """The header of a program above the first lines of a text, None where there is no such."""
    return _labchart(lines) or _acqknowledge(lines) or _rdsamp(lines)


def _labchart(lines: Sequence[str]) -> ProgramHeader | None:
    if not lines or not lines[0].startswith(_LABCHART):
        return None
    keys: dict[str, list[str]] = {}
    for line in lines:
        name, *values = cells_of(line, "\t")
        if not _KEY.fullmatch(name):
            break
        keys[name] = values
    titles = keys.get("ChannelTitle=", [])
    if not titles or len(lines) <= len(keys):
        return None
    units = [match["unit"] if (match := _RANGE.fullmatch(text)) else "" for text in keys.get("Range=", [])]
    own = keys.get("UnitName=", [])  # where the program was told another unit than that of the amplifier
    if len(own) == len(units):
        units = [ours if ours not in ("", "*") else unit for ours, unit in zip(own, units, strict=True)]
    units = units if len(units) == len(titles) else [""] * len(titles)
    below = [cells_of(line, "\t") for line in lines[len(keys) :]]
    ends = below[0][-1][:1] in ("", "#")  # with a remark, or without the one that other rows have
    timed = len(below[0]) > len(titles) + ends or (len(below[0]) > len(titles) and _rise([row[0] for row in below]))
    names = ("time", *titles) if timed else tuple(titles)
    said = (f"sampling interval: {' '.join(keys[_LABCHART])}",)
    return ProgramHeader("\t", names, ("s", *units) if timed else tuple(units), len(keys), said, _LABCHART)


def _rise(cells: Sequence[str]) -> bool:
    """Whether cells are times: of a clock, or numbers of which each is more than the one before."""
    if not all(map(is_numeric, cells)):
        return True
    numbers = [float(cell.replace(",", ".")) for cell in cells]
    return len(numbers) > 1 and all(after > before for before, after in itertools.pairwise(numbers))


def _acqknowledge(lines: Sequence[str]) -> ProgramHeader | None:
    at = next((place for place, line in enumerate(lines[:4]) if _PER_SAMPLE.fullmatch(line.strip())), None)
    counted = _CHANNELS.fullmatch(lines[at + 1].strip()) if at is not None and len(lines) > at + 1 else None
    if at is None or counted is None:
        return None
    first, count = at + 2, int(counted["count"])
    row = first + 2 * count
    if count == 0 or len(lines) <= row + 2:
        return None
    titles = [_AMPLIFIER.sub("", line.strip()) for line in lines[first:row:2]]
    units = [line.strip() for line in lines[first + 1 : row : 2]]
    separator = "\t" if "\t" in lines[row] else ","
    head = [cell for cell in cells_of(lines[row], separator) if cell]
    timed = len(head) == count + 1
    if len(head) != count + timed or not all(re.fullmatch("CH[0-9]{1,3}", cell) for cell in head[timed:]):
        return None
    below = [cell for cell in cells_of(lines[row + 1], separator) if cell]
    counts = len(set(below)) == 1 and len(below) == count and re.fullmatch("[0-9]{3,}", below[0])  # of samples
    names = ("time", *titles) if timed else tuple(titles)
    said = tuple(lines[at].split("\t")[:1])
    units = [head[0], *units] if timed else units
    return ProgramHeader(separator, names, tuple(units), row + (2 if counts else 1), said, lines[at].strip())


def _rdsamp(lines: Sequence[str]) -> ProgramHeader | None:
    """Where blanks separate cells, and stand within the name of the first column too."""
    words = lines[0].split() if lines else []
    if len(words) < 3 or "\t" in lines[0] or " ".join(words[:2]).casefold() not in _TWO_WORDS:
        return None
    names = (" ".join(words[:2]), *words[2:])
    rows = [line.split() for line in lines[1:3]]
    has_units = bool(rows) and not any(map(holds_number, rows[0][1:]))
    row = rows[-1] if has_units else rows[0] if rows else []
    if len(row) != len(names) or not all(map(is_numeric, row[1:])):
        return None
    units = rows[0][-len(names) :] if has_units else []
    if has_units and len(rows[0]) == len(names) + 1:  # `(0.002 sec)`
        units = ["", *rows[0][2:]]
    return ProgramHeader(" ", names, tuple(units), 2 if has_units else 1, (), lines[0])
