"""What a part of an answer says to a person, in one sentence or line; page and command show the same."""

from __future__ import annotations

from outputs.report import LvefEstimate, LvefPrediction, MeasuredEcg, OperatingPoint, ShdPrediction
from outputs.words import LVEF, share_words


def point_sentence(point: OperatingPoint) -> str:
    """What a call at an operating point is worth, in one sentence."""
    said = [f"calls {share_words(point.sensitivity)} of cases"]
    if point.ppv is not None:
        said.append(f"{share_words(point.ppv)} of those called are cases")
    if point.npv is not None:
        said.append(f"{share_words(point.npv)} of the others are none")
    if point.echos_per_case is not None:
        said.append(f"{point.echos_per_case:.1f} echos find one case")
    patients = point.n_cases + point.n_others
    return f"The threshold {point.threshold:.2f} {', '.join(said)} (calibration patients: {patients})."


def estimate_sentence(estimate: LvefEstimate) -> str:
    """LVEF as a number: `LVEF 41 % (between 28 and 55 % in 90 % of patients)`."""
    number = f"{LVEF} {estimate.percent:.0f} %"
    if estimate.low is None or estimate.high is None or estimate.coverage is None:
        return number
    return f"{number} (between {estimate.low:.0f} and {estimate.high:.0f} % in {estimate.coverage:.0%} of patients)"


def set_sentence(question: str, said: LvefPrediction | ShdPrediction) -> str:
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


def measured_line(measured: MeasuredEcg) -> str:
    """What the tracing itself shows, in one line."""
    values = [(name, getattr(measured, field), unit) for field, name, unit in _MEASURES]
    said = [f"{name} {'not reliable' if value is None else f'{value:.0f}{unit}'}" for name, value, unit in values]
    regular = {True: "regular", False: "irregular", None: "regularity not reliable"}[measured.regular]
    return ", ".join([said[0], regular, *said[1:]])
