"""Where the heart beats, which beats are alike, and the typical one of them.

Letters in array names: L leads, N samples, B beats, W samples of a beat's window, S lags.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

from inputs.ecg.measured.tracing import RATE_HZ, Tracing

_QRS_BAND = butter(2, (5.0, 25.0), "bandpass", fs=RATE_HZ, output="sos")
"""Pan and Tompkins (1985) keep 5 to 15 Hz, Elgendi (2013) 8 to 20 Hz: T waves lie below, muscle and mains above."""
_SMOOTH = round(0.09 * RATE_HZ)
_REFRACTORY = round(0.20 * RATE_HZ)
_T_WAVE, _LATE_T_WAVE = round(0.36 * RATE_HZ), round(0.42 * RATE_HZ)
"""Pan and Tompkins: what follows a QRS within 360 ms and is half as steep is its T wave. Here it is half as high in the
band or half as steep: T may be as high as a broad QRS. So is what is both of it later, since QT is longer by as much as
QRS is."""
_LEVEL_S = 2.2
"""So long that a heart of 30 beats a minute beats once in it."""
_SHARE_OF_LEVEL = 0.3
_QUIET_PERCENT = 20.0
"""At 200 beats a minute QRS complexes fill more than half of the time."""
_QRS_WINDOW = (-round(0.08 * RATE_HZ), round(0.12 * RATE_HZ))
_MOST_LAG = round(0.03 * RATE_HZ)
ALIKE = 0.85
"""Correlation of two beats' QRS over all leads from which they count as of one kind."""
_FEWEST_OF_A_KIND = 3
_PREMATURE = 0.85
_PQ_BEFORE_R = round(0.09 * RATE_HZ)
_NEXT_QRS = round(0.06 * RATE_HZ)
_BEFORE = round(0.48 * RATE_HZ)
_AFTER = round(0.75 * RATE_HZ)


@dataclass(frozen=True, eq=False)
class Rhythm:
    """r_B: samples of all QRS complexes. energy_N: of all leads, between 5 and 25 Hz, of which these are the peaks.

    contrast: how far they stand out of what lies between; 1 is not at all.
    """

    r_B: NDArray[np.intp]
    contrast: float
    energy_N: NDArray[np.float64]

    @property
    def rr_ms_B(self) -> NDArray[np.float64]:
        """B - 1 distances."""
        return np.diff(self.r_B) * (1000.0 / RATE_HZ)


def find_beats(tracing: Tracing) -> Rhythm:
    """QRS complexes from the energy of all leads between 5 and 25 Hz.

    Every lead counts by how far it stands out of its own middle, so that polarity and gain do not matter and a lead of
    noise adds little.
    """
    band_LN = sosfiltfilt(_QRS_BAND, tracing.signal_mv_LN, axis=1)
    present_LN = tracing.present_LN
    if present_LN.all():
        middle_L = np.median(np.abs(band_LN), axis=1)
    else:
        middle_L = np.array([np.median(np.abs(row[mask])) for row, mask in zip(band_LN, present_LN, strict=True)])
    weight_LN = present_LN / np.maximum(middle_L, 1e-9)[:, None]
    leads_N = present_LN.sum(axis=0)
    energy_N = _energy(band_LN * weight_LN, leads_N)
    steep_N = _energy(np.gradient(band_LN, axis=1) * weight_LN, leads_N)
    seen_N = np.asarray(present_LN.any(axis=0))
    found_B = _peaks(energy_N, steep_N, seen_N)
    if len(found_B) == 0:
        return Rhythm(found_B, 0.0, energy_N)
    return Rhythm(found_B, contrast_of(energy_N[found_B], energy_N[seen_N]), energy_N)


def contrast_of(peaks_B: NDArray[np.float64], energy_N: NDArray[np.float64]) -> float:
    """How far the middle one of some peaks stands out of the quietest fifth of a stretch."""
    return float(np.median(peaks_B)) / max(float(np.percentile(energy_N, _QUIET_PERCENT)), 1e-9)


def _energy(band_LN: NDArray[np.float64], leads_N: NDArray[np.intp]) -> NDArray[np.float64]:
    """Over all leads that are there at a sample, as many as `leads_N` says, and _SMOOTH samples."""
    power_N = np.einsum("ln,ln->n", band_LN, band_LN) / np.maximum(leads_N, 1)
    return np.asarray(np.sqrt(np.maximum(uniform_filter1d(power_N, _SMOOTH, mode="nearest"), 0.0)))


def _peaks(energy_N: NDArray[np.float64], steep_N: NDArray[np.float64], seen_N: NDArray[np.bool_]) -> NDArray[np.intp]:
    """steep_N: the energy of the slopes."""
    peaks, _ = find_peaks(energy_N, distance=_REFRACTORY)
    candidates: NDArray[np.intp] = peaks[seen_N[peaks]]
    if len(candidates) == 0:
        return candidates
    seen = energy_N[seen_N]
    stretches = np.array_split(seen, max(1, int(len(seen) / (_LEVEL_S * RATE_HZ))))
    level = float(np.median([stretch.max() for stretch in stretches]))
    kept = candidates[energy_N[candidates] > _SHARE_OF_LEVEL * level]
    found: list[int] = []
    for at in kept.tolist():
        if found and at - found[-1] < _LATE_T_WAVE:
            enough = any if at - found[-1] < _T_WAVE else all
            if enough(of_N[at] < 0.5 * of_N[found[-1]] for of_N in (energy_N, steep_N)):
                continue
            if at - found[-1] < _T_WAVE and energy_N[found[-1]] < 0.5 * energy_N[at]:
                found.pop()
        found.append(at)
    return np.array(found, dtype=np.intp)


@dataclass(frozen=True, eq=False)
class Beats:
    """The beats of the commonest kind, aligned, each with a zero before its QRS.

    beats_mv_BLW: NaN where a lead has no signal. r: index of the fiducial point in W. rr_ms: their usual distance.
    at_A: samples of all A beats that are alike, early ones too. count: of all beats. share: of those that were alike.
    next_C: samples of the next kind's C beats, where enough follow one another, as of a tachycardia that begins.
    lonely: how many are like no other, as an artefact is and an extra beat may be.
    contrast: how far the middle beat stands out, of the kind that does so less.
    """

    beats_mv_BLW: NDArray[np.float64]
    r: int
    rr_ms: float
    at_A: NDArray[np.intp]
    next_C: NDArray[np.intp]
    count: int
    share: float
    lonely: int
    contrast: float

    def typical(self, which: slice = slice(None)) -> NDArray[np.float64]:
        """(L, W): mean of the middle half of the beats at every sample, NaN where there is none."""
        ordered_BLW = np.sort(self.beats_mv_BLW[which], axis=0)  # NaN goes last
        known_LW = np.count_nonzero(np.isfinite(ordered_BLW), axis=0)
        weight_CB = _middle_weights(len(ordered_BLW))
        weight_LWB = weight_CB[known_LW]
        typical_LW = np.einsum("blw,lwb->lw", np.nan_to_num(ordered_BLW), weight_LWB)
        return np.where(known_LW > 0, typical_LW, np.nan)


def _middle_weights(most: int) -> NDArray[np.float64]:
    """Row c weighs the middle half of c ordered values."""
    weight_CB = np.zeros((most + 1, most))
    for count in range(1, most + 1):
        cut = count // 4
        weight_CB[count, cut : count - cut] = 1.0 / (count - 2 * cut)
    return weight_CB


def gather_beats(tracing: Tracing, rhythm: Rhythm) -> Beats | None:
    """Sort the beats by likeness, align the largest kind, and take the baseline away; None without two alike."""
    first, last = _QRS_WINDOW
    samples = tracing.signal_mv_LN.shape[1]
    r_B = rhythm.r_B
    whole_B = (r_B + first - _MOST_LAG >= 0) & (r_B + last + _MOST_LAG < samples)
    r_B = r_B[whole_B]
    if len(r_B) < 2:
        return None
    rr_ms = float(np.median(rhythm.rr_ms_B))
    alike_B, r_B, lonely = _alike(tracing.signal_mv_LN, r_B)
    share = float(alike_B.mean())
    if np.count_nonzero(alike_B) < 2:
        return None
    at_A, next_C = r_B[alike_B], _next_kind(tracing.signal_mv_LN, r_B, alike_B)
    energy_N = rhythm.energy_N
    contrast = min(contrast_of(energy_N[at], energy_N) for at in (at_A, next_C) if len(at))
    before_ms_B = np.concatenate([[rr_ms], np.diff(r_B) * (1000.0 / RATE_HZ)])
    on_time_B = alike_B & (before_ms_B > _PREMATURE * rr_ms)
    if np.count_nonzero(on_time_B) >= max(2, 0.5 * np.count_nonzero(alike_B)):
        alike_B = on_time_B
    level_LN = tracing.signal_mv_LN - _baseline(tracing.signal_mv_LN, r_B[alike_B])
    level_LN = np.where(tracing.present_LN, level_LN, np.nan)
    rr = rr_ms * (RATE_HZ / 1000.0)
    before, after = min(_BEFORE, int(0.75 * rr)), min(_AFTER, int(rr) - round(0.05 * RATE_HZ))
    padded_LN = np.pad(level_LN, ((0, 0), (before, after)), constant_values=np.nan)
    window_BW = r_B[alike_B][:, None] + np.arange(before + after)
    beats_BLW = padded_LN[:, window_BW].transpose(1, 0, 2)
    next_B = np.append(np.diff(r_B), samples)[alike_B]
    early_BW = np.arange(-before, after) >= (next_B - _NEXT_QRS)[:, None]
    beats_BLW = np.where(early_BW[:, None, :], np.nan, beats_BLW)  # the next beat came before its time
    return Beats(beats_BLW, before, rr_ms, at_A, next_C, len(alike_B), share, lonely, contrast)


def _alike(signal_LN: NDArray[np.float64], r_B: NDArray[np.intp]) -> tuple[NDArray[np.bool_], NDArray[np.intp], int]:
    """Which beats are of the largest kind, all fiducial points moved to fit its template best, and the lonely ones."""
    first, last = _QRS_WINDOW
    window_W = np.arange(first, last, 2)
    lags_S = np.arange(-_MOST_LAG, _MOST_LAG + 1)
    signal_LN = signal_LN[_repeating(signal_LN[:, r_B[:, None] + window_W].transpose(1, 0, 2))]
    qrs_BV = _unit(signal_LN[:, r_B[:, None] + window_W].transpose(1, 0, 2))
    like_BB = qrs_BV @ qrs_BV.T > ALIKE - 0.1  # not aligned yet
    kind_B = like_BB[int(like_BB.sum(axis=1).argmax())]
    for _ in range(2):
        if not kind_B.any():
            break
        template_V = _unit(np.median(signal_LN[:, r_B[kind_B][:, None] + window_W], axis=1)[None])[0]
        around_BSW = r_B[:, None, None] + lags_S[:, None] + window_W
        like_BS = np.stack([_unit(signal_LN[:, at_SW].transpose(1, 0, 2)) @ template_V for at_SW in around_BSW])
        best_B = like_BS.argmax(axis=1)
        r_B = r_B + np.where(like_BS.max(axis=1) > ALIKE, lags_S[best_B], 0)
        kind_B = like_BS.max(axis=1) > ALIKE
        r_B = np.clip(r_B, _MOST_LAG - first, signal_LN.shape[1] - 1 - _MOST_LAG - last)
    lonely = int(np.count_nonzero(~kind_B & (like_BB.sum(axis=1) == 1)))
    return kind_B, r_B, lonely


def _next_kind(signal_LN: NDArray[np.float64], r_B: NDArray[np.intp], alike_B: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Those of the other beats that are alike and follow one another; none where they are few, as by chance.

    What comes in turn with the largest kind, as one half of a wave with the other, is no rhythm of its own.
    """
    others = np.flatnonzero(~alike_B)
    if len(others) < _FEWEST_OF_A_KIND:
        return r_B[:0]
    next_O, moved_O, _ = _alike(signal_LN, r_B[others])
    next_C = others[next_O]
    if len(next_C) < _FEWEST_OF_A_KIND or np.median(np.diff(next_C)) > 1:
        return r_B[:0]
    return moved_O[next_O]


def _repeating(segments_BLW: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Leads in which beats differ by less than what they share: one of noise would outvote the others. Or else all."""
    level_BLW = segments_BLW - segments_BLW.mean(axis=2, keepdims=True)
    middle_LW = np.median(level_BLW, axis=0)
    differ_L = np.median(np.std(level_BLW - middle_LW, axis=2), axis=0)
    repeating_L = np.std(middle_LW, axis=1) > differ_L
    return np.asarray(repeating_L if repeating_L.any() else np.ones(len(repeating_L), dtype=bool))


def _unit(segments_BLW: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B, L x W) of length 1, each lead's mean taken off."""
    level_BLW = segments_BLW - segments_BLW.mean(axis=2, keepdims=True)
    flat_BV = level_BLW.reshape(len(level_BLW), -1)
    return np.asarray(flat_BV / np.maximum(np.linalg.norm(flat_BV, axis=1, keepdims=True), 1e-12))


def _baseline(signal_LN: NDArray[np.float64], r_B: NDArray[np.intp]) -> NDArray[np.float64]:
    """A smooth line through one point before every QRS (Meyer and Keiser 1977), level before the first and the last."""
    knots_B = np.unique(np.maximum(r_B - _PQ_BEFORE_R, 0))
    smooth_LN = uniform_filter1d(signal_LN, round(0.04 * RATE_HZ), axis=1, mode="nearest")
    if len(knots_B) < 2:
        return np.asarray(smooth_LN[:, knots_B])
    at_N = np.clip(np.arange(signal_LN.shape[1]), knots_B[0], knots_B[-1])
    return np.asarray(PchipInterpolator(knots_B, smooth_LN[:, knots_B], axis=1)(at_N))
