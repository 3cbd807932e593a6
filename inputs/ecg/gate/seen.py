"""What a stretch of a recording shows of its heart: where it beats there, and which leads show that.

A window of the model's holds few beats, so that each is held against the typical one of the whole.
Letters in array names: L leads, N samples, T places in a stretch, V samples of a beat, K beats found, B peaks.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.signal import find_peaks

from inputs.ecg.gate.limb_laws import LIMB_LEADS
from inputs.ecg.gate.live import AROUND_R_S
from inputs.ecg.measured.beats import Beats, contrast_of
from inputs.ecg.measured.measure import CONTRAST
from inputs.ecg.measured.traced import TracedEcg
from inputs.ecg.measured.tracing import RATE_HZ, Tracing

_STEP = 2
_APART = round(0.2 * RATE_HZ)
_LIKE_TYPICAL = 0.8
"""Mean correlation with the typical QRS in the limb leads, or in the chest leads, from which a place holds a beat."""
_LIKE_IN_LEAD = 0.4
"""The same in one lead at such places: where noise is as large as the beat, it is 0.7, in noise alone less than 0.3."""
_AS_LARGE = (0.3, 3.3)
"""Of what it is held against: crosstalk is less, another scale more."""
_LIKE_ANOTHER = 0.75
_LONGEST_REST_S, _AS_QUIET = 6.0, 2.0


@dataclass(frozen=True)
class Seen:
    """heartbeat: whether a beat lies in a stretch, or a rest between two. without: leads that do not show the beats."""

    heartbeat: bool
    without: tuple[str, ...] = ()


def seen_between(
    traced: TracedEcg, typical: tuple[Beats, Tracing], lifeless: Container[str], spans_s: Sequence[tuple[float, float]]
) -> Iterator[Seen]:
    """What lies between two moments, for each such pair, of what was traced of leads that run together.

    A beat is one like the typical one; or one that stands out and is like another, as extra beats are and bursts of
    muscle are not. A heart may rest for so long: then its leads are as quiet as between beats, and beats lie on both
    sides. typical: the beats that are judged. lifeless: leads in which no beat stands out at all.
    """
    beats, part = typical
    typical_LW = np.nan_to_num(beats.typical())
    live_L = np.array([lead not in lifeless for lead in part.leads])
    limb_L = np.array([lead in LIMB_LEADS for lead in part.leads])
    for span_s in spans_s:
        first, last = (round(at_s * RATE_HZ) for at_s in span_s)
        at_K = _beats_between(typical_LW, beats.r, part, (limb_L & live_L, ~limb_L & live_L), first, last)
        if len(at_K):
            each = [_shows(*_around_r(typical_LW, beats.r, reach_s), part, at_K) for reach_s in AROUND_R_S]
            shows_L = np.logical_or.reduce(each)
            yield Seen(True, tuple(lead for lead, shows in zip(part.leads, shows_L, strict=True) if not shows))
        else:
            yield Seen(_beats_of_another_kind(traced, part, first, last) or _rests(traced, beats, first, last))


def _beats_of_another_kind(traced: TracedEcg, part: Tracing, first: int, last: int) -> bool:
    rhythm = traced.rhythm
    own_B = rhythm.r_B[(rhythm.r_B >= first) & (rhythm.r_B < last)]
    if not len(own_B) or contrast_of(rhythm.energy_N[own_B], rhythm.energy_N[first:last]) < CONTRAST:
        return False
    return _like_another(part.signal_mv_LN, own_B, rhythm.r_B)


def _rests(traced: TracedEcg, beats: Beats, first: int, last: int) -> bool:
    rhythm, alike_A = traced.rhythm, beats.at_A
    before_A, after_A = alike_A[alike_A < first], alike_A[alike_A >= last]
    if np.any((rhythm.r_B >= first) & (rhythm.r_B < last)) or not len(before_A) or not len(after_A):
        return False
    if after_A.min() - before_A.max() > _LONGEST_REST_S * RATE_HZ:
        return False
    rest_N = np.delete(rhythm.energy_N, np.s_[first:last])
    return bool(np.median(rhythm.energy_N[first:last]) <= _AS_QUIET * np.median(rest_N))


def _beats_between(
    typical_LW: NDArray[np.float64],
    r: int,
    part: Tracing,
    groups: Sequence[NDArray[np.bool_]],
    first: int,
    last: int,
) -> NDArray[np.intp]:
    """Samples of the places at which limb leads or chest leads hold the typical QRS."""
    template_LV, before = _around_r(typical_LW, r, AROUND_R_S[0])
    length = template_LV.shape[1]
    start, end = max(0, first - before), min(part.signal_mv_LN.shape[1], last - before + length)
    if end - start < length:
        return np.array([], dtype=np.intp)
    around_LTV = sliding_window_view(part.signal_mv_LN[:, start:end], length, axis=1)[:, ::_STEP, ::_STEP]
    like_LT, size_LT = _held_against(around_LTV, template_LV[:, ::_STEP])
    like_T = np.zeros(like_LT.shape[1])
    for group_L in groups:
        if np.count_nonzero(group_L) > 1:
            size_T = np.median(size_LT[group_L], axis=0)
            fits_T = (size_T >= _AS_LARGE[0]) & (size_T <= _AS_LARGE[1])
            like_T = np.maximum(like_T, like_LT[group_L].mean(axis=0) * fits_T)
    at_K, _ = find_peaks(np.pad(like_T, 1), height=_LIKE_TYPICAL, distance=_APART // _STEP)
    return np.asarray((at_K - 1) * _STEP + start + before)


def _shows(template_LV: NDArray[np.float64], before: int, part: Tracing, at_K: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(L,): whether a lead holds that beat, or its QRS, at those places."""
    length = template_LV.shape[1]
    whole_K = at_K[(at_K >= before) & (at_K - before + length <= part.signal_mv_LN.shape[1])]
    if not len(whole_K):
        return np.zeros(len(template_LV), dtype=bool)
    around_LKV = part.signal_mv_LN[:, (whole_K - before)[:, None] + np.arange(length)]
    like_LK, size_LK = _held_against(around_LKV, template_LV)
    return np.asarray((like_LK.mean(axis=1) >= _LIKE_IN_LEAD) & (size_LK.mean(axis=1) >= _AS_LARGE[0]))


def _around_r(typical_LW: NDArray[np.float64], r: int, reach_s: tuple[float, float]) -> tuple[NDArray[np.float64], int]:
    """(L, V) of the typical beat around its fiducial point, and where that lies in it."""
    before_s, after_s = reach_s
    first = max(0, r - round(before_s * RATE_HZ))
    return typical_LW[:, first : r + round(after_s * RATE_HZ)], r - first


def _held_against(
    around_LTV: NDArray[np.float64], template_LV: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(L, T) correlation with a template and size in units of it, straight lines taken off both."""
    length = template_LV.shape[1]
    line_V2, _ = np.linalg.qr(np.stack([np.ones(length), np.arange(length)], axis=1))
    level_LV = template_LV - template_LV @ line_V2 @ line_V2.T
    inner_LT = np.einsum("ltv,lv->lt", around_LTV, level_LV)
    power_LT = np.einsum("ltv,ltv->lt", around_LTV, around_LTV) - np.sum((around_LTV @ line_V2) ** 2, axis=2)
    own_L1 = np.sum(level_LV**2, axis=1, keepdims=True)
    return inner_LT / np.sqrt(np.maximum(own_L1 * power_LT, 1e-18)), inner_LT / np.maximum(own_L1, 1e-18)


def _like_another(signal_LN: NDArray[np.float64], own_B: NDArray[np.intp], r_B: NDArray[np.intp]) -> bool:
    """Whether one of some peaks has its like among all of them, about as large."""
    before, after = (round(reach_s * RATE_HZ) for reach_s in AROUND_R_S[0])
    r_B = r_B[(r_B >= before) & (r_B + after <= signal_LN.shape[1])]
    around_LBV = signal_LN[:, r_B[:, None] + np.arange(-before, after, _STEP)]
    level_BV = (around_LBV - around_LBV.mean(axis=2, keepdims=True)).transpose(1, 0, 2).reshape(len(r_B), -1)
    inner_BB = level_BV @ level_BV.T
    own_1B = np.maximum(np.diag(inner_BB), 1e-18)[None]
    like_BB = inner_BB / np.sqrt(own_1B * own_1B.T) >= _LIKE_ANOTHER
    like_BB &= (own_1B >= _AS_LARGE[0] ** 2 * own_1B.T) & (own_1B <= _AS_LARGE[1] ** 2 * own_1B.T)
    return bool(np.any(like_BB[np.isin(r_B, own_B)].sum(axis=1) > 1))
