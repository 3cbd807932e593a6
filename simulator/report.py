"""What the echo laboratory writes down: measurements with a reader's error, some of them missing, and the flags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from simulator.physiology import Physiology, lv_mass_g, shd_flags

Reported = float | int | str | bool | None
_NO_MEASURABLE_JET_BELOW_MMHG = 40.0


def report_study(truth: Physiology, rng: Generator) -> dict[str, Reported]:
    """One row of measurements for the `studies` table. Flags follow the numbers that were read, not the truth.

    None is unknown: a window too poor for volumes or walls leaves number and flag empty. Without a measurable
    tricuspid jet there is no velocity and no pressure, and the laboratory calls both normal.
    """
    lvef = float(np.clip(round(truth.lvef_percent + rng.normal(0.0, 2.2)), 5.0, 80.0))
    lvedv = truth.lvedv_ml * float(np.exp(rng.normal(0.0, 0.05)))
    velocity = truth.tr_velocity_m_s * float(np.exp(rng.normal(0.0, 0.02)))
    septum, posterior = (max(0.4, wall + rng.normal(0.0, 0.04)) for wall in (truth.septum_cm, truth.posterior_wall_cm))
    read = replace(
        truth,
        lvef_percent=lvef,
        lvedv_ml=round(lvedv, 1),
        lvesv_ml=round(lvedv * (1.0 - lvef / 100.0), 1),
        septum_cm=round(septum, 2),
        posterior_wall_cm=round(posterior, 2),
        lv_mass_g=round(lv_mass_g(lvedv, septum, posterior), 1),
        la_volume_index=round(truth.la_volume_index * float(np.exp(rng.normal(0.0, 0.06))), 1),
        rv_basal_cm=round(truth.rv_basal_cm + rng.normal(0.0, 0.15), 2),
        tapse_cm=round(max(0.3, truth.tapse_cm + rng.normal(0.0, 0.12)), 2),
        pasp_mmhg=round(max(10.0, truth.pasp_mmhg + 4.0 * (velocity**2 - truth.tr_velocity_m_s**2)), 1),
        tr_velocity_m_s=round(velocity, 2),
    )
    missing: set[str] = set()
    for chance, columns in (
        (0.020, ("lvef_percent", "lvedv_ml", "lvesv_ml", "lv_mass_g", "lvef_lte_45_flag")),
        (0.015, ("septum_cm", "posterior_wall_cm", "lv_mass_g", "lvwt_gte_13_flag")),
        (0.010, ("pulmonary_regurgitation_moderate_or_greater_flag",)),
        (0.12, ("la_volume_index",)),
        (0.20, ("rv_basal_cm",)),
        (0.15, ("tapse_cm",)),
    ):
        if rng.random() < chance:
            missing.update(columns)
    faint_jet = rng.random() < 0.4
    if faint_jet and truth.tricuspid_regurgitation == 0 and truth.pasp_mmhg < _NO_MEASURABLE_JET_BELOW_MMHG:
        missing.update(("pasp_mmhg", "tr_velocity_m_s"))
    row: dict[str, Reported] = {
        "age": int(truth.age_years),
        "sex": truth.sex,
        "lvef_percent": read.lvef_percent,
        "lvedv_ml": read.lvedv_ml,
        "lvesv_ml": read.lvesv_ml,
        **shd_flags(read),
        "septum_cm": read.septum_cm,
        "posterior_wall_cm": read.posterior_wall_cm,
        "lv_mass_g": read.lv_mass_g,
        "la_volume_index": read.la_volume_index,
        "rv_basal_cm": read.rv_basal_cm,
        "tapse_cm": read.tapse_cm,
        "pasp_mmhg": read.pasp_mmhg,
        "tr_velocity_m_s": read.tr_velocity_m_s,
    }
    return {column: None if column in missing else value for column, value in row.items()}
