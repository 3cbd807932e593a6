"""How far a bundle's LVEF number lies from the truth, beside who always says the mean, and beside published figures.

Letters: E ECGs asked, N ECGs known, R resamples.
"""

from __future__ import annotations

import numpy as np

from models.lvef_number import LvefNumber
from training.data.embedded import EmbeddedEcgs
from training.evaluation.metrics import Estimate, ReportPart, bootstrap

REFERENCES: tuple[tuple[float, str], ...] = (
    (
        11.6,
        "ECG alone, 245 ECGs of MIMIC-IV, ridge on frozen HuBERT-ECG features; github.com/criticaldata/PRIMED-AI, 2026",
    ),
    (7.4, "a network trained on 57,206 ECGs; PMC8950054"),
    (7.7, "a network trained on 236,623 pairs of ECG and echo; Thambiraj et al., npj Digit Med 2026"),
)
"""Mean absolute errors in percentage points, measured by others on their own patients: to know what to expect of real
ones, and no comparison, because the error depends on how far LVEF varies among the patients."""


class LvefErrorReport(ReportPart):
    """LVEF as a number on ECGs of known LVEF; errors in percentage points.

    mean_predictor_error is of the same ECGs by the mean LVEF of the train patients' ECGs, `mean_percent`. inside is the
    share of ECGs whose interval holds LVEF, where `coverage` of patients were promised it.
    """

    n: int
    patients: int
    mean_absolute_error: Estimate
    mean_percent: float | None
    mean_predictor_error: Estimate | None
    """None where no train patient's ECG has a known LVEF."""
    coverage: float | None
    inside: Estimate | None
    """None of a number without an interval."""

    @property
    def references(self) -> tuple[tuple[float, str], ...]:
        """See REFERENCES."""
        return REFERENCES


def lvef_error_report(
    known: EmbeddedEcgs | None, test: EmbeddedEcgs, number: LvefNumber | None
) -> LvefErrorReport | str:
    """Of the bundle's own number, as served, or why it is not measured. `known` are the train patients' ECGs."""
    truth_E = test.truth("lvef_percent")
    has_E = np.isfinite(truth_E)
    if number is None or test.lvef_percent_E is None:
        return "the bundle gives no LVEF as a number"
    if not has_E.any():
        return f"the error of LVEF as a number needs ECGs of known LVEF, and the {test.split} patients have none"
    truth_N, said_N = truth_E[has_E], test.lvef_percent_E[has_E].astype(np.float64)
    per_ecg = {"mean_absolute_error": np.abs(said_N - truth_N)}
    train_N = np.empty(0) if known is None else known.truth("lvef_percent")
    mean_percent = float(np.nanmean(train_N)) if np.isfinite(train_N).any() else None
    if mean_percent is not None:
        per_ecg["mean_predictor_error"] = np.abs(mean_percent - truth_N)
    if number.interval is not None:
        half_N = np.array([number.interval.bin_of(percent).half_width_percent for percent in said_N.tolist()])
        per_ecg["inside"] = (per_ecg["mean_absolute_error"] <= half_N).astype(np.float64)
    patient_N = test.patient_E[has_E]
    means = bootstrap(
        lambda weight_RN: {name: weight_RN @ value_N / weight_RN.sum(axis=1) for name, value_N in per_ecg.items()},
        patient_N,
    )
    return LvefErrorReport(
        n=len(truth_N),
        patients=len(np.unique(patient_N)),
        mean_absolute_error=means["mean_absolute_error"],
        mean_percent=mean_percent,
        mean_predictor_error=means.get("mean_predictor_error"),
        coverage=None if number.interval is None else number.interval.coverage,
        inside=means.get("inside"),
    )
