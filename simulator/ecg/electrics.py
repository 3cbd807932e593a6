"""What is electrically a patient's own: drawn once, independent of disease, so that two ECGs of one person look alike.

Effects of disease are scaled by `Expression`: how strongly this body shows each of them. Every effect has a draw of
its own, so that effects overlap and no pattern tells the whole heart: most thick hearts keep a normal voltage, some
failing ones a normal ECG.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simulator.ecg.waves import Vector, vector

QRS_BUMPS = 9

_EXPRESSION_SHAPE = 2.0
"""Of a gamma distribution of mean 1: the lower, the more people show hardly anything, and a few a lot."""


@dataclass(frozen=True)
class Expression:
    """How strongly each effect shows in this person: 1 typical, 0 not at all."""

    pump_width: float
    pump_turn: float
    pump_t: float
    pump_limb: float
    pump_ectopy: float
    mass_voltage: float
    thick_axis: float
    dilatation: float
    atrium_width: float
    atrium_depth: float
    right_axis: float
    right_forces: float
    right_t: float
    effusion: float
    scar_forces: float
    scar_t: float
    amyloid_voltage: float
    amyloid_forces: float
    septal_q: float
    lung_axis: float
    lung_p: float
    lung_turn: float

    @classmethod
    def typical(cls) -> Self:
        """Every effect at 1."""
        return cls(*(1.0 for _ in fields(cls)))

    @classmethod
    def sample(cls, rng: Generator) -> Self:
        """One draw per effect, independent of each other."""
        draws = rng.gamma(_EXPRESSION_SHAPE, 1.0 / _EXPRESSION_SHAPE, size=len(fields(cls)))
        return cls(*(min(2.5, float(draw)) for draw in draws))


@dataclass(frozen=True, eq=False)
class QrsTexture:
    """How this person's excitation strays from the textbook's, bump by bump. Letters: B bumps, D directions."""

    shift_B: NDArray[np.float64]
    """In QRS durations."""
    width_B: NDArray[np.float64]
    """In QRS durations, 0.03 to 0.06."""
    stray_BD: NDArray[np.float64]
    """Relative to the bump's length."""
    split_B: NDArray[np.float64]
    """0: whole; else half the distance of the two bumps that it falls into, in QRS durations."""


@dataclass(frozen=True, eq=False)
class Electrics:
    """One patient's electrical constants."""

    frontal_rotation_deg: float
    """Positive turns the heart vertical (axis to the right)."""
    horizontal_rotation_deg: float
    """Positive turns it posterior (late R progression)."""
    lead_scatter_KD: NDArray[np.float64]
    """(8, 3) factors on the lead field: this torso and these electrode habits."""
    high_v1_v2: bool
    """V1 and V2 are put one interspace too high in this patient."""
    voltage: float
    limb_voltage: float
    time_scale: float
    """Of the widths of all waves."""
    qrs_ms: float
    pr_ms: float
    p_ms: float
    qtc_ms: float
    texture: QrsTexture
    first_forces: Vector
    """What the first 30 ms have beside the textbook's, in millivolt: Q waves without a scar, or none with one."""
    p_voltage: float
    t_voltage: float
    t_asymmetry: float
    """Rise of the T wave in widths of its fall."""
    t_rotation_deg: float
    gradient: float
    """How fully repolarisation answers to a changed excitation."""
    u_voltage: float
    """In heights of the T wave."""
    j_voltage: float
    st_rise: float
    """Of the ST segment, in heights of the T wave."""
    early_repolarisation: float
    """Rank 0 to 1 among people: the lower, the likelier."""
    expression: Expression
    slowing_ms: float
    """How much a failing ventricle slows its own excitation."""
    strain_rank: float
    scar_t_sign: float
    """Rank 0 to 1: whether T waves stay inverted over an old infarct."""
    low_voltage_rank: float
    giant_t_rank: float
    ectopy: float
    atrial_ectopy: float
    ectopic_direction: Vector
    spike_mv: float
    spike_direction: Vector
    paced_left: float
    """How far the paced excitation runs to the left, around 1."""
    flutter_per_min: float
    """Of the atria, as it would be if nothing bound it to the ventricles."""
    flutter_varies: bool
    """Conduction of flutter changes from beat to beat."""
    flutter_voltage: float
    fibrillation_voltage: float
    skin_noise: float
    """Factor on every noise of this patient's recordings."""


def sample_electrics(rng: Generator) -> Electrics:
    """Draw one patient's electrical constants; independent of disease."""
    time_scale = float(rng.uniform(0.9, 1.1))
    slow_node = float(rng.uniform(30.0, 95.0)) if rng.random() < 0.065 else 0.0
    return Electrics(
        frontal_rotation_deg=float(rng.normal(-7.0, 16.0)),
        horizontal_rotation_deg=float(rng.normal(0.0, 13.0)),
        # Some 15 % in all: a tenth of each direction, and what is common to a lead.
        lead_scatter_KD=rng.normal(1.0, 0.10, size=(8, 3)) * rng.normal(1.0, 0.09, size=(8, 1)),
        high_v1_v2=bool(rng.random() < 0.25),
        voltage=float(np.exp(rng.normal(-0.06, 0.145))),
        limb_voltage=float(np.exp(rng.normal(0.0, 0.12))),
        time_scale=time_scale,
        qrs_ms=float(rng.normal(85.0, 5.5)) * (0.5 + 0.5 * time_scale),
        pr_ms=float(rng.normal(153.0, 17.0)) + slow_node,
        p_ms=float(rng.normal(97.0, 6.0)) * time_scale,
        qtc_ms=float(rng.normal(408.0, 14.0)),
        texture=_sample_texture(rng),
        first_forces=vector(np.clip(rng.normal(size=3), -2.2, 2.2) * (0.15, 0.36, 0.31)),
        p_voltage=float(np.exp(rng.normal(-0.06, 0.145))),
        # Nobody beyond two SD: a healthy T of five times the textbook's is taken for a QRS.
        t_voltage=float(np.exp(np.clip(rng.normal(0.35, 0.35), -0.35, 1.05))),
        t_asymmetry=float(rng.uniform(1.1, 2.1)),
        t_rotation_deg=float(rng.normal(0.0, 11.0)),
        gradient=float(rng.uniform(0.45, 0.85)),
        u_voltage=float(rng.gamma(1.5, 0.035)),
        j_voltage=float(rng.normal(0.015, 0.03)),
        st_rise=float(rng.uniform(0.05, 0.22)),
        early_repolarisation=float(rng.random()),
        expression=Expression.sample(rng),
        slowing_ms=float(rng.gamma(0.7, 9.0)),
        strain_rank=float(rng.random()),
        scar_t_sign=float(rng.random()),
        low_voltage_rank=float(rng.random()),
        giant_t_rank=float(rng.random()),
        ectopy=float(rng.gamma(0.6, 1.0 / 0.6)),
        atrial_ectopy=float(rng.gamma(0.4, 1.0 / 0.4)),
        ectopic_direction=_direction(rng),
        spike_mv=float(rng.uniform(0.15, 0.5) if rng.random() < 0.7 else rng.uniform(0.8, 2.5)),
        spike_direction=_direction(rng),
        paced_left=float(rng.uniform(0.4, 1.3)),
        flutter_per_min=float(rng.uniform(255.0, 310.0)),
        flutter_varies=bool(rng.random() < 0.25),
        flutter_voltage=float(rng.uniform(0.13, 0.30)),
        fibrillation_voltage=float(rng.uniform(0.025, 0.085)),
        skin_noise=float(np.exp(rng.normal(0.0, 0.5))),
    )


def _sample_texture(rng: Generator) -> QrsTexture:
    splits = rng.random(QRS_BUMPS) < 0.25
    return QrsTexture(
        shift_B=rng.normal(0.0, 0.010, size=QRS_BUMPS),
        width_B=rng.uniform(0.035, 0.058, size=QRS_BUMPS),
        stray_BD=rng.normal(0.0, 0.16, size=(QRS_BUMPS, 3)),
        split_B=splits * rng.uniform(0.025, 0.050, size=QRS_BUMPS),
    )


def _direction(rng: Generator) -> Vector:
    direction_D = rng.normal(size=3)
    return vector(direction_D / np.linalg.norm(direction_D))
