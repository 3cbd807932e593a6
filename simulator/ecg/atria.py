"""P waves, and what the atria do instead.

Sources: left-atrial P terminal force, Morris et al., Circulation 1964;29:242. P pulmonale and the vertical P axis of
lung disease, Baljepally and Spodick, Clin Cardiol 1999;22:226. Flutter, Cosio, Arrhythm Electrophysiol Rev 2017;6:55.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simulator.ecg.burden import Burden
from simulator.ecg.electrics import Electrics
from simulator.ecg.waves import Bump
from simulator.physiology import Physiology


def p_wave(physiology: Physiology, electrics: Electrics, burden: Burden, pr_ms: float) -> list[Bump]:
    """Right atrium, then left: wider and further apart in a large left atrium, tall and vertical in lung disease."""
    e, x = electrics, electrics.expression
    wide, deep = x.atrium_width * burden.atrium, x.atrium_depth * burden.atrium
    lung = x.lung_p if physiology.cause == "lung" else 0.0
    duration = float(np.clip(e.p_ms + 9.0 * wide, 70.0, min(175.0, pr_ms - 12.0)))
    apart = 0.15 + 0.03 * max(0.0, wide)
    ra = e.p_voltage * (1.0 + 0.30 * x.right_forces * burden.right + 0.35 * lung)
    la = e.p_voltage * max(0.3, 1.0 + 0.18 * deep)
    middle = -pr_ms + 0.5 * duration
    width = 0.15 * duration
    upright = 1.0 / (1.0 + 0.6 * lung)
    return [
        Bump(middle - apart * duration, width, width, (0.050 * upright * ra, 0.088 * ra, -0.055 * ra)),
        Bump(middle + apart * duration, width, width, (0.070 * upright * la, 0.045 * la, (0.045 + 0.016 * deep) * la)),
    ]


def early_p_wave(electrics: Electrics, pr_ms: float) -> list[Bump]:
    """Of a premature atrial beat: from elsewhere, so of another shape."""
    x, y, z = electrics.ectopic_direction
    width = 0.17 * electrics.p_ms
    return [Bump(-pr_ms + 0.5 * electrics.p_ms, width, width, (0.09 * x, 0.11 * y, 0.07 * z))]


def add_fibrillation(dipole_DN: NDArray[np.float64], voltage: float, rate_hz: float, rng: Generator) -> None:
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


# A turn around the tricuspid valve in the usual sense: II, III, aVF see it go down slowly and up at once; V1 upright.
_FLUTTER_TIMES = np.array([0.0, 0.55, 0.70, 0.85, 1.0])
_FLUTTER_DOWN = np.array([0.35, -0.75, -0.65, 0.45, 0.35])


def add_flutter(dipole_DN: NDArray[np.float64], voltage: float, turns_N: NDArray[np.float64]) -> None:
    """Saw teeth. turns_N: how many turns the flutter has made by each sample."""
    phase_N = turns_N % 1.0
    downwards_N = np.interp(phase_N, _FLUTTER_TIMES, _FLUTTER_DOWN)
    forwards_N = np.exp(-0.5 * np.square((phase_N - 0.78) / 0.10))
    dipole_DN[1] += voltage * downwards_N
    dipole_DN[0] += 0.08 * voltage * downwards_N
    dipole_DN[2] -= 0.45 * voltage * (forwards_N - 0.25)
