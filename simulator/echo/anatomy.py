"""What is this patient's own about their heart and chest, the same in every study and free of disease."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator


@dataclass(frozen=True)
class Anatomy:
    """oval: how much the ventricle's cross-section departs from a circle, as a share of its radius; oval_deg: where it
    is widest, 0 to 180 as angles turn in `simulator.segments`.

    roundness: standard normal; larger means a shorter, rounder ventricle. window: standard normal; how well this chest
    lets ultrasound through.
    """

    oval: float
    oval_deg: float
    roundness: float
    window: float


_OVAL_SPREAD = 0.11
"""Half the relative difference of two diameters at right angles: echo's volumes from one plane assume it to be none."""


def sample_anatomy(rng: Generator) -> Anatomy:
    """Draw one patient's."""
    oval, roundness, window = (float(value) for value in rng.standard_normal(3).clip(-2.5, 2.5))
    return Anatomy(
        oval=_OVAL_SPREAD * oval, oval_deg=float(rng.uniform(0.0, 180.0)), roundness=roundness, window=window
    )
