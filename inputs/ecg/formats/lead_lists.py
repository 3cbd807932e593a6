"""Lists of lead names anywhere in a file of arrays: cells, arrays of structs, columns of tables, groups with a number.

What stands beside an ECG under a usual name is `stated.lead_names`; programs keep channels elsewhere too (EEGLAB's
`chanlocs(k).labels`, FieldTrip's `hdr.label`), and an order of leads is never assumed against names that are there.
Files hold other lists of leads as well, of a plot or of a table of measurements: they name no channels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from inputs.ecg.formats.stated import ABOUT, Contents, Numbers, Path, key, lead_names
from inputs.ecg.leads import lead_from_name, leads_from_names
from inputs.errors import UnreadableFile
from inputs.limits import MAX_CHANNELS
from inputs.records import STANDARD_LEADS, ReadHints

MOST_LETTERS = 1000
"""Of one text that may be a list."""
_NUMBERED = re.compile(r"(?P<word>[^0-9]*)(?P<number>[0-9]{1,3})")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_OF_CHANNELS = (
    "lead", "chan", "label", "electr", "deriv", "montage", "ableit", "kanal", "kanael", "canal", "signame",
    "signalname",
)  # fmt: skip
"""Beginnings of words."""
_CH = {"ch", "chs", "sig", "signal", "signals"}
_NO_OTHER_USE = _CH | {
    "name", "names", "order", "list", "text", "string", "strings", "str", "id", "ids", "used", "of", "the", "what",
    "row", "rows", "ecg", "ekg", "data", "type", "types",
}  # fmt: skip
_OF_THE_FILE = ABOUT | {"hdr", "comment", "comments", "note", "notes", "remark", "remarks", "description", "readme"}
_LEAST_OF_A_SENTENCE = 8
"""Leads, each once: findings name fewer."""
_BETWEEN = re.compile(r"[\s,;|/\[\](){}'\"]+")

Names = tuple[str, ...]


@dataclass(frozen=True)
class Listed(Contents):
    """The contents of a file with the lists of lead names in it. A fact of one empty text stands for texts not read."""

    @cached_property
    def lists(self) -> tuple[tuple[Path, Names], ...]:
        """Those that name two leads or more, with the path of each without its numbers."""
        found = [(path, _one_by_one(some[0]) if len(some) == 1 else some) for path, some in self._texts]
        found += [(path, some) for path, some in self._columns if all(some)]
        few = [(path, some) for path, some in found if 1 < len(some) <= MAX_CHANNELS]
        return tuple((path, some) for path, some in few if sum(lead is not None for lead in leads_from_names(some)) > 1)

    def unread(self, count: int, at: Path) -> bool:
        """Whether channels of an array at a path have names that are not read, such as MATLAB's strings."""
        read = {some for _, some in self.lists}
        not_read = [path for path, some in self._texts if some == ("",)]
        not_read += [
            path for path, some in self._texts if len(some) == count and some not in read and _may_be_names(some)
        ]
        not_read += [path for path, some in self._columns if len(some) == count and not any(some)]
        return any(_names_channels(path, at) and _is_of_channels(path[-1]) for path in not_read)

    @cached_property
    def said(self) -> frozenset[tuple[str | None, ...]]:
        """The leads that are said in a way that cannot name an array's: with words, as `V1 mean`, or with numbers."""
        of_words = (tuple(map(_lead_within, some)) for _, some in self._texts if 1 < len(some) <= MAX_CHANNELS)
        return self._numbered | {some for some in of_words if None not in some and len(set(some)) == len(some)}

    @cached_property
    def _texts(self) -> tuple[tuple[Path, Names], ...]:
        texts = ((each.path, tuple(one for one in each.values if isinstance(one, str))) for each in self.facts)
        return tuple((_without_numbers(path), some) for path, some in texts)

    @cached_property
    def _numbered(self) -> frozenset[tuple[str | None, ...]]:
        """Leads that have a number each under their names, `V1 = 7`, in the order of these."""
        groups: dict[Path, dict[str, Numbers]] = {}
        for array in self.arrays:
            if math.prod(array.shape) == 1 and array.dtype.kind in "fiu":
                groups.setdefault(array.path[:-1], {})[array.path[-1]] = array
        found = set()
        for group in groups.values():
            if 1 < len(group) <= MAX_CHANNELS and None not in (leads := leads_from_names(list(group))):
                numbers = [float(array.load(None).ravel()[0]) for array in group.values()]
                if sorted(numbers) in ([*range(len(group))], [*range(1, len(group) + 1)]):
                    found.add(tuple(leads[place] for place in sorted(range(len(numbers)), key=numbers.__getitem__)))
        return frozenset(found)

    @cached_property
    def _columns(self) -> tuple[tuple[Path, Names], ...]:
        """Texts of one name in things numbered in a row, in the order of their numbers; empty where one is not read."""
        columns: dict[tuple[Path, str, Path], dict[int, str]] = {}
        for fact in self.facts:
            if len(fact.values) != 1 or not isinstance(fact.values[0], str):
                continue
            for place, part in enumerate(fact.path):
                if (numbered := _NUMBERED.fullmatch(part)) is not None:
                    column = columns.setdefault((fact.path[:place], numbered["word"], fact.path[place + 1 :]), {})
                    column[int(numbered["number"])] = fact.values[0]
        return tuple(
            (_without_numbers((*before, word, *after)), _in_order(column))
            for (before, word, after), column in columns.items()
            if len(column) > 1
        )


def names_of(contents: Listed, array: Numbers, place: int = 0) -> list[str] | None:
    """The names of an array's leads: those beside it, or the one list of as many where channels are named; or None."""
    beside = names_beside(contents, array, place)
    if beside is not None:
        return beside
    found = _fitting(contents, min(array.shape[-2:]), array.path)
    return list(found[0]) if len(found) == 1 else None


def names_beside(contents: Listed, array: Numbers, place: int = 0) -> list[str] | None:
    """The names that stand beside an array under a usual name, or None. place: of the exam, which may have its own."""
    names, count = lead_names(contents, array.path), min(array.shape[-2:])
    if names is not None and len(array.shape) == 3 and len(names) == array.shape[0] * count:
        return names[place * count : (place + 1) * count]
    return names


def check_order(contents: Listed, at: Path, usual: Sequence[str], hints: ReadHints) -> None:
    """Refuse leads whose usual order is to be assumed against names that the file has for them or for some of them.

    A list that may be of another thing, such as a table of measurements, names no leads; but where it has as many in
    another order, nobody can say of what it is. at: where the array stands.
    """
    if hints.leads is not None:
        return
    if len(_fitting(contents, len(usual), at)) > 1:
        raise _not_assumed(f"The {contents.kind} file names its leads in several ways that contradict each other.")
    if contents.unread(len(usual), at):
        raise _not_assumed(f"The {contents.kind} file names its leads in a way that is not read.")
    as_many = {leads_from_names(some) for _, some in contents.lists} | contents.said
    if any(some != tuple(usual) and sorted(map(str, some)) == sorted(usual) for some in as_many):
        raise _not_assumed(
            f"The {contents.kind} file lists the leads in an unusual order, and not as the names of the ECG's channels."
        )
    for path, some in contents.lists:
        places = [usual.index(lead) for lead in leads_from_names(some) if lead in usual]
        if places != sorted(places) and _names_channels(path, at) and _is_of_channels(path[-1]):
            raise _not_assumed(
                f"The {contents.kind} file names leads in an unusual order, and not as many as the array has."
            )


def _fitting(contents: Listed, count: int, at: Path) -> list[Names]:
    """The lists of so many names that may be those of an array at a path, one of each kind that name the same leads."""
    some = (names for path, names in contents.lists if len(names) == count and _names_channels(path, at))
    return list({leads_from_names(names): names for names in some}.values())


def _names_channels(path: Path, at: Path) -> bool:
    """Whether a list stands where channels of an array at a path are named, and bears no name of another use.

    That is beside or above it or among what is its own, in nothing but what is called after channels or the file.
    """
    rest, array = list(path), list(_without_numbers(at))
    while rest and array and rest[0] == array[0]:
        del rest[0], array[0]
    return bool(rest) and all(_has_no_other_use(part) for part in rest)


def _has_no_other_use(name: str) -> bool:
    if key(name) in _OF_THE_FILE:
        return True
    words = [word.lower() for word in _WORD.findall(name[:MOST_LETTERS])]
    return bool(words) and all(word in _NO_OTHER_USE or word.startswith(_OF_CHANNELS) for word in words)


def _is_of_channels(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name[:MOST_LETTERS])]
    return key(name) in ("name", "names") or any(word in _CH or word.startswith(_OF_CHANNELS) for word in words)


def _without_numbers(path: Path) -> Path:
    """A path without the places of its arrays of structs and the like."""
    named = (_NUMBERED.fullmatch(part) for part in path)
    parts = (part if found is None else found["word"] for part, found in zip(path, named, strict=True))
    return tuple(part for part in parts if part)


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


def _may_be_names(texts: Names) -> bool:
    """Whether texts that are no list of leads say something. Mere numbers, as in `ch1` and `ch2`, do not."""
    return len(set(texts)) > 1 and not all(_NUMBERED.fullmatch(text) for text in texts)


def _lead_within(text: str) -> str | None:
    """The one lead among the words of a text."""
    words = [word for word in re.split(r"[\W_]+", text[:MOST_LETTERS]) if word and not word.isdecimal()]
    leads = [lead for word in words if (lead := lead_from_name(word)) is not None]
    return leads[0] if len(leads) == 1 else None


def _in_order(column: dict[int, str]) -> tuple[str, ...]:
    """Nothing where a number lacks, for which a name would be lost."""
    first, last = min(column), max(column)
    return tuple(column[number] for number in sorted(column)) if last - first + 1 == len(column) else ()


def _not_assumed(sentence: str) -> UnreadableFile:
    hint = "Give the parameter leads with the name of each lead in order."
    return UnreadableFile("leads_missing", sentence, hint=hint, leads=STANDARD_LEADS)
