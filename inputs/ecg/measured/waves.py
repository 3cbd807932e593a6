"""Where the waves of one typical beat begin and end, over all leads at once.

Times are samples of the beat's window, and None where a wave is not found.
Letters in array names: L leads, W samples of a beat's window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from inputs.ecg.measured.tracing import RATE_HZ


def _samples(ms: float) -> int:
    return round(ms * RATE_HZ / 1000.0)


_QUIET = _samples(20.0)
_QRS_SMOOTH = 0.004 * RATE_HZ
_QRS_SHARE = 0.05
_QRS_REACH = _samples(160.0)
_P_SMOOTH = 0.008 * RATE_HZ
_P_SHARE = 0.30
_P_REACH = _samples(340.0)
_P_PROMINENT = 0.3
"""Of the most prominent one."""
_P_FROM_QUIET = 0.5
"""Of P's slope: a P wave rises from rest, a flutter wave from the one before it."""
_T_SMOOTH = 0.010 * RATE_HZ
_T_AFTER_QRS = _samples(60.0)
_T_LEVEL = _samples(40.0)
_T_LAST = 0.5
"""Of the steepest slope: the last that reaches so much is T's descent, also where T has two phases."""
_LONGEST_QTC_MS = 620.0
"""By Bazett: what comes later is no T wave."""
_NOISE = 1.5
"""Of the noise's slope, above the quietest: what is less steep is not told from noise."""


@dataclass(frozen=True)
class Waves:
    """Borders found in one beat.

    t_spread: how far the ends of T in single leads lie from it, in the middle. t_clear: T's descent over the noise's.
    """

    qrs_on: int
    qrs_off: int
    p_on: float | None
    p_peak: int | None
    t_end: float | None
    t_spread: float
    t_clear: float


def find_waves(
    beat_LW: NDArray[np.float64], noise_LW: NDArray[np.float64], r: int, rr: int, *, with_p: bool = True
) -> Waves | None:
    """Delineate one beat whose fiducial point is at `r`, with the next one `rr` samples later; None without a QRS.

    noise_LW: what the beat may be wrong by. Without P, T is looked for until shortly before the next QRS, as in
    fibrillation.
    """
    steep_W = _steepness(beat_LW, _QRS_SMOOTH)
    noise = float(np.sqrt(np.mean(_steepness(noise_LW, _QRS_SMOOTH) ** 2)))
    qrs = _find_qrs(steep_W, noise, r)
    if qrs is None:
        return None
    on, off = qrs
    p_on, p_peak = _find_p(beat_LW, on, max(0, off + _samples(200.0) - rr)) if with_p else (None, None)
    next_wave = rr + (on - _samples(30.0) if p_on is None else round(p_on)) - _samples(10.0)
    latest = on + _samples(_LONGEST_QTC_MS * float(np.sqrt(rr / RATE_HZ)))
    t_end, spread, clear = _find_t_end(beat_LW, noise_LW, off, min(beat_LW.shape[1], next_wave, latest))
    return Waves(on, off, p_on, p_peak, t_end, spread, clear)


def _steepness(beat_LW: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Spatial velocity: the root mean square over leads of the slope."""
    slope_LW = gaussian_filter1d(beat_LW, sigma, axis=1, order=1, mode="nearest")
    return np.asarray(np.sqrt(np.mean(slope_LW * slope_LW, axis=0)))


def _find_qrs(steep_W: NDArray[np.float64], noise: float, r: int) -> tuple[int, int] | None:
    """Outwards from the steepest point, to where the heart is nearly as quiet as it gets on that side."""
    first, last = max(0, r - _samples(100.0)), min(len(steep_W), r + _samples(100.0))
    core = first + int(steep_W[first:last].argmax())
    before_W = steep_W[max(0, core - _QRS_REACH) : core + 1][::-1]
    after_W = steep_W[core : core + _QRS_REACH]
    back, forth = (_quiet_from(side_W, _QRS_SHARE, _NOISE * noise) for side_W in (before_W, after_W))
    if back is None or forth is None:
        return None
    return core - back, core + forth


def _quiet_from(outwards_W: NDArray[np.float64], share: float, margin: float) -> int | None:
    """Steps from the peak at 0 until the slope stays below the threshold for _QUIET; None if it never does."""
    quietest = float(outwards_W.min())
    loud_W = outwards_W > quietest + max(share * (float(outwards_W[0]) - quietest), margin)
    at = np.flatnonzero(loud_W)
    if len(at) == 0:
        return None
    gaps = np.diff(np.append(at, len(loud_W) + _QUIET))
    end = int(at[int(np.argmax(gaps > _QUIET))]) + 1
    return end if end < len(loud_W) else None


def _find_p(beat_LW: NDArray[np.float64], on: int, earliest: int) -> tuple[float | None, int | None]:
    """The last prominent rise of all leads before the QRS, and where its first slope begins; T may stand before it."""
    first, last = max(earliest, on - _P_REACH), on - _samples(8.0)
    if last - first < _samples(80.0):
        return None, None
    stretch_LW = gaussian_filter1d(beat_LW[:, first:last], _P_SMOOTH, axis=1, mode="nearest")
    level_L = beat_LW[:, on - _samples(12.0) : on + 1].mean(axis=1, keepdims=True)
    height_W = np.sqrt(np.mean((stretch_LW - level_L) ** 2, axis=0))
    peaks, found = find_peaks(height_W, prominence=0)
    if len(peaks) == 0:
        return None, None
    prominences = found["prominences"]
    peak = int(peaks[np.flatnonzero(prominences >= _P_PROMINENT * prominences.max())[-1]])
    steep_W = _steepness(beat_LW[:, first:last], _P_SMOOTH)
    rise = max(0, peak - _samples(90.0))
    steepest = rise + int(steep_W[rise : peak + 1].argmax())
    before_W = steep_W[max(0, steepest - _samples(110.0)) : steepest + 1][::-1]
    back = _quiet_from(before_W, _P_SHARE, 0.0)
    if back is None or before_W.min() > _P_FROM_QUIET * before_W[0]:
        return None, None
    return float(first + steepest - back + 1), first + peak


def _find_t_end(
    beat_LW: NDArray[np.float64], noise_LW: NDArray[np.float64], off: int, stop: int
) -> tuple[float | None, float, float]:
    """Where the tangent at T's steepest descent meets the level after it (Lepeschkin and Surawicz 1952).

    Seen along the first principal component of the leads' slopes: slow drift has hardly any. Single leads say how far
    that can be trusted.
    """
    first = off + _T_AFTER_QRS
    if stop - first < _samples(120.0):
        return None, np.inf, 0.0
    stretch_LW = beat_LW[:, first:stop]
    slope_LW = gaussian_filter1d(stretch_LW, _T_SMOOTH, axis=1, order=1, mode="nearest")
    looks_LK, _, _ = np.linalg.svd(slope_LW, full_matrices=False)
    look_L = looks_LK[:, 0]
    slope_W = look_L @ slope_LW
    peaks, _ = find_peaks(np.abs(slope_W))
    steep = peaks[np.abs(slope_W[peaks]) >= _T_LAST * np.abs(slope_W).max()]
    if len(steep) == 0:
        return None, np.inf, 0.0
    smooth_LW = gaussian_filter1d(stretch_LW, _T_SMOOTH, axis=1, mode="nearest")
    end = _tangent_end(look_L @ smooth_LW, slope_W, int(steep[-1]))
    if end is None:
        return None, np.inf, 0.0
    noise_W = look_L @ gaussian_filter1d(noise_LW, _T_SMOOTH, axis=1, order=1, mode="nearest")
    clear = float(np.abs(slope_W[steep[-1]]) / max(float(noise_W.std()), 1e-12))
    return first + end, _spread(smooth_LW, slope_LW, int(steep[-1]), end), clear


def _spread(smooth_LW: NDArray[np.float64], slope_LW: NDArray[np.float64], steepest: int, end: float) -> float:
    """The middle distance from `end` of the ends of T in those leads that descend there."""
    reach = _samples(40.0)
    near = slice(max(0, steepest - reach), steepest + reach + 1)
    fall_L = np.abs(slope_LW[:, near]).max(axis=1)
    ends = []
    for row in np.flatnonzero(fall_L >= 0.4 * fall_L.max()):
        own = near.start + int(np.abs(slope_LW[row, near]).argmax())
        ends.append(_tangent_end(smooth_LW[row], slope_LW[row], own))
    known = [abs(one - end) for one in ends if one is not None]
    return float(np.median(known)) if known else np.inf


def _tangent_end(t_W: NDArray[np.float64], slope_W: NDArray[np.float64], steepest: int) -> float | None:
    """Samples from the start of the stretch to T's end, or None where no level follows."""
    after_W = np.abs(slope_W[steepest : steepest + _samples(200.0)])
    if len(after_W) < _T_LEVEL or slope_W[steepest] == 0:
        return None
    # The flattest stretch after the descent is the level; between T and U it is the lowest point.
    rough_W = np.convolve(after_W, np.ones(_T_LEVEL) / _T_LEVEL, "valid")
    flat = steepest + int(rough_W.argmin())
    level = float(np.mean(t_W[flat : flat + _T_LEVEL]))
    end = steepest + (level - float(t_W[steepest])) / float(slope_W[steepest])
    return end if steepest < end < steepest + _samples(200.0) else None
