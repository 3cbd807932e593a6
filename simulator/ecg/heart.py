"""How a heart's structure shapes its beat: per-patient anatomy, and the table of structure -> ECG effects.

A beat is a moving dipole, written as a sum of bumps: each a vector in millivolt (x to the left, y to the feet, z to
the back) with its own time course. Nothing here knows leads, sampling or noise.

Every effect is scaled by traits that are drawn per patient and independent of disease (how strongly this body shows
what its heart has), so that effects overlap: most thick hearts keep normal voltage, some failing ones a normal ECG.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simulator.physiology import Physiology

Conduction = Literal["normal", "left_bundle_block", "right_bundle_block"]
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Electrics:
    """One patient's electrical constants, drawn once, so that two ECGs of one patient look alike."""

    frontal_rotation_deg: float
    """Positive turns the heart vertical (axis to the right)."""
    horizontal_rotation_deg: float
    """Positive turns it posterior (late R progression)."""
    lead_scatter: NDArray[np.float64]
    """(8, 3) factors on the lead field: this torso and these electrode habits."""
    voltage: float
    limb_voltage: float
    qrs_ms: float
    pr_ms: float
    p_ms: float
    qtc_ms: float
    p_voltage: float
    t_voltage: float
    t_rotation_deg: float
    expression: float
    """How much of a diseased heart shows: near 1, or a quarter in the fifth of people whose ECG stays bland."""
    mass_response: float
    infarct_response: float
    right_response: float
    slowing_ms: float
    """How much a failing ventricle slows its own excitation."""
    left_block_rank: float
    right_block_rank: float
    strain_rank: float
    ectopy: float
    ectopic_direction: Vector
    fibrillation_voltage: float
    skin_noise: float
    """Factor on every noise of this patient's recordings."""


@dataclass(frozen=True)
class Bump:
    """A Gaussian with two widths. Times in ms after QRS onset."""

    centre_ms: float
    before_ms: float
    after_ms: float
    dipole_mv: Vector


@dataclass(frozen=True)
class Beat:
    """One patient's beat on one recording, and what its neighbours in time need to know."""

    bumps: tuple[Bump, ...]
    ectopic: tuple[Bump, ...]
    conduction: Conduction
    qrs_ms: float
    pr_ms: float
    limb_gain: float
    chest_gain: float
    alternans: float
    """Relative swing of every second beat."""
    ectopic_beats_per_s: float


def sample_electrics(rng: Generator) -> Electrics:
    """Draw one patient's electrical constants; independent of disease."""
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    bland = rng.random() < 0.20
    return Electrics(
        frontal_rotation_deg=float(rng.normal(0.0, 15.0)),
        horizontal_rotation_deg=float(rng.normal(0.0, 12.0)),
        lead_scatter=rng.normal(1.0, 0.09, size=(8, 3)),
        voltage=float(np.exp(rng.normal(0.0, 0.19))),
        limb_voltage=float(np.exp(rng.normal(0.0, 0.08))),
        qrs_ms=float(rng.normal(85.5, 7.5)),
        pr_ms=float(rng.normal(156.0, 17.0)),
        p_ms=float(rng.normal(97.0, 7.0)),
        qtc_ms=float(rng.normal(408.0, 14.0)),
        p_voltage=float(np.exp(rng.normal(0.0, 0.16))),
        t_voltage=float(np.exp(rng.normal(0.0, 0.23))),
        t_rotation_deg=float(rng.normal(0.0, 9.0)),
        expression=0.25 if bland else float(rng.uniform(0.75, 1.30)),
        mass_response=float(rng.gamma(2.0, 0.5)),
        infarct_response=float(rng.uniform(0.3, 1.2)),
        right_response=float(rng.gamma(2.2, 1.0 / 2.2)),
        slowing_ms=float(rng.gamma(0.6, 7.0)),
        left_block_rank=float(rng.random()),
        right_block_rank=float(rng.random()),
        strain_rank=float(rng.random()),
        ectopy=float(rng.gamma(0.6, 1.0 / 0.6)),
        ectopic_direction=(float(direction[0]), float(direction[1]), float(direction[2])),
        fibrillation_voltage=float(rng.uniform(0.025, 0.085)),
        skin_noise=float(np.exp(rng.normal(0.0, 0.5))),
    )


def shape_beat(physiology: Physiology, electrics: Electrics, rng: Generator) -> Beat:
    """The beat of this heart on this recording. `rng` draws what differs from one recording to the next."""
    p, e = physiology, electrics
    shows = e.expression
    body_m2 = p.body_surface_m2
    elderly = (p.age_years - 60.0) / 20.0
    obesity = (p.weight_kg / (p.height_cm / 100.0) ** 2 - 26.0) / 6.0
    # Severities: 0 in a typical healthy heart, 1 in a clearly diseased one, continuous through the normal range.
    pump = float(np.clip((62.0 - p.lvef_percent) / 26.0, -0.5, 1.7))
    failing = max(0.0, pump)
    mass = float(np.clip(np.log(p.lv_mass_g / body_m2 / 85.0) / 0.45, -1.0, 2.2))
    thick = float(np.clip((max(p.septum_cm, p.posterior_wall_cm) - 1.05) / 0.40, 0.0, 2.0))
    dilated = float(np.clip(np.log(p.lvedv_ml / body_m2 / 55.0) / 0.40, -0.8, 2.2))
    atrium = float(np.clip((p.la_volume_index - 26.0) / 16.0, -0.5, 2.5))
    right = 0.65 * float(np.clip((p.pasp_mmhg - 30.0) / 22.0, 0.0, 2.0)) + 0.30 * p.rv_dysfunction
    right_shows = shows * right * e.right_response

    conduction: Conduction = "normal"
    qrs_ms = e.qrs_ms + (5.0 if p.sex == "male" else 0.0) + rng.normal(0.0, 2.0)
    qrs_ms += shows * (6.0 * pump + failing * e.slowing_ms + 3.5 * mass + 3.0 * dilated + 2.0 * p.aortic_stenosis)
    if e.left_block_rank < shows * (0.008 + 0.27 / (1.0 + np.exp(-6.0 * (pump - 0.75))) + 0.02 * p.aortic_stenosis):
        conduction = "left_bundle_block"
        qrs_ms += 36.0
    elif e.right_block_rank < 0.03 + 0.02 * max(0.0, elderly) + shows * 0.05 * right:
        conduction = "right_bundle_block"
        qrs_ms += 32.0
    qrs_ms = float(np.clip(qrs_ms, 68.0, 200.0))

    voltage = e.voltage * (0.93 if p.sex == "female" else 1.05) * np.exp(-0.05 * elderly - 0.07 * obesity)
    voltage *= np.exp(shows * (0.29 * e.mass_response * mass + 0.05 * dilated))
    limb = e.limb_voltage * np.exp(-0.20 * shows * failing)
    chest = 1.0
    soaked = 0.4 + 0.6 * shows
    limb *= np.exp(-soaked * (0.0, 0.06, 0.65, 1.0)[p.effusion])
    chest *= np.exp(-soaked * (0.0, 0.03, 0.32, 0.50)[p.effusion])

    axis_deg = e.frontal_rotation_deg + rng.normal(0.0, 2.0) - 7.0 * elderly - 7.0 * obesity
    axis_deg += shows * (-9.0 * thick - 5.0 * failing) + 25.0 * right_shows
    turn_deg = e.horizontal_rotation_deg + rng.normal(0.0, 2.0) + shows * (15.0 * pump + 4.0 * dilated)
    turn_deg -= 14.0 * right_shows

    qrs = _depolarisation(conduction, qrs_ms, shows * pump, shows * dilated, right_shows)
    qrs += _scar(p, qrs_ms, e.infarct_response * (0.35 + 0.65 * shows))
    qrs = [_turned(b, axis_deg, turn_deg, voltage) for b in qrs]

    rr_ms = 60000.0 / p.heart_rate_bpm
    qt_ms = e.qtc_ms * np.sqrt(rr_ms / 1000.0) + (8.0 if p.sex == "female" else 0.0) + 0.5 * (qrs_ms - 90.0)
    qt_ms += 8.0 * shows * failing
    qt_ms = float(np.clip(qt_ms, qrs_ms + 130.0, 0.78 * rr_ms + 60.0))
    strains = e.strain_rank < shows * 0.42 * float(np.clip(thick, 0.0, 1.0)) / (1.0 + 0.6 * max(0.0, dilated))
    tall_t = e.t_voltage * (0.88 if p.sex == "female" else 1.05) * np.exp(-0.08 * elderly + rng.normal(0.0, 0.07))
    repolarisation = _repolarisation(qrs_ms, qt_ms, tall_t, shows * pump, 0.4 + thick if strains else 0.0, right_shows)
    repolarisation = [_turned(b, 0.5 * axis_deg + e.t_rotation_deg, 0.3 * turn_deg, 1.0) for b in repolarisation]
    if conduction != "normal":
        repolarisation += _discordant(qrs, qt_ms)

    pr_ms = e.pr_ms + 5.0 * elderly + shows * (6.0 * p.aortic_stenosis + 5.0 * failing) + rng.normal(0.0, 3.0)
    pr_ms = float(np.clip(pr_ms, 105.0, 300.0))
    atrial = [] if p.rhythm != "sinus" else _atrial(e, pr_ms, shows * atrium, right_shows)

    return Beat(
        bumps=tuple(atrial + qrs + repolarisation),
        ectopic=_ectopic(e, 1.2 * voltage),
        conduction=conduction,
        qrs_ms=qrs_ms,
        pr_ms=pr_ms,
        limb_gain=float(limb),
        chest_gain=float(chest),
        alternans=0.22 * soaked if p.effusion == 3 else 0.0,
        ectopic_beats_per_s=0.1 * e.ectopy * (0.10 + 0.55 * shows * failing),
    )


def _depolarisation(conduction: Conduction, qrs_ms: float, pump: float, dilated: float, right: float) -> list[Bump]:
    def bump(at: float, width: float, x: float, y: float, z: float) -> Bump:
        return Bump(at * qrs_ms, width * qrs_ms, width * qrs_ms, (x, y, z))

    free_wall = 1.0 / (1.0 + 0.18 * right)
    late_right = 0.28 * right
    if conduction == "left_bundle_block":
        return [
            bump(0.20, 0.085, 0.12, 0.10, -0.02),
            bump(0.38, 0.11, 0.60, 0.35, 0.62 + 0.20 * pump),
            bump(0.62, 0.13, 0.80 * free_wall, 0.25, 0.80 + 0.15 * pump),
            bump(0.86, 0.07, -0.10 - late_right, -0.10, 0.25),
        ]
    bumps = [
        bump(0.17, 0.075, -0.17 - 0.05 * max(0.0, dilated), 0.02, -0.30 + 0.12 * pump - 0.10 * right),
        bump(0.36, 0.090, 0.52 - 0.10 * pump, 0.50 - 0.08 * pump, -0.38 + 0.22 * pump),
        bump(0.56, 0.100, (1.12 + 0.11 * dilated) * free_wall, 0.62 - 0.06 * pump, 0.77 + 0.10 * dilated),
        bump(0.82, 0.080, -0.10 - late_right, -0.10, 0.36 - late_right),
    ]
    if conduction == "right_bundle_block":
        bumps.append(bump(0.84, 0.095, -0.55 - 0.5 * late_right, 0.02, -0.85 - late_right))
    elif right > 0.9:  # incomplete block
        bumps.append(bump(0.92, 0.055, -0.22, 0.0, -0.34))
    return bumps


def _scar(physiology: Physiology, qrs_ms: float, depth: float) -> list[Bump]:
    """Forces that an old infarct no longer opposes: early, pointing away from the scar."""
    lost = float(np.clip((64.0 - physiology.lvef_percent) / 30.0, 0.25, 1.1))
    towards: dict[str, Vector] = {
        "anterior": (-0.25, 0.05, 0.62),
        "inferior": (0.05, -0.62, 0.0),
        "lateral": (-0.62, 0.0, -0.10),
    }
    if physiology.infarct == "none":
        return []
    x, y, z = towards[physiology.infarct]
    size = depth * (0.4 + 0.8 * lost)
    return [Bump(0.30 * qrs_ms, 0.10 * qrs_ms, 0.10 * qrs_ms, (size * x, size * y, size * z))]


def _repolarisation(qrs_ms: float, qt_ms: float, tall: float, pump: float, strain: float, right: float) -> list[Bump]:
    after = 0.088 * qt_ms
    x = tall * (0.30 - 0.17 * pump) - 0.26 * strain
    y = tall * (0.21 - 0.08 * pump) - 0.04 * strain
    z = tall * (-0.15 + 0.03 * pump) + 0.10 * strain + 0.13 * right
    t_wave = Bump(qt_ms - 2.0 * after, 0.135 * qt_ms, after, (x, y, z))
    depressed = (-0.09 * strain - 0.015 * pump, -0.02 * strain, 0.03 * strain + 0.02 * right)
    st_segment = Bump(qrs_ms + 0.12 * qt_ms, 0.06 * qt_ms, 0.12 * qt_ms, depressed)
    return [st_segment, t_wave]


def _discordant(qrs: list[Bump], qt_ms: float) -> list[Bump]:
    """Secondary repolarisation: opposite to the delayed second half of the QRS."""
    late = np.sum([np.array(b.dipole_mv) * b.before_ms for b in qrs[2:]], axis=0) / qrs[0].before_ms
    x, y, z = -0.26 * late
    return [Bump(qt_ms - 0.20 * qt_ms, 0.14 * qt_ms, 0.09 * qt_ms, (float(x), float(y), float(z)))]


def _atrial(e: Electrics, pr_ms: float, atrium: float, right: float) -> list[Bump]:
    duration = float(np.clip(e.p_ms + 11.0 * atrium, 70.0, min(170.0, pr_ms - 12.0)))
    apart = 0.15 + 0.035 * max(0.0, atrium)
    ra = e.p_voltage * (1.0 + 0.35 * right)
    la = e.p_voltage * (1.0 + 0.22 * atrium)
    middle = -pr_ms + 0.5 * duration
    width = 0.15 * duration
    return [
        Bump(middle - apart * duration, width, width, (0.050 * ra, 0.088 * ra, -0.055 * ra)),
        Bump(middle + apart * duration, width, width, (0.070 * la, 0.045 * la, (0.045 + 0.018 * atrium) * la)),
    ]


def _ectopic(e: Electrics, voltage: float) -> tuple[Bump, ...]:
    x, y, z = (float(v) for v in voltage * np.array(e.ectopic_direction))
    return (
        Bump(55.0, 22.0, 26.0, (0.9 * x, 0.9 * y, 0.9 * z)),
        Bump(105.0, 24.0, 26.0, (1.1 * y, 1.0 * x, 1.1 * z)),
        Bump(330.0, 60.0, 45.0, (-0.45 * x, -0.45 * y, -0.45 * z)),
    )


def _turned(bump: Bump, frontal_deg: float, horizontal_deg: float, gain: float) -> Bump:
    """Turn in the frontal plane (left -> feet), then in the horizontal plane (front -> back)."""
    x, y, z = bump.dipole_mv
    a, b = np.deg2rad(frontal_deg), np.deg2rad(horizontal_deg)
    x, y = x * np.cos(a) - y * np.sin(a), x * np.sin(a) + y * np.cos(a)
    x, z = x * np.cos(b) - z * np.sin(b), x * np.sin(b) + z * np.cos(b)
    return Bump(bump.centre_ms, bump.before_ms, bump.after_ms, (float(gain * x), float(gain * y), float(gain * z)))
