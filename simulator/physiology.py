"""The physiology of one moment: the one truth from which ECG, echo and labels are drawn, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ground.findings import SHD_FLAGS

Grade = int
"""0 none, 1 mild, 2 moderate, 3 severe (effusion: 0 none, 1 trace or small, 2 moderate, 3 large)."""

Sex = Literal["female", "male"]
Rhythm = Literal["sinus", "atrial_fibrillation", "atrial_flutter"]
Infarct = Literal["none", "LAD", "RCA", "LCx"]
"""The coronary artery whose territory is scarred."""
Cause = Literal["none", "ischaemic", "dilated", "left_bundle_block", "hypertrophic", "amyloid", "lung"]
"""What ails the heart first of all. A heart of no named cause may still be ill: by pressure, valves, age."""
Conduction = Literal["normal", "left_bundle_block", "right_bundle_block", "left_anterior_block", "paced"]


@dataclass(frozen=True)
class Physiology:
    """One patient at one moment. Lengths in cm, volumes in ml, pressures in mmHg, velocities in m/s."""

    age_years: float
    sex: Sex
    height_cm: float
    weight_kg: float
    rhythm: Rhythm
    conduction: Conduction
    heart_rate_bpm: float
    cause: Cause
    lvef_percent: float
    lvedv_ml: float
    lvesv_ml: float
    segment_motion: tuple[float, ...]
    """Inward motion of each of `simulator.segments.SEGMENTS` against a normal one: 1 normal, 0 still, below 0 outwards.
    By how much all move together follows from the volumes."""
    septum_cm: float
    posterior_wall_cm: float
    lv_mass_g: float
    la_volume_index: float
    rv_basal_cm: float
    tapse_cm: float
    rv_dysfunction: Grade
    pasp_mmhg: float
    tr_velocity_m_s: float
    aortic_stenosis: Grade
    aortic_regurgitation: Grade
    mitral_regurgitation: Grade
    tricuspid_regurgitation: Grade
    pulmonary_regurgitation: Grade
    effusion: Grade
    infarct: Infarct
    site: int
    """Which invented hospital: fixes the mixture of machines and noise, independent of disease given the site."""

    @property
    def body_surface_m2(self) -> float:
        """From height and weight."""
        return body_surface_m2(self.height_cm, self.weight_kg)


def body_surface_m2(height_cm: float, weight_kg: float) -> float:
    """Mosteller's formula."""
    return float(np.sqrt(height_cm * weight_kg / 3600.0))


def lv_mass_g(lvedv_ml: float, septum_cm: float, posterior_wall_cm: float) -> float:
    """LV mass by the cube formula of Devereux, with the cavity diameter taken from the volume."""
    cavity_cm = float(np.cbrt(0.95 * lvedv_ml))
    return 0.8 * 1.04 * ((cavity_cm + septum_cm + posterior_wall_cm) ** 3 - cavity_cm**3) + 0.6


def shd_flags(physiology: Physiology) -> dict[str, bool]:
    """The eleven EchoNext findings of structural heart disease, in EchoNext's order, from the truth."""
    p = physiology
    values = (
        p.lvef_percent <= 45.0,
        max(p.septum_cm, p.posterior_wall_cm) >= 1.3,
        p.aortic_stenosis >= 2,
        p.aortic_regurgitation >= 2,
        p.mitral_regurgitation >= 2,
        p.tricuspid_regurgitation >= 2,
        p.pulmonary_regurgitation >= 2,
        p.rv_dysfunction >= 2,
        p.effusion >= 2,
        p.pasp_mmhg >= 45.0,
        p.tr_velocity_m_s >= 3.2,
    )
    return dict(zip(SHD_FLAGS, values, strict=True))
