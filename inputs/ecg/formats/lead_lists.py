"""Lists of lead names anywhere in a file of arrays: cells, arrays of structs, columns of tables, groups with a number.

What stands beside an ECG under a usual name is `stated.lead_names`; programs keep channels elsewhere too (EEGLAB's
`chanlocs(k).labels`, FieldTrip's `hdr.label`), and an order of leads is never assumed against names that are there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from inputs.ecg.formats.stated import Contents, Numbers, Path, lead_names
from inputs.ecg.leads import lead_from_name, leads_from_names
from inputs.errors import UnreadableFile
from inputs.limits import MAX_CHANNELS
from inputs.records import STANDARD_LEADS, ReadHints

MOST_LETTERS = 1000
"""Of one text that may be a list."""
_NUMBERED = re.compile(r"(?P<word>[^0-9]*)(?P<number>[0-9]{1,3})")
_OF_CHANNELS = re.compile(r"lead|chan|label|sig_?name|signal_?name|electrode|deriv|montage", re.IGNORECASE)
_OF_NOTHING_ELSE = re.compile(r"lead|chan|sig_?name|signal_?name|electrode|deriv|montage", re.IGNORECASE)
_LEAST_OF_A_SENTENCE = 8
"""Leads, each once: findings name fewer."""
_BETWEEN = re.compile(r"[\s,;|/\[\](){}'\"]+")


@dataclass(frozen=True)
class Listed(Contents):
    """The contents of a file with the lists of lead names in it. A fact of one empty text stands for texts not read."""

    @cached_property
    def lists(self) -> tuple[tuple[str, ...], ...]:
        """Those that name two leads or more, each once."""
        found = [_one_by_one(some[0]) if len(some) == 1 else some for _, some in self._texts]
        found += [some for some in self._columns if all(some)]
        few = dict.fromkeys(some for some in found if 1 < len(some) <= MAX_CHANNELS)
        return tuple(some for some in few if sum(lead is not None for lead in leads_from_names(some)) > 1)

    @cached_property
    def unread(self) -> frozenset[int | None]:
        """How many channels have names that are not read, such as MATLAB's strings; None where that is not known."""
        ones = {None for fact in self.facts if fact.values == ("",) and any(map(_OF_CHANNELS.search, fact.path))}
        of_words = {len(some) for path, some in self._texts if some not in self.lists and _may_be_names(path, some)}
        return frozenset(ones) | of_words | {len(some) for some in self._columns if not any(some)} | self._numbered

    @cached_property
    def _texts(self) -> tuple[tuple[Path, tuple[str, ...]], ...]:
        return tuple((each.path, tuple(one for one in each.values if isinstance(one, str))) for each in self.facts)

    @cached_property
    def _numbered(self) -> frozenset[int]:
        """How many leads have a number each, under their names: `V1 = 7`."""
        groups: dict[Path, dict[str, Numbers]] = {}
        for array in self.arrays:
            if math.prod(array.shape) == 1 and array.dtype.kind in "fiu":
                groups.setdefault(array.path[:-1], {})[array.path[-1]] = array
        counts = set()
        for group in groups.values():
            if 1 < len(group) <= MAX_CHANNELS and None not in leads_from_names(list(group)):
                numbers = sorted(float(array.load(None).ravel()[0]) for array in group.values())
                counts |= {len(group)} if numbers in ([*range(len(group))], [*range(1, len(group) + 1)]) else set()
        return frozenset(counts)

    @cached_property
    def _columns(self) -> tuple[tuple[str, ...], ...]:
        """Texts of one name in things numbered in a row, in the order of their numbers; empty where one is not read."""
        columns: dict[tuple[Path, str, Path], dict[int, str]] = {}
        for fact in self.facts:
            if len(fact.values) != 1 or not isinstance(fact.values[0], str):
                continue
            for place, part in enumerate(fact.path):
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
    """The names in one text where it is nothing but a list of leads, or a sentence with such."""
    names = tuple(name for name in _BETWEEN.split(text[:MOST_LETTERS]) if name)
    if len(names) > MAX_CHANNELS:
        return ()
    leads = leads_from_names(names)
    known = [lead for lead in leads if lead is not None]
    if len(known) == len(names):
        return names
    in_a_sentence = len(set(known)) == len(known) >= _LEAST_OF_A_SENTENCE
    return tuple(name for name, lead in zip(names, leads, strict=True) if lead) if in_a_sentence else ()


def _may_be_names(path: Path, texts: tuple[str, ...]) -> bool:
    """Whether texts that are no list of leads name channels: by what they are called, or with leads among their words.

    Mere numbers, as in `ch1` and `ch2`, say nothing.
    """
    if len(texts) > MAX_CHANNELS or len(set(texts)) < 2 or all(_NUMBERED.fullmatch(text) for text in texts):
        return False
    words = [re.split(r"[\W_]+", text[:MOST_LETTERS]) for text in texts]
    with_leads = sum(any(lead_from_name(word) for word in some if word) for some in words)
    return with_leads > 1 or any(map(_OF_NOTHING_ELSE.search, path))


def _in_order(column: dict[int, str]) -> tuple[str, ...]:
    """Nothing where a number lacks, for which a name would be lost."""
    first, last = min(column), max(column)
    return tuple(column[number] for number in sorted(column)) if last - first + 1 == len(column) else ()


def _not_assumed(sentence: str) -> UnreadableFile:
    hint = "Give the parameter leads with the name of each lead in order."
    return UnreadableFile("leads_missing", sentence, hint=hint, leads=STANDARD_LEADS)
