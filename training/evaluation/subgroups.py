"""The same questions asked of a part of the ECGs: by sex, age, rhythm, site and device.

Letters: E ECGs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts import OpenCohort
from cohorts.tables import ECG_GROUPS
from training.data.own_rows import labels_of_ecgs
from training.evaluation.answers import NO_YES, YesNoAnswers
from training.evaluation.metrics import Estimate, ReportPart, bootstrap, decision_scores
from training.evaluation.recalibration import RecalibrationReport, recalibration

FEW_PATIENTS = 50
"""A group with fewer is marked: its numbers move with every patient."""
AGE_BANDS = ((0, 50, "under 50"), (50, 65, "50 to 64"), (65, 80, "65 to 79"), (80, np.inf, "80 and over"))
UNKNOWN = "unknown"

_Int64 = NDArray[np.int64]


class GroupScores(ReportPart):
    """A question in one group, decided at the probe's own threshold."""

    auroc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    flagged_per_1000: Estimate
    calibration: RecalibrationReport | None
    calibration_not_measured: str | None = None


class SubgroupReport(ReportPart):
    """One question in one group; `few_patients` marks a group of fewer than fifty."""

    question: str
    column: str
    group: str
    n: int
    positives: int
    patients: int
    few_patients: bool
    scores: GroupScores | None
    not_measured: str | None = None
    """Why there are no scores."""


def ecg_groups(cohort: OpenCohort, pairs: pd.DataFrame) -> dict[str, list[str]]:
    """By column the group of every ECG of `pairs`, in the order of `labels_of_ecgs`; columns that the cohort has.

    Sex and age are of the ECG's nearest study.
    """
    studies, ecgs = cohort.tables.studies, cohort.tables.ecgs.set_index("ecg_id")
    nearest = labels_of_ecgs(pairs, studies.set_index("study_id")[["sex", "age"]])
    groups = {
        "sex": [sex if isinstance(sex, str) and sex else UNKNOWN for sex in nearest["sex"]],
        "age": [_age_band(age) for age in nearest["age"]],
    }
    for column in ECG_GROUPS:
        if column in ecgs.columns:
            groups[column] = [value or UNKNOWN for value in ecgs[column].loc[nearest.index]]
    return groups


def lacking_groups(cohort: OpenCohort) -> dict[str, str]:
    """What the cohort has no column for, and why that is not measured; empty where it has them all."""
    lacking = [column for column in ECG_GROUPS if column not in cohort.tables.ecgs.columns]
    if not lacking:
        return {}
    columns = ", ".join(lacking)
    return {f"subgroups by {columns}": f"subgroups by {columns} need columns so named in the cohort's table ecgs"}


def subgroup_reports(
    questions: Sequence[YesNoAnswers], patient_E: _Int64, groups: Mapping[str, Sequence[str]]
) -> tuple[SubgroupReport, ...]:
    """Every question that has answers in every group, measured or not; `groups` as `ecg_groups` gives them."""
    reports = []
    for column, group_of_E in groups.items():
        names_E = np.array(group_of_E, dtype=object)
        for asked in questions:
            if not isinstance(asked.answers, str):
                reports += [_group(asked, patient_E, column, name, names_E == name) for name in _order(group_of_E)]
    return tuple(reports)


def _group(
    asked: YesNoAnswers, patient_E: _Int64, column: str, group: str, among_E: NDArray[np.bool_]
) -> SubgroupReport:
    assert not isinstance(asked.answers, str)
    truth_N, probability_N, patient_N = asked.known(patient_E, among_E)
    scores, lacking, patients = None, None, len(np.unique(patient_N))
    if not len(truth_N):
        lacking = "no ECG of this group has a known answer"
    elif len(np.unique(truth_N)) < 2:
        lacking = f"needs ECGs of each answer, and all {len(truth_N)} of this group are {NO_YES[int(truth_N[0])]}"
    else:
        positive_N, flagged_N = truth_N == 1, probability_N > asked.answers.threshold
        calibration = recalibration(truth_N, probability_N, patient_N)
        scores = GroupScores(
            **bootstrap(lambda weight: decision_scores(positive_N, probability_N, flagged_N, weight), patient_N),
            calibration=None if isinstance(calibration, str) else calibration,
            calibration_not_measured=calibration if isinstance(calibration, str) else None,
        )
    return SubgroupReport(
        question=asked.question,
        column=column,
        group=group,
        n=len(truth_N),
        positives=int(truth_N.sum()),
        patients=patients,
        few_patients=patients < FEW_PATIENTS,
        scores=scores,
        not_measured=lacking,
    )


def _order(group_of_E: Sequence[str]) -> list[str]:
    """Age bands from young to old, other names by letter, what is unknown last."""
    bands = [name for _, _, name in AGE_BANDS]
    return sorted(set(group_of_E), key=lambda name: (name == UNKNOWN, bands.index(name) if name in bands else 0, name))


def _age_band(age: float) -> str:
    return next((name for low, high, name in AGE_BANDS if low <= age < high), UNKNOWN)
