"""How far a heart has strayed, in the few quantities that the ECG answers to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.physiology import Physiology

_FIRST_SEEN_LVEF = 52.0
"""Above it the ECG knows nothing of LVEF itself."""


@dataclass(frozen=True)
class Burden:
    """0 in a typical healthy heart, 1 in a clearly diseased one; size goes below zero in a small heart."""

    pump: float
    mass: float
    thick: float
    dilated: float
    atrium: float
    right: float
    elderly: float
    """In steps of 20 years from 60."""
    obesity: float
    """In steps of 6 kg/m2 from 26."""


def burden_of(physiology: Physiology) -> Burden:
    """What of this heart may show."""
    p, body_m2 = physiology, physiology.body_surface_m2
    normal_mass = 76.0 if p.sex == "female" else 88.0
    return Burden(
        pump=float(np.clip((_FIRST_SEEN_LVEF - p.lvef_percent) / 20.0, 0.0, 1.5)),
        mass=float(np.clip(np.log(p.lv_mass_g / body_m2 / normal_mass) / 0.45, -1.0, 2.2)),
        thick=float(np.clip((max(p.septum_cm, p.posterior_wall_cm) - 1.05) / 0.40, 0.0, 2.0)),
        dilated=float(np.clip(np.log(p.lvedv_ml / body_m2 / 55.0) / 0.40, -0.8, 2.2)),
        atrium=float(np.clip((p.la_volume_index - 26.0) / 16.0, -0.5, 2.5)),
        right=0.65 * float(np.clip((p.pasp_mmhg - 30.0) / 22.0, 0.0, 2.0)) + 0.30 * p.rv_dysfunction,
        elderly=(p.age_years - 60.0) / 20.0,
        obesity=(p.weight_kg / (p.height_cm / 100.0) ** 2 - 26.0) / 6.0,
    )
