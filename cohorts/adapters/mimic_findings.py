"""The numbers and grades of a MIMIC-IV-ECHO examination as measurements and findings of ours.

A finding is true or false where the examination says so and unknown where it says nothing: nothing missing counts as
no. Thresholds are EchoNext's. Grades are words in no fixed spelling, so the first words decide: `Mild to moderate` is
mild, `Mod-severe` at least moderate, and what says that it could not be seen is unknown. What is negated is no finding:
`not significant` is absent, `not severe` may still be moderate and is unknown.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

GRADES: dict[str, str] = {
    "aortic_stenosis": "aortic_stenosis_moderate_or_greater_flag",
    "aortic_regurg": "aortic_regurgitation_moderate_or_greater_flag",
    "mitral_regurg": "mitral_regurgitation_moderate_or_greater_flag",
    "tricuspid_regurg": "tricuspid_regurgitation_moderate_or_greater_flag",
    "pulm_regurg": "pulmonary_regurgitation_moderate_or_greater_flag",
    "rv_function": "rv_systolic_dysfunction_moderate_or_greater_flag",
    "pericardial_effusion": "pericardial_effusion_moderate_large_flag",
}
"""A graded measurement -> the finding that it is from `moderate` on; of pulmonary regurgitation `significant` is."""
_VENA_CAVA = "ivc"
TEXTS = (*GRADES, _VENA_CAVA)

_NOT_SEEN = re.compile(r"cannot|not (?:well )?(?:seen|assessed|visuali[sz]ed)|unable|suboptimal|indeterminate")
_GRADED = r"(?:mod(?:erate(?:ly)?)?|severe(?:ly)?|torrential|massive|large|(?:in)?significant(?:ly)?|depress(?:ed|ion))"
_NEGATED = re.compile(
    rf"(?:\b(?:not|no|non|without|never|nor|less than)\b|<)[ -]*(?:[\w-]+ ){{0,2}}(?:[\w-]+-)?{_GRADED}\b"
    rf"|\bnon{_GRADED}\b|\binsignificant\b|\b{_GRADED} (?:\w+ )?pleural\b"
)
_ABSENT = re.compile(r"(?:in|\bnon|\b)(?:significant|depress)")
_MAY_BE_MODERATE = re.compile(r"\bmod|sever|torrential|massive|large|pleural|chang|interval|prior|compar")
_NO_EFFUSION = re.compile(r"\b(?:no|without) pericardial (?:effusion|fluid)\b|\b(?:no|without) pericardial$")
_NONE = re.compile(r"(?:none|no|nl|normal)\b")
_LESS = re.compile(
    r"(?:low[ -]normal|borderline|physiologic(?:al)?|trace|trivial|minimal(?:ly)?|mild(?:ly)?|very small|small"
    r"|hyper\w*)\b|.*\bfat pad"
)
_MODERATE = re.compile(rf"mod(?:erate(?:ly)?)?\b|.*\b{_GRADED}\b")

_RA_MMHG = (
    (re.compile(r"\(\s*5-10 ?mmhg"), 8.0),
    (re.compile(r"\(\s*10-15 ?mmhg"), 13.0),
    (re.compile(r">\s*15 ?mmhg|\bdilated\b"), 20.0),
    (re.compile(r"ra ?<\s*10 ?mmhg"), 5.0),
    (re.compile(r"^nl ivc|^normal"), 3.0),
)
_NOT_DILATED = re.compile(r"\b(?:not|no|non|without|nor)[ -](?:\w+ )?dilat\w*|\bnondilat\w*")
_NORMAL = re.compile(r"\b(?:nl|normal)\b")
"""What the vena cava's words say of the pressure in the right atrium."""
_MOST_RA_MMHG = 20.0

_WALL_CM, _TR_M_S, _PASP_MMHG, _LVEF_PERCENT = 1.3, 3.2, 45.0, 45.0
_STENOSIS_M_S, _STENOSIS_MMHG, _STENOSIS_CM2 = 3.0, 20.0, 1.5


def findings(said: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """By examination our measurements and flags (boolean, NA unknown), all but LVEF's; rows of grades not understood.

    said: by measurement_id the numbers, in our units, and the texts of `TEXTS`, NaN where there is none. The second
    is true for `(measurement_id, measurement)` where a grade has words that are not known here.
    """
    texts = {name: pd.Series(map(_words, said[name]), index=said.index, dtype=object) for name in TEXTS}
    graded = {
        name: pd.Series(map(at_least_moderate, texts[name]), index=said.index, dtype="boolean") for name in GRADES
    }
    unknown = pd.concat({name: _not_understood(texts[name], graded[name]) for name in GRADES}).swaplevel()

    velocity = said["tr_velocity"].fillna(np.sqrt(said["tr_mmhg"] / 4))  # a gradient is four times its square
    pasp = said["tr_mmhg"] + texts[_VENA_CAVA].map(_right_atrium_mmhg).astype("float64")
    walls = said[["septal_thickness", "inf_lat_thickness"]]
    flags = {flag: graded[name] for name, flag in GRADES.items()}
    stenosis = "aortic_stenosis_moderate_or_greater_flag"
    flags[stenosis] = flags[stenosis].fillna(_measured_stenosis(said).where(texts["aortic_stenosis"] == ""))
    ours = {
        "septum_cm": said["septal_thickness"],
        "posterior_wall_cm": said["inf_lat_thickness"],
        "tapse_cm": said["tapse"],
        "tr_velocity_m_s": velocity,
        "pasp_mmhg": pasp,
        **flags,
        "lvwt_gte_13_flag": _yes_no(walls.max(axis=1) >= _WALL_CM, (walls < _WALL_CM).all(axis=1)),
        "pasp_gte_45_flag": _yes_no(
            (pasp >= _PASP_MMHG) | (said["tr_mmhg"] >= _PASP_MMHG),
            (pasp < _PASP_MMHG) | (said["tr_mmhg"] + _MOST_RA_MMHG < _PASP_MMHG),
        ),
        "tr_max_gte_32_flag": _yes_no(velocity >= _TR_M_S, velocity < _TR_M_S),
    }
    return pd.DataFrame(ours), unknown


def lvef_finding(lvef_percent: pd.Series) -> pd.Series:
    """`lvef_lte_45_flag`, NA where LVEF is unknown."""
    return _yes_no(lvef_percent <= _LVEF_PERCENT, lvef_percent > _LVEF_PERCENT)


def at_least_moderate(grade: str) -> bool | None:
    """Of a grade in small letters: whether it is moderate or worse. None where it does not say."""
    if not grade or _NOT_SEEN.search(grade):
        return None
    if _NO_EFFUSION.search(grade):
        return False
    said = _NEGATED.sub("", grade)
    if _LESS.match(said):
        return False
    if _MODERATE.match(said):
        return None if _NONE.match(said) else True
    if said == grade:
        return False if _NONE.match(said) else None
    return False if _ABSENT.search(grade) and not _MAY_BE_MODERATE.search(grade) else None


def _words(text: object) -> str:
    return text.lower().strip() if isinstance(text, str) else ""


def _not_understood(texts: pd.Series, graded: pd.Series) -> pd.Series:
    return (texts != "") & graded.isna() & ~texts.map(lambda words: bool(_NOT_SEEN.search(words))).astype(bool)


def _measured_stenosis(said: pd.DataFrame) -> pd.Series:
    """By velocity, gradient and area; known once the velocity is."""
    narrow = (
        (said["av_pk_vel"] >= _STENOSIS_M_S)
        | (said["av_mean_grad"] >= _STENOSIS_MMHG)
        | (said["av_area_continuity"] <= _STENOSIS_CM2)
    )
    return _yes_no(narrow, said["av_pk_vel"].notna() & ~narrow)


def _right_atrium_mmhg(vena_cava: str) -> float:
    """NaN where the words do not say."""
    said = _NOT_DILATED.sub("", vena_cava)
    mmhg = next((mmhg for words, mmhg in _RA_MMHG if words.search(said)), np.nan)
    if mmhg == _MOST_RA_MMHG and (said != vena_cava or _NORMAL.search(said)):
        return np.nan  # dilated and not, or dilated and normal
    return mmhg


def _yes_no(yes: pd.Series, no: pd.Series) -> pd.Series:
    """boolean; NA where neither holds."""
    return yes.astype("boolean").where(yes | no)
