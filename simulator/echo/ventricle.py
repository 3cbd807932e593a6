"""Cuts through the solid ventricle as planes of an echo study make them, and shapes derived from outlines.

Lengths in cm, volumes in ml. Local long-axis coordinates are (z, w): z from the apex of the cut cavity at end diastole
towards the base, w across, negative on the side named "minus" (A4C septum, A2C inferior, PLAX and A3C anterior septum).
Letters in array names: T frames, S stations along the axis, N points of an outline, X the two coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.echo.solid import Solid, blend_segments
from simulator.segments import SEGMENTS

Floats = NDArray[np.float64]

TURN_N = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)
"""Angles of a ring's points."""
_STATIONS_S = np.sin(np.linspace(0.0, np.pi / 2, 28))
"""0 at the base, 1 at the tip, dense near the tip where the outline turns."""
_SIDE_N = np.repeat([1.0, -1.0], len(_STATIONS_S))
"""1 on the minus side, -1 on the plus side, the tip on both."""
_ROUNDS = 3
"""Of looking up the radius where the last look-up said the wall lies: errors end below 1 in 100 in the worst heart."""
_SEARCH_G = np.linspace(0.62, 1.0, 120)
"""Where the tip of a cut may lie, along the axis."""
_CROSSING = 0.25
"""Where along the axis a foreshortened plane crosses it: below the mitral annulus, which the hand keeps in view."""
_SEEN_SHARE = 0.5
_BASAL_POINTS = 12
"""Of the outline on either side, from the base to above the middle: where walls are measured."""


@dataclass(frozen=True)
class LongCut:
    """How a hand held a plane along the axis: minus_deg, the direction of the minus side from the axis.

    missed_length: share of the true length that is lost because the plane passes beside the apex. A round heart
    cannot lose more than a fifth: a steeper plane would cut it longer again.
    beside_cm: how far from the axis, and parallel to it, the plane lies. side: 1 or -1, to which side it errs.
    minus_wall, plus_wall: how thick the walls show, as a share of what they are.
    """

    minus_deg: float
    missed_length: float = 0.0
    beside_cm: float = 0.0
    side: float = 1.0
    minus_wall: float = 1.0
    plus_wall: float = 1.0


@dataclass(frozen=True)
class ShortCut:
    """How a hand held a plane across the axis: the level it cuts at end diastole, and how obliquely. wall: as above."""

    level: float
    oblique_deg: float = 0.0
    towards_deg: float = 0.0
    wall: float = 1.0


@dataclass(frozen=True)
class Ventricle:
    """cavity_TNX: outline in (z, w), base minus side first, tip in the middle. wall_cm_TN: thickness at each point.

    radius_T: half the largest width. length_T: z of the base. segments: numbers of those that the plane cuts.
    At end diastole, whichever frames a clip has: radius_cm; length_cm; minus_cm, the furthest border on the minus side;
    minus_wall_cm, plus_wall_cm, mean thickness between base and middle.
    """

    radius_T: Floats
    length_T: Floats
    cavity_TNX: Floats
    wall_cm_TN: Floats
    segments: frozenset[int]
    radius_cm: float
    length_cm: float
    minus_cm: float
    minus_wall_cm: float
    plus_wall_cm: float

    @property
    def epicardium_TNX(self) -> Floats:
        return offset_open(self.cavity_TNX, self.wall_cm_TN)

    def widths(self, heights: int = 80) -> Floats:
        """Widths of the cavity in the middles of equally high discs, tip first: (T, discs)."""
        tip = self.cavity_TNX.shape[1] // 2
        share = (np.arange(heights) + 0.5) / heights
        width = []
        for outline in self.cavity_TNX:
            at = outline[tip, 0] + share * (outline[0, 0] - outline[tip, 0])
            minus, plus = (np.interp(at, half[:, 0], half[:, 1]) for half in (outline[tip::-1], outline[tip:]))
            width.append(plus - minus)
        return np.array(width)

    @property
    def cut_length_T(self) -> Floats:
        """From the tip of the cut cavity to its base."""
        return np.asarray(self.length_T - self.cavity_TNX[:, self.cavity_TNX.shape[1] // 2, 0])

    @property
    def base_minus_T(self) -> Floats:
        """w of the cavity's corner at the base on the minus side: negative."""
        return self.cavity_TNX[:, 0, 1]

    @property
    def base_plus_T(self) -> Floats:
        return self.cavity_TNX[:, -1, 1]


@dataclass(frozen=True)
class Ring:
    """The cavity in a plane across the axis: distance from its centre and thickness of the wall at each `TURN_N`.

    At end diastole: radius_cm, of the circle of this area; outer_cm, the furthest outer border.
    """

    radius_TN: Floats
    wall_cm_TN: Floats
    segments: frozenset[int]
    radius_cm: float
    outer_cm: float

    @property
    def area_cm2_T(self) -> Floats:
        return np.asarray(np.pi * np.mean(self.radius_TN**2, axis=1))


def cut_along(solid: Solid, cut: LongCut) -> Ventricle:
    """The cavity where a plane along the axis meets it.

    The plane stays where it is in space and the heart's apex rests while its base descends, so that a plane which
    misses the apex sees its tip move and thicken: the mark of foreshortening.
    """
    plane, solid = _Plane(solid, cut), solid.from_rest
    along_TS = plane.tip(solid)[:, None] * _STATIONS_S
    along_TN = np.concatenate([along_TS, along_TS[:, ::-1]], axis=1)
    beside_TN = plane.beside(along_TN, solid.length_T[:, None])
    half_TN = plane.resting_half()
    for _ in range(_ROUNDS if plane.misses else 1):
        cos_TN, sin_TN = plane.directions(half_TN, beside_TN)
        radius_TN = solid.radius(along_TN, cos_TN, sin_TN)
        half_TN = np.sqrt(np.maximum(radius_TN**2 - beside_TN**2, 0.0))
    z_TN = (solid.length_T[:, None] * (1.0 - along_TN) - plane.tip_z) / np.cos(plane.tilt)
    cavity_TNX = _points(z_TN, -_SIDE_N * half_TN)
    tip = len(_STATIONS_S)
    cavity_TNX[:, tip - 1] = 0.5 * (cavity_TNX[:, tip - 1] + cavity_TNX[:, tip])
    one_tip = np.arange(len(_SIDE_N)) != tip
    cavity_TNX = cavity_TNX[:, one_tip]
    minus_N = 1.0 / (1.0 + np.exp(8.0 * np.linspace(-1.0, 1.0, cavity_TNX.shape[1])))
    wall_cm_TN = solid.wall(radius_TN, along_TN, cos_TN, sin_TN)[:, one_tip]
    wall_cm_TN = wall_cm_TN * (cut.plus_wall + (cut.minus_wall - cut.plus_wall) * minus_N)
    radius_T = 0.5 * np.max(half_TN[:, :tip] + half_TN[:, : tip - 1 : -1], axis=1)
    length_T = (solid.length_T - plane.tip_z) / np.cos(plane.tilt)
    return Ventricle(
        radius_T=radius_T[1:],
        length_T=length_T[1:],
        cavity_TNX=cavity_TNX[1:],
        wall_cm_TN=wall_cm_TN[1:],
        segments=_segments_at(along_TN[0], cos_TN[0], sin_TN[0]),
        radius_cm=float(radius_T[0]),
        length_cm=float(length_T[0]),
        minus_cm=float(-cavity_TNX[0, :, 1].min()),
        minus_wall_cm=float(wall_cm_TN[0, :_BASAL_POINTS].mean()),
        plus_wall_cm=float(wall_cm_TN[0, -_BASAL_POINTS:].mean()),
    )


class _Plane:
    """Where a plane along the axis lies in space. tilt: its angle with the axis. tip_z: how far from the apex, along
    the axis, the cut cavity ends at end diastole."""

    def __init__(self, solid: Solid, cut: LongCut) -> None:
        self._solid, self._beside_cm = solid, cut.beside_cm
        minus = np.deg2rad(cut.minus_deg)
        self._minus = float(np.cos(minus)), float(np.sin(minus))
        self._normal = -cut.side * self._minus[1], cut.side * self._minus[0]
        self.misses = cut.missed_length > 0.0 or cut.beside_cm > 0.0
        rise_G = solid.resting_radius(_SEARCH_G, *self._normal) - cut.beside_cm
        tilt_G = np.arctan2(rise_G, (_SEARCH_G - _CROSSING) * solid.length_cm)
        tip = float(np.interp(0.0, rise_G[::-1], _SEARCH_G[::-1]))
        rise = 0.0
        if cut.missed_length > 0.0:
            reach_G = np.minimum.accumulate((_SEARCH_G / np.cos(tilt_G))[::-1])[::-1]
            reach = max(1.0 - cut.missed_length, float(reach_G[0]) + 1e-6)
            tip = min(tip, float(np.interp(reach, reach_G, _SEARCH_G)))
            rise = max(float(np.interp(tip, _SEARCH_G, rise_G)), 0.0)
        self._resting_tip = tip
        self.tip_z = solid.length_cm * (1.0 - tip)
        self.tilt = float(np.arctan2(rise, (tip - _CROSSING) * solid.length_cm))

    def beside(self, along: Floats, length: Floats | float) -> Floats:
        """How far out of the axis the plane lies there, to the side of the normal."""
        above_crossing = self._solid.length_cm * (1.0 - _CROSSING) - length * (1.0 - along)
        return np.asarray(self._beside_cm + above_crossing * np.tan(self.tilt))

    def tip(self, solid: Solid) -> Floats:
        """Where along the axis the plane leaves the cavity, in each frame."""
        length_T = solid.length_T
        if not self.misses:
            return np.ones(len(length_T))
        search_G = np.linspace(max(self._resting_tip - 0.25, 0.3), 1.0, 36)
        beside_TG = self.beside(search_G, length_T[:, None])
        normal_x, normal_y = (np.full((1, 1), v) for v in self._normal)
        inside_TG = solid.radius(search_G[None], normal_x, normal_y) ** 2 - beside_TG**2
        last_T = np.clip(np.argmax(inside_TG <= 0.0, axis=1) - 1, 0, len(search_G) - 2)
        frames = np.arange(len(length_T))
        here_T, next_T = inside_TG[frames, last_T], inside_TG[frames, last_T + 1]
        part_T = np.clip(here_T / np.maximum(here_T - next_T, 1e-9), 0.0, 1.0)
        return np.asarray(search_G[last_T] + part_T * (search_G[1] - search_G[0]))

    def resting_half(self) -> Floats:
        """Half widths at end diastole, (1, N): where the search for those of each frame begins."""
        along_N = self._resting_tip * np.concatenate([_STATIONS_S, _STATIONS_S[::-1]])
        beside_N = self.beside(along_N, self._solid.length_cm)
        half_N = self._solid.resting_radius(along_N, *self._minus)
        for _ in range(_ROUNDS if self.misses else 1):
            half_N = np.sqrt(
                np.maximum(
                    self._solid.resting_radius(along_N, *self.directions(half_N, beside_N)) ** 2 - beside_N**2, 0.0
                )
            )
        return half_N[None]

    def directions(self, half_N: Floats, beside_N: Floats) -> tuple[Floats, Floats]:
        """Cosine and sine of where points of the outline lie, seen from the axis."""
        across = _SIDE_N * np.maximum(half_N, 1e-6)
        away = np.hypot(across, beside_N)
        return (
            (across * self._minus[0] + beside_N * self._normal[0]) / away,
            (across * self._minus[1] + beside_N * self._normal[1]) / away,
        )


def cut_across(solid: Solid, cut: ShortCut) -> Ring:
    """The ring where a plane across the axis meets the cavity; it stays in space while the base descends through it."""
    solid = solid.from_rest
    cos_N, sin_N = np.cos(TURN_N), np.sin(TURN_N)
    slope_N = np.tan(np.deg2rad(cut.oblique_deg)) * np.cos(TURN_N - np.deg2rad(cut.towards_deg))
    radius_TN = solid.radius_cm * np.ones((len(solid.length_T), 1))
    from_apex = solid.length_cm * (1.0 - cut.level)
    for _ in range(_ROUNDS if cut.oblique_deg else 1):
        along_TN = np.clip(1.0 - (from_apex + radius_TN * slope_N) / solid.length_T[:, None], 0.0, 0.97)
        radius_TN = solid.radius(along_TN, cos_N[None], sin_N[None])
    stretch_N = np.sqrt(1.0 + slope_N**2)
    wall_cm_TN = solid.wall(radius_TN, along_TN, cos_N, sin_N) * stretch_N * cut.wall
    radius_TN = radius_TN * stretch_N
    return Ring(
        radius_TN=radius_TN[1:],
        wall_cm_TN=wall_cm_TN[1:],
        segments=_segments_at(along_TN[0], cos_N, sin_N),
        radius_cm=float(np.sqrt(np.mean(radius_TN[0] ** 2))),
        outer_cm=float((radius_TN[0] + wall_cm_TN[0]).max()),
    )


def _segments_at(along_N: Floats, cos_N: Floats, sin_N: Floats) -> frozenset[int]:
    """Numbers of the segments in whose middle, not only at whose rim, a wall was cut."""
    shares_KN = blend_segments(np.eye(len(SEGMENTS)), along_N, cos_N, sin_N)
    return frozenset(int(k) for k in np.flatnonzero(shares_KN.max(axis=1) > _SEEN_SHARE))


def _points(x: Floats, y: Floats) -> Floats:
    return np.stack(np.broadcast_arrays(x, y), axis=-1)


def offset_open(outline_TNX: Floats, distance_cm: Floats | float) -> Floats:
    """Moves an open outline to its left-hand side by a distance (scalar or per point)."""
    tangent = np.gradient(outline_TNX, axis=1)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 1e-6)
    normal = np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1)
    return np.asarray(outline_TNX + normal * np.asarray(distance_cm)[..., None])


def ellipse(centre_z: Floats, centre_w: Floats, half_z: Floats, half_w: Floats, points: int = 40) -> Floats:
    """Closed ellipse per frame; the four arguments broadcast over frames."""
    turn = np.linspace(0.0, 2.0 * np.pi, points, endpoint=False)
    z_T, w_T, a_T, b_T = (np.atleast_1d(v)[:, None] for v in np.broadcast_arrays(centre_z, centre_w, half_z, half_w))
    return _points(z_T + a_T * np.cos(turn), w_T + b_T * np.sin(turn))


def ribbon(path_TNX: Floats, width_cm: float) -> Floats:
    """A thin structure along a path: leaflets, septa, pericardium."""
    left, right = offset_open(path_TNX, width_cm / 2.0), offset_open(path_TNX, -width_cm / 2.0)
    return np.concatenate([left, right[:, ::-1]], axis=1)


def leaflet(hinge_TX: Floats, tip_TX: Floats, bow_cm: float, width_cm: float) -> Floats:
    """A leaflet from hinge to tip, bowed sideways by `bow_cm` in its middle."""
    along = np.linspace(0.0, 1.0, 7)[:, None]
    chord_TX = tip_TX - hinge_TX
    length_T = np.maximum(np.linalg.norm(chord_TX, axis=-1, keepdims=True), 1e-6)
    normal_TX = np.stack([-chord_TX[:, 1], chord_TX[:, 0]], axis=-1) / length_T
    path = hinge_TX[:, None] + along * chord_TX[:, None] + bow_cm * np.sin(np.pi * along) * normal_TX[:, None]
    return ribbon(path, width_cm)


def plume(origin_TX: Floats, towards_TX: Floats, length_T: Floats, width_T: Floats) -> Floats:
    """The teardrop of a regurgitant or stenotic jet: narrow at its origin, widest at two thirds."""
    unit_TX = towards_TX / np.maximum(np.linalg.norm(towards_TX, axis=-1, keepdims=True), 1e-6)
    across_TX = np.stack([-unit_TX[:, 1], unit_TX[:, 0]], axis=-1)
    along = np.linspace(0.0, 1.0, 14)
    half = 0.10 + 0.90 * np.sqrt(np.clip(along, 0.0, 1.0)) * np.sqrt(np.clip(1.0 - along**4, 0.0, 1.0))
    spine = origin_TX[:, None] + (length_T[:, None] * along)[..., None] * unit_TX[:, None]
    side = (width_T[:, None] / 2.0 * half)[..., None] * across_TX[:, None]
    return np.concatenate([spine + side, (spine - side)[:, ::-1]], axis=1)
