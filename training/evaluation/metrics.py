"""Scores with what makes them honest: how many, how sure, how calibrated.

Letters: N ECGs, C classes, R resamples, K distinct scores. Values are of ECGs, intervals are over patients: a patient's
ECGs come and go together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat
from sklearn.metrics import roc_curve

from training.samples import aurocs, scores_of_samples

_RESAMPLES = 500
_CHUNK_CELLS = 1_000_000
"""Weights (resamples x ECGs) scored at once: bounds the working memory to about 100 MB."""
_BINS = 10
_ROC_POINTS = 101
_FEWEST_DRAWS = 40
"""Of fewer draws none lies beyond the 2.5th percentile."""
_SAME = 1e-12
"""Draws that differ by less, of a value near 1, differ by rounding."""
_SMALL = 0.01
"""Of numbers that are all smaller, fixed decimals show little or nothing."""

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]
_Bool = NDArray[np.bool_]


class ReportPart(BaseModel):
    """A part of a report: checked, frozen, JSON-able."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(ReportPart):
    """A value with the 2.5th and 97.5th percentile of its patient-level bootstrap.

    Both are None, which is "not measured", where the draws say nothing of how sure the value is: one patient, hardly a
    draw in which it is defined, or the same value in all of them. A value that is not defined is no estimate.
    """

    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)

    def in_digits(self, digits: int, between: str = " to ") -> str:
        """The value and, in brackets, its interval; with `to` where a dash would meet a minus sign.

        Digits are decimals, and of small numbers significant ones.
        """
        known = [self.value, *(self.interval or ())]
        kind = "g" if 0 < max(map(abs, known)) < _SMALL else "f"
        value, *ends = (f"{one:.{digits}{kind}}" for one in known)
        between = " to " if min(known[1:], default=0) < 0 else between
        return f"{value} ({between.join(ends) or 'interval not measured'})"

    def __str__(self) -> str:
        return self.in_digits(3)


class Spread(ReportPart):
    """Mean, lowest and highest of a few runs or draws: too few for a percentile."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(mean=float(np.mean(values)), low=min(values), high=max(values))

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


class ReliabilityBin(ReportPart):
    """`n` ECGs got a probability from `low` to `high`, on average `mean_predicted`; a share `observed` is positive."""

    low: float
    high: float
    n: int
    mean_predicted: float
    observed: float


class RocCurve(ReportPart):
    """Corners of the curve from (0, 0) to (1, 1); of more than a hundred, evenly chosen ones."""

    false_positive_rate: tuple[float, ...]
    sensitivity: tuple[float, ...]


class YesNoScores(ReportPart):
    """One yes-no question. F1 and balanced accuracy are of the decision `probability > threshold`."""

    n: int
    positives: int
    patients: int
    threshold: float
    auroc: Estimate
    auprc: Estimate
    f1: Estimate
    balanced_accuracy: Estimate


class YesNoReport(YesNoScores):
    """The scores of a yes-no question with its curve and how far its probabilities can be trusted.

    The calibration error is of no use without the AUROC: a constant prediction can have none. So they are one record.
    """

    brier: float
    expected_calibration_error: float
    reliability: tuple[ReliabilityBin, ...]
    roc: RocCurve

    def calibration_in_words(self) -> str:
        """All three numbers or none: calibration error and Brier score with the AUROC that they must be read with."""
        return f"ECE {self.expected_calibration_error:.3f}, Brier {self.brier:.3f}, AUROC {self.auroc}"


class ClassesReport(ReportPart):
    """Several classes: one-against-rest AUROC and AUPRC, F1 and recall, all averaged over classes of equal weight."""

    n: int
    class_counts: tuple[int, ...]
    patients: int
    auroc: Estimate
    auprc: Estimate
    f1: Estimate
    balanced_accuracy: Estimate


class RegressionReport(ReportPart):
    """A measured quantity: share of its variance that is explained, mean absolute error in its own unit."""

    n: int
    patients: int
    r2: Estimate
    mean_absolute_error: Estimate


def yes_no_scores(
    truth_N: _Int64, probability_N: _Float64, patient_N: _Int64, *, threshold: float = 0.5
) -> YesNoScores:
    """ValueError where only one of the answers occurs."""
    return YesNoScores(**_yes_no_fields(truth_N, probability_N, patient_N, threshold))


def yes_no_report(
    truth_N: _Int64, probability_N: _Float64, patient_N: _Int64, *, threshold: float = 0.5
) -> YesNoReport:
    """ValueError where only one of the answers occurs."""
    scores = _yes_no_fields(truth_N, probability_N, patient_N, threshold)
    bins = reliability(truth_N, probability_N)
    return YesNoReport(
        **scores,
        brier=float(np.mean((probability_N - truth_N) ** 2)),
        expected_calibration_error=sum(b.n * abs(b.mean_predicted - b.observed) for b in bins) / len(truth_N),
        reliability=bins,
        roc=_roc(truth_N, probability_N),
    )


def _yes_no_fields(truth_N: _Int64, probability_N: _Float64, patient_N: _Int64, threshold: float) -> dict[str, Any]:
    if len(np.unique(truth_N)) < 2:
        raise ValueError("scores need both answers, and one of them does not occur")
    positive_N, decided_N = truth_N == 1, probability_N > threshold
    return {
        "n": len(truth_N),
        "positives": int(positive_N.sum()),
        "patients": len(np.unique(patient_N)),
        "threshold": threshold,
    } | bootstrap(lambda weight_RN: scores_of_samples(positive_N, probability_N, decided_N, weight_RN), patient_N)


def classes_report(truth_N: _Int64, probability_NC: _Float64, patient_N: _Int64) -> ClassesReport:
    """ValueError where a class does not occur."""
    classes = probability_NC.shape[1]
    counts = np.bincount(truth_N, minlength=classes)
    if not counts.all():
        raise ValueError("scores need every class, and one of them does not occur")
    return ClassesReport(
        n=len(truth_N),
        class_counts=tuple(counts.tolist()),
        patients=len(np.unique(patient_N)),
        **bootstrap(lambda weight_RN: _multiclass_scores(truth_N, probability_NC, weight_RN), patient_N),
    )


def regression_report(truth_N: _Float64, predicted_N: _Float64, patient_N: _Int64) -> RegressionReport:
    """ValueError where the truth does not vary, or a prediction lies beyond all numbers."""
    if len(np.unique(truth_N)) < 2:
        raise ValueError("a quantity that does not vary cannot be explained")
    # About the mean and over the SD, whatever the unit: sums of squares of large or small numbers would say nothing.
    sd = float(truth_N.std())
    away_N, error_N = (truth_N - truth_N.mean()) / sd, (predicted_N - truth_N) / sd

    def scores(weight_RN: _Float64) -> dict[str, _Float64]:
        n_R, squares_R = weight_RN.sum(axis=1), weight_RN @ away_N**2
        variation_R = squares_R - (weight_RN @ away_N) ** 2 / n_R
        with np.errstate(divide="ignore", invalid="ignore"):  # a draw of one value explains nothing: left out
            r2_R = np.where(variation_R > _SAME * squares_R, 1 - weight_RN @ error_N**2 / variation_R, np.nan)
        return {"r2": r2_R, "mean_absolute_error": weight_RN @ np.abs(error_N) / n_R}

    found = bootstrap(scores, patient_N)
    if len(found) < 2:
        raise ValueError("a prediction lies beyond all numbers")
    error = found["mean_absolute_error"]
    low, high = error.interval or (None, None)
    in_unit = Estimate(value=sd * error.value, low=low and sd * low, high=high and sd * high)
    return RegressionReport(
        n=len(truth_N), patients=len(np.unique(patient_N)), r2=found["r2"], mean_absolute_error=in_unit
    )


def binary_scores(truth_N: _Int64, probability_N: _Float64, threshold: float = 0.5) -> dict[str, float]:
    """AUROC, AUPRC, F1 and balanced accuracy, as scikit-learn has them; NaN where only one of the answers occurs."""
    once_RN = np.ones((1, len(truth_N)))
    scores = scores_of_samples(truth_N == 1, probability_N, probability_N > threshold, once_RN)
    return {name: float(values[0]) for name, values in scores.items()}


def multiclass_scores(truth_N: _Int64, probability_NC: _Float64) -> dict[str, float]:
    """Each class against the rest, averaged over classes of equal weight; balanced accuracy is the mean recall."""
    scores = _multiclass_scores(truth_N, probability_NC, np.ones((1, len(truth_N))))
    return {name: float(values[0]) for name, values in scores.items()}


def _multiclass_scores(truth_N: _Int64, probability_NC: _Float64, weight_RN: _Float64) -> dict[str, _Float64]:
    decided_N = probability_NC.argmax(axis=1)
    classes = range(probability_NC.shape[1])
    each = [scores_of_samples(truth_N == c, probability_NC[:, c], decided_N == c, weight_RN) for c in classes]
    with np.errstate(invalid="ignore"):  # 0 / 0 where a draw lacks a class
        recalls = [(weight_RN @ ((truth_N == c) & (decided_N == c))) / (weight_RN @ (truth_N == c)) for c in classes]
    averaged = {name: np.mean([scores[name] for scores in each], axis=0) for name in ("auroc", "auprc", "f1")}
    return averaged | {"balanced_accuracy": np.mean(recalls, axis=0)}


def decision_scores(
    positive_N: _Bool, probability_N: _Float64, flagged_N: _Bool, weight_RN: _Float64
) -> dict[str, _Float64]:
    """AUROC, and rates of one decision, of samples as `scores_of_samples` has them."""
    flagged_R, total_R = weight_RN @ flagged_N, weight_RN.sum(axis=1)
    found_R, positives_R = weight_RN @ (flagged_N & positive_N), weight_RN @ positive_N
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 where a draw lacks an answer: left out
        return {
            "auroc": aurocs(positive_N, probability_N, weight_RN),
            "sensitivity": found_R / positives_R,
            "specificity": 1 - (flagged_R - found_R) / (total_R - positives_R),
            "flagged_per_1000": 1000 * flagged_R / total_R,
        }


def bootstrap(
    scores: Callable[[_Float64], Mapping[str, _Float64]],
    patient_N: NDArray[np.int64],
    *,
    seed: int = 0,
    most_undefined: float = 1.0,
    resamples: int = _RESAMPLES,
) -> dict[str, Estimate]:
    """Estimates of every score: patients are drawn with replacement and bring all their rows along.

    `scores` takes weights (R, N), how often each row occurs in each resample, and gives each score of each resample.
    Draws in which a score is undefined (NaN: a class is missing) are left out; where they are more than the share
    `most_undefined` there is no interval, nor where `Estimate` says so. A score undefined of all rows is left out.
    """
    _, owner_N = np.unique(patient_N, return_inverse=True)
    patients, rows = int(owner_N.max()) + 1, len(owner_N)
    draw = np.random.default_rng(seed)
    values = scores(np.ones((1, rows)))
    drawn: dict[str, list[_Float64]] = {name: [] for name in values}
    step = max(1, _CHUNK_CELLS // rows)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        chosen_RP = draw.integers(0, patients, (count, patients))
        times_RP = np.stack([np.bincount(chosen_P, minlength=patients) for chosen_P in chosen_RP])
        for name, resampled in scores(times_RP[:, owner_N].astype(np.float64)).items():
            drawn[name].append(resampled)
    fewest = max(_FEWEST_DRAWS, (1 - most_undefined) * resamples)
    return {
        name: _estimate(float(value[0]), np.concatenate(drawn[name]), fewest)
        for name, value in values.items()
        if np.isfinite(value[0])
    }


def _estimate(value: float, drawn_R: _Float64, fewest: float) -> Estimate:
    defined = drawn_R[np.isfinite(drawn_R)]
    if len(defined) < fewest or np.ptp(defined) <= _SAME * max(1.0, abs(value)):
        return Estimate(value=value)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Estimate(value=value, low=float(low), high=float(high))


def _roc(truth_N: _Int64, probability_N: _Float64) -> RocCurve:
    false_positive_rate, sensitivity, _ = roc_curve(truth_N, probability_N)
    chosen = np.linspace(0, len(sensitivity) - 1, min(len(sensitivity), _ROC_POINTS)).round().astype(np.int64)
    return RocCurve(
        false_positive_rate=tuple(false_positive_rate[chosen].round(4).tolist()),
        sensitivity=tuple(sensitivity[chosen].round(4).tolist()),
    )


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
