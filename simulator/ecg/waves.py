"""What a beat is made of: bumps of a moving dipole.

Dipoles are in millivolt: x to the left, y to the feet, z to the back. Nothing here knows leads or hearts.
Letters in array names: D dipole directions, B bumps, N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]

_AREA = float(np.sqrt(np.pi / 2.0))
"""Of half a Gaussian of width 1 and height 1."""


@dataclass(frozen=True)
class Bump:
    """A Gaussian with two widths. Times in ms after QRS onset."""

    centre_ms: float
    before_ms: float
    after_ms: float
    dipole_mv: Vector

    @property
    def area_ms(self) -> float:
        """Of its time course: times `dipole_mv` it is the bump's area."""
        return _AREA * (self.before_ms + self.after_ms)


def vector(values: Sequence[float] | NDArray[np.float64]) -> Vector:
    """Three numbers as the plain floats that a Bump holds."""
    x, y, z = (float(value) for value in values)
    return x, y, z


def area_of(bumps: Sequence[Bump]) -> NDArray[np.float64]:
    """(D,) what the bumps add up to over time, millivolt x ms."""
    return np.asarray(np.sum([np.multiply(bump.area_ms, bump.dipole_mv) for bump in bumps], axis=0))


def dipole_at(bumps: Sequence[Bump], times_ms_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """(D, N) millivolt: the sum of the bumps at these times."""
    centre_B, before_B, after_B = np.array([(b.centre_ms, b.before_ms, b.after_ms) for b in bumps]).T
    distance_BN = times_ms_N - centre_B[:, None]
    distance_BN /= np.where(distance_BN < 0, before_B[:, None], after_B[:, None])
    np.multiply(distance_BN, distance_BN, out=distance_BN)
    distance_BN *= -0.5
    # Not a BLAS product: its threads cost more than so small a product.
    return np.asarray(np.einsum("bd,bn->dn", np.array([b.dipole_mv for b in bumps]), np.exp(distance_BN)))


def turned(bump: Bump, frontal_deg: float, horizontal_deg: float, gain: float) -> Bump:
    """Turn in the frontal plane (left -> feet), then in the horizontal plane (front -> back), and scale."""
    x, y, z = bump.dipole_mv
    a, b = np.deg2rad(frontal_deg), np.deg2rad(horizontal_deg)
    x, y = x * np.cos(a) - y * np.sin(a), x * np.sin(a) + y * np.cos(a)
    x, z = x * np.cos(b) - z * np.sin(b), x * np.sin(b) + z * np.cos(b)
    return replace(bump, dipole_mv=vector((gain * x, gain * y, gain * z)))
