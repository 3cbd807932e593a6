"""What lies over the heart's signal: wander, the mains' hum, noise, a calibration pulse, a pacemaker's spikes.

Letters in array names: L leads, N samples, B beats, W samples of a beat, V = B x W.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from inputs.ecg.gate.known import median_of_known
from inputs.ecg.gate.levels import listing
from inputs.ecg.measured.beats import Beats
from inputs.ecg.measured.measure import beats_of_heart
from inputs.ecg.measured.traced import TracedEcg
from inputs.ecg.measured.tracing import RATE_HZ, Tracing
from inputs.records import InputWarning

WANDER_MV = 1.0
"""Peak to peak of the baseline: two large squares."""
HUM_MV = 0.05
"""Half a small square."""
NOISE_MV = 0.08
_SLOW = round(1.2 * RATE_HZ)
"""A mean over so long holds a beat at any usual rate, and so hardly moves with it."""
_FEWEST_SPIKES = 3
_OF_R = round(0.024 * RATE_HZ)
"""Nearer to the fiducial point of a QRS, a short pulse is the peak of a narrow QRS."""
_OF_NO_BEAT = round(0.12 * RATE_HZ)

_PULSE_AT_ENDS = round(1.6 * RATE_HZ)
_PULSE_S = (0.08, 0.6)
"""An electrocardiograph draws 200 ms; some 100, some 400."""
_PULSE_MV = (0.4, 2.5)
_EDGE = round(0.02 * RATE_HZ)
_SAME = 0.08
"""Of a pulse's height: how far leads may differ in it, which no heart's wave does."""
_FEWEST_PULSED = 6


def disturbance_warnings(traced: TracedEcg, lifeless: tuple[str, ...]) -> list[InputWarning]:
    """`wander`, `mains_hum`, `noisy` and `disconnected` with their leads, `calibration_pulse` and `pacing_spikes`.

    lifeless: the leads in which no beat stands out.
    """
    tracing, found = traced.tracing, []
    wander_mv_L = np.ptp(uniform_filter1d(tracing.signal_mv_LN, _SLOW, axis=1, mode="nearest"), axis=1)
    found += _of_leads("wander", tracing, wander_mv_L > WANDER_MV, "The baseline of {} wanders")
    found += _of_leads("mains_hum", tracing, tracing.hum_mv_L > HUM_MV, "The mains hum in {}")
    found += _noise(beats_of_heart(traced), lifeless)
    if _has_pulse(tracing.signal_mv_LN):
        message = "A rectangular pulse stands in all leads at an end, as a calibration does: cut it off."
        found.append(InputWarning("calibration_pulse", message, tracing.leads))
    if _is_paced(traced):
        message = "Spikes as of a pacemaker were found: the model has hardly seen paced hearts."
        found.append(InputWarning("pacing_spikes", message))
    return found


def _of_leads(code: str, tracing: Tracing, which_L: NDArray[np.bool_], sentence: str) -> list[InputWarning]:
    leads = tuple(np.array(tracing.leads)[which_L].tolist())
    if not leads:
        return []
    return [InputWarning(code, sentence.format(listing(leads)) + ".", leads)]


def _noise(found: Sequence[tuple[Beats, Tracing]], lifeless: tuple[str, ...]) -> list[InputWarning]:
    """What differs from beat to beat, of the part with the most leads; without beats all would be noise."""
    said = []
    if lifeless:
        message = f"No heartbeat stands out of the noise in {listing(lifeless)}."
        said.append(InputWarning("disconnected", message, lifeless))
    if found:
        beats, part = max(found, key=lambda one: len(one[1].leads))
        alive_L = np.array([lead not in lifeless for lead in part.leads])
        noisy_L = (_noise_mv(beats.beats_mv_BLW, beats.typical()) > NOISE_MV) & alive_L
        said += _of_leads("noisy", part, noisy_L, "There is much noise in {}")
    return said


def _noise_mv(beats_mv_BLW: NDArray[np.float64], typical_mv_LW: NDArray[np.float64]) -> NDArray[np.float64]:
    """(L,): the usual distance of a beat from the typical one, as a standard deviation."""
    off_BLW = beats_mv_BLW - typical_mv_LW
    off_BLW -= median_of_known(off_BLW, axis=2)
    off_LV = np.abs(off_BLW).transpose(1, 0, 2).reshape(off_BLW.shape[1], -1)
    noise_mv_L = 1.4826 * median_of_known(off_LV, axis=1).ravel()
    return np.asarray(np.nan_to_num(noise_mv_L))


def _is_paced(traced: TracedEcg) -> bool:
    """Whether half of the beats or more come with a short pulse in several leads, or several pulses far from any beat.

    The latter are those of a pacemaker that does not see the heart.
    """
    spikes_S, r_B = traced.tracing.spikes_S, traced.rhythm.r_B
    if len(spikes_S) < _FEWEST_SPIKES or len(r_B) == 0:
        return False
    from_r_S = np.abs(spikes_S[:, None] - r_B).min(axis=1)
    away, far = np.count_nonzero(from_r_S > _OF_R), np.count_nonzero(from_r_S > _OF_NO_BEAT)
    return bool(away >= max(_FEWEST_SPIKES, 0.5 * len(r_B)) or far >= _FEWEST_SPIKES)


def _has_pulse(signal_mv_LN: NDArray[np.float64]) -> bool:
    """Whether most leads rise and fall by one and the same height within one pulse's time near an end."""
    if len(signal_mv_LN) < _FEWEST_PULSED or signal_mv_LN.shape[1] < 2 * _PULSE_AT_ENDS:
        return False
    return any(_pulse_in(end_LN) for end_LN in (signal_mv_LN[:, :_PULSE_AT_ENDS], signal_mv_LN[:, -_PULSE_AT_ENDS:]))


def _pulse_in(end_mv_LN: NDArray[np.float64]) -> bool:
    step_LN = end_mv_LN[:, _EDGE:] - end_mv_LN[:, :-_EDGE]
    height_N = np.median(step_LN, axis=0)
    near_LN = np.abs(step_LN - height_N) < _SAME * np.abs(height_N)
    together_N = (np.count_nonzero(near_LN, axis=0) >= 0.75 * len(step_LN)) & (np.abs(height_N) >= _PULSE_MV[0])
    together_N &= np.abs(height_N) <= _PULSE_MV[1]
    up, down = np.flatnonzero(together_N & (height_N > 0)), np.flatnonzero(together_N & (height_N < 0))
    if not len(up) or not len(down):
        return False
    apart_s = (down[None, :] - up[:, None]) / RATE_HZ
    return bool(np.any((apart_s >= _PULSE_S[0]) & (apart_s <= _PULSE_S[1])))
