"""The QRS complex: how excitation runs through the ventricles, and what disease takes from it.

Each kind of conduction is a walk of nine bumps through the ventricles; a person's texture makes it their own. Times are
shares of the QRS duration. Dipoles in millivolt: x to the left, y to the feet, z to the back.

Sources: order of excitation, Durrer et al., Circulation 1970;41:899. Left bundle block, Strauss et al., Am J Cardiol
2011;107:927; how much area it has, Mafi Rad et al., Heart Rhythm 2016;13:217 (108 +- 42 mV ms). Fascicles, Elizari et
al., Circulation 2007;115:1154. Amyloid, Murtagh et al., Am J Cardiol 2005;95:535. Septal hypertrophy, Maron et al.,
Am J Cardiol 1983;51:189. Pacing, scars as absent forces and the right ventricle are textbook.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.ecg.burden import Burden
from simulator.ecg.electrics import Electrics, QrsTexture
from simulator.ecg.waves import Bump, vector
from simulator.physiology import Conduction, Physiology
from simulator.segments import SEGMENTS

_Walk = NDArray[np.float64]
"""(9, 4): when, and the dipole."""

# Septum first, to the right and front; then the apex; then the free wall of the left ventricle; the base last.
_NORMAL: _Walk = np.array(
    [
        [0.13, -0.080, 0.01, -0.090],
        [0.22, -0.050, 0.10, -0.170],
        [0.32, 0.330, 0.28, -0.240],
        [0.41, 0.800, 0.46, 0.000],
        [0.495, 0.910, 0.54, 0.280],
        [0.58, 0.410, 0.28, 0.570],
        [0.67, 0.070, 0.05, 0.640],
        [0.77, -0.080, -0.09, 0.330],
        [0.87, -0.040, -0.05, 0.060],
    ]
)
# From the right: no septal force to the right, then to the left at one height while the way back is deepest in between.
_LEFT_BUNDLE: _Walk = np.array(
    [
        [0.07, 0.08, 0.05, -0.06],
        [0.17, 0.40, 0.22, 0.20],
        [0.28, 0.84, 0.32, 0.76],
        [0.39, 0.74, 0.24, 1.26],
        [0.50, 0.76, 0.16, 1.36],
        [0.61, 0.80, 0.08, 1.00],
        [0.73, 0.50, 0.00, 0.48],
        [0.84, 0.16, -0.04, 0.18],
        [0.94, 0.03, -0.03, 0.05],
    ]
)
# The left ventricle as ever, then the right alone: slowly to the right and front.
_RIGHT_BUNDLE: _Walk = np.array(
    [
        [0.07, -0.08, 0.01, -0.09],
        [0.14, -0.05, 0.10, -0.18],
        [0.22, 0.33, 0.28, -0.28],
        [0.29, 0.84, 0.48, -0.08],
        [0.36, 0.90, 0.50, 0.28],
        [0.44, 0.36, 0.20, 0.40],
        [0.57, -0.16, 0.02, -0.10],
        [0.71, -0.34, 0.00, -0.50],
        [0.86, -0.28, 0.03, -0.42],
    ]
)
# First down and to the right through the posterior fascicle, then all of the front wall late, up and to the left.
_LEFT_ANTERIOR: _Walk = np.array(
    [
        [0.09, -0.130, 0.10, -0.100],
        [0.18, -0.110, 0.26, -0.150],
        [0.29, 0.380, 0.18, -0.240],
        [0.40, 0.860, -0.12, 0.020],
        [0.50, 1.000, -0.56, 0.440],
        [0.60, 0.780, -0.78, 0.660],
        [0.71, 0.320, -0.56, 0.500],
        [0.82, 0.060, -0.26, 0.240],
        [0.92, 0.000, -0.08, 0.060],
    ]
)
# From the apex of the right ventricle, through muscle alone: up, back and, more or less, to the left.
_PACED: _Walk = np.array(
    [
        [0.08, 0.08, -0.10, 0.02],
        [0.18, 0.30, -0.44, 0.24],
        [0.29, 0.54, -0.92, 0.66],
        [0.40, 0.58, -1.20, 1.06],
        [0.51, 0.56, -1.16, 1.22],
        [0.62, 0.46, -0.80, 0.92],
        [0.74, 0.26, -0.38, 0.46],
        [0.85, 0.10, -0.14, 0.18],
        [0.95, 0.02, -0.04, 0.05],
    ]
)
_WALKS: dict[Conduction, _Walk] = {
    "normal": _NORMAL,
    "left_bundle_block": _LEFT_BUNDLE,
    "right_bundle_block": _RIGHT_BUNDLE,
    "left_anterior_block": _LEFT_ANTERIOR,
    "paced": _PACED,
}
_LONGER_MS: dict[Conduction, float] = {
    "normal": 0.0,
    "left_bundle_block": 56.0,
    "right_bundle_block": 46.0,
    "left_anterior_block": 9.0,
    "paced": 72.0,
}

_CREEPS_FROM: dict[Conduction, int] = {"left_bundle_block": 0, "paced": 0, "right_bundle_block": 6}
"""The bump from which on muscle alone conducts: all of the left ventricle, or what the right one has late."""
_CREEPING = 1.4
"""Widths of such a bump, which has the same area. Beyond, nine of them would run into one wave as slow as T."""

# Where the walls of the left ventricle lie in the chest: along its axis, to its lateral and to its anterior wall.
_AXIS_D = np.array([0.72, 0.42, -0.55])
_LATERAL_D = np.array([0.64, -0.09, 0.77])
_ANTERIOR_D = np.array([0.27, -0.90, -0.33])
_SCARRED_BELOW = 0.70
"""Motion of a segment that is scarred, against 1 of a normal one."""
_SCAR_MV = 0.31
"""What one still segment alone no longer gives; of many, partly hidden by each other, each takes less."""


def qrs_duration_ms(physiology: Physiology, electrics: Electrics, burden: Burden) -> float:
    """Of the whole excitation, before what differs from one recording to the next."""
    e, x = electrics, electrics.expression
    duration = e.qrs_ms + (5.0 if physiology.sex == "male" else 0.0) + _LONGER_MS[physiology.conduction]
    duration += burden.pump * (5.0 * x.pump_width + e.slowing_ms) + 2.5 * x.mass_voltage * burden.mass
    duration += 2.5 * x.dilatation * burden.dilated + 1.5 * physiology.aortic_stenosis
    return float(np.clip(duration, 68.0, 215.0))


def depolarise(physiology: Physiology, electrics: Electrics, burden: Burden, qrs_ms: float) -> list[Bump]:
    """The bumps of a heart that lies as a textbook's does; whoever calls turns and scales it."""
    e, x = electrics, electrics.expression
    walk = _WALKS[physiology.conduction].copy()
    early, middle, late = walk[:2, 1:], walk[2:6, 1:], walk[6:, 1:]
    if physiology.conduction in ("normal", "left_anterior_block", "right_bundle_block"):
        right = x.right_forces * burden.right
        early *= 1.0 + np.array([0.30, 0.0, 0.25]) * right
        middle /= 1.0 + np.array([0.13, 0.0, 0.22]) * right
        late += right * np.array([-0.11, -0.03, -0.11])
        if physiology.cause == "hypertrophic":  # a thick septum is excited first, to the right and front
            early[:] *= 1.0 + 1.9 * x.septal_q
        early[:, 0] -= 0.04 * x.dilatation * max(0.0, burden.dilated)
        if physiology.cause == "amyloid":  # pseudo-infarct: no force to the front
            walk[:4, 3] += 0.26 * x.amyloid_forces
            walk[:3, 2] -= 0.10 * x.amyloid_forces
        walk[1:4, 3] += 0.09 * x.pump_turn * burden.pump
    if physiology.conduction == "paced":
        walk[:, 1] *= e.paced_left
    creeps = _CREEPS_FROM.get(physiology.conduction, len(walk))
    walk[4:8, 3] *= 0.90 if physiology.sex == "female" else 1.18  # S in V3: Casale's two limits
    bumps = _textured(walk, e.texture, qrs_ms, e.time_scale, creeps)
    if creeps > 0:
        ill = 1.0 + 0.5 * burden.thick + 0.5 * burden.pump  # fibrosis, and muscle in other proportions
        bumps.append(Bump(0.18 * qrs_ms, 0.075 * qrs_ms, 0.085 * qrs_ms, vector(ill * np.array(e.first_forces))))
    return bumps + _scar(physiology, x.scar_forces, qrs_ms)


def scar_direction(physiology: Physiology) -> NDArray[np.float64]:
    """(3,) what points out through the scarred segments, longer where more of them are still; zero without a scar."""
    if physiology.infarct == "none":
        return np.zeros(3)
    lost_ND = [lost * outward_D for lost, outward_D, _ in _still_segments(physiology)]
    return np.asarray(np.sum([np.zeros(3), *lost_ND], axis=0))


def scar_shown(physiology: Physiology) -> float:
    """Behind a block of the left bundle, or paced, most of a scar is hidden: excitation comes from elsewhere."""
    return 0.4 if physiology.conduction in ("left_bundle_block", "paced") else 1.0


def _textured(walk: _Walk, texture: QrsTexture, qrs_ms: float, time_scale: float, creeps: int) -> list[Bump]:
    """The walk as this person goes it; what a split bump loses in the middle it gains beside it.

    creeps: the bump from which on excitation goes from cell to cell and not along fibres: broader bumps, none split.
    """
    bumps: list[Bump] = []
    for number, (when, *dipole) in enumerate(walk):
        vector_D = np.array(dipole)
        vector_D += np.linalg.norm(vector_D) * texture.stray_BD[number]
        slower = _CREEPING if number >= creeps else 1.0
        apart = texture.split_B[number] if slower == 1.0 else 0.0
        when += texture.shift_B[number]
        parts = ((0.0, 1.0),) if apart == 0.0 else ((-apart, 0.80), (apart, 0.95))
        narrowed = slower if apart == 0.0 else 0.72
        for offset, share in parts:
            spread = narrowed * texture.width_B[number] * time_scale * qrs_ms
            bumps.append(Bump((when + offset) * qrs_ms, spread, spread, vector(share / slower * vector_D)))
    return bumps


def _still_segments(physiology: Physiology) -> list[tuple[float, NDArray[np.float64], float]]:
    """How much of each scarred segment is lost (0 to 1), which way it lies, and when it would be excited (ms of 88)."""
    found = []
    for segment, motion in zip(SEGMENTS, physiology.segment_motion, strict=True):
        lost = float(np.clip((_SCARRED_BELOW - motion) / 0.6, 0.0, 1.0))
        if lost > 0.0:
            angle = np.deg2rad(segment.angle_deg)
            around_D = np.cos(angle) * _LATERAL_D + np.sin(angle) * _ANTERIOR_D
            outward_D = (1.0 - 0.6 * segment.level**2) * around_D + segment.level * _AXIS_D
            # Septum and what lies beside it below are first, the lateral base is last.
            when_ms = 8.0 + 12.0 * (1.0 - segment.level) + 8.5 * (1.0 + np.cos(angle)) ** 2
            when_ms -= 6.0 * max(0.0, -np.sin(angle))
            found.append((lost, outward_D / np.linalg.norm(outward_D), float(when_ms)))
    return found


def _scar(physiology: Physiology, shows: float, qrs_ms: float) -> list[Bump]:
    """Forces that an old infarct no longer gives: in the first 40 ms, pointing away from the scar."""
    if physiology.infarct == "none":
        return []
    height_mv = (
        _SCAR_MV * scar_shown(physiology) * shows / (1.0 + 0.6 * float(np.linalg.norm(scar_direction(physiology))))
    )
    bumps = []
    for lost, outward_D, when_ms in _still_segments(physiology):
        centre_ms, width_ms = when_ms * (0.5 + 0.5 * qrs_ms / 88.0), 10.0
        bumps.append(Bump(centre_ms, width_ms, width_ms, vector(-height_mv * lost * outward_D)))
    return bumps


def spike(electrics: Electrics, qrs_onset_ms: float) -> Bump:
    """What a pacemaker gives: under 2 ms long at half its height, of its own size and direction."""
    height_D = electrics.spike_mv * np.array(electrics.spike_direction)
    return Bump(qrs_onset_ms - 9.0, 0.7, 0.8, vector(height_D))


def ectopic_beat(electrics: Electrics, voltage: float) -> tuple[Bump, ...]:
    """A premature ventricular beat: broad, from its own corner of the heart, with a T wave against its QRS."""
    x, y, z = electrics.ectopic_direction
    start = np.array([x, y, z])
    middle = np.array([0.8 * x + 0.5 * y, 0.8 * y - 0.5 * x, z])
    bumps = [
        Bump(28.0, 10.0, 12.0, vector(0.35 * voltage * start)),
        Bump(58.0, 15.0, 16.0, vector(1.1 * voltage * start)),
        Bump(90.0, 14.0, 16.0, vector(0.9 * voltage * middle)),
        Bump(122.0, 14.0, 18.0, vector(0.6 * voltage * middle)),
    ]
    return (*bumps, replace(bumps[1], centre_ms=330.0, before_ms=62.0, after_ms=42.0,
                            dipole_mv=vector(-0.45 * voltage * (start + 0.6 * middle))))  # fmt: skip
