"""The left ventricle as a truncated ellipsoid that holds the physiology's volumes, and shapes derived from outlines.

Lengths in cm, volumes in ml. Local long-axis coordinates are (z, w): z from the apex of the cavity towards the base,
w across, negative on the side named "minus" (A4C septum, A2C inferior, PLAX and A3C anterior septum).
Letters in array names: T frames, S stations along the axis, N points of an outline, X the two coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BASE = 0.30
"""Where the ellipsoid is widest, as a fraction of the axis from the base: the plane of truncation lies above it."""
_STATIONS_S = np.sin(np.linspace(0.0, np.pi / 2, 28))
"""0 at the base, 1 at the apex, dense near the apex where the outline turns."""
_PROFILE_S = np.sqrt(np.maximum(1.0 - ((_STATIONS_S - _BASE) / (1.0 - _BASE)) ** 2, 0.0))
_SHAPE_VOLUME = 1.0 - ((1.0 - _BASE) ** 3 + _BASE**3) / (3.0 * (1.0 - _BASE) ** 2)
"""Volume of the truncated ellipsoid over pi * radius^2 * length."""


@dataclass(frozen=True)
class Ventricle:
    """radius_T, length_T: of the normal part of the cavity. cavity_TNX: outline in (z, w), base minus side first.

    wall_cm_TN: wall thickness at each outline point.
    """

    radius_T: Floats
    length_T: Floats
    cavity_TNX: Floats
    wall_cm_TN: Floats

    @property
    def epicardium_TNX(self) -> Floats:
        return offset_open(self.cavity_TNX, self.wall_cm_TN)

    @property
    def base_minus_T(self) -> Floats:
        """w of the cavity's corner at the base on the minus side: negative."""
        return self.cavity_TNX[:, 0, 1]

    @property
    def base_plus_T(self) -> Floats:
        return self.cavity_TNX[:, -1, 1]


def long_axis_ventricle(
    volume_ml_T: Floats,
    *,
    edv_ml: float,
    minus_wall_cm: float,
    plus_wall_cm: float,
    roundness: float,
    minus_motion: float = 1.0,
    plus_motion: float = 1.0,
    apex_motion: float = 1.0,
) -> Ventricle:
    """Volumes over time -> the cavity in one long-axis plane whose disc-summation volume is exactly those volumes.

    roundness: standard normal; larger means a shorter, rounder ventricle. *_motion: 1 moves as the rest, 0 is akinetic;
    the rest then moves more, so that the volume stays true. Method of discs: V = sum of pi/4 * width^2 * height.
    """
    aspect = float(np.clip(1.95 - 0.0022 * (edv_ml - 110.0) - 0.07 * roundness, 1.35, 2.2))
    radius_ed = (edv_ml / (2.0 * aspect * np.pi * _SHAPE_VOLUME)) ** (1.0 / 3.0)
    length_ed = 2.0 * aspect * radius_ed
    length_T = length_ed * (1.0 - 0.26 * (1.0 - volume_ml_T / edv_ml))

    minus_S, plus_S = _side_motion(minus_motion, apex_motion), _side_motion(plus_motion, apex_motion)
    still_S, moving_S = 2.0 * _PROFILE_S, _PROFILE_S * (minus_S + plus_S)
    # The common radial change solves the quadratic "discs add up to the volume".
    scale_T = np.pi / 4.0 * length_T
    a_T = scale_T * _integral(moving_S**2)
    b_T = scale_T * 2.0 * radius_ed * _integral(still_S * moving_S)
    c_T = scale_T * radius_ed**2 * _integral(still_S**2) - volume_ml_T
    change_T = (-b_T + np.sqrt(np.maximum(b_T**2 - 4.0 * a_T * c_T, 0.0))) / (2.0 * a_T)
    change_T = np.maximum(change_T, -0.9 * radius_ed)

    minus_TS = _PROFILE_S * np.maximum(radius_ed + change_T[:, None] * minus_S, 0.05)
    plus_TS = _PROFILE_S * np.maximum(radius_ed + change_T[:, None] * plus_S, 0.05)
    z_TS = length_T[:, None] * (1.0 - _STATIONS_S)
    z_TN = np.concatenate([z_TS, z_TS[:, -2::-1]], axis=1)
    w_TN = np.concatenate([-minus_TS, plus_TS[:, -2::-1]], axis=1)
    rest_N = radius_ed * np.concatenate([_PROFILE_S, _PROFILE_S[-2::-1]])
    along_N = np.linspace(-1.0, 1.0, z_TN.shape[1])
    wall_N = plus_wall_cm + (minus_wall_cm - plus_wall_cm) / (1.0 + np.exp(12.0 * along_N))
    # Muscle keeps its cross-section while the cavity shrinks and shortens, so a still segment does not thicken.
    muscle_TN = (2.0 * rest_N * wall_N + wall_N**2) * (length_ed / length_T)[:, None]
    wall_cm_TN = np.sqrt(w_TN**2 + muscle_TN) - np.abs(w_TN)
    return Ventricle(
        radius_T=radius_ed + change_T, length_T=length_T, cavity_TNX=_points(z_TN, w_TN), wall_cm_TN=wall_cm_TN
    )


def _side_motion(side: float, apex: float) -> Floats:
    return np.asarray(side + (apex - side) / (1.0 + np.exp(-14.0 * (_STATIONS_S - 0.72))))


def _integral(values_S: Floats) -> float:
    return float(np.trapezoid(values_S, _STATIONS_S))


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
