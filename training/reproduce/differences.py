"""How two arms differ on the same test patients, seeds averaged, and what an arm finds for a group of them.

Letters: E ECGs, P phenotypes, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics import Estimate, ReportPart, bootstrap
from training.reproduce.arms import Arm
from training.reproduce.data import PatientGroup
from training.reproduce.endpoints import QUESTIONS, EcgScores
from training.reproduce.retrieved import chance_EP
from training.samples import aurocs

RESAMPLES = 1_000
Endpoint = Literal["mean lift", "own study in the first tenth", "mean AUROC of few-label and kNN probes"]
LIFT: Endpoint = "mean lift"
OWN: Endpoint = "own study in the first tenth"
FEW: Endpoint = "mean AUROC of few-label and kNN probes"

_Float64 = NDArray[np.float64]
ScoresOfSeeds = Mapping[Arm, Sequence[EcgScores]]


def paired_difference(
    endpoint: Endpoint, this: Arm, other: Arm, scores: ScoresOfSeeds, test: PatientGroup
) -> Estimate | None:
    """Both arms in the same 1,000 resamples of patients, who bring all their ECGs; None where one has no such number.

    A resample's number of an arm is the mean over its seeds: the interval is over patients, given these seeds.
    """
    if not (scores.get(this) and scores.get(other)):
        return None
    chance = chance_EP(test)
    if endpoint != FEW and any(one.precision_EP is None for arm in (this, other) for one in scores[arm]):
        return None
    asked = [q for q in QUESTIONS if all(q in one.answers for arm in (this, other) for one in scores[arm])]
    if endpoint == FEW and not asked:
        return None

    def of_arm(arm: Arm, weight_RE: _Float64) -> _Float64:
        each = [_endpoint_R(endpoint, one, chance, test, weight_RE) for one in scores[arm]]
        mean_R: _Float64 = np.mean(each, axis=0)
        return mean_R

    def difference(weight_RE: _Float64) -> dict[str, _Float64]:
        return {"difference": of_arm(this, weight_RE) - of_arm(other, weight_RE)}

    return bootstrap(difference, test.ecgs.patient_E, resamples=RESAMPLES).get("difference")


def _endpoint_R(
    endpoint: Endpoint, scores: EcgScores, chance: _Float64, test: PatientGroup, weight_RE: _Float64
) -> _Float64:
    if endpoint == FEW:
        return few_label_auroc_R(scores, test, weight_RE)
    assert scores.precision_EP is not None
    assert scores.own_E is not None
    if endpoint == LIFT:
        return mean_lift_R(scores.precision_EP, chance, weight_RE)
    own_R: _Float64 = weight_RE @ scores.own_E / weight_RE.sum(axis=1)
    return own_R


def mean_lift_R(precision_EP: _Float64, chance: _Float64, weight_RE: _Float64) -> _Float64:
    """Mean over the known phenotypes of precision over chance, each of the ECGs that have a value; NaN without any."""
    known_P = np.isfinite(chance).any(axis=0) & (np.nansum(chance, axis=0) > 0)
    found_RP = weight_RE @ np.nan_to_num(precision_EP[:, known_P])
    chance_RP = weight_RE @ np.nan_to_num(chance[:, known_P])
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw in which nothing is relevant: left out
        lift_R: _Float64 = np.mean(found_RP / chance_RP, axis=1)
    return lift_R


def few_label_auroc_R(scores: EcgScores, test: PatientGroup, weight_RE: _Float64) -> _Float64:
    """Mean over questions of the mean of both probes, that of few labels itself a mean over draws."""
    of_questions = []
    for column, question in enumerate(QUESTIONS):
        if question in scores.answers:
            truth_E, said = test.answers_EQ[:, column], scores.answers[question]
            known_E = np.isfinite(truth_E)
            positive_E, weight_RK = truth_E[known_E] == 1, weight_RE[:, known_E]
            few = np.mean([aurocs(positive_E, draw_E[known_E], weight_RK) for draw_E in said.few_DE], axis=0)
            of_questions.append((few + aurocs(positive_E, said.knn_E[known_E], weight_RK)) / 2)
    mean_R: _Float64 = np.mean(of_questions, axis=0)
    return mean_R


class GroupLift(ReportPart):
    """The mean lift of one aligned arm, seeds averaged, for the ECGs of one group of patients, among all studies."""

    arm: Arm
    column: str
    group: str
    ecgs: int
    patients: int
    lift: Estimate | None


def group_lifts(scores: ScoresOfSeeds, test: PatientGroup) -> tuple[GroupLift, ...]:
    """Of every aligned arm in every group of every column."""
    chance, found = chance_EP(test), []
    for column in test.groups:
        group_E = test.group_E(str(column))
        for group in np.unique(group_E):
            in_E = group_E == group
            for arm, of_seeds in scores.items():
                precisions = [one.precision_EP[in_E] for one in of_seeds if one.precision_EP is not None]
                if not precisions:
                    continue
                lift = _group_lift(precisions, chance[in_E], test.ecgs.patient_E[in_E])
                patients = len(np.unique(test.ecgs.patient_E[in_E]))
                found.append(
                    GroupLift(
                        arm=arm,
                        column=str(column),
                        group=str(group),
                        ecgs=int(in_E.sum()),
                        patients=patients,
                        lift=lift,
                    )
                )
    return tuple(found)


def _group_lift(precisions: Sequence[_Float64], chance: _Float64, patient_E: NDArray[np.int64]) -> Estimate | None:
    def lift(weight_RE: _Float64) -> dict[str, _Float64]:
        return {"lift": np.mean([mean_lift_R(one, chance, weight_RE) for one in precisions], axis=0)}

    if not np.nansum(chance):
        return None
    return bootstrap(lift, patient_E, resamples=RESAMPLES).get("lift")
