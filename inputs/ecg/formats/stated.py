"""What a file of named arrays states about an ECG in it: rate, unit, lead names and ids, under the names in use.

Looked for beside the array that is the ECG, in its attributes, and above it; the nearest counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import millivolts_per
from inputs.ecg.formats.exams import Ids, known_name
from inputs.ecg.leads import leads_from_names
from inputs.errors import UnreadableFile
from inputs.limits import MAX_CHANNELS
from inputs.records import STANDARD_LEADS

MOST_FACTS = 4 * MAX_CHANNELS
"""Values of one fact: a rate, a unit, a name for each lead."""


_RATES = {
    "fs", "fshz", "samplingrate", "samplerate", "samplingfrequency", "samplefrequency", "samplingfreq", "sfreq",
    "rate", "ratehz", "samplingratehz", "sampleratehz", "samplingfrequencyhz", "srate", "sr",
    "fsample",
}  # fmt: skip
_LOOSE_RATES = {"frequency", "freq"}
"""Names of other things too, which are asked where nothing else states a rate."""
_OF_INTERVALS = (
    "dt", "deltat", "samplinginterval", "sampleinterval", "samplingperiod", "sampleperiod", "timestep", "isi",
)  # fmt: skip
INTERVALS = {name + unit: unit or None for name in _OF_INTERVALS for unit in ("", "s", "sec", "ms", "us")}
"""Keys of names of the time between two samples, and the unit that they state."""
_UNITS_OF_INTERVALS = {name + ending for name in _OF_INTERVALS for ending in ("unit", "units")}
UNITS = {
    "unit", "units", "siunit", "sigunits", "signalunit", "signalunits",
}  # fmt: skip
_LEADS = {
    "lead", "leads", "leadname", "leadnames", "leadorder", "signame", "signames", "channelname", "channelnames",
    "channels", "chnames", "columns", "labels", "label", "channel", "leadlabels", "leadlabel", "channelorder",
    "ecgleads", "signalnames", "leadlist", "electrodes", "leadids", "derivations", "channellabels", "order",
}  # fmt: skip
_MAY_BE_OTHERS = {"labels", "label", "channel", "channels", "columns", "order", "electrodes"}
"""Names under which other things stand too: what is not understood there is no reason to refuse a file."""
_GAINS = {
    "gain", "gains", "adcgain", "adcgains", "scale", "scalefactor", "scaling", "lsb", "resolution",
}  # fmt: skip
_OF_GAINS = (
    "gain",
    "scale",
    "scaling",
    "lsb",
    "resolution",
    "perbit",
    "conversion",
    "multiplier",
    "sensitivity",
    "calibration",
    "percount",
    "perlsb",
    "perdigit",
    "peradu",
    "bitvalue",
    "bitweight",
    "adcstep",
    "stepsize",
    "quantization",
    "quantisation",
)
"""Parts of other names of factors."""
_IDS = ("examid", "examids", "idexam", "tracingid", "ecgid", "recordid", "studyid", "id", "ids")
ABOUT = {
    "meta", "metadata", "info", "header", "hea", "about", "attributes", "attrs", "parameters", "params",
}  # fmt: skip
"""Groups beside an ECG that say something about it."""
_LEAST_OF_A_SIGNAL = 65
_NUMBER_IN_TEXT = re.compile(r"[0-9]{1,9}(?:[.,][0-9]{1,9})?")
_RATE = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(?:hz)?\s*", re.IGNORECASE)

Path = tuple[str, ...]
Value = str | float


@dataclass(frozen=True)
class Numbers:
    """An array of a file. load: the whole of it, or of the exam at a place along its first axis.

    Shapes are as the file's writer saw them: (L, N), (N, L), (E, L, N) or (E, N, L).
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[int | None], NDArray[Any]]


@dataclass(frozen=True)
class Fact:
    """Few values under a name, such as a rate, a unit or the leads; those of an attribute stand below its owner.

    No values: there is something under this name that is not read.
    """

    path: Path
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Contents:
    """What a file holds. kind: as sentences call it, such as "HDF5"; source_format: as recordings do."""

    kind: str
    source_format: str
    arrays: Sequence[Numbers]
    facts: Sequence[Fact]

    def around(self, path: Path, names: Collection[str]) -> Iterator[Fact]:
        """Facts of these names that concern what stands at a path: its own, those beside it, those above it."""
        for depth in range(len(path), -1, -1):
            found = [
                fact
                for beside in (self._facts_in, self._facts_about)
                for name, fact in beside.get(path[:depth], ())
                if name in names
            ]
            yield from found
            if found:
                return

    def elsewhere(self, paths: Collection[Path], names: Collection[str]) -> Iterator[Fact]:
        """Facts of these names anywhere, whatever they stand in, but for those of another signal than at these paths.

        That is what stands in a group with a signal of its own, or is an attribute of one.
        """
        others = self._of_signals - {path[:depth] for path in paths for depth in range(len(path) + 1)}
        for group, facts in self._facts_in.items():
            if any(group[:depth] in others for depth in range(len(group) + 1)):
                continue
            yield from (fact for name, fact in facts if name in names)

    @cached_property
    def _of_signals(self) -> frozenset[Path]:
        """Arrays long enough for a signal, and what they stand in."""
        signals = [array.path for array in self.arrays if max(array.shape, default=0) >= _LEAST_OF_A_SIGNAL]
        return frozenset(signals) | {path[:-1] for path in signals}

    @cached_property
    def gain_names(self) -> frozenset[str]:
        """The keys of all facts that may be factors."""
        return frozenset(name for facts in self._facts_in.values() for name, _ in facts if _is_gain(name))

    @cached_property
    def _facts_in(self) -> dict[Path, list[tuple[str, Fact]]]:
        """Facts and the keys of their names by what they stand in: files hold many thousand facts and arrays."""
        found: dict[Path, list[tuple[str, Fact]]] = {}
        for fact in self.facts:
            found.setdefault(fact.path[:-1], []).append((key(fact.path[-1]), fact))
        return found

    @cached_property
    def _facts_about(self) -> dict[Path, list[tuple[str, Fact]]]:
        """The same by what stands beside the group in which they tell about it."""
        found: dict[Path, list[tuple[str, Fact]]] = {}
        for path, facts in self._facts_in.items():
            if path and key(path[-1]) in ABOUT:
                found.setdefault(path[:-1], []).extend(facts)
        return found


def key(name: str) -> str:
    """A name without what writers spell in different ways: case, spaces, underscores, hyphens."""
    return re.sub(r"[\W_]", "", name[:200].casefold())


def tells(name: str) -> bool:
    """Whether values under a name may be a fact about an ECG. Nothing else of a file is looked at."""
    known = _RATES | _LOOSE_RATES | INTERVALS.keys() | _UNITS_OF_INTERVALS | UNITS | _LEADS
    return key(name) in known or _is_gain(key(name)) or key(name) in _IDS


def _is_gain(name: str) -> bool:
    return name in _GAINS or any(part in name for part in _OF_GAINS)


def lead_names(contents: Contents, path: Path) -> list[str] | None:
    """The names of the leads that the file states, known to us or not; None where it states none."""
    for fact in contents.around(path, _LEADS):
        texts = [value for value in fact.values if isinstance(value, str)]
        for names in _listed(texts[0]) if len(texts) == 1 else (texts,):
            if sum(lead is not None for lead in leads_from_names(names)) >= (2 if len(texts) == 1 else 1):
                return list(names)
    return None


def _listed(text: str) -> Iterator[list[str]]:
    """What one text of several names may be, as programs write lists: `I,II`, `["I", "II"]`, `['I' 'II']`, `I/II`."""
    for between in (r"[\s,;|\[\](){}'\"]+", r"[\s,;|/\[\](){}'\"]+", r"[\s,;|/\-\[\](){}'\"]+"):
        names = [name for name in re.split(between, text) if name]
        if len(names) > 1:
            yield names


def check_leads_unnamed(contents: Contents, path: Path, count: int) -> None:
    """Refuse leads that the file does name, though in words or in a way that we do not know: no order is assumed."""
    for fact in contents.around(path, _LEADS - _MAY_BE_OTHERS):
        words = all(isinstance(value, str) for value in fact.values)
        if not fact.values or (words and len(fact.values) in (1, count)):
            raise UnreadableFile(
                "leads_missing",
                f"The {contents.kind} file names its leads in a way that is not read.",
                hint="Give the parameter leads with the name of each lead in order.",
                leads=STANDARD_LEADS,
            )


def exam_ids(contents: Contents, array: Numbers, exams: int) -> Ids | None:
    """The ids of the exams, from an array or a list of as many beside the ECG; None where there is none."""
    for name in _IDS:
        by = f"its id in {known_name(name)}"
        for other in contents.arrays:
            of_each = other.dtype.kind in "fiu" and math.prod(other.shape) == exams
            if of_each and other.path[:-1] == array.path[:-1] and key(other.path[-1]) == name:
                return Ids(other.load(None).ravel(), by)
        for fact in contents.around(array.path, (name,)):
            texts = [value for value in fact.values if isinstance(value, str)]
            if len(texts) == exams:
                return Ids(texts, by)
    return None


def stated_rate(contents: Contents, arrays: Sequence[Numbers], exams: int, place: int) -> float | None:
    """The sampling rate that the file states for these arrays. Raises UnreadableFile where it states several."""
    rates: set[float] = set()
    for array in arrays:
        for fact in contents.around(array.path, _RATES):
            found = [rate for value in fact.values if (rate := _number(value)) is not None]
            rates |= {found[place]} if exams > 1 and len(found) == exams else set(found)
        for other in contents.arrays:  # one for each exam, too many to be a fact
            of_each = other.dtype.kind in "fiu" and MOST_FACTS < math.prod(other.shape) == exams
            if of_each and other.path[:-1] == array.path[:-1] and key(other.path[-1]) in _RATES:
                rates.add(float(other.load(None).ravel()[place]))
    if len(rates) > 1:
        raise UnreadableFile(
            "rates_differ",
            f"The {contents.kind} file states more than one sampling rate for its leads.",
            hint="Save all leads at one rate, and that rate once.",
        )
    return next(iter(rates), None)


def loose_rate(contents: Contents, path: Path) -> float | None:
    """One number called frequency that concerns what stands at a path; what else may be meant is left out before."""
    for fact in contents.around(path, _LOOSE_RATES):
        if len(fact.values) == 1:
            return _number(fact.values[0])
    return None


def _number(value: Value) -> float | None:
    if isinstance(value, str):
        found = _RATE.fullmatch(value[:40])
        return None if found is None else float(found[1])
    return float(value)


def stated_units(contents: Contents, path: Path, count: int) -> list[str]:
    """A unit for each of `count` leads as the file states it; nothing where it states none."""
    for fact in contents.around(path, UNITS):
        texts = [value.strip() for value in fact.values if isinstance(value, str) and value.strip()]
        if len(set(texts)) == 1:
            return texts[:1] * count
        if len(texts) == count:
            return texts
    return []


def check_request(contents: Contents, paths: Collection[Path], rate_hz: float | None, millivolts: float | None) -> None:
    """Refuse a rate or a unit of the request that nothing near the signals confirms and something in the file denies.

    paths: of the signals. rate_hz, millivolts (a unit's): None where they are not the request's.
    """
    facts = list(contents.elsewhere(paths, _RATES)) if rate_hz is not None else []
    rates = {rate for fact in facts for value in fact.values if (rate := _number(value)) is not None and rate > 0.0}
    if rate_hz is not None and rates and not any(math.isclose(rate, rate_hz, rel_tol=0.01) for rate in rates):
        raise UnreadableFile(
            "rate_conflict",
            f"The {contents.kind} file states {min(rates):g} Hz apart from its signal, and the parameter rate_hz "
            f"{rate_hz:g} Hz.",
            hint="Give the rate that the file states, or save the ECG without what is of another signal.",
        )
    facts = list(contents.elsewhere(paths, UNITS)) if millivolts is not None else []
    texts = {value for fact in facts for value in fact.values if isinstance(value, str)}
    units = {each for text in texts if (each := millivolts_per(text)) is not None}
    if millivolts is not None and units and millivolts not in units:
        raise UnreadableFile(
            "unit_conflict",
            f"The {contents.kind} file states another unit apart from its signal than the parameter unit.",
            hint="Give the unit that the file states, or save the ECG without what is of another signal.",
        )


def gains_stated(contents: Contents, path: Path) -> bool:
    """Whether the file states factors for the samples at a path, near them or apart, other than one."""
    near = list(contents.around(path, contents.gain_names))
    facts = near or list(contents.elsewhere([path], contents.gain_names))
    return any(_is_factor(value) for fact in facts for value in fact.values)


def _is_factor(value: Value) -> bool:
    """A number, or one in a text as in `4.88 uV`; that in `10 mm/mV` is of a print."""
    if not isinstance(value, str):
        return value not in (0.0, 1.0)
    numbers = _NUMBER_IN_TEXT.findall(value[:40])
    return len(numbers) == 1 and "mm" not in value and float(numbers[0].replace(",", ".")) not in (0.0, 1.0)
