"""The measurements of one kind of beat, and whether its halves and its leads agree on them.

Letters in array names: L leads, B beats, W samples of a beat's window, D directions in the frontal plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import detrend

from inputs.ecg.measured.beats import Beats
from inputs.ecg.measured.tracing import RATE_HZ
from inputs.ecg.measured.waves import Waves, find_waves

_MS = 1000.0 / RATE_HZ
_FEWEST_LEADS = 3
"""Fewer may not see where a wave begins."""
_SIGNAL_TO_NOISE = 7.0
"""QRS, from peak to peak, to noise of the typical beat, for a lead to be asked. A lead of noise alone reaches 4.6,
with a standard deviation of 0.6: 60 samples of it."""
_PLAUSIBLE_MS = {"pr": (60.0, 420.0), "qrs": (40.0, 260.0), "qt": (180.0, 720.0)}
_DISAGREE_MS = {"pr": 30.0, "qrs": 24.0, "qt": 40.0}
"""Between the typical beats of every second and of every other beat."""
_DISAGREE_DEG = 20.0
_P_LIKENESS = 0.5
"""Of the P waves of single beats with that of the others: near 0 in fibrillation."""
_T_SPREAD_MS = 25.0
_T_CLEAR = 8.0
"""T's descent over the noise's slope."""
_SMALL_AXIS = 0.12
"""Net to gross area below which QRS has no direction in the frontal plane."""
_LIMB_MISFIT = 0.35

# Where the limb leads look in the frontal plane, and Goldberger's gain.
_ANGLES_DEG = {"I": 0.0, "II": 60.0, "III": 120.0, "aVR": -150.0, "aVL": -30.0, "aVF": 90.0}
_GOLDBERGER = float(np.sqrt(3.0) / 2.0)


@dataclass(frozen=True)
class BeatMeasures:
    """What one kind of beat shows; None where it cannot be relied on."""

    pr_ms: float | None = None
    qrs_ms: float | None = None
    qt_ms: float | None = None
    axis_deg: float | None = None


def measure_beats(beats: Beats, leads: tuple[str, ...]) -> BeatMeasures:
    """Measure the typical beat; its two halves, beats taken in turn, must say the same."""
    halves = [_shown(beats.typical(slice(first, None, 2))) for first in (0, 1)]
    whole = _shown(beats.typical())
    noise_LW = 0.5 * (halves[0] - halves[1])
    clear_L = _clear_leads(whole, noise_LW, beats.r)
    if np.count_nonzero(clear_L) < _FEWEST_LEADS:
        return BeatMeasures()
    rr = round(beats.rr_ms / _MS)
    noise_LW = noise_LW[clear_L]
    waves = find_waves(whole[clear_L], noise_LW, beats.r, rr)
    if waves is None:
        return BeatMeasures()
    p_is_one = _p_likeness(beats, clear_L, waves) >= _P_LIKENESS
    if not p_is_one:
        waves = find_waves(whole[clear_L], noise_LW, beats.r, rr, with_p=False) or waves
    half_noise_LW = np.sqrt(2.0) * noise_LW
    half_waves = [find_waves(half[clear_L], half_noise_LW, beats.r, rr, with_p=p_is_one) for half in halves]
    axis_deg = _agreed_axis(whole, halves, waves, clear_L, leads)
    if None in half_waves:
        return BeatMeasures(axis_deg=axis_deg)
    one, other = (waves_of for waves_of in half_waves if waves_of is not None)
    t_is_one = waves.t_spread * _MS <= _T_SPREAD_MS and waves.t_clear >= _T_CLEAR
    return BeatMeasures(
        pr_ms=_agreed("pr", waves, one, other) if p_is_one else None,
        qrs_ms=_agreed("qrs", waves, one, other),
        qt_ms=_agreed("qt", waves, one, other) if t_is_one else None,
        axis_deg=axis_deg,
    )


def _shown(beat_LW: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without holes: a lead that is missing at the edge of the window keeps its last value."""
    known_LW = np.isfinite(beat_LW)
    if known_LW.all():
        return beat_LW
    shown_LW = np.zeros_like(beat_LW)
    for row_W, known_W, shown_W in zip(beat_LW, known_LW, shown_LW, strict=True):
        at = np.flatnonzero(known_W)
        if len(at):
            shown_W[:] = np.interp(np.arange(len(row_W)), at, row_W[at])
    return shown_LW


def _clear_leads(whole_LW: NDArray[np.float64], noise_LW: NDArray[np.float64], r: int) -> NDArray[np.bool_]:
    window = slice(max(0, r - round(60.0 / _MS)), r + round(60.0 / _MS))
    swing_L = np.ptp(whole_LW[:, window], axis=1)
    noise_L = np.median(np.abs(noise_LW), axis=1) / 0.6745
    return np.asarray((swing_L > 0) & (swing_L >= _SIGNAL_TO_NOISE * noise_L))


def _ms(what: str, waves: Waves) -> float | None:
    ends: dict[str, tuple[float | None, float | None]] = {
        "pr": (waves.p_on, waves.qrs_on),
        "qrs": (waves.qrs_on, waves.qrs_off),
        "qt": (waves.qrs_on, waves.t_end),
    }
    first, last = ends[what]
    return None if first is None or last is None else (last - first) * _MS


def _agreed(what: str, waves: Waves, one: Waves, other: Waves) -> float | None:
    values = [_ms(what, each) for each in (waves, one, other)]
    known = [value for value in values if value is not None]
    low, high = _PLAUSIBLE_MS[what]
    if len(known) < 3 or max(known) - min(known) > _DISAGREE_MS[what] or not low <= known[0] <= high:
        return None
    return known[0]


def _p_likeness(beats: Beats, clear_L: NDArray[np.bool_], waves: Waves) -> float:
    """Mean correlation of each beat before its QRS with the typical one of the beats that it is not among."""
    if waves.p_peak is None:
        return 0.0
    first, last = max(0, waves.p_peak - round(80.0 / _MS)), min(waves.p_peak + round(80.0 / _MS), waves.qrs_on)
    beats_BLW = beats.beats_mv_BLW[:, clear_L, first:last]
    beats_BLW = beats_BLW[np.isfinite(beats_BLW).all(axis=(1, 2))]
    if len(beats_BLW) < 2:
        return 0.0
    smooth_BLW = gaussian_filter1d(beats_BLW, 0.010 * RATE_HZ, axis=2, mode="nearest")
    smooth_BLW = detrend(smooth_BLW, axis=2)
    likeness = []
    for first_of, other_of in ((0, 1), (1, 0)):
        typical_LW = np.median(smooth_BLW[other_of::2], axis=0)
        single_BLW = smooth_BLW[first_of::2]
        inner_B = np.einsum("blw,lw->b", single_BLW, typical_LW)
        norm_B = np.sqrt(np.einsum("blw,blw->b", single_BLW, single_BLW) * np.sum(typical_LW**2))
        likeness += (inner_B / np.maximum(norm_B, 1e-12)).tolist()
    return float(np.mean(likeness))


def _agreed_axis(
    whole_LW: NDArray[np.float64],
    halves: list[NDArray[np.float64]],
    waves: Waves,
    clear_L: NDArray[np.bool_],
    leads: tuple[str, ...],
) -> float | None:
    limb = [row for row, lead in enumerate(leads) if lead in _ANGLES_DEG and clear_L[row]]
    if len(limb) < 2:
        return None
    names = [leads[row] for row in limb]
    axes = [_axis_deg(beat_LW[limb], waves, names) for beat_LW in (whole_LW, *halves)]
    if axes[0] is None:
        return None
    apart = [180.0 if one is None else abs((one - axes[0] + 180.0) % 360.0 - 180.0) for one in axes[1:]]
    return axes[0] if max(apart) <= _DISAGREE_DEG else None


def _axis_deg(limb_LW: NDArray[np.float64], waves: Waves, names: list[str]) -> float | None:
    """Direction whose projections fit the net QRS areas of the limb leads best; with I and aVF alone, their ratio."""
    qrs_LW = limb_LW[:, waves.qrs_on : waves.qrs_off + 1]
    qrs_LW = qrs_LW - np.linspace(qrs_LW[:, 0], qrs_LW[:, -1], qrs_LW.shape[1], axis=1)
    net_L, gross_L = qrs_LW.sum(axis=1), np.abs(qrs_LW).sum(axis=1)
    gain_L = np.array([_GOLDBERGER if name.startswith("aV") else 1.0 for name in names])
    angle_L = np.deg2rad([_ANGLES_DEG[name] for name in names])
    look_LD = gain_L[:, None] * np.stack([np.cos(angle_L), np.sin(angle_L)], axis=1)
    if np.linalg.matrix_rank(look_LD, tol=0.3) < 2:
        return None
    vector_D, *_ = np.linalg.lstsq(look_LD, net_L, rcond=None)
    size = float(np.linalg.norm(vector_D))
    misfit = float(np.linalg.norm(look_LD @ vector_D - net_L) / max(float(np.linalg.norm(net_L)), 1e-12))
    if size < _SMALL_AXIS * float(gross_L.max()) or misfit > _LIMB_MISFIT:
        return None
    return float(np.rad2deg(np.arctan2(vector_D[1], vector_D[0])))
