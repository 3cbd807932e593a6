"""What files of arrays share (NumPy, MATLAB, HDF5): which array is the ECG, which axis its leads, which exam is meant.

Rate, unit and leads are the file's where it states them (`stated.py`); what it does not must be said with the request.
Letters in array names: E exams, L leads, N samples.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.array_rates import doubts_of_rows, rate_of
from inputs.ecg.formats.base import (
    Channel,
    agreed_rate,
    build_recording,
    check_no_lead_twice,
    check_size,
    checked_rate,
    millivolts_per,
)
from inputs.ecg.formats.exams import Ids, place_of_exam
from inputs.ecg.formats.lead_lists import Listed, check_order, names_beside, names_of
from inputs.ecg.formats.stated import (
    Contents,
    Fact,
    Numbers,
    Path,
    check_leads_unnamed,
    check_request,
    exam_ids,
    gains_stated,
    key,
    stated_units,
)
from inputs.ecg.leads import leads_from_names, names_given
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, EcgRecording, InputWarning, ReadHints

_Signal = Numbers | Mapping[str, Numbers]

EIGHT_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
MOST_OF_AN_AXIS = 10**12
"""No file has as many, and a number of any length would be a sentence of any length."""

_SIGNALS = {
    "tracings", "tracing", "ecg", "ecgs", "ecgdata", "data", "signal", "signals", "psignal", "waveform",
    "waveforms", "x", "samples", "val", "rhythm",
}  # fmt: skip
_NO_RHYTHM = re.compile(r"median|average|avg|ensemble|mean|template|representative|beat|filter_?coef", re.IGNORECASE)
_BARE_NUMBER = re.compile(r"\s*[0-9]{1,6}(?:\.[0-9]{1,6})?\s*")
_LEAST_RATE_HZ = 250.0
"""A `rate` without a unit below it may be the heart's."""
_VECTOR_MIN = 65
"""A vector that bears a lead's name and has fewer values holds measurements of that lead, not its samples."""


def recording_from(contents: Contents, hints: ReadHints) -> EcgRecording:
    """The one ECG of a file of named arrays, or the one of many that `hints.exam` chooses.

    Rate, unit and lead names are the file's where it states them; `hints` must give what it does not, but for the
    leads of an array of 12 or 8, which are taken in the usual order with a warning. Raises UnreadableFile.
    """
    file = _searched(contents)
    hints = replace(hints, leads=names_given(hints.leads))
    candidates = _signals(file, hints)
    if len(candidates) > 1 and (ids := _groups(file, candidates)) is not None:
        candidates = [candidates[place_of_exam(f"The {file.kind} file", len(candidates), ids, hints.exam)]]
        hints = replace(hints, exam=None)
    found = _the_signal(file, candidates, hints)
    if isinstance(found, Numbers):
        return _from_matrix(file, found, hints)
    return _from_leads(file, found, hints)


@dataclass(frozen=True)
class _File(Listed):
    """The contents of a file without what may be a heart rate. rate_is_doubted: whether there is such."""

    rate_is_doubted: bool = False


def _searched(contents: Contents) -> _File:
    facts = [fact for fact in contents.facts if not _may_be_of_the_heart(fact)]
    arrays = [array for array in contents.arrays if key(array.path[-1]) != "rate"]  # one for each exam
    doubted = len(facts) < len(contents.facts) or len(arrays) < len(contents.arrays)
    return _File(contents.kind, contents.source_format, arrays, facts, doubted)


def _may_be_of_the_heart(fact: Fact) -> bool:
    """Whether numbers are called `rate` or `frequency`, without hertz and too low to be the rate of most recorders."""
    if key(fact.path[-1]) not in ("rate", "frequency", "freq"):
        return False
    return any(
        float(value) < _LEAST_RATE_HZ
        for value in fact.values
        if not isinstance(value, str) or _BARE_NUMBER.fullmatch(value[:40])
    )


def leads_first(array: NDArray[Any], counts: Collection[int]) -> NDArray[Any]:
    """An array of two axes as (L, N), by which of them has as many as there may be leads. Raises UnreadableFile."""
    rows, columns = array.shape
    if rows in counts and rows <= columns:
        return array
    if columns in counts and columns < rows:
        return array.T
    raise no_axis_of_leads(array.shape, counts)


def no_axis_of_leads(shape: Sequence[int], counts: Collection[int]) -> UnreadableFile:
    """The refusal of an array in which nothing can be the leads."""
    of = " or ".join(str(count) for count in sorted(counts, reverse=True))
    return UnreadableFile(
        "leads_missing",
        f"The array has the shape ({', '.join(map(str, shape))}); no axis has {of} leads.",
        hint="Give the parameter leads with the name of each lead in order.",
        leads=STANDARD_LEADS,
    )


def usual_leads(count: int) -> tuple[tuple[str, ...], InputWarning]:
    """The names of 12 or 8 leads that nobody named, and the warning that they were assumed."""
    names = STANDARD_LEADS if count == len(STANDARD_LEADS) else EIGHT_LEADS
    return names, InputWarning("lead_order_assumed", f"The leads were taken in the order {', '.join(names)}.")


def as_samples(array: NDArray[Any]) -> NDArray[Any]:
    """The array with NaN for the lowest integer, as 16-bit exports mark a lead that was not connected.

    Half-precision floats are widened: numpy would scale them to millivolt in half precision.
    """
    if array.dtype.kind == "f" and array.dtype.itemsize < 4:
        return array.astype(np.float32)
    if array.dtype.kind == "i" and array.dtype.itemsize > 1:
        return np.where(array == np.iinfo(array.dtype).min, np.nan, array)
    return array


def check_given(
    kind: str, *, rate_is_known: bool, unit_is_known: bool, rate_is_doubted: bool = False, hint: str = ""
) -> None:
    """Refuse a file whose rate or unit neither it nor the request states. hint: what else may help to the rate."""
    lacking = [] if rate_is_known else [("rate_hz", "sampling rate", "rate_hz=500")]
    lacking += [] if unit_is_known else [("unit", "unit", "unit=mV")]
    if lacking:
        names, words, examples = zip(*lacking, strict=True)
        raise UnreadableFile(
            "unit_missing" if rate_is_known else "rate_missing",
            f"{kind} has a rate without a unit, which may be the heart's."
            if rate_is_doubted and not rate_is_known
            else f"{kind} does not say its {' or '.join(words)}.",
            hint=f"Add {' and '.join(names)} to the request, for example {' and '.join(examples)}."
            + ("" if rate_is_known else hint),
        )


def _rhythms(contents: _File) -> list[Numbers]:
    return [array for array in contents.arrays if not any(_NO_RHYTHM.search(part) for part in array.path)]


def _meant(contents: _File) -> list[Numbers]:
    """Arrays of the name of an ECG, of whatever size."""
    rhythms = _rhythms(contents)
    return [array for array in rhythms if key(array.path[-1]) in _SIGNALS and len(array.shape) in (2, 3)]


def _signals(contents: _File, hints: ReadHints) -> list[_Signal]:
    """The arrays that may be the ECG, each alone or one for each lead where they stand one by one."""
    rhythms = _rhythms(contents)
    matrices = [array for array in rhythms if array.dtype.kind in "fiu" and _fits(contents, array, hints)]
    named = [array for array in matrices if key(array.path[-1]) in _SIGNALS]
    passed_over = not named and any(max(array.shape) >= _VECTOR_MIN for array in _meant(contents))
    others = [] if passed_over else matrices  # of which none is the ECG where the one called so is passed over
    return [*(named or others), *_one_by_one(rhythms)]


def _groups(contents: _File, found: Sequence[_Signal]) -> Ids | None:
    """The groups by which ECGs are told apart that are called the same; None where they are not."""
    paths = [each.path if isinstance(each, Numbers) else next(iter(each.values())).path[:-1] for each in found]
    within = len(paths[0]) - isinstance(found[0], Numbers)  # an array's own name is no group
    if len({len(path) for path in paths}) > 1 or len({type(each) for each in found}) > 1:
        return None
    differing = [place for place in range(len(paths[0])) if len({path[place] for path in paths}) > 1]
    if len(differing) != 1 or differing[0] >= within:
        return None
    names = [path[differing[0]] for path in paths]
    numbered = contents.kind != "HDF5" and names == [str(place) for place in range(len(names))]
    by = "its place in the file, from 0" if numbered else "the name of its group"
    return Ids(names, by) if len(set(names)) == len(names) else None


def _the_signal(contents: _File, found: Sequence[_Signal], hints: ReadHints) -> _Signal:
    """The one that is the ECG. Raises UnreadableFile."""
    meant = _meant(contents)
    if len(found) == 1:
        return found[0]
    if found:
        raise UnreadableFile(
            "several_ecgs",
            f"The {contents.kind} file holds {len(found)} arrays that may be ECGs.",
            hint="Send a file with one of them.",
        )
    if len(meant) == 1 and meant[0].dtype.kind in "fiu":
        _check_shape(meant[0].shape)
        raise no_axis_of_leads(meant[0].shape[-2:], _counts(contents, meant[0], hints))
    raise UnreadableFile(
        "unsupported_format",
        f"The {contents.kind} file holds no array that is an ECG: numbers, with an axis of 12 or 8 leads.",
        hint="Save one ECG as (leads, samples), or give the parameter leads with the name of each lead.",
    )


def check_axes(what: str, shape: Sequence[int]) -> None:
    """Refuse an array of three axes of which nobody can say whether the first one is of exams or of leads."""
    may_be_leads = (len(STANDARD_LEADS), len(EIGHT_LEADS))
    if len(shape) == 3 and shape[0] in may_be_leads and min(shape[1:]) in may_be_leads:
        raise UnreadableFile(
            "axes_ambiguous",
            f"{what} may hold {shape[0]} ECGs of {min(shape[1:])} leads, or {min(shape[1:])} of {shape[0]}.",
            hint="Save one ECG of it, as (leads, samples).",
        )


def _check_shape(shape: Sequence[int]) -> None:
    check_size(min(shape[-2:]), max(shape[-2:]))
    if 0 in shape:
        raise UnreadableFile("signal_empty", "The file holds no sample.")


def _fits(contents: _File, array: Numbers, hints: ReadHints) -> bool:
    if len(array.shape) not in (2, 3):
        return False
    few, many = sorted(array.shape[-2:])
    return few < many and few in _counts(contents, array, hints)


def _counts(contents: _File, array: Numbers, hints: ReadHints) -> set[int]:
    """How many leads an array may have: as many as are named, else 12 or 8."""
    usual = {len(hints.leads)} if hints.leads is not None else {len(STANDARD_LEADS), len(EIGHT_LEADS)}
    # A list from elsewhere in the file makes an ECG of nothing that might not be one without it.
    may_be_one = key(array.path[-1]) in _SIGNALS or min(array.shape[-2:]) in usual
    names = (names_of if may_be_one else names_beside)(contents, array)
    return usual if names is None else {len(names)}


def _one_by_one(arrays: Sequence[Numbers]) -> list[Mapping[str, Numbers]]:
    """Vectors that bear the names of leads, by the group that they stand in."""
    groups: dict[Path, list[Numbers]] = {}
    for array in arrays:
        is_vector = array.dtype.kind in "fiu" and sum(size > 1 for size in array.shape) == 1
        if is_vector and math.prod(array.shape) >= _VECTOR_MIN:
            groups.setdefault(array.path[:-1], []).append(array)
    found: list[Mapping[str, Numbers]] = []
    for vectors in groups.values():
        named = zip(leads_from_names([array.path[-1] for array in vectors]), vectors, strict=True)
        known = [(lead, array) for lead, array in named if lead is not None]
        check_no_lead_twice([lead for lead, _ in known])
        found += [dict(known)] if len(known) > 1 else []
    return found


def _from_matrix(contents: _File, array: Numbers, hints: ReadHints) -> EcgRecording:
    _check_shape(array.shape)
    what = f"The {contents.kind} file"
    exams = array.shape[0] if len(array.shape) == 3 else 1
    ids = exam_ids(contents, array, exams)
    if ids is None:
        check_axes(what, array.shape)
    place = place_of_exam(what, exams, ids, hints.exam)
    counts = _counts(contents, array, hints)
    (count,) = {min(array.shape[-2:])} & counts or {0}
    found = rate_of(contents, [array], exams, place)
    rate_hz = found.rate_hz
    units = stated_units(contents, array.path, count)
    check_given(
        what,
        rate_is_known=(rate_hz, hints.rate_hz) != (None, None),
        unit_is_known=bool(units or hints.unit),
        rate_is_doubted=contents.rate_is_doubted,
    )
    _check_units(units, hints.unit)
    _check_request(contents, [array], hints, rate_is_stated=rate_hz is not None, unit_is_stated=bool(units))
    loaded = array.load(place if len(array.shape) == 3 else None)
    signal_LN = leads_first(loaded, counts)
    warnings = _check_scale(contents, array.path, signal_LN, hints)
    units = units or [str(hints.unit)] * count
    warnings += found.doubts(hints.rate_hz)
    stated = names_of(contents, array, place)
    names: Sequence[str | None]
    if stated is not None:
        names = leads_from_names(stated)
        if hints.leads is not None and leads_from_names(hints.leads) != names:
            message = "The file states its own lead names; the given ones were not used."
            warnings.append(InputWarning("parameter_ignored", message))
    elif hints.leads is not None:
        names = leads_from_names(hints.leads)
    else:
        check_leads_unnamed(contents, array.path, count)
        usual, warning = usual_leads(count)
        check_order(contents, array.path, usual, hints)
        names = usual
        warnings.append(warning)
    rows = as_samples(signal_LN)
    channels = [Channel(name, unit, row) for name, unit, row in zip(names, units, rows, strict=True)]
    used_hz = agreed(rate_hz, hints)
    warnings += doubts_of_rows(signal_LN, names, used_hz)
    return build_recording(channels, used_hz, contents.source_format, warnings)


def _from_leads(contents: _File, leads: Mapping[str, Numbers], hints: ReadHints) -> EcgRecording:
    what = f"The {contents.kind} file"
    place_of_exam(what, 1, None, hints.exam)
    check_size(len(leads), max(math.prod(array.shape) for array in leads.values()))
    found = rate_of(contents, list(leads.values()), 1, 0)
    rate_hz = found.rate_hz
    units = {lead: stated_units(contents, array.path, 1) for lead, array in leads.items()}
    all_known = hints.unit is not None or all(units.values())
    rate_is_known = (rate_hz, hints.rate_hz) != (None, None)
    check_given(what, rate_is_known=rate_is_known, unit_is_known=all_known, rate_is_doubted=contents.rate_is_doubted)
    arrays, rate_is_stated = list(leads.values()), rate_hz is not None
    _check_request(contents, arrays, hints, rate_is_stated=rate_is_stated, unit_is_stated=all(units.values()))
    channels, warnings = [], list[InputWarning]()
    for lead, array in leads.items():
        _check_units(units[lead], hints.unit)
        samples_N = array.load(None).ravel()
        warnings = _check_scale(contents, array.path, samples_N, hints) or warnings
        channels.append(Channel(lead, (units[lead] or [str(hints.unit)])[0], as_samples(samples_N)))
    warnings += found.doubts(hints.rate_hz)
    if hints.leads is not None and set(leads_from_names(hints.leads)) != set(leads):
        message = "The file states its own lead names; the given ones were not used."
        warnings.append(InputWarning("parameter_ignored", message))
    return build_recording(channels, agreed(rate_hz, hints), contents.source_format, warnings)


def agreed(stated_hz: float | None, hints: ReadHints) -> float:
    """The rate that the file states, confirmed by the one given where there is one; else the one given."""
    if stated_hz is not None:
        return agreed_rate(hints.rate_hz, stated_hz)
    assert hints.rate_hz is not None
    return checked_rate(hints.rate_hz)


def _check_units(stated: Sequence[str], given: str | None) -> None:
    if given is None or not stated or {millivolts_per(unit) for unit in stated} == {millivolts_per(given)}:
        return
    raise UnreadableFile(
        "unit_conflict",
        "The file states another unit than the parameter unit.",
        hint="Leave unit out: the file states its own.",
    )


def _check_request(
    contents: Contents, arrays: Sequence[Numbers], hints: ReadHints, *, rate_is_stated: bool, unit_is_stated: bool
) -> None:
    millivolts = None if unit_is_stated or hints.unit is None else millivolts_per(hints.unit)
    check_request(contents, [each.path for each in arrays], None if rate_is_stated else hints.rate_hz, millivolts)


def _check_scale(contents: Contents, path: Path, signal: NDArray[Any], hints: ReadHints) -> list[InputWarning]:
    """Refuse whole numbers beside a gain where nobody says whether they are counts or already in the unit stated.

    Where the request says it, there is a warning that the gain was not applied.
    """
    if not gains_stated(contents, path) or np.any(np.mod(signal[np.isfinite(signal)], 1)):
        return []
    if hints.unit is not None:
        message = "The file holds whole numbers and states a gain, which was not applied: they were taken in the unit "
        return [InputWarning("gain_ignored", f"{message}that was given.")]
    raise UnreadableFile(
        "scale_unclear",
        f"The {contents.kind} file holds whole numbers and a gain, and does not say whether the gain is applied.",
        hint="Save the samples in mV or uV, or give their unit with the parameter unit.",
    )
