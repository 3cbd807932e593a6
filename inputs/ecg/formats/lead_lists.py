"""Lists of lead names anywhere in a file of arrays: cells, arrays of structs, columns of tables, groups with a number.

What stands beside an ECG under a usual name is `stated.lead_names`; programs keep channels elsewhere too (EEGLAB's
`chanlocs(k).labels`, FieldTrip's `hdr.label`), and an order of leads is never assumed against names that are there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from inputs.ecg.formats.stated import Contents, Numbers, Path, lead_names
from inputs.ecg.leads import leads_from_names
from inputs.errors import UnreadableFile
from inputs.limits import MAX_CHANNELS
from inputs.records import STANDARD_LEADS, ReadHints

MOST_LETTERS = 1000
"""Of one text that may be a list."""
_NUMBERED = re.compile(r"(?P<word>[^0-9]*)(?P<number>[0-9]{1,3})")
_OF_CHANNELS = re.compile(r"lead|chan|label|sig_?name|signal_?name|electrode|deriv|montage", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s,;|/\[\](){}'\"]+")


@dataclass(frozen=True)
class Listed(Contents):
    """The contents of a file with the lists of lead names in it. A fact of one empty text stands for texts not read."""

    @cached_property
    def lists(self) -> tuple[tuple[str, ...], ...]:
        """Those that name two leads or more, each once."""
        texts = [tuple(value for value in fact.values if isinstance(value, str)) for fact in self.facts]
        found = [_one_by_one(some[0]) if len(some) == 1 else some for some in texts]
        found += [some for some in self._columns if all(some)]
        few = dict.fromkeys(some for some in found if 1 < len(some) <= MAX_CHANNELS)
        return tuple(some for some in few if sum(lead is not None for lead in leads_from_names(some)) > 1)

    @cached_property
    def unread(self) -> frozenset[int | None]:
        """How many channels have names that are not read, such as MATLAB's strings; None where that is not known."""
        ones = {None for fact in self.facts if fact.values == ("",) and any(map(_OF_CHANNELS.search, fact.path))}
        return frozenset(ones) | {len(some) for some in self._columns if not any(some)}

    @cached_property
    def _columns(self) -> tuple[tuple[str, ...], ...]:
        """Texts of one name in things numbered in a row, in the order of their numbers; empty where one is not read."""
        columns: dict[tuple[Path, str, Path], dict[int, str]] = {}
        for fact in self.facts:
            if len(fact.values) != 1 or not isinstance(fact.values[0], str):
                continue
            for place, part in enumerate(fact.path[:-1]):
                if (numbered := _NUMBERED.fullmatch(part)) is not None:
                    column = columns.setdefault((fact.path[:place], numbered["word"], fact.path[place + 1 :]), {})
                    column[int(numbered["number"])] = fact.values[0]
        return tuple(_in_order(column) for column in columns.values() if len(column) > 1)


def names_of(contents: Listed, array: Numbers) -> list[str] | None:
    """The names of an array's leads: those beside it, or the one list of as many in the file; None without one."""
    beside = lead_names(contents, array.path)
    if beside is not None:
        return beside
    found = _fitting(contents, min(array.shape[-2:]))
    return list(found[0]) if len(found) == 1 else None


def check_order(contents: Listed, count: int, usual: Sequence[str], hints: ReadHints) -> None:
    """Refuse leads whose usual order is to be assumed against names that the file has for them or for some of them."""
    if hints.leads is not None:
        return
    if len(_fitting(contents, count)) > 1:
        raise _not_assumed(f"The {contents.kind} file names its leads in several ways that contradict each other.")
    if contents.unread & {count, None}:
        raise _not_assumed(f"The {contents.kind} file names its leads in a way that is not read.")
    for some in contents.lists:
        places = [usual.index(lead) for lead in leads_from_names(some) if lead in usual]
        if places != sorted(places):
            raise _not_assumed(
                f"The {contents.kind} file names leads in an unusual order, and not as many as the array has."
            )


def _fitting(contents: Listed, count: int) -> list[tuple[str, ...]]:
    """The lists of so many names, one of each kind that name the same leads."""
    return list({leads_from_names(some): some for some in contents.lists if len(some) == count}.values())


def _one_by_one(text: str) -> tuple[str, ...]:
    """The names in one text where it is nothing but a list of leads."""
    names = tuple(name for name in _BETWEEN.split(text[:MOST_LETTERS]) if name)
    return names if len(names) <= MAX_CHANNELS and None not in leads_from_names(names) else ()


def _in_order(column: dict[int, str]) -> tuple[str, ...]:
    """Nothing where a number lacks, for which a name would be lost."""
    first, last = min(column), max(column)
    return tuple(column[number] for number in sorted(column)) if last - first + 1 == len(column) else ()


def _not_assumed(sentence: str) -> UnreadableFile:
    hint = "Give the parameter leads with the name of each lead in order."
    return UnreadableFile("leads_missing", sentence, hint=hint, leads=STANDARD_LEADS)
