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


_QRS_SMOOTH = 0.004 * RATE_HZ
_QRS_SHARE = 0.05
_QRS_GAP = _samples(20.0)
_QRS_REACH = _samples(160.0)
_P_SMOOTH = 0.008 * RATE_HZ
_P_SHARE = 0.30
_P_REACH = _samples(340.0)
_P_PROMINENT = 0.3
"""Of the most prominent one."""
_T_SMOOTH = 0.010 * RATE_HZ
_T_AFTER_QRS = _samples(60.0)
_T_FALL = _samples(180.0)
_T_LEVEL = _samples(40.0)
_BIPHASIC = 0.35


@dataclass(frozen=True)
class Waves:
    """Borders found in one beat. t_spread: how far the ends of T in single leads lie apart."""

    qrs_on: int
    qrs_off: int
    p_on: float | None
    p_peak: int | None
    t_end: float | None
    t_spread: float


def find_waves(beat_LW: NDArray[np.float64], r: int, rr: int, *, with_p: bool = True) -> Waves | None:
    """Delineate one beat whose fiducial point is at `r`, with the next one `rr` samples later; None without a QRS.

    Without P, T is looked for until shortly before the next QRS, as in fibrillation.
    """
    steep_W = _steepness(beat_LW, _QRS_SMOOTH)
    qrs = _find_qrs(steep_W, r)
    if qrs is None:
        return None
    on, off = qrs
    p_on, p_peak = _find_p(beat_LW, on, max(0, off + _samples(200.0) - rr)) if with_p else (None, None)
    next_wave = rr + (on - _samples(30.0) if p_on is None else round(p_on))
    t_stop = min(beat_LW.shape[1], next_wave - _samples(10.0))
    t_end, spread = _find_t_end(beat_LW, on, off, t_stop)
    return Waves(on, off, p_on, p_peak, t_end, spread)


def _steepness(beat_LW: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Spatial velocity: the root mean square over leads of the slope."""
    slope_LW = gaussian_filter1d(beat_LW, sigma, axis=1, order=1, mode="nearest")
    return np.asarray(np.sqrt(np.mean(slope_LW * slope_LW, axis=0)))


def _find_qrs(steep_W: NDArray[np.float64], r: int) -> tuple[int, int] | None:
    """Outwards from the steepest point, to where the heart is nearly as quiet as it gets on that side."""
    first, last = max(0, r - _samples(100.0)), min(len(steep_W), r + _samples(100.0))
    core = first + int(steep_W[first:last].argmax())
    before_W = steep_W[max(0, core - _QRS_REACH) : core + 1][::-1]
    after_W = steep_W[core : core + _QRS_REACH]
    back, forth = _quiet_from(before_W), _quiet_from(after_W)
    if back is None or forth is None:
        return None
    return core - back, core + forth


def _quiet_from(outwards_W: NDArray[np.float64]) -> int | None:
    """Steps from the peak at 0 until the slope stays below the threshold for _QRS_GAP; None if it never does."""
    quietest = float(outwards_W.min())
    loud_W = outwards_W > quietest + _QRS_SHARE * (float(outwards_W[0]) - quietest)
    at = np.flatnonzero(loud_W)
    gaps = np.diff(np.append(at, len(loud_W) + _QRS_GAP))
    end = int(at[int(np.argmax(gaps > _QRS_GAP))]) + 1
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
    upslope_W = steep_W[rise : peak + 1]
    steepest = rise + int(upslope_W.argmax())
    before_W = steep_W[max(0, steepest - _samples(80.0)) : steepest + 1][::-1]
    quietest = float(before_W.min())
    quiet = before_W <= quietest + _P_SHARE * (float(before_W[0]) - quietest)
    return float(first + steepest - int(quiet.argmax())), first + peak


def _find_t_end(beat_LW: NDArray[np.float64], on: int, off: int, stop: int) -> tuple[float | None, float]:
    """Where the tangent at T's steepest descent meets the level after it (Lepeschkin and Surawicz 1952).

    Of the leads' first principal component over T; single leads say how far that can be trusted.
    """
    first = off + _T_AFTER_QRS
    if stop - first < _samples(120.0):
        return None, np.inf
    level_L = beat_LW[:, max(0, on - _samples(16.0)) : on + 1].mean(axis=1, keepdims=True)
    stretch_LW = gaussian_filter1d(beat_LW[:, first:stop] - level_L, _T_SMOOTH, axis=1, mode="nearest")
    _, _, axes_LW = np.linalg.svd(stretch_LW, full_matrices=False)
    end = _tangent_end(axes_LW[0])
    if end is None:
        return None, np.inf
    swing_L = np.ptp(stretch_LW, axis=1)
    ends = [_tangent_end(row) for row, swing in zip(stretch_LW, swing_L, strict=True) if swing > 0.4 * swing_L.max()]
    known = np.array([one for one in ends if one is not None])
    spread = float(np.median(np.abs(known - np.median(known)))) if len(known) > 1 else 0.0
    return first + end, spread


def _tangent_end(t_W: NDArray[np.float64]) -> float | None:
    """Samples from the start of the stretch to T's end."""
    peak = int(np.abs(t_W).argmax())
    end = _end_after(t_W, peak)
    if end is None:
        return None
    rest_W = t_W[int(end) : int(end) + _samples(140.0)] * -np.sign(t_W[peak])
    if len(rest_W) > _samples(40.0):
        second = int(rest_W.argmax())
        if rest_W[second] > _BIPHASIC * abs(t_W[peak]) and 0 < second < len(rest_W) - 1:
            return _end_after(t_W, int(end) + second)
    return end


def _end_after(t_W: NDArray[np.float64], peak: int) -> float | None:
    fall_W = -np.gradient(t_W) * np.sign(t_W[peak])
    falling_W = fall_W[peak : peak + _T_FALL]
    if len(falling_W) < _samples(30.0):
        return None
    steepest = peak + int(falling_W.argmax())
    slope = float(fall_W[steepest])
    after_W = fall_W[steepest : steepest + _samples(200.0)]
    if slope <= 0 or len(after_W) < _T_LEVEL:
        return None
    # The flattest stretch after the descent is the level; between T and U it is the lowest point.
    rough_W = np.convolve(np.abs(after_W), np.ones(_T_LEVEL) / _T_LEVEL, "valid")
    flat = steepest + int(rough_W.argmin())
    level = float(np.mean(t_W[flat : flat + _T_LEVEL])) * np.sign(t_W[peak])
    return steepest + (float(t_W[steepest]) * np.sign(t_W[peak]) - level) / slope
