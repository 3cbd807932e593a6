"""How each view's plane is meant to lie in the left ventricle, and how far a hand misses it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.echo.anatomy import Anatomy
from simulator.echo.scene import Hand
from simulator.echo.solid import Solid
from simulator.echo.ventricle import Floats, LongCut, Ring, ShortCut, Ventricle, cut_across, cut_along
from simulator.physiology import Physiology


@dataclass(frozen=True)
class AlongPlane:
    """A plane along the axis. minus_deg: direction of its minus side, as angles turn in `simulator.segments`.

    turn_deg: standard deviation of its rotation about the axis. missed: mean and deviation of the share of the length
    that it misses beside the apex, before the window's part. beside: deviation of its distance from the axis, as a
    share of the radius. wall_error: deviation of the log thickness of a wall as it shows. atrium_width: share of the
    left atrium's width that it cuts, atrium_error: deviation of the log of the atrium's size. shown_to: where along the
    axis the picture ends.
    """

    minus_deg: float
    turn_deg: float
    wall_error: float
    missed: tuple[float, float] = (0.0, 0.0)
    beside: float = 0.0
    atrium_width: float = 1.0
    atrium_error: float = 0.05
    shown_to: float = 1.0


@dataclass(frozen=True)
class AcrossPlane:
    """A plane across the axis: its level, 0 base to 1 apex, with deviation, and the deviation of its obliquity."""

    level: float
    level_spread: float
    oblique_deg: float
    wall_error: float


_APICAL_MISS = (0.06, 0.05)
_WINDOW_MISS = 0.045
"""More is missed of the length the worse the window: together a fifth of apical clips lose more than 12 %."""

A4C = AlongPlane(210.0, 7.0, 0.12, missed=_APICAL_MISS)
A2C = AlongPlane(270.0, 10.0, 0.15, missed=_APICAL_MISS)
A3C = AlongPlane(150.0, 9.0, 0.08, missed=_APICAL_MISS, atrium_width=0.8, atrium_error=0.09)
SUBCOSTAL = AlongPlane(210.0, 15.0, 0.14, missed=(0.12, 0.08))
PLAX = AlongPlane(150.0, 8.0, 0.05, beside=0.18, atrium_width=0.8, atrium_error=0.09, shown_to=0.75)
PSAX = AcrossPlane(0.46, 0.07, 8.0, 0.06)
PSAX_APEX = AcrossPlane(0.76, 0.05, 8.0, 0.10)


def see_along(plane: AlongPlane, hand: Hand, anatomy: Anatomy, solid: Solid) -> Ventricle:
    """The ventricle as this hand's plane along the axis shows it."""
    mean, spread = plane.missed
    missed = abs(mean + spread * hand.missed - _WINDOW_MISS * anatomy.window) if mean else 0.0
    minus_wall, plus_wall = (_shown(plane.wall_error, number) for number in (hand.wall_minus, hand.wall_plus))
    cut = LongCut(
        minus_deg=plane.minus_deg + plane.turn_deg * hand.turn,
        missed_length=min(missed, 0.25),
        beside_cm=min(abs(plane.beside * hand.beside), 0.45) * solid.radius_cm,
        side=1.0 if hand.beside > 0.0 else -1.0,
        minus_wall=minus_wall,
        plus_wall=plus_wall,
    )
    return cut_along(solid, cut)


def see_across(plane: AcrossPlane, hand: Hand, solid: Solid) -> Ring:
    """The ventricle as this hand's plane across the axis shows it."""
    cut = ShortCut(
        level=float(np.clip(plane.level + plane.level_spread * hand.level, 0.25, 0.88)),
        oblique_deg=min(abs(plane.oblique_deg * hand.oblique), 20.0),
        towards_deg=180.0 * hand.oblique_towards,
        wall=_shown(plane.wall_error, hand.wall_minus),
    )
    return cut_across(solid, cut)


def _shown(wall_error: float, number: float) -> float:
    return float(np.exp(wall_error * np.clip(number, -2.5, 2.5)))


def see_atrium(plane: AlongPlane, seen: Physiology, hand: Hand, emptying_T: Floats) -> tuple[Floats, Floats]:
    """Half width and half length, cm, of the left atrium: an ellipsoid that holds the indexed volume at end systole."""
    volume_T = seen.la_volume_index * seen.body_surface_m2 * (0.5 + 0.5 * emptying_T)
    half_T = (3.0 * volume_T / (4.0 * np.pi * 1.2)) ** (1.0 / 3.0) * np.exp(plane.atrium_error * hand.left_atrium)
    return plane.atrium_width * half_T, 1.2 * half_T


def atrium_length_cm(seen: Physiology, hand: Hand) -> float:
    """Of the left atrium at its largest, as an apical plane shows it."""
    return 2.0 * float(see_atrium(A4C, seen, hand, np.array(1.0))[1])


def disc_volume_ml_T(lv: Ventricle, other: Ventricle | None = None) -> Floats:
    """Volume by the method of discs from one plane, whose discs are round, or from two, whose discs are oval."""
    width_TG = lv.widths()
    length_T = lv.cut_length_T
    across_TG = width_TG
    if other is not None:
        across_TG = other.widths()
        length_T = np.maximum(length_T, other.cut_length_T)
    return np.asarray(np.pi / 4.0 * length_T * np.mean(width_TG * across_TG, axis=1))
