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
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from inputs.ecg.gate.limb_laws import LIMB_LEADS
from inputs.ecg.gate.live import AROUND_R_S
from inputs.ecg.measured.beats import Beats, contrast_of
from inputs.ecg.measured.measure import CONTRAST, CONTRAST_WHEN_ALIKE
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
_FEWEST_OF_NEXT, _MOST_OF_NEXT = 4, 0.75
"""Of the beats in a stretch, that are of the next kind: at the beginning of a run one or two differ."""
_LONGEST_REST_S, _MOST_IS_REST = 6.0, 0.5
_BEAT = (round(0.25 * RATE_HZ), round(0.5 * RATE_HZ))
"""Around a lone beat: what belongs to it, and is no rest."""
_OFF_THE_LINE_S = (0.1, 0.01)
"""Twice as far apart are the crests of waves of 5 Hz, and of the mains' hum."""
_LEVEL, _SMOOTH = round(0.1 * RATE_HZ), round(0.01 * RATE_HZ)
_QUIET_PERCENT, _THROUGHOUT_PERCENT = 20.0, (40.0, 60.0)
"""In a rest the atria may beat on: P waves of 90 a minute lie off so long a line for half of the time."""
_AS_QUIET, _QUIET_MV = 2.0, 0.03
"""Below, it is quiet anyway."""
_LONE_AS_LARGE, _LONE_AS_ROUGH = 0.5, 2.0


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
            other = _beats_of_another_kind(traced, beats, part, first, last)
            yield Seen(other or _rests(traced, beats, part, first, last))


def _beats_of_another_kind(traced: TracedEcg, beats: Beats, part: Tracing, first: int, last: int) -> bool:
    """Whether most peaks are of the next kind and stand out a little, or what stands out far has its like."""
    rhythm, energy_N = traced.rhythm, traced.rhythm.energy_N
    own_B, next_C = (at[(at >= first) & (at < last)] for at in (rhythm.r_B, beats.next_C))
    run = len(next_C) >= max(_FEWEST_OF_NEXT, _MOST_OF_NEXT * len(own_B))
    if run and contrast_of(energy_N[next_C], energy_N[first:last]) >= CONTRAST_WHEN_ALIKE:
        return True
    if not len(own_B) or contrast_of(energy_N[own_B], energy_N[first:last]) < CONTRAST:
        return False
    return _like_another(part.signal_mv_LN, own_B, rhythm.r_B)


def _rests(traced: TracedEcg, beats: Beats, part: Tracing, first: int, last: int) -> bool:
    """Whether beats like the typical one lie on both sides, and all is quiet between, but for a lone beat."""
    rhythm, alike_A = traced.rhythm, beats.at_A
    before_A, after_A = alike_A[alike_A < first], alike_A[alike_A >= last]
    if not len(before_A) or not len(after_A):
        return False
    if after_A.min() - before_A.max() > _LONGEST_REST_S * RATE_HZ:
        return False
    own_B = rhythm.r_B[(rhythm.r_B >= first) & (rhythm.r_B < last)]
    if len(own_B) and contrast_of(rhythm.energy_N[own_B], rhythm.energy_N[first:last]) < CONTRAST:
        return False
    inside_N = np.zeros(part.signal_mv_LN.shape[1], dtype=bool)
    inside_N[first:last] = True
    rest_N = inside_N.copy()
    for at in own_B.tolist():
        rest_N[max(0, at - _BEAT[0]) : at + _BEAT[1]] = False
    if np.count_nonzero(rest_N) < _MOST_IS_REST * (last - first) or not _is_quiet(part.signal_mv_LN, rest_N, ~inside_N):
        return False
    return all(_is_one_of_a_heart(part.signal_mv_LN, at, alike_A) for at in own_B.tolist())


def _is_quiet(signal_LN: NDArray[np.float64], rest_N: NDArray[np.bool_], other_N: NDArray[np.bool_]) -> bool:
    """Whether most leads are as quiet as elsewhere between beats, to what is as slow as fibrillation or as fast as hum.

    By how far a sample lies off the line between two others, which wander moves little.
    """
    for reach_s, percent in zip(_OFF_THE_LINE_S, _THROUGHOUT_PERCENT, strict=True):
        reach = round(reach_s * RATE_HZ)
        off_LN = np.zeros_like(signal_LN)
        off_LN[:, reach:-reach] = (
            signal_LN[:, : -2 * reach] - 2 * signal_LN[:, reach:-reach] + signal_LN[:, 2 * reach :]
        )
        level_LN = np.sqrt(np.maximum(uniform_filter1d(off_LN**2, _LEVEL, axis=1), 0.0))
        between_L = np.percentile(level_LN[:, other_N], _QUIET_PERCENT, axis=1)
        here_L = np.percentile(level_LN[:, rest_N], percent, axis=1)
        if np.median(here_L / np.maximum(between_L, _QUIET_MV)) > _AS_QUIET:
            return False
    return True


def _is_one_of_a_heart(signal_LN: NDArray[np.float64], at: int, alike_A: NDArray[np.intp]) -> bool:
    """Whether a lone peak is about as large as beats and no rougher, in most leads: a burst of muscle is rougher."""
    before, after = (round(reach_s * RATE_HZ) for reach_s in AROUND_R_S[0])
    at_B = np.array([at, *alike_A.tolist()])
    at_B = at_B[(at_B >= before) & (at_B + after <= signal_LN.shape[1])]
    if at not in at_B:
        return False
    smooth_LN = uniform_filter1d(signal_LN, _SMOOTH, axis=1)
    around_LBV = smooth_LN[:, at_B[:, None] + np.arange(-before, after)]
    swing_LB = np.maximum(np.ptp(around_LBV, axis=2), 1e-9)
    rough_LB = np.abs(np.diff(around_LBV, axis=2)).sum(axis=2) / swing_LB
    as_large, as_rough = (np.median(of_LB[:, 0] / np.median(of_LB[:, 1:], axis=1)) for of_LB in (swing_LB, rough_LB))
    return bool(as_large >= _LONE_AS_LARGE and as_rough <= _LONE_AS_ROUGH)


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
