"""Two bundles on the very same patients: how their scores differ, and how sure that is.

Both are scored in each resample of the patients, so what is hard in a patient is hard for both and cancels.
Letters: N ECGs, Q queries, R resamples.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from training.evaluation.answers import YesNoAnswers
from training.evaluation.measured import Measured
from training.evaluation.metrics import Estimate, ReportPart, bootstrap
from training.evaluation.retrieval_report import PHENOTYPES, QueryPrecision, query_precision
from training.samples import aurocs

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


class PairedDifference(ReportPart):
    """One score of both, and this bundle's less the other's with its interval over patients."""

    score: str
    n: int
    patients: int
    this: float
    other: float
    difference: Estimate


class ComparisonReport(ReportPart):
    """Of the ECGs and pairs that both bundles can use."""

    other_bundle_id: str
    differences: tuple[PairedDifference, ...]
    not_measured: dict[str, str] = Field(default_factory=dict)
    """By score, why there is no difference."""


def compare(this: Measured, other: Measured, labels: pd.DataFrame) -> ComparisonReport:
    """AUROC of each question, precision@10 and lift of ECG to study (own patient excluded), this less other."""
    differences: list[PairedDifference] = []
    reasons: dict[str, str] = {}
    theirs = {asked.question: asked for asked in other.questions()}
    ids = this.test.labels.index.intersection(other.test.labels.index)
    rows, other_rows = (found.test.labels.index.get_indexer(ids) for found in (this, other))
    for asked in this.questions():
        name = f"AUROC, {asked.question}"
        their = theirs.get(asked.question)
        found = (
            "the other bundle has other LVEF classes"
            if their is None
            else _answers_compared(name, asked, their, this.test.patient_E, (rows, other_rows))
        )
        if isinstance(found, str):
            reasons[name] = found
        else:
            differences.append(found)
    if this.lacking or other.lacking:
        reasons["retrieval"] = "retrieval is compared where both bundles have both towers"
    elif not (this.studies and other.studies):
        reasons["retrieval"] = "retrieval needs echo views, and the cohort has none"
    else:
        differences += _retrieval_compared(this, other, labels)
    return ComparisonReport(other_bundle_id=other.bundle.id, differences=tuple(differences), not_measured=reasons)


def auroc_difference(
    name: str, truth_N: _Int64, this_N: _Float64, other_N: _Float64, patient_N: _Int64
) -> PairedDifference:
    """Of two models' scores of the same ECGs. ValueError where only one of the answers occurs."""
    if len(np.unique(truth_N)) < 2:
        raise ValueError("an AUROC needs both answers, and one of them does not occur")
    positive_N = truth_N == 1

    def scores(weight_RN: _Float64) -> dict[str, _Float64]:
        return _less(aurocs(positive_N, this_N, weight_RN), aurocs(positive_N, other_N, weight_RN))

    return _difference(name, patient_N, bootstrap(scores, patient_N))


def precision_differences(name: str, this: QueryPrecision, other: QueryPrecision) -> list[PairedDifference]:
    """Of precision@10 and of lift, of two rankings of the same queries; no lift where chance finds nothing."""

    def precision(weight_RQ: _Float64) -> dict[str, _Float64]:
        total_R = weight_RQ.sum(axis=1)
        return _less(weight_RQ @ this.precision_Q / total_R, weight_RQ @ other.precision_Q / total_R)

    def lift(weight_RQ: _Float64) -> dict[str, _Float64]:
        with np.errstate(divide="ignore", invalid="ignore"):  # a draw in which nothing is relevant: left out
            return _less(
                weight_RQ @ this.precision_Q / (weight_RQ @ this.chance_Q),
                weight_RQ @ other.precision_Q / (weight_RQ @ other.chance_Q),
            )

    found = [_difference(f"precision@10, {name}", this.patient_Q, bootstrap(precision, this.patient_Q))]
    if this.chance_Q.any():
        found.append(_difference(f"lift, {name}", this.patient_Q, bootstrap(lift, this.patient_Q)))
    return found


def _answers_compared(
    name: str, this: YesNoAnswers, other: YesNoAnswers, patient_E: _Int64, rows: tuple[_Int64, _Int64]
) -> PairedDifference | str:
    """`rows` are of the ECGs that both have, among this bundle's and among the other's."""
    if isinstance(this.answers, str):
        return this.answers
    if isinstance(other.answers, str):
        return other.answers
    truth_E = this.truth_E[rows[0]]
    has_E = np.isfinite(truth_E)
    if len(np.unique(truth_E[has_E])) < 2:
        return "the ECGs that both bundles can use lack an answer"
    return auroc_difference(
        name,
        truth_E[has_E].astype(np.int64),
        this.answers.probability_E[rows[0]][has_E].astype(np.float64),
        other.answers.probability_E[rows[1]][has_E].astype(np.float64),
        patient_E[rows[0]][has_E],
    )


def _retrieval_compared(this: Measured, other: Measured, labels: pd.DataFrame) -> list[PairedDifference]:
    pairs = this.pairs.merge(other.pairs[["ecg_id", "study_id"]], on=["ecg_id", "study_id"])
    found: list[PairedDifference] = []
    for relevant in ("pair", *PHENOTYPES) if len(pairs) else ():
        ours, theirs = (
            query_precision(pairs, labels, one.ecg_embeddings, one.studies, relevant) for one in (this, other)
        )
        if ours is not None and theirs is not None:
            name = "the paired study" if relevant == "pair" else f"study of like {relevant}, own patient excluded"
            found += precision_differences(name, ours, theirs)
    return found


def _less(this_R: _Float64, other_R: _Float64) -> dict[str, _Float64]:
    return {"this": this_R, "other": other_R, "difference": this_R - other_R}


def _difference(name: str, patient_N: _Int64, found: dict[str, Estimate]) -> PairedDifference:
    return PairedDifference(
        score=name,
        n=len(patient_N),
        patients=len(np.unique(patient_N)),
        this=found["this"].value,
        other=found["other"].value,
        difference=found["difference"],
    )
