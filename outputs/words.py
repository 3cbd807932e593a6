"""The words of an answer, for people: every rendering says the same thing with the same words.

The JSON keeps the codes beside them. What the findings are called stands in `ground.findings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ground.findings import flag_words

if TYPE_CHECKING:
    from outputs.report import LvefEstimate, LvefPrediction, MeasuredEcg, OperatingPoint, ShdPrediction

__all__ = [
    "DISCLAIMER",
    "LVEF",
    "SHD",
    "UNKNOWN",
    "decision_words",
    "estimate_words",
    "finding_words",
    "flag_words",
    "lvef_class_words",
    "measured_words",
    "point_words",
    "set_words",
    "shd_words",
    "share_words",
    "unusual_words",
]

DISCLAIMER = "Research software, not a medical device: not for diagnosis or treatment."
LVEF = "LVEF"
SHD = "Structural heart disease"
UNKNOWN = "unknown"


def lvef_class_words(range_percent: str) -> str:
    """An LVEF class by its range: `LVEF <= 40 %`."""
    return f"{LVEF} {range_percent}"


def decision_words(*, positive: bool, threshold: float) -> str:
    """`positive (threshold 0.40)`."""
    return f"{'positive' if positive else 'negative'} (threshold {threshold:.2f})"


def shd_words(shd: bool | None) -> str:
    """Whether the heart of a study is structurally diseased."""
    return {True: "yes", False: "no", None: UNKNOWN}[shd]


def finding_words(finding: str | None) -> str:
    """What is said of a flag; nothing where the bundle has no rule for it."""
    return {"raised": "raised", "not_raised": "not raised", "cannot_tell": "cannot tell from an ECG"}.get(
        finding or "", "no rule in this bundle"
    )


def share_words(share: float | None) -> str:
    """A share in percent, small ones with a digit more: `3.1 %`, `49 %`."""
    if share is None:
        return UNKNOWN
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def point_words(point: OperatingPoint) -> str:
    """What a call at an operating point is worth, in one sentence."""
    said = [f"calls {share_words(point.sensitivity)} of cases"]
    if point.ppv is not None:
        said.append(f"{share_words(point.ppv)} of those called are cases")
    if point.npv is not None:
        said.append(f"{share_words(point.npv)} of the others are none")
    if point.echos_per_case is not None:
        said.append(f"{point.echos_per_case:.1f} echos find one case")
    return f"The threshold {point.threshold:.2f} {', '.join(said)} (calibration patients: {point.n_cases + point.n_others})."


def estimate_words(estimate: LvefEstimate) -> str:
    """LVEF as a number: `LVEF 41 % (between 28 and 55 % in 90 % of patients)`."""
    number = f"{LVEF} {estimate.percent:.0f} %"
    if estimate.low is None or estimate.high is None or estimate.coverage is None:
        return number
    return f"{number} (between {estimate.low:.0f} and {estimate.high:.0f} % in {estimate.coverage:.0%} of patients)"


def set_words(question: str, said: LvefPrediction | ShdPrediction) -> str:
    """What is not ruled out, and of whom that holds."""
    assert said.prediction_set is not None
    answers = f"{question}: {' or '.join(said.prediction_set)}"
    if said.coverage is None or said.n_calibration is None:
        return f"{answers}."
    of_whom = "patients" if said.coverage_kind in (None, "overall") else "the patients of each class"
    if said.overall_only:
        of_whom += f" but {' and '.join(said.overall_only)}, of which there were too few"
    return (
        f"{answers}. Such sets hold the truth for {said.coverage:.0%} of {of_whom} "
        f"(measured on {said.n_calibration} patients)."
    )


_MEASURES = (
    ("heart_rate_bpm", "rate", "/min"),
    ("pr_ms", "PR", " ms"),
    ("qrs_ms", "QRS", " ms"),
    ("qt_ms", "QT", " ms"),
    ("qtc_ms", "QTc", " ms"),
    ("axis_deg", "axis", "\u00b0"),
)


def measured_words(measured: MeasuredEcg) -> str:
    """What the tracing itself shows, in one line."""
    values = [(name, getattr(measured, field), unit) for field, name, unit in _MEASURES]
    said = [f"{name} {'not reliable' if value is None else f'{value:.0f}{unit}'}" for name, value, unit in values]
    regular = {True: "regular", False: "irregular", None: "regularity not reliable"}[measured.regular]
    return ", ".join([said[0], regular, *said[1:]])


def unusual_words(percentile: float) -> str:
    """The warning about an ECG that is more unusual than `percentile` % of held-out ones."""
    return (
        "This ECG is unlike the ECGs this model knows; the numbers are for show. "
        f"It is more unusual than {percentile:.1f} % of held-out ECGs."
    )
