"""Classification metrics with what makes them honest: how many, how sure, how calibrated.

Letters: N ECGs, C classes. Values are of ECGs, intervals are over patients: a patient's ECGs come and go together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.stats import rankdata

_RESAMPLES = 500
_BINS = 10

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]
_Bool = NDArray[np.bool_]


class Record(BaseModel):
    """A part of a report: checked, frozen, JSON-able."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(Record):
    """A value with the 2.5th and 97.5th percentile of its patient-level bootstrap."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class ReliabilityBin(Record):
    """`n` ECGs got a probability from `low` to `high`, on average `mean_predicted`; a share `observed` is positive."""

    low: float
    high: float
    n: int
    mean_predicted: float
    observed: float


class YesNoReport(Record):
    """One yes-no question. F1 and balanced accuracy are of the decision `probability > threshold`."""

    n: int
    positives: int
    patients: int
    threshold: float
    auroc: Estimate
    auprc: Estimate
    f1: Estimate
    balanced_accuracy: Estimate
    brier: float
    expected_calibration_error: float
    reliability: tuple[ReliabilityBin, ...]


class ClassesReport(Record):
    """Several classes: one-against-rest AUROC and AUPRC, F1 and recall, all averaged over classes of equal weight."""

    n: int
    class_counts: tuple[int, ...]
    patients: int
    auroc: Estimate
    auprc: Estimate
    f1: Estimate
    balanced_accuracy: Estimate


def yes_no_report(
    truth_N: _Int64, probability_N: _Float64, patient_N: _Int64, *, threshold: float = 0.5
) -> YesNoReport:
    """ValueError where only one of the answers occurs."""
    truth_N, probability_N = np.asarray(truth_N), np.asarray(probability_N, np.float64)
    if len(np.unique(truth_N)) < 2:
        raise ValueError("the patients of this split are all positive or all negative; a larger cohort is needed")

    def scores(rows: _Int64) -> dict[str, float]:
        return binary_scores(truth_N[rows], probability_N[rows], threshold)

    bins = reliability(truth_N, probability_N)
    return YesNoReport(
        n=len(truth_N),
        positives=int(truth_N.sum()),
        patients=len(np.unique(patient_N)),
        threshold=threshold,
        **bootstrap(scores, patient_N),
        brier=float(np.mean((probability_N - truth_N) ** 2)),
        expected_calibration_error=sum(b.n * abs(b.mean_predicted - b.observed) for b in bins) / len(truth_N),
        reliability=bins,
    )


def classes_report(truth_N: _Int64, probability_NC: _Float64, patient_N: _Int64) -> ClassesReport:
    """ValueError where a class does not occur."""
    classes = probability_NC.shape[1]
    counts = np.bincount(truth_N, minlength=classes)
    if not counts.all():
        raise ValueError("a class does not occur among the patients of this split; a larger cohort is needed")
    return ClassesReport(
        n=len(truth_N),
        class_counts=tuple(counts.tolist()),
        patients=len(np.unique(patient_N)),
        **bootstrap(lambda rows: multiclass_scores(truth_N[rows], probability_NC[rows]), patient_N),
    )


def binary_scores(truth_N: _Int64, probability_N: _Float64, threshold: float = 0.5) -> dict[str, float]:
    """ValueError where only one of the answers occurs.

    Equal to scikit-learn's functions of these names, without their checks: a bootstrap calls this thousands of times.
    """
    return _binary_scores(truth_N == 1, probability_N, probability_N > threshold)


def multiclass_scores(truth_N: _Int64, probability_NC: _Float64) -> dict[str, float]:
    """Each class against the rest, averaged over classes of equal weight; balanced accuracy is the mean recall."""
    decided_N = probability_NC.argmax(axis=1)
    each = [_binary_scores(truth_N == c, probability_NC[:, c], decided_N == c) for c in range(probability_NC.shape[1])]
    averaged = {name: float(np.mean([scores[name] for scores in each])) for name in ("auroc", "auprc", "f1")}
    recalls = [np.mean(decided_N[truth_N == c] == c) for c in range(probability_NC.shape[1])]
    return averaged | {"balanced_accuracy": float(np.mean(recalls))}


def _binary_scores(positive_N: _Bool, score_N: _Float64, decided_N: _Bool) -> dict[str, float]:
    positives = int(positive_N.sum())
    negatives = len(positive_N) - positives
    if not positives or not negatives:
        raise ValueError("a score of a yes-no question needs both answers")
    rank_sum = float(rankdata(score_N)[positive_N].sum())
    found = int(np.sum(decided_N & positive_N))
    return {
        "auroc": (rank_sum - positives * (positives + 1) / 2) / (positives * negatives),
        "auprc": _average_precision(positive_N, score_N),
        "f1": 2 * found / (positives + int(decided_N.sum())),
        "balanced_accuracy": (found / positives + int(np.sum(~decided_N & ~positive_N)) / negatives) / 2,
    }


def _average_precision(positive_N: _Bool, score_N: _Float64) -> float:
    """Precision at each threshold, weighted by the recall it adds; equal scores are one threshold."""
    order = np.argsort(-score_N, kind="stable")
    hits = np.cumsum(positive_N[order])
    last_of_tie = np.append(np.diff(score_N[order]) != 0, True)
    precision = (hits / np.arange(1, len(hits) + 1))[last_of_tie]
    recall_gain = np.diff(hits[last_of_tie], prepend=0) / hits[-1]
    return float(np.sum(precision * recall_gain))


def bootstrap(
    scores: Callable[[_Int64], Mapping[str, float]], patient_N: NDArray[np.int64], *, seed: int = 0
) -> dict[str, Estimate]:
    """Estimates of every score: patients are drawn with replacement and bring all their rows along.

    Draws in which a score is undefined (a class is missing) are left out.
    """
    _, owner_N = np.unique(patient_N, return_inverse=True)
    order = np.argsort(owner_N, kind="stable")
    rows_of_patient = np.split(order, np.cumsum(np.bincount(owner_N))[:-1])
    values = scores(np.arange(len(patient_N)))
    draw = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in values}
    for _ in range(_RESAMPLES):
        chosen = draw.integers(0, len(rows_of_patient), len(rows_of_patient))
        try:
            resampled = scores(np.concatenate([rows_of_patient[p] for p in chosen]))
        except ValueError:
            continue
        for name, value in resampled.items():
            drawn[name].append(value)
    return {name: _estimate(value, drawn[name]) for name, value in values.items()}


def _estimate(value: float, drawn: list[float]) -> Estimate:
    low, high = np.percentile(drawn, [2.5, 97.5]) if drawn else (value, value)
    return Estimate(value=value, low=float(low), high=float(high))


def reliability(truth_N: _Int64, probability_N: _Float64) -> tuple[ReliabilityBin, ...]:
    """Ten equally wide bins; empty ones are left out."""
    bin_N = np.minimum((probability_N * _BINS).astype(np.int64), _BINS - 1)
    return tuple(
        ReliabilityBin(
            low=b / _BINS,
            high=(b + 1) / _BINS,
            n=int((bin_N == b).sum()),
            mean_predicted=float(probability_N[bin_N == b].mean()),
            observed=float(truth_N[bin_N == b].mean()),
        )
        for b in np.unique(bin_N).tolist()
    )
