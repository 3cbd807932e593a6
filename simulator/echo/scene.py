"""The vocabulary of a scene: painted layers, coloured flows, and what varies between hearts and hands.

Picture coordinates are (x, y) in cm: x to the right of the probe, y the depth below it. Levels are dB below the
brightest echo. Letters in array names: T frames, N points of an outline, X the two coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.random import Generator

from simulator.echo.anatomy import Anatomy
from simulator.echo.cycle import Cycle
from simulator.echo.solid import Solid, beating_solid, septal_flash
from simulator.echo.ventricle import Floats
from simulator.physiology import Physiology

BLOOD_DB = -64.0
MUSCLE_DB = -27.0
ATRIAL_WALL_DB = -25.0
VALVE_DB = -17.0
PERICARDIUM_DB = -13.0

MITRAL_JET_CM2 = (0.0, 2.0, 4.8, 9.0)
TRICUSPID_JET_CM2 = (0.0, 1.8, 4.3, 8.1)
_EFFUSION_CM = (0.0, 0.35, 1.15, 2.0)


@dataclass(frozen=True)
class Layer:
    """A filled outline; later layers cover earlier ones."""

    outline_TNX: Floats
    level_db: float


@dataclass(frozen=True)
class Flow:
    """Moving blood. velocity: -1..1 of the colour scale, positive towards the probe; turbulence 0..1 mixes colours."""

    outline_TNX: Floats
    strength_T: Floats
    velocity: float
    turbulence: float


@dataclass(frozen=True)
class Scene:
    """Layers in painting order, flows, and how far tissue moves towards `centre_cm` (carries the speckle along).

    extent_cm: how much of the picture's depth the heart takes up, for whoever sets the depth.
    """

    centre_cm: tuple[float, float]
    squeeze_cm_T: Floats
    extent_cm: float = 13.0
    layers: list[Layer] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)

    def paint(self, outline_TNX: Floats, level_db: float) -> None:
        self.layers.append(Layer(np.ascontiguousarray(outline_TNX), level_db))


@dataclass(frozen=True)
class Hand:
    """Standard normal numbers of one clip: how the hand held the probe and what else differs between clips of one
    patient. Free of disease."""

    tilt: float
    shift_x: float
    shift_y: float
    turn: float
    missed: float
    beside: float
    level: float
    oblique: float
    oblique_towards: float
    wall_minus: float
    wall_plus: float
    dropout: float
    effusion: float
    left_atrium: float
    right_ventricle: float
    flattening: float
    aortic_valve: float
    jet: float
    second_jet: float
    jet_direction: float

    @classmethod
    def draw(cls, rng: Generator) -> Hand:
        return cls(*(float(v) for v in rng.standard_normal(len(fields(cls)))))


def ventricle_in(seen: Physiology, anatomy: Anatomy, cycle: Cycle) -> Solid:
    """The left ventricle in each frame of a clip."""
    volume_T = seen.lvedv_ml - (seen.lvedv_ml - seen.lvesv_ml) * cycle.emptying_T
    return beating_solid(seen, anatomy, volume_T, septal_flash(cycle.since_r_T))


def septal_flatness(seen: Physiology, hand: Hand, emptying_T: Floats) -> Floats:
    """How far pressure in the right ventricle presses the septum flat: 0 not at all, most in systole."""
    pressure = float(np.clip((seen.pasp_mmhg - 32.0) / 45.0, 0.0, 1.0)) * float(np.exp(0.2 * hand.flattening))
    return np.clip(pressure * (0.22 + 0.30 * emptying_T), 0.0, 0.6)


def effusion_cm(seen: Physiology, hand: Hand) -> float:
    return float(_EFFUSION_CM[seen.effusion] * np.exp(0.2 * np.clip(hand.effusion, -2.0, 2.0)))


def jet_size(area_cm2: float, noise: float, cycle: Cycle) -> tuple[Floats, Floats]:
    """Length and width over time of a jet of an area; grades overlap, and the edge flickers with the beat."""
    area = area_cm2 * float(np.exp(0.25 * np.clip(noise, -2.0, 2.0)))
    length_T = np.sqrt(3.4 * area) * (1.0 + 0.06 * np.sin(37.0 * cycle.time_s_T))
    return length_T, length_T / 2.4


def tricuspid_colour(seen: Physiology) -> tuple[float, float]:
    """Velocity and turbulence: a faster jet fills the colour scale and breaks into a mosaic."""
    fast = float(np.clip((seen.tr_velocity_m_s - 1.8) / 2.2, 0.0, 1.0))
    return -0.4 - 0.5 * fast, 0.2 + 0.8 * fast
