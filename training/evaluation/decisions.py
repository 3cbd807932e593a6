"""What it would mean to act on a probability: operating points, net benefit and calibration of each yes-no question.

Letters: N ECGs, R resamples, M decision rules.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ground.findings import SHD_FLAGS, short_flag_words
from training.evaluation.answers import YesNoAnswers
from training.evaluation.metrics import Estimate, ReportPart, bootstrap
from training.evaluation.recalibration import RecalibrationReport, recalibration
from training.probes.operating import threshold_reaching

SENSITIVITIES = (0.80, 0.90, 0.95)
THRESHOLD_PROBABILITIES = (0.05, 0.10, 0.15, 0.20, 0.25, 0.30)

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]
_Bool = NDArray[np.bool_]


class OperatingPoint(ReportPart):
    """One decision rule on the measured ECGs.

    With `aimed_sensitivity` it flags ECGs at or above the highest threshold that reaches it on these very ECGs: a new
    sample will reach a little less. Without, it is the probe's own threshold, chosen elsewhere, and flags what lies
    above it. Intervals are of the fixed threshold. `ppv` is None where nothing is flagged, `npv` where everything is.
    """

    aimed_sensitivity: float | None
    threshold: float
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate | None
    npv: Estimate | None
    flagged_per_1000: Estimate


class NetBenefit(ReportPart):
    """True positives per ECG less false ones, weighed by the odds of the threshold probability.

    As in Vickers and Elkin, Med Decis Making 2006;26:565. Treating none has 0.
    """

    threshold_probability: float
    model: Estimate
    treat_all: Estimate


class DecisionReport(ReportPart):
    """One yes-no question, answered by the linear probe."""

    question: str
    n: int
    positives: int
    patients: int
    operating_points: tuple[OperatingPoint, ...]
    net_benefit: tuple[NetBenefit, ...]
    calibration: RecalibrationReport | None
    not_measured: str | None = None
    """Why there is nothing."""
    calibration_not_measured: str | None = None

    def in_words(self) -> str:
        """The question as a person would put it."""
        return short_flag_words(self.question) if self.question in SHD_FLAGS else self.question

    @property
    def own_point(self) -> OperatingPoint | None:
        """At the probe's own threshold."""
        return next((point for point in self.operating_points if point.aimed_sensitivity is None), None)


def decision_report(asked: YesNoAnswers, patient_E: _Int64) -> DecisionReport:
    """One question on all ECGs whose truth is known; `patient_E` numbers the patient of each ECG."""
    if isinstance(asked.answers, str):
        has_E = np.isfinite(asked.truth_E)
        return DecisionReport(
            question=asked.question,
            n=int(has_E.sum()),
            positives=int(np.sum(asked.truth_E == 1)),
            patients=len(np.unique(patient_E[has_E])),
            operating_points=(),
            net_benefit=(),
            calibration=None,
            not_measured=asked.answers,
        )
    truth_N, probability_N, patient_N = asked.known(patient_E)
    points, benefits = _rules(truth_N == 1, probability_N, patient_N, asked.answers.threshold)
    calibration = recalibration(truth_N, probability_N, patient_N)
    return DecisionReport(
        question=asked.question,
        n=len(truth_N),
        positives=int(truth_N.sum()),
        patients=len(np.unique(patient_N)),
        operating_points=points,
        net_benefit=benefits,
        calibration=None if isinstance(calibration, str) else calibration,
        calibration_not_measured=calibration if isinstance(calibration, str) else None,
    )


def _rules(
    positive_N: _Bool, probability_N: _Float64, patient_N: _Int64, own_threshold: float
) -> tuple[tuple[OperatingPoint, ...], tuple[NetBenefit, ...]]:
    """All rules are drawn together: one set of resamples, and one product of weights and decisions."""
    aimed = [(aim, threshold_reaching(positive_N, probability_N, aim)) for aim in SENSITIVITIES]
    flagged_MN = [
        *(probability_N >= threshold for _, threshold in aimed),
        probability_N > own_threshold,
        *(probability_N >= least for least in THRESHOLD_PROBABILITIES),
    ]
    flagged_NM = np.column_stack(flagged_MN).astype(np.float64)
    found = bootstrap(lambda weight_RN: _rates(positive_N, flagged_NM, weight_RN), patient_N)
    points = tuple(
        OperatingPoint(
            aimed_sensitivity=aim,
            threshold=threshold,
            sensitivity=found[f"sensitivity {rule}"],
            specificity=found[f"specificity {rule}"],
            ppv=found.get(f"ppv {rule}"),
            npv=found.get(f"npv {rule}"),
            flagged_per_1000=found[f"flagged {rule}"],
        )
        for rule, (aim, threshold) in enumerate([*aimed, (None, own_threshold)])
    )
    benefits = tuple(
        NetBenefit(threshold_probability=least, model=found[f"benefit {rule}"], treat_all=found[f"treat all {rule}"])
        for rule, least in enumerate(THRESHOLD_PROBABILITIES)
    )
    return points, benefits


def _rates(positive_N: _Bool, flagged_NM: _Float64, weight_RN: _Float64) -> dict[str, _Float64]:
    """The first rules are operating points, the others threshold probabilities."""
    found_RM, flagged_RM = weight_RN @ (flagged_NM * positive_N[:, None]), weight_RN @ flagged_NM
    positives_R1, total_R1 = (weight_RN @ positive_N)[:, None], weight_RN.sum(axis=1, keepdims=True)
    false_RM, spared_RM = flagged_RM - found_RM, total_R1 - flagged_RM
    points = len(SENSITIVITIES) + 1
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 where a draw lacks what is counted: left out
        rates = {
            "sensitivity": found_RM / positives_R1,
            "specificity": 1 - false_RM / (total_R1 - positives_R1),
            "ppv": found_RM / flagged_RM,
            "npv": 1 - (positives_R1 - found_RM) / spared_RM,
            "flagged": 1000 * flagged_RM / total_R1,
        }
    scores = {f"{name} {m}": rate_RM[:, m] for name, rate_RM in rates.items() for m in range(points)}
    for rule, least in enumerate(THRESHOLD_PROBABILITIES):
        odds, m = least / (1 - least), points + rule
        scores[f"benefit {rule}"] = (found_RM[:, m] - odds * false_RM[:, m]) / total_R1[:, 0]
        scores[f"treat all {rule}"] = (positives_R1 - odds * (total_R1 - positives_R1))[:, 0] / total_R1[:, 0]
    return scores
