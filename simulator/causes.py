"""What ails an invented heart first of all: how prone a person is to disease, and which one it becomes.

A heart of no named cause may still be ill: by pressure, valves, age. What each cause does to walls, chambers and the
ECG is said where those are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from simulator.physiology import Cause, Infarct

_SITE_MORBIDITY = (1.10, 1.0, 0.78)
"""How much more often the patients of a site are ill: with it, a site's machines are correlated with disease, but
only through the site."""


@dataclass(frozen=True)
class Proneness:
    """One person's odds of any disease against everybody's. elderly: age in SD above the mean."""

    odds: float
    elderly: float

    @classmethod
    def sample(cls, site: int, elderly: float, rng: Generator) -> Proneness:
        frailty = rng.normal()  # one shared tendency, so that diseases keep company
        return cls(float(_SITE_MORBIDITY[site] * np.exp(0.30 * elderly + 0.75 * frailty - 0.30)), elderly)

    def has(self, base: float, rng: Generator, age_slope: float = 0.0) -> bool:
        """Whether this person has a disease that a share `base` has at these odds' 1."""
        return bool(rng.random() < min(0.95, base * self.odds * np.exp(age_slope * self.elderly)))


@dataclass(frozen=True)
class Ailment:
    """scar_size: as `simulator.segments.sample_motion` takes it. The losses are those of day 0."""

    cause: Cause
    infarct: Infarct
    scar_size: float
    lost_lvef_points: float
    lung_pressure_mmhg: float


def sample_ailment(person: Proneness, rng: Generator) -> Ailment:
    """The failing pump first, then thick muscle, then lungs: one heart has one cause."""
    cause: Cause = "none"
    lost, scar_size = 0.0, 0.0
    if person.has(0.43, rng, -0.05):
        lost = rng.gamma(3.6, 5.7)
        cause = _cause_of_failure(lost, rng)
        scar_size = float(np.clip(lost / 42.0 + rng.normal(0.0, 0.14), 0.15, 1.0))
    elif person.has(0.04, rng):
        cause, lost = "ischaemic", rng.gamma(2.0, 3.0)
        scar_size = float(rng.uniform(0.1, 0.5))
    infarct = _artery(rng) if cause == "ischaemic" else "none"
    if cause == "none" and person.has(0.028, rng):
        cause = "hypertrophic"
    if cause in ("none", "hypertrophic") and person.has(0.015, rng, 0.9):
        cause, lost = "amyloid", max(lost, float(rng.gamma(2.0, 4.5)))
    lung_pressure = 0.0
    if person.has(0.22, rng, 0.10):
        lung_pressure = rng.gamma(2.2, 9.5)
        if cause == "none" and rng.random() < 0.55:
            cause = "lung"
    return Ailment(cause, infarct, scar_size, float(lost), float(lung_pressure))


def _cause_of_failure(lost_points: float, rng: Generator) -> Cause:
    """Half of failing ventricles are ischaemic; without much loss the rest has no name."""
    draw = rng.random()
    if draw < 0.52:
        return "ischaemic"
    if draw < 0.74:
        return "dilated" if lost_points > 14.0 else "none"
    return "left_bundle_block" if draw < 0.80 else "none"


def _artery(rng: Generator) -> Infarct:
    draw = rng.random()
    return "LAD" if draw < 0.45 else "RCA" if draw < 0.80 else "LCx"
