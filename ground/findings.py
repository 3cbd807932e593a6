"""The domain's words: the findings of structural heart disease and what an echo study measures."""

from __future__ import annotations

LV_PHENOTYPES = ("lvef_percent", "lvedv_ml", "lvesv_ml")
"""The measured ones by which retrieval is scored; stroke volume follows from two of them."""


SHD_FLAGS: tuple[str, ...] = (
    "lvef_lte_45_flag",
    "lvwt_gte_13_flag",
    "aortic_stenosis_moderate_or_greater_flag",
    "aortic_regurgitation_moderate_or_greater_flag",
    "mitral_regurgitation_moderate_or_greater_flag",
    "tricuspid_regurgitation_moderate_or_greater_flag",
    "pulmonary_regurgitation_moderate_or_greater_flag",
    "rv_systolic_dysfunction_moderate_or_greater_flag",
    "pericardial_effusion_moderate_large_flag",
    "pasp_gte_45_flag",
    "tr_max_gte_32_flag",
)
"""The eleven findings of EchoNext's structural-heart-disease composite, under its column names and in its order."""


MEASUREMENTS: tuple[str, ...] = (
    "septum_cm",
    "posterior_wall_cm",
    "lv_mass_g",
    "la_volume_index",
    "rv_basal_cm",
    "tapse_cm",
    "pasp_mmhg",
    "tr_velocity_m_s",
)
"""Columns that `studies` may carry beside the required ones."""
