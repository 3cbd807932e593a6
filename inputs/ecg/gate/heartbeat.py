"""Is there a heart in the recording at all? Without a QRS that repeats there is nothing to answer from.

Letters in array names: L leads, N samples, F frequencies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import welch

from inputs.ecg.measured.beats import Beats
from inputs.ecg.measured.measure import CONTRAST, beats_of_heart
from inputs.ecg.measured.traced import TracedEcg
from inputs.ecg.measured.tracing import RATE_HZ, Tracing
from inputs.records import InputWarning

PATIENT_FIRST = ("no_qrs", "noise_only")
"""What may be a heart that stands still comes before whatever else is said."""
_SHARE_UNSURE = 0.25
"""Of beats that are alike: fibrillation with many extra beats has about so many, bursts of noise have none."""
_ONE_SHAPE = 0.997
"""Of the energy of all leads: twelve views of a heart are never one curve at twelve sizes; the most seen was 0.985."""
_ONE_BEAT, _NOISE_OF_BEAT, _CLEAR = 0.0006, 0.05, 0.1
"""Of the energy of the typical beat: what one curve leaves over and noise does not explain, and how much noise there
may be to tell. Of 770 hearts the least had 0.0012, ventricular beats whose dipole hardly turns. Leads with so much
less energy than the middle one are left out."""
_FEWEST_LEADS = 4
_MOST_LEADS = 0.7
_SHORT_S, _FEW_BEATS = 5.0, 4
"""In so short a recording a slow heart may beat once or twice, and nothing tells whether beats repeat."""
_FLUTTER_HZ = (1.5, 10.0)
"""Ventricles flutter and fibrillate at 2 to 9 Hz: a wave as steady as that may be theirs."""
_SLOW = round(1.2 * RATE_HZ)
_ONE_TONE = 0.6
_TONE_REACH = 2
"""Bins on both sides of a line of the spectrum that belong to it."""
_BROAD_HZ = (1.0, 40.0)
_BROAD = 0.2
"""Geometric by arithmetic mean of the spectrum there: white noise has 0.9 or more, pink 0.6, waves of any kind less."""


def heartbeat_warnings(traced: TracedEcg | None) -> list[InputWarning]:
    """One of `not_an_ecg`, `noise_only`, `no_qrs`, `too_few_beats`, all withheld; the warning `beats_differ`; none.

    Nothing is said where nothing was traced: what is flat or missing is said by others.
    """
    if traced is None:
        return []
    tracing, judged = traced.tracing, judged_beats(traced)
    if _is_one_curve(tracing) or any(_is_one_beat(beats) for beats, _ in judged):
        return [_withheld("not_an_ecg", "All leads show one and the same curve: this is not a 12-lead ECG.")]
    if beats_of_heart(traced):
        return []
    if judged:
        message = "Few of the beats are alike: the rhythm is very irregular, or much of this is not the heart's."
        return [InputWarning("beats_differ", message)]
    if _is_too_short(traced):
        message = f"{tracing.signal_mv_LN.shape[1] / RATE_HZ:.1f} s hold too few beats to tell a heart's from others."
        return [_withheld("too_few_beats", message)]
    tone_hz, tone, broad = _spectrum_of(tracing)
    if tone > _ONE_TONE and not _FLUTTER_HZ[0] <= tone_hz <= _FLUTTER_HZ[1]:
        return [_withheld("not_an_ecg", "The leads hold a steady tone and no heartbeat: this is not an ECG.")]
    if broad > _BROAD:
        return [_withheld("noise_only", "Only noise was found, and no QRS complex.")]
    what = "either no ECG, or a rhythm without QRS complexes such as ventricular fibrillation"
    return [_withheld("no_qrs", f"No QRS complex was found: this is {what}.")]


def judged_beats(traced: TracedEcg | None) -> list[tuple[Beats, Tracing]]:
    """The parts whose beats may be judged: those of a heart, or else what there is of beats that are alike."""
    found = beats_of_heart(traced)
    if found or traced is None or traced.rhythm.contrast < CONTRAST:
        return found
    return [(beats, part) for beats, part in traced.parts if beats.share >= _SHARE_UNSURE]


def _withheld(code: str, message: str) -> InputWarning:
    return InputWarning(code, message, severity="withheld")


def _is_one_curve(tracing: Tracing) -> bool:
    if len(tracing.leads) < _FEWEST_LEADS:
        return False
    present_N = tracing.present_LN.all(axis=0)
    signal_LN = tracing.signal_mv_LN[:, present_N] if present_N.any() else tracing.signal_mv_LN
    level_LN = signal_LN - uniform_filter1d(signal_LN, _SLOW, axis=1, mode="nearest")  # wander may be one for all
    level_LN /= np.maximum(np.linalg.norm(level_LN, axis=1, keepdims=True), 1e-12)
    strength_L = np.linalg.eigvalsh(level_LN @ level_LN.T)
    return bool(strength_L[-1] > _ONE_SHAPE * strength_L.sum())


def _is_one_beat(beats: Beats) -> bool:
    """The same of the typical beat, in which noise counts for little: of the means of beats taken in turn, whose halved
    sum holds as much noise as their halved difference."""
    one_LW, other_LW = (np.nan_to_num(beats.typical(slice(first, None, 2))) for first in (0, 1))
    beat_LW, noise_LW = 0.5 * (one_LW + other_LW), 0.5 * (one_LW - other_LW)
    power_L = np.mean(beat_LW**2, axis=1)
    clear_L = power_L > _CLEAR * np.median(power_L)
    if np.count_nonzero(clear_L) < max(_FEWEST_LEADS, _MOST_LEADS * len(clear_L)):
        return False
    size_L1 = np.sqrt(power_L[clear_L])[:, None]
    beat_LW, noise_LW = beat_LW[clear_L] / size_L1, noise_LW[clear_L] / size_L1
    curve_L = np.linalg.eigh(beat_LW @ beat_LW.T)[1][:, -1]
    left, noise = (float(np.sum((of_LW - np.outer(curve_L, curve_L @ of_LW)) ** 2)) for of_LW in (beat_LW, noise_LW))
    energy = float(np.sum(beat_LW**2))
    unexplained = left - noise
    return noise < _NOISE_OF_BEAT * energy and -_CLEAR * noise <= unexplained < _ONE_BEAT * energy


def _is_too_short(traced: TracedEcg) -> bool:
    """Whether a few peaks stand out of a recording that is too short to show that they repeat."""
    short = traced.tracing.signal_mv_LN.shape[1] < _SHORT_S * RATE_HZ
    return short and traced.rhythm.contrast >= CONTRAST and len(traced.rhythm.r_B) <= _FEW_BEATS


def _spectrum_of(tracing: Tracing) -> tuple[float, float, float]:
    """Of the middle lead: the strongest line in hertz, its share, and how broad the spectrum is, both 0 to 1."""
    power_LF, step_hz = _powers(tracing.signal_mv_LN)
    power_LF = power_LF[:, 1:]  # without the mean
    total_L = np.maximum(power_LF.sum(axis=1), 1e-20)
    tones, at_hz = [], []
    for row_F, total in zip(power_LF, total_L, strict=True):
        at = int(row_F.argmax())
        at_hz.append((at + 1) * step_hz)
        tones.append(float(row_F[max(0, at - _TONE_REACH) : at + _TONE_REACH + 1].sum() / total))
    low, high = (round(limit_hz / step_hz) for limit_hz in _BROAD_HZ)
    band_LF = np.maximum(power_LF[:, low:high], 1e-20)
    broad_L = np.exp(np.log(band_LF).mean(axis=1)) / band_LF.mean(axis=1)
    return float(np.median(at_hz)), float(np.median(tones)), float(np.median(broad_L))


def _powers(signal_LN: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """(L, F) power and the distance of F in hertz."""
    length = min(signal_LN.shape[1], round(2 * RATE_HZ))
    frequency_hz_F, power_LF = welch(signal_LN, fs=RATE_HZ, nperseg=length, axis=1)
    return power_LF, float(frequency_hz_F[1])
