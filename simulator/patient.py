"""Hidden physiology of an invented patient: the one truth from which ECG, echo and labels are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Grade = int
"""0 none, 1 mild, 2 moderate, 3 severe (effusion: 0 none, 1 trace or small, 2 moderate, 3 large)."""


@dataclass(frozen=True)
class Physiology:
    """One patient at one moment. Lengths in cm, volumes in ml, pressures in mmHg, velocities in m/s."""

    age_years: float
    sex: Literal["female", "male"]
    height_cm: float
    weight_kg: float
    rhythm: Literal["sinus", "atrial_fibrillation"]
    heart_rate_bpm: float
    lvef_percent: float
    lvedv_ml: float
    lvesv_ml: float
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
    infarct: Literal["none", "anterior", "inferior", "lateral"]
    site: int
    """Which invented hospital: fixes the mixture of machines and noise, independent of disease given the site."""
