"""When the ventricles beat, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator

from simulator.ecg.electrics import Electrics
from simulator.physiology import Physiology

Origin = Literal["usual", "atrial", "ventricular"]
"""What starts a beat: what starts all of them in this rhythm, or an early focus."""

_SLOWEST_FLUTTER_PER_MIN, _FASTEST_FLUTTER_PER_MIN = 240.0, 320.0
_FLUTTER_RATIOS = (2, 3, 4)


@dataclass(frozen=True)
class Moment:
    """One beat in time: QRS onset, and what is special about it."""

    onset_s: float
    gain: float = 1.0
    origin: Origin = "usual"


@dataclass(frozen=True)
class Flutter:
    """Flutter as the ventricles bind it: each `ratio`-th of `waves_per_min` is conducted."""

    waves_per_min: float
    ratio: int


def flutter_of(physiology: Physiology, electrics: Electrics) -> Flutter:
    """The conduction that comes nearest to the heart rate, with the atria as near to their own rate as that allows."""

    def flutter(ratio: int) -> Flutter:
        waves = np.clip(physiology.heart_rate_bpm * ratio, _SLOWEST_FLUTTER_PER_MIN, _FASTEST_FLUTTER_PER_MIN)
        return Flutter(float(waves), ratio)

    def strays(one: Flutter) -> tuple[float, float]:
        off_bpm = abs(one.waves_per_min / one.ratio - physiology.heart_rate_bpm)
        return round(off_bpm, 6), abs(one.waves_per_min - electrics.flutter_per_min)

    return min((flutter(ratio) for ratio in _FLUTTER_RATIOS), key=strays)


def beat_moments(
    physiology: Physiology,
    electrics: Electrics,
    *,
    ventricular_per_s: float,
    alternans: float,
    duration_s: float,
    rng: Generator,
) -> list[Moment]:
    """QRS onsets from before the recording until after its end.

    ventricular_per_s: premature ventricular beats. alternans: relative swing of every second beat.
    """
    mean_rr_s = 60.0 / physiology.heart_rate_bpm
    breath_hz, breath_phase = rng.uniform(0.18, 0.32), rng.uniform(0.0, 2.0 * np.pi)
    variability = rng.uniform(0.008, 0.045)
    atrial_per_s = 0.02 * electrics.atrial_ectopy if physiology.rhythm == "sinus" else 0.0
    flutter = flutter_of(physiology, electrics)
    moments: list[Moment] = []
    onset_s = -rng.uniform(0.0, 1.0) * mean_rr_s - mean_rr_s
    while onset_s < duration_s + 1.0:
        moments.append(Moment(onset_s, 1.0 + alternans * (1.0 if len(moments) % 2 else -1.0)))
        gamma, normal, chance = rng.gamma(22.0, 1.0 / 22.0), rng.normal(), rng.random()
        if physiology.conduction == "paced" and physiology.rhythm != "sinus":
            rr_s = mean_rr_s  # nothing to follow: the pacemaker's own rate
        elif physiology.rhythm == "atrial_fibrillation":
            rr_s = max(0.32, mean_rr_s * gamma)
        elif physiology.rhythm == "atrial_flutter":
            ratio = flutter.ratio
            if electrics.flutter_varies:
                ratio = int(np.clip(ratio + (normal > 0.8) - (normal < -0.8), 2, 5))
            rr_s = 60.0 * ratio / flutter.waves_per_min
        else:
            breath = np.sin(2.0 * np.pi * breath_hz * onset_s + breath_phase)
            rr_s = mean_rr_s * (1.0 + variability * breath + 0.5 * variability * normal)
        if chance < ventricular_per_s * rr_s:
            early_s = onset_s + rr_s * rng.uniform(0.60, 0.75)
            moments.append(Moment(early_s, origin="ventricular"))
            # The sinus node keeps its time; fibrillation knows none; flutter is bound to whole turns.
            rr_s = early_s - onset_s + 1.1 * mean_rr_s if physiology.rhythm == "atrial_fibrillation" else 2.0 * rr_s
        elif chance > 1.0 - atrial_per_s * rr_s:
            early_s = onset_s + rr_s * rng.uniform(0.62, 0.80)
            moments.append(Moment(early_s, origin="atrial"))
            rr_s = early_s - onset_s + 1.05 * mean_rr_s  # resets the sinus node
        onset_s += rr_s
    return moments
