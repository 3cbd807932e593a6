"""The sixteen segments of the left ventricle, which artery feeds each, and how each moves in each disease.

Angles turn around the long axis as the short axis is drawn: lateral 0, anterior 90, septum 180, inferior 270 degrees.
Levels run from the base (0) to the apex (1). Numbering, territories: Cerqueira et al., Circulation 2002;105:539.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from simulator.physiology import Cause, Infarct


@dataclass(frozen=True)
class Segment:
    """One of the sixteen, by its middle. width_deg: how much of the circle is its own."""

    name: str
    angle_deg: float
    level: float
    width_deg: float


_AROUND = (("anterior", 90.0), ("anteroseptal", 150.0), ("inferoseptal", 210.0), ("inferior", 270.0),
           ("inferolateral", 330.0), ("anterolateral", 30.0))  # fmt: skip
_AT_APEX = (("anterior", 90.0), ("septal", 180.0), ("inferior", 270.0), ("lateral", 0.0))

SEGMENTS: tuple[Segment, ...] = (
    *(Segment(f"basal_{wall}", angle, 0.17, 60.0) for wall, angle in _AROUND),
    *(Segment(f"mid_{wall}", angle, 0.50, 60.0) for wall, angle in _AROUND),
    *(Segment(f"apical_{wall}", angle, 0.83, 90.0) for wall, angle in _AT_APEX),
)
"""In the order of the published numbering, 1 to 16."""

NORMAL_MOTION = (1.0,) * len(SEGMENTS)

TERRITORIES: dict[Infarct, dict[str, float]] = {
    "LAD": {
        "basal_anterior": 0.55, "basal_anteroseptal": 0.55, "mid_anterior": 1.0, "mid_anteroseptal": 1.0,
        "apical_anterior": 1.0, "apical_septal": 1.0, "apical_inferior": 0.5, "apical_lateral": 0.5,
    },
    "RCA": {
        "basal_inferior": 1.0, "basal_inferoseptal": 0.8, "mid_inferior": 1.0, "mid_inferoseptal": 0.45,
        "apical_inferior": 0.5,
    },
    "LCx": {
        "basal_inferolateral": 1.0, "basal_anterolateral": 0.7, "mid_inferolateral": 1.0, "mid_anterolateral": 0.8,
        "apical_lateral": 0.6,
    },
}  # fmt: skip
"""How likely each segment is to be scarred when its artery is closed, 1 in the middle of the territory."""


def sample_infarct_motion(infarct: Infarct, size: float, rng: Generator) -> tuple[float, ...]:
    """Motion with an old infarct. size: 0 small to 1 the whole territory; what it spares may move more than before.

    The same number of draws whatever the infarct.
    """
    depth = float(np.clip(rng.normal(0.65 + 0.45 * size, 0.15), 0.35, 1.15))
    spread = rng.normal(0.0, 0.10, size=len(SEGMENTS))
    remote = float(rng.uniform(0.0, 0.25))
    fed = TERRITORIES.get(infarct, {})
    motion = []
    for segment, noise in zip(SEGMENTS, spread, strict=True):
        hit = float(np.clip((fed.get(segment.name, 0.0) - 0.55 + 0.75 * size) / 0.5, 0.0, 1.0))
        if segment.name not in fed:
            hit = 0.0
        motion.append(1.0 + 0.5 * noise + (1.0 - hit) * remote - hit * depth)
    return tuple(float(np.clip(value, -0.25, 1.25)) for value in motion)


def sample_motion(cause: Cause, infarct: Infarct, size: float, rng: Generator) -> tuple[float, ...]:
    """Motion of every segment of one patient's ventricle; the same number of draws whatever the cause."""
    scarred = sample_infarct_motion(infarct, size, rng)
    uneven = rng.standard_normal(len(SEGMENTS))
    if infarct != "none":
        return scarred
    spread = 0.09 if cause == "dilated" else 0.04
    motion = 1.0 + spread * uneven
    if cause == "amyloid":  # the apex is spared: Phelan et al., Heart 2012;98:1442
        motion *= np.array([0.70 + 0.45 * segment.level for segment in SEGMENTS])
    if cause == "hypertrophic":
        motion -= np.array([0.15 * ("sept" in segment.name) for segment in SEGMENTS])
    return tuple(float(value) for value in np.clip(motion, -0.25, 1.25))


def share_scarred(motion: tuple[float, ...]) -> float:
    """How much of the ventricle hardly moves: 0 none, 1 all."""
    return float(np.clip(1.0 - np.asarray(motion), 0.0, 1.0).mean())
