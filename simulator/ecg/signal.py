"""A simulated 12-lead ECG: a moving heart dipole, projected to the leads, as an electrocardiograph would record it.

Eight leads are independent (I, II, V1..V6); III, aVR, aVL and aVF follow from I and II by Einthoven and Goldberger.
What the beat looks like is `simulator.ecg.heart`' business, what the recording adds is `simulator.ecg.recorder`'s.

Letters in array names: L leads (in the order of STANDARD_LEADS), K independent leads, D dipole directions, N samples.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simulator.ecg.atria import add_fibrillation, add_flutter
from simulator.ecg.electrics import Electrics
from simulator.ecg.heart import Beat, shape_beat
from simulator.ecg.recorder import EcgRecorder, record
from simulator.ecg.rhythm import Moment, beat_moments, flutter_of
from simulator.ecg.waves import Bump, dipole_at
from simulator.physiology import Physiology

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
    moments = moments_of(physiology, electrics, beat, duration_s, rng)
    dipole_DN = np.zeros((3, round(duration_s * rate_hz)))
    shapes = {"usual": beat.bumps, "atrial": beat.early_atrial, "ventricular": beat.early_ventricular}
    for moment in moments:
        _add_beat(dipole_DN, shapes[moment.origin], moment, rate_hz)
    if physiology.rhythm == "atrial_fibrillation":
        add_fibrillation(dipole_DN, electrics.fibrillation_voltage, rate_hz, rng)
    if physiology.rhythm == "atrial_flutter":
        turns_per_s = flutter_of(physiology, electrics).waves_per_min / 60.0
        t_s = np.arange(dipole_DN.shape[1]) / rate_hz
        add_flutter(dipole_DN, electrics.flutter_voltage, turns_per_s * (t_s - moments[0].onset_s) + 0.6)
    return seen_by_leads(beat, dipole_DN)


def seen_by_leads(beat: Beat, dipole_DN: NDArray[np.float64]) -> NDArray[np.float64]:
    """(D, N) dipole to (8, N) millivolt in I, II, V1..V6, as the electrodes of this recording lie."""
    # Not a BLAS product: its threads cost more than so small a product.
    return np.asarray(np.einsum("kd,dn->kn", beat.field_KD, dipole_DN))


def moments_of(
    physiology: Physiology, electrics: Electrics, beat: Beat, duration_s: float, rng: Generator
) -> list[Moment]:
    """The beats of one recording; `rng` as `shape_beat` left it."""
    return beat_moments(
        physiology,
        electrics,
        ventricular_per_s=beat.ectopic_beats_per_s,
        alternans=beat.alternans,
        duration_s=duration_s,
        rng=rng,
    )


def _add_beat(dipole_DN: NDArray[np.float64], bumps: tuple[Bump, ...], moment: Moment, rate_hz: float) -> None:
    """Only the samples that the beat reaches."""
    begins_ms = min(bump.centre_ms - _REACH * bump.before_ms for bump in bumps)
    ends_ms = max(bump.centre_ms + _REACH * bump.after_ms for bump in bumps)
    first = max(0, int(np.ceil((moment.onset_s + begins_ms / 1000.0) * rate_hz)))
    last = min(dipole_DN.shape[1], int((moment.onset_s + ends_ms / 1000.0) * rate_hz) + 1)
    if first < last:
        times_ms_N = (np.arange(first, last) / rate_hz - moment.onset_s) * 1000.0
        dipole_DN[:, first:last] += moment.gain * dipole_at(bumps, times_ms_N)
