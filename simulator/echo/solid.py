"""One three-dimensional left ventricle that beats: the body which every plane of an echo study cuts.

Lengths in cm, volumes in ml. `along` runs from 0 at the base to 1 at the apex; angles turn around the axis as in
`simulator.segments` and are handed over as their cosine and sine. Letters in array names: T frames, N points,
G points of the quadrature, K the sixteen segments; P any shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.echo.anatomy import Anatomy
from simulator.physiology import Physiology
from simulator.segments import SEGMENTS

Floats = NDArray[np.float64]

_WIDEST = 0.30
"""Where the ellipsoid is widest, along the axis: the plane of truncation, the base, lies above it."""
_SHORTENING = 0.26
"""Share of the ejected fraction by which the axis shortens: 16 % in a normal heart, as the mitral annulus descends."""
_LEVEL_SPREAD = 0.13
_FLASH = {"left_bundle_block": 1.0, "paced": 0.8}
_SEPTAL_WALL_DEG = 75.0
_APICAL_THINNING = 0.25


@dataclass(frozen=True)
class Solid:
    """Inner radius r = R(along) (1 + oval cos 2(theta - theta0)) (1 - squeeze m(theta, along) - flash f(theta)).

    R is a truncated ellipsoid's; m is each segment's motion, blended smoothly; f is the septum's against the side
    wall's. radius_cm: widest R at end diastole. length_cm: at end diastole. length_T: the axis in each frame.
    """

    radius_cm: float
    length_cm: float
    length_T: Floats
    squeeze_T: Floats
    flash_T: Floats
    motion_K: Floats
    oval: float
    oval_deg: float
    septum_cm: float
    posterior_wall_cm: float

    def resting_radius(self, along_P: Floats, cos_P: Floats | float, sin_P: Floats | float) -> Floats:
        """Inner radius at end diastole."""
        return self.radius_cm * _profile(along_P) * _ovality(self.oval, self.oval_deg, cos_P, sin_P)

    def radius(self, along_TN: Floats, cos_TN: Floats, sin_TN: Floats) -> Floats:
        """Inner radius in each frame, (T, N); arguments broadcast to that."""
        inwards_TN = self.squeeze_T[:, None] * blend_segments(self.motion_K, along_TN, cos_TN, sin_TN)
        inwards_TN = inwards_TN - self.flash_T[:, None] * cos_TN
        return np.asarray(self.resting_radius(along_TN, cos_TN, sin_TN) * np.maximum(1.0 - inwards_TN, 0.05))

    def wall(self, radius_TN: Floats, along_TN: Floats, cos_TN: Floats, sin_TN: Floats) -> Floats:
        """Thickness of the wall around a cavity of this radius: muscle keeps its volume, so a still one only thickens
        by as much as the axis shortens. Thinner towards the apex."""
        away_rad = np.arccos(np.clip(-np.asarray(cos_TN), -1.0, 1.0))
        septal = np.cos(0.5 * np.pi * np.minimum(away_rad / np.deg2rad(_SEPTAL_WALL_DEG), 1.0)) ** 2
        thick = self.posterior_wall_cm + (self.septum_cm - self.posterior_wall_cm) * septal
        thick = thick * (1.0 - _APICAL_THINNING * np.asarray(along_TN) ** 3)
        resting = self.resting_radius(along_TN, cos_TN, sin_TN)
        muscle_TN = (2.0 * resting * thick + thick**2) * (self.length_cm / self.length_T)[:, None]
        return np.asarray(np.sqrt(radius_TN**2 + muscle_TN) - radius_TN)

    @property
    def from_rest(self) -> Solid:
        """The same with one frame more at the beginning: at rest, which is end diastole."""
        return replace(
            self,
            length_T=np.concatenate([[self.length_cm], self.length_T]),
            squeeze_T=np.concatenate([[0.0], self.squeeze_T]),
            flash_T=np.concatenate([[0.0], self.flash_T]),
        )

    @property
    def volume_ml_T(self) -> Floats:
        """By quadrature over the whole body."""
        radius_TG = self.radius(_ALONG_G[None], _COS_G[None], _SIN_G[None])
        return np.asarray(self.length_T * (radius_TG**2 @ _WEIGHT_G))


def beating_solid(seen: Physiology, anatomy: Anatomy, volume_ml_T: Floats, flash_T: Floats) -> Solid:
    """The ventricle in frames of these volumes. `flash_T` as `septal_flash` gives it.

    The squeeze common to all segments solves, frame by frame, "the body holds the volume": a quadratic.
    """
    aspect = float(np.clip(1.95 - 0.0022 * (seen.lvedv_ml - 110.0) - 0.07 * anatomy.roundness, 1.35, 2.2))
    motion_K = np.array(seen.segment_motion)
    flash_T = _FLASH.get(seen.conduction, 0.0) * flash_T
    weight_G = _WEIGHT_G * (_profile(_ALONG_G) * _ovality(anatomy.oval, anatomy.oval_deg, _COS_G, _SIN_G)) ** 2
    moved_G, flashed_G = motion_K @ _SHARES_KG, -_COS_G
    whole = float(weight_G.sum())
    radius_cm = (seen.lvedv_ml / (2.0 * aspect * whole)) ** (1.0 / 3.0)
    length_cm = 2.0 * aspect * radius_cm
    length_T = length_cm * (1.0 - _SHORTENING * (1.0 - volume_ml_T / seen.lvedv_ml))
    a = float(weight_G @ moved_G**2)
    b_T = float(weight_G @ moved_G) - flash_T * float(weight_G @ (moved_G * flashed_G))
    c_T = whole - 2.0 * flash_T * float(weight_G @ flashed_G) + flash_T**2 * float(weight_G @ flashed_G**2)
    c_T = c_T - volume_ml_T / (length_T * radius_cm**2)
    squeeze_T = c_T / (b_T + np.sqrt(np.maximum(b_T**2 - a * c_T, 0.0)))
    return Solid(
        radius_cm=radius_cm,
        length_cm=length_cm,
        length_T=length_T,
        squeeze_T=squeeze_T,
        flash_T=flash_T,
        motion_K=motion_K,
        oval=anatomy.oval,
        oval_deg=anatomy.oval_deg,
        septum_cm=seen.septum_cm,
        posterior_wall_cm=seen.posterior_wall_cm,
    )


def septal_flash(systole_T: Floats) -> Floats:
    """Share of the radius by which the septum lies further in than the rest, and the side wall further out.

    systole_T: time since the R wave over the duration of systole. In left bundle block the septum contracts before
    ejection and stretches the side wall, then is pushed back while that contracts late: Breithardt et al., J Am Coll
    Cardiol 2003;42:486; Risum et al., Am Heart J 2012;163:697. Pacing from the right ventricle does the same.
    """
    early_T = 0.10 * np.exp(-0.5 * ((systole_T - 0.17) / 0.07) ** 2)
    late_T = 0.06 * np.exp(-0.5 * ((systole_T - 0.80) / 0.25) ** 2)
    return np.asarray((early_T - late_T) * np.minimum(systole_T / 0.1, 1.0))


def blend_segments(value_K: Floats, along_P: Floats, cos_P: Floats, sin_P: Floats) -> Floats:
    """One value per segment, (..., K), as a field over the wall: smooth everywhere, (..., P)."""
    shape = np.broadcast_shapes(np.shape(along_P), np.shape(cos_P))
    towards_2P = np.stack([np.broadcast_to(cos_P, shape).ravel(), np.broadcast_to(sin_P, shape).ravel()])
    total: Floats | float = 0.0
    near: Floats | float = 0.0
    for level, members, directions_K2 in _LEVELS:
        around_KP = np.exp(directions_K2 @ towards_2P)
        ring = (value_K[..., members] @ around_KP / around_KP.sum(axis=0)).reshape(*value_K.shape[:-1], *shape)
        weight = np.exp(-0.5 * ((along_P - level) / _LEVEL_SPREAD) ** 2)
        total, near = total + weight * ring, near + weight
    return np.asarray(total / near)


def _segment_levels() -> list[tuple[float, slice, Floats]]:
    """Of each level: where it lies, its segments, and their directions, longer where segments are narrower."""
    levels = []
    for level in sorted({segment.level for segment in SEGMENTS}):
        numbers = [k for k, segment in enumerate(SEGMENTS) if segment.level == level]
        angles = np.deg2rad([SEGMENTS[k].angle_deg for k in numbers])
        sharpness = (2.5 / np.deg2rad(SEGMENTS[numbers[0]].width_deg)) ** 2
        directions_K2 = sharpness * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        levels.append((level, slice(numbers[0], numbers[-1] + 1), directions_K2))
    return levels


def _profile(along_P: Floats) -> Floats:
    return np.sqrt(np.maximum(1.0 - ((along_P - _WIDEST) / (1.0 - _WIDEST)) ** 2, 0.0))


def _ovality(oval: float, oval_deg: float, cos_P: Floats | float, sin_P: Floats | float) -> Floats:
    twice = np.deg2rad(2.0 * oval_deg)
    cos_twice = (cos_P**2 - sin_P**2) * np.cos(twice) + 2.0 * cos_P * sin_P * np.sin(twice)
    return np.asarray(1.0 + oval * cos_twice)


def _quadrature(stations: int = 20, angles: int = 36) -> tuple[Floats, Floats, Floats, Floats]:
    """Points over the wall and their weights: r^2 summed with them, times the length, is the volume."""
    nodes, weights = np.polynomial.legendre.leggauss(stations)
    along, turn = np.meshgrid(0.5 * (nodes + 1.0), 2.0 * np.pi * np.arange(angles) / angles, indexing="ij")
    weight = np.repeat(0.5 * weights * np.pi / angles, angles)
    return along.ravel(), np.cos(turn).ravel(), np.sin(turn).ravel(), weight


_LEVELS = _segment_levels()
_ALONG_G, _COS_G, _SIN_G, _WEIGHT_G = _quadrature()
_SHARES_KG = blend_segments(np.eye(len(SEGMENTS)), _ALONG_G, _COS_G, _SIN_G)
