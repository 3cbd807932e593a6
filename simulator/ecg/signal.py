"""A simulated 12-lead ECG: a moving heart dipole, projected to the leads, as an electrocardiograph would record it.

Eight leads are independent (I, II, V1..V6); III, aVR, aVL and aVF follow from I and II by Einthoven and Goldberger.
What the beat looks like is `simulator.ecg.heart`' business, what the recording adds is `simulator.ecg.recorder`'s.

Letters in array names: L leads (in the order of STANDARD_LEADS), K independent leads, D dipole directions, N samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simulator.ecg.heart import (
    Beat,
    Bump,
    Electrics,
    shape_beat,
)
from simulator.ecg.recorder import EcgRecorder, record
from simulator.physiology import Physiology

# Lead field of Dower (1980): I, II, V1..V6 from a dipole pointing left, to the feet, to the back.
LEAD_FIELD_KD = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)

_REACH = 4.0
"""Widths after which a bump is nothing (exp(-8) of its height)."""


def simulate_ecg(
    physiology: Physiology,
    *,
    electrics: Electrics,
    recorder: EcgRecorder,
    rng: Generator,
    duration_s: float = 10.0,
) -> NDArray[np.float32]:
    """One recording of this heart: (12, N) float32 millivolt at `recorder.rate_hz`, leads as in STANDARD_LEADS."""
    leads_KN = heart_leads(physiology, electrics=electrics, rate_hz=recorder.rate_hz, duration_s=duration_s, rng=rng)
    return twelve_leads(record(leads_KN, recorder=recorder, skin_noise=electrics.skin_noise, rng=rng))


def twelve_leads(leads_KN: NDArray[np.float64]) -> NDArray[np.float32]:
    """(8, N) independent leads I, II, V1..V6 to the twelve of STANDARD_LEADS, float32."""
    one, two = leads_KN[0], leads_KN[1]
    limb = [one, two, two - one, -0.5 * (one + two), one - 0.5 * two, two - 0.5 * one]
    return np.concatenate([limb, leads_KN[2:]]).astype(np.float32)


def heart_leads(
    physiology: Physiology, *, electrics: Electrics, rate_hz: float, duration_s: float, rng: Generator
) -> NDArray[np.float64]:
    """What the heart alone gives, before noise and filters: (8, N) millivolt in I, II, V1..V6."""
    beat = shape_beat(physiology, electrics, rng)
    rhythm = _rhythm(physiology, beat, duration_s, rng)
    samples = round(duration_s * rate_hz)
    dipole_DN = np.zeros((3, samples))
    for moment in rhythm:
        for bump in beat.ectopic if moment.ectopic else beat.bumps:
            _add_bump(dipole_DN, bump, moment, rate_hz)
    if physiology.rhythm == "atrial_fibrillation":
        _add_fibrillation(dipole_DN, electrics.fibrillation_voltage, rate_hz, rng)
    field_KD = LEAD_FIELD_KD * electrics.lead_scatter * rng.normal(1.0, 0.025, size=(8, 1))
    field_KD[:2] *= beat.limb_gain
    field_KD[2:] *= beat.chest_gain
    # Not a BLAS product: its threads cost more than so small a product.
    leads_KN: NDArray[np.float64] = np.einsum("kd,dn->kn", field_KD, dipole_DN)
    return leads_KN


@dataclass(frozen=True)
class _Moment:
    """One beat in time: QRS onset, and what is special about it."""

    onset_s: float
    gain: float
    ectopic: bool = False


def _rhythm(physiology: Physiology, beat: Beat, duration_s: float, rng: Generator) -> list[_Moment]:
    """QRS onsets from before the recording until after its end."""
    mean_rr_s = 60.0 / physiology.heart_rate_bpm
    fibrillates = physiology.rhythm == "atrial_fibrillation"
    breath_hz, breath_phase = rng.uniform(0.18, 0.32), rng.uniform(0.0, 2.0 * np.pi)
    variability = rng.uniform(0.008, 0.045)
    moments: list[_Moment] = []
    onset_s = -rng.uniform(0.0, 1.0) * mean_rr_s - mean_rr_s
    while onset_s < duration_s + 1.0:
        swing = beat.alternans * (1.0 if len(moments) % 2 else -1.0)
        moments.append(_Moment(onset_s, 1.0 + swing))
        if fibrillates:
            rr_s = max(0.32, mean_rr_s * rng.gamma(22.0, 1.0 / 22.0))
        else:
            breath = np.sin(2.0 * np.pi * breath_hz * onset_s + breath_phase)
            rr_s = mean_rr_s * (1.0 + variability * breath + 0.5 * variability * rng.normal())
        if rng.random() < beat.ectopic_beats_per_s * rr_s:
            early_s = onset_s + rr_s * rng.uniform(0.60, 0.75)
            moments.append(_Moment(early_s, 1.0, ectopic=True))
            rr_s = 2.0 * rr_s if not fibrillates else early_s - onset_s + 1.1 * mean_rr_s  # the compensatory pause
        onset_s += rr_s
    return moments


def _add_bump(dipole_DN: NDArray[np.float64], bump: Bump, moment: _Moment, rate_hz: float) -> None:
    centre = (moment.onset_s + bump.centre_ms / 1000.0) * rate_hz
    before, after = bump.before_ms * rate_hz / 1000.0, bump.after_ms * rate_hz / 1000.0
    first = max(0, int(np.ceil(centre - _REACH * before)))
    last = min(dipole_DN.shape[1], int(centre + _REACH * after) + 1)
    if first >= last:
        return
    distance = np.arange(first, last) - centre
    distance /= np.where(distance < 0, before, after)
    height = np.exp(-0.5 * distance * distance)
    dipole_DN[:, first:last] += np.multiply.outer(moment.gain * np.array(bump.dipole_mv), height)


def _add_fibrillation(dipole_DN: NDArray[np.float64], voltage: float, rate_hz: float, rng: Generator) -> None:
    """Fibrillatory waves: two restless oscillations of 4 to 8 Hz, largest towards V1."""
    t_s = np.arange(dipole_DN.shape[1]) / rate_hz
    for direction in ((-0.45, 0.35, -0.80), (0.20, 0.70, -0.30)):
        rate, wobble_hz = rng.uniform(4.5, 7.5), rng.uniform(0.2, 0.9, size=2)
        phase = rng.uniform(0.0, 2.0 * np.pi, size=3)
        angle = 2.0 * np.pi * rate * t_s + 1.6 * np.sin(2.0 * np.pi * wobble_hz[0] * t_s + phase[0]) + phase[1]
        swell = 1.0 + 0.45 * np.sin(2.0 * np.pi * wobble_hz[1] * t_s + phase[2])
        dipole_DN += np.multiply.outer(
            voltage * np.array(direction), swell * (np.sin(angle) + 0.3 * np.sin(2.0 * angle))
        )
