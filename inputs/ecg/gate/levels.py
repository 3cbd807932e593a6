"""What the samples of each lead are by themselves: flat, missing, saturated, clipped, wrapped, of a wrong unit.

Letters in array names: L leads, N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.records import InputWarning, Severity

FLAT_MV = 0.005
"""A lead that moves less than this, peak to peak, carries no heartbeat: a QRS is a hundred times larger."""
PLAUSIBLE_MV = (0.1, 20.0)
"""Peak to peak of the middle lead. Outside, the unit or the gain is wrong by ten at least."""
LOST_LEADS_ALLOWED = 3
"""Flat, saturated or empty leads up to here are a warning (an electrode fell off); beyond, too little is seen."""
_CLIPPED, _SATURATED = 0.02, 0.3
"""Shares of the samples that lie at an extreme in runs of at least _RUN samples."""
_RAIL_MV = 1.0
"""The end of an amplifier's range lies farther from zero; nearer, it is the rest between beats in coarse steps."""
_RUN = 5


@dataclass(frozen=True)
class Levels:
    """lost: the leads that carry no signal; empty, flat: how many of them hold no sample or do not move."""

    warnings: list[InputWarning]
    lost: tuple[str, ...]
    empty: int
    flat: int
    all_empty: bool


def judge_levels(rows: Sequence[NDArray[np.float32]], leads: Sequence[str], *, any_held: bool) -> Levels:
    """Judge leads in millivolt, NaN where a sample is missing. any_held: whether some of these kept one value for long.

    Too many lost leads are `leads_lost` and withheld, as is what swings as no heart does.
    """
    samples = len(rows[0])
    present_L = np.array([np.count_nonzero(np.isfinite(row)) for row in rows])
    swing_L, extreme_L, empty_L, flat_L, saturated_L = (
        np.array(of_each) for of_each in zip(*map(_level, rows), strict=True)
    )
    lost_L = empty_L | flat_L | saturated_L
    warnings = _lost(leads, empty_L | flat_L, saturated_L)
    gaps_L = ~empty_L & (present_L < samples)
    if gaps_L.any():
        share = 1.0 - present_L[~empty_L].sum() / (samples * np.count_nonzero(~empty_L))
        names = _names(leads, gaps_L)
        what = "are missing, or stay at one value for long," if any_held else "are missing"
        message = f"{share:.2%} of the samples {what} and counted as their lead's level ({', '.join(names)})."
        warnings.append(InputWarning("samples_missing", message, names))
    if not lost_L.all():
        warnings += _swing(float(np.median(swing_L[~lost_L])))
    live = [(lead, row) for lead, row, lost in zip(leads, rows, lost_L, strict=True) if not lost]
    if wrapped := tuple(lead for lead, row in live if _is_wrapped(row)):
        what = "jump between the ends of their range: samples of fewer bits may have lost their sign."
        warnings.append(InputWarning("samples_wrapped", f"{sentence_listing(wrapped)} {what}", wrapped))
    if clipped := _names(leads, ~lost_L & (extreme_L > _CLIPPED)):
        what = "stay at their largest or smallest value for long: the signal seems cut off."
        warnings.append(InputWarning("signal_clipped", f"{sentence_listing(clipped)} {what}", clipped))
    return Levels(warnings, _names(leads, lost_L), int(empty_L.sum()), int(flat_L.sum()), bool(empty_L.all()))


def carries_signal(row: NDArray[np.float32]) -> bool:
    """Whether a lead holds samples that move, and not at the end of the range most of the time."""
    _, _, *lost = _level(row)
    return not any(lost)


def _level(row: NDArray[np.float32]) -> tuple[float, float, bool, bool, bool]:
    """Swing in millivolt, the share of samples that stay at an extreme, and whether it is empty, flat or saturated."""
    low, high = np.fmin.reduce(row), np.fmax.reduce(row)  # of what is present
    if np.isnan(low):
        return np.nan, 0.0, True, False, False
    swing_mv = float(high - low)
    if swing_mv < FLAT_MV:
        return swing_mv, 0.0, False, True, False
    extreme = max(_share_at(row, low), _share_at(row, high))
    return swing_mv, extreme, False, False, extreme > _SATURATED and max(abs(low), abs(high)) > _RAIL_MV


def come_in_turn(rows: Sequence[NDArray[np.float32]]) -> bool:
    """Whether leads are zero or missing but for a part of the time that others do not share."""
    parts = []
    for row in rows:
        (live,) = np.nonzero(np.nan_to_num(row))
        if 0 < len(live) <= len(row) / 2:  # others run along as a strip of rhythm
            parts.append((live[0], live[-1]))
    return any(first[1] < second[0] for first in parts for second in parts)


def listing(leads: Sequence[str]) -> str:
    """`lead I`, `leads I, II`."""
    return ("lead " if len(leads) == 1 else "leads ") + ", ".join(leads)


def sentence_listing(leads: Sequence[str]) -> str:
    """The same at the beginning of a sentence."""
    return "L" + listing(leads)[1:]


def _names(leads: Sequence[str], which_L: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(lead for lead, this in zip(leads, which_L, strict=True) if this)


def _lost(leads: Sequence[str], silent_L: NDArray[np.bool_], saturated_L: NDArray[np.bool_]) -> list[InputWarning]:
    found = []
    severity: Severity = "warning"
    if np.count_nonzero(silent_L | saturated_L) > LOST_LEADS_ALLOWED:
        severity = "withheld"
        lost = _names(leads, silent_L | saturated_L)
        message = f"Too much of the ECG is unusable: {listing(lost)} carry no signal."
        found.append(InputWarning("leads_lost", message, lost, severity))
    if silent_L.any():
        names = _names(leads, silent_L)
        found.append(
            InputWarning("leads_flat", f"{sentence_listing(names)} carried no signal and counted as zero.", names)
        )
    if saturated_L.any():
        names = _names(leads, saturated_L)
        message = f"{sentence_listing(names)} stayed at the end of the range most of the time."
        found.append(InputWarning("leads_saturated", message, names))
    return found


def _swing(middle_mv: float) -> list[InputWarning]:
    low, high = PLAUSIBLE_MV
    if low <= middle_mv <= high:
        return []
    message = f"A typical lead swings {middle_mv:.3g} mV peak to peak, which is not plausible for an ECG."
    return [InputWarning("amplitude_implausible", message + " Check unit and gain.", severity="withheld")]


def _is_wrapped(row: NDArray[np.float32]) -> bool:
    """Whether samples lie near both ends of their range, hardly any between, and jump from end to end several times.

    So do 12 bits of a signed number that are read as an unsigned one: what lies just below zero becomes the largest.
    """
    low, high = np.fmin.reduce(row), np.fmax.reduce(row)
    place_N = (row - low) / (high - low)
    near_low, near_high = np.mean(place_N < 0.25), np.mean(place_N > 0.75)
    jumps = np.count_nonzero(np.abs(np.diff(place_N)) > 0.75)
    return bool(min(near_low, near_high) > 0.05 and near_low + near_high > 0.95 and jumps >= 8)


def _share_at(row: NDArray[np.float32], extreme: np.float32) -> float:
    """The share of the samples that are exactly at an extreme value in runs of at least _RUN."""
    at_N = row == extreme
    edges = np.flatnonzero(np.diff(at_N.astype(np.int8), prepend=0, append=0))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= _RUN].sum() / len(row))
