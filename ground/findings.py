"""The domain's words: the findings of structural heart disease, and what an echo study measures.

Each stands here once, with the column name that tables, bundles and JSON use and the words that people read.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ShdFlag:
    """One finding that makes a heart count as structurally diseased. `column` is EchoNext's name for it."""

    column: str
    words: str
    short: str
    """For axes and narrow tables."""
    lvef_percent_at_most: float | None = None
    """Of a flag that says nothing but that LVEF is at most this."""


@dataclass(frozen=True)
class Phenotype:
    """What an echo study measures of a heart, in `unit`."""

    column: str
    words: str
    short: str
    unit: str


_FLAGS = (
    ShdFlag("lvef_lte_45_flag", "LVEF 45 % or less", "LVEF <= 45 %", lvef_percent_at_most=45.0),
    ShdFlag("lvwt_gte_13_flag", "left ventricular wall 13 mm or thicker", "LV wall >= 13 mm"),
    ShdFlag("aortic_stenosis_moderate_or_greater_flag", "aortic stenosis, moderate or worse", "aortic stenosis"),
    ShdFlag(
        "aortic_regurgitation_moderate_or_greater_flag",
        "aortic regurgitation, moderate or worse",
        "aortic regurgitation",
    ),
    ShdFlag(
        "mitral_regurgitation_moderate_or_greater_flag",
        "mitral regurgitation, moderate or worse",
        "mitral regurgitation",
    ),
    ShdFlag(
        "tricuspid_regurgitation_moderate_or_greater_flag",
        "tricuspid regurgitation, moderate or worse",
        "tricuspid regurgitation",
    ),
    ShdFlag(
        "pulmonary_regurgitation_moderate_or_greater_flag",
        "pulmonary regurgitation, moderate or worse",
        "pulmonary regurgitation",
    ),
    ShdFlag(
        "rv_systolic_dysfunction_moderate_or_greater_flag",
        "right ventricular systolic dysfunction, moderate or worse",
        "RV systolic dysfunction",
    ),
    ShdFlag(
        "pericardial_effusion_moderate_large_flag", "pericardial effusion, moderate or large", "pericardial effusion"
    ),
    ShdFlag("pasp_gte_45_flag", "pulmonary artery systolic pressure 45 mmHg or more", "PASP >= 45 mmHg"),
    ShdFlag("tr_max_gte_32_flag", "tricuspid regurgitation velocity 3.2 m/s or more", "TR velocity >= 3.2 m/s"),
)

SHD_FLAGS: tuple[str, ...] = tuple(flag.column for flag in _FLAGS)
"""The eleven findings of EchoNext's structural-heart-disease composite, under its column names and in its order."""

FLAGS_ABOUT_LVEF: dict[str, float] = {
    flag.column: flag.lvef_percent_at_most for flag in _FLAGS if flag.lvef_percent_at_most is not None
}
"""The flags that say nothing but that LVEF is at most so many percent."""

_VENTRICLE = (
    Phenotype("lvef_percent", "LVEF", "LVEF", "%"),
    Phenotype("lvedv_ml", "LV end-diastolic volume", "LVEDV", "ml"),
    Phenotype("lvesv_ml", "LV end-systolic volume", "LVESV", "ml"),
)
_STROKE_VOLUME = Phenotype("lvsv_ml", "LV stroke volume", "LVSV", "ml")
_MEASURED = (
    Phenotype("septum_cm", "septal thickness", "septum", "cm"),
    Phenotype("posterior_wall_cm", "posterior wall thickness", "posterior wall", "cm"),
    Phenotype("lv_mass_g", "LV mass", "LV mass", "g"),
    Phenotype("la_volume_index", "left atrial volume index", "LAVI", "ml/m2"),
    Phenotype("rv_basal_cm", "basal RV diameter", "RV basal", "cm"),
    Phenotype("tapse_cm", "TAPSE", "TAPSE", "cm"),
    Phenotype("pasp_mmhg", "pulmonary artery systolic pressure", "PASP", "mmHg"),
    Phenotype("tr_velocity_m_s", "tricuspid regurgitation velocity", "TR velocity", "m/s"),
)

LV_PHENOTYPES: tuple[str, ...] = tuple(phenotype.column for phenotype in _VENTRICLE)
"""The measured ones by which retrieval is scored; stroke volume follows from two of them."""

STROKE_VOLUME: str = _STROKE_VOLUME.column

MEASUREMENTS: tuple[str, ...] = tuple(phenotype.column for phenotype in _MEASURED)
"""Columns that `studies` may carry beside the required ones."""

_FLAG_BY_COLUMN = {flag.column: flag for flag in _FLAGS}
_PHENOTYPE_BY_COLUMN = {phenotype.column: phenotype for phenotype in (*_VENTRICLE, _STROKE_VOLUME, *_MEASURED)}


def flag_words(column: str) -> str:
    """A flag as a person says it: `LVEF 45 % or less`. A column that is none of the eleven is only made readable."""
    flag = _FLAG_BY_COLUMN.get(column)
    return column.removesuffix("_flag").replace("_", " ") if flag is None else flag.words


def short_flag_words(column: str) -> str:
    """The same for an axis or a narrow table."""
    flag = _FLAG_BY_COLUMN.get(column)
    return flag_words(column) if flag is None else flag.short


def phenotype_of(column: str) -> Phenotype:
    """The phenotype behind a column. KeyError for a column that is none."""
    return _PHENOTYPE_BY_COLUMN[column]
