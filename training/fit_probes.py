"""Linear probes on frozen ECG features, their calibration and the SHD threshold: numbers, each from its own patients.

`train` fits the weights, `val` chooses the regularisation and the threshold, `calibration`, which trained nothing
else, makes probabilities of the scores.

Letters: N ECGs, F features, C LVEF classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_curve

from models.probes import Calibration, LvefClasses, LvefProbe, Probes, ShdProbe

_INVERSE_REGULARISATIONS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)

_Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class ProbeData:
    """ECG features of one split with what is known about their studies; NaN means unknown."""

    features_NF: NDArray[np.float32]
    lvef_percent_N: _Float64
    shd_N: _Float64


@dataclass(frozen=True)
class ProbeFit:
    """`choices` says what was chosen, on how many ECGs: for the model card."""

    probes: Probes
    choices: dict[str, float]


def fit_probes(train: ProbeData, val: ProbeData, calibration: ProbeData, classes: LvefClasses) -> ProbeFit:
    """LVEF and SHD probes with calibration and threshold. ValueError where a split lacks one of the classes."""
    features = train.features_NF.astype(np.float64)
    mean_F, std_F = features.mean(axis=0), features.std(axis=0)
    std_F = np.where(std_F > 0, std_F, 1.0)

    def labelled(data: ProbeData, label: Callable[[ProbeData], _Float64]) -> tuple[_Float64, NDArray[np.int64]]:
        values = label(data)
        known = np.isfinite(values)
        standard: _Float64 = (data.features_NF[known] - mean_F) / std_F
        return standard, values[known].astype(np.int64)

    def lvef_class(data: ProbeData) -> _Float64:
        known = np.isfinite(data.lvef_percent_N)
        values = np.full(len(known), np.nan)
        values[known] = classes.class_of(data.lvef_percent_N[known])
        return values

    lvef_sets = [labelled(data, lvef_class) for data in (train, val, calibration)]
    shd_sets = [labelled(data, lambda d: d.shd_N) for data in (train, val, calibration)]
    count = len(classes.labels)
    for (_, y), split in zip(lvef_sets, ("train", "val", "calibration"), strict=True):
        _require(y, range(count), "LVEF", split)
    for (_, y), split in zip(shd_sets, ("train", "val", "calibration"), strict=True):
        _require(y, range(2), "SHD", split)

    lvef_model, lvef_c = _best_regression(lvef_sets[0], lvef_sets[1])
    shd_model, shd_c = _best_regression(shd_sets[0], shd_sets[1])

    scale, shift_C = _fit_calibration(lvef_sets[2][0] @ lvef_model.coef_.T + lvef_model.intercept_, lvef_sets[2][1])
    shd_weight_F, shd_bias = shd_model.coef_[0], float(shd_model.intercept_[0])
    two_class = np.column_stack([np.zeros(len(shd_sets[2][0])), shd_sets[2][0] @ shd_weight_F + shd_bias])
    shd_scale, shd_shift = _fit_calibration(two_class, shd_sets[2][1])
    shd_calibration = Calibration(scale=shd_scale, shift=(float(shd_shift[1] - shd_shift[0]),))

    val_score = (shd_sets[1][0] @ shd_weight_F + shd_bias) * shd_scale + shd_calibration.shift[0]
    threshold = _youden_threshold(1 / (1 + np.exp(-val_score)), shd_sets[1][1])
    probes = Probes(
        feature_mean_F=tuple(mean_F.tolist()),
        feature_std_F=tuple(std_F.tolist()),
        lvef=LvefProbe(
            weight_CF=tuple(tuple(row) for row in lvef_model.coef_.tolist()),
            bias_C=tuple(lvef_model.intercept_.tolist()),
            calibration=Calibration(scale=scale, shift=tuple(shift_C.tolist())),
        ),
        shd=ShdProbe(
            weight_F=tuple(shd_weight_F.tolist()), bias=shd_bias, calibration=shd_calibration, threshold=threshold
        ),
    )
    choices = {
        "lvef_inverse_regularisation": lvef_c,
        "shd_inverse_regularisation": shd_c,
        "lvef_train_ecgs": len(lvef_sets[0][1]),
        "shd_train_ecgs": len(shd_sets[0][1]),
        "lvef_calibration_ecgs": len(lvef_sets[2][1]),
        "shd_calibration_ecgs": len(shd_sets[2][1]),
        "shd_threshold": threshold,
    }
    return ProbeFit(probes, choices)


def _require(y_N: NDArray[np.int64], wanted: range, what: str, split: str) -> None:
    if set(wanted) - set(y_N.tolist()):
        raise ValueError(f"the {split} patients do not show every class of {what}; a larger cohort is needed")


def _best_regression(
    train: tuple[_Float64, NDArray[np.int64]], val: tuple[_Float64, NDArray[np.int64]]
) -> tuple[LogisticRegression, float]:
    """The logistic regression, among a few strengths of regularisation, with the smallest log loss on `val`."""
    fits = [LogisticRegression(C=c, max_iter=2000).fit(*train) for c in _INVERSE_REGULARISATIONS]
    losses = [log_loss(val[1], model.predict_proba(val[0]), labels=model.classes_) for model in fits]
    best = int(np.argmin(losses))
    return fits[best], _INVERSE_REGULARISATIONS[best]


def _fit_calibration(logits_NC: _Float64, y_N: NDArray[np.int64]) -> tuple[float, _Float64]:
    """Scale and shift per class that minimise the log loss of softmax(logits * scale + shift).

    Temperature scaling with a bias (Guo et al., arXiv 1706.04599); for two classes it is Platt's sigmoid. Platt's
    smoothed targets keep it finite where a class is perfectly separated. The shifts sum to zero.
    """
    classes = logits_NC.shape[1]
    counts = np.bincount(y_N, minlength=classes)
    smoothed_NC = np.full((len(y_N), classes), 0.0)
    smoothed_NC[:] = 1.0 / (counts[y_N][:, None] + 2.0) / (classes - 1)
    smoothed_NC[np.arange(len(y_N)), y_N] = (counts[y_N] + 1.0) / (counts[y_N] + 2.0)

    def objective(parameters: _Float64) -> tuple[float, _Float64]:
        scale, shift_C = np.exp(parameters[0]), parameters[1:]
        scores = logits_NC * scale + shift_C
        error_NC = softmax(scores, axis=1) - smoothed_NC
        loss = -np.sum(smoothed_NC * log_softmax(scores, axis=1)) + 0.5 * np.sum(shift_C) ** 2
        gradient = np.concatenate([[np.sum(error_NC * logits_NC) * scale], error_NC.sum(axis=0) + np.sum(shift_C)])
        return float(loss), gradient

    solved = minimize(
        objective, np.zeros(1 + classes), jac=True, method="L-BFGS-B", bounds=[(-6, 6)] + [(None, None)] * classes
    )
    return float(np.exp(solved.x[0])), np.asarray(solved.x[1:], np.float64)


def _youden_threshold(probability_N: _Float64, y_N: NDArray[np.int64]) -> float:
    """Where sensitivity + specificity is greatest, in the middle of the gap between the two scores around it."""
    false_positive, true_positive, thresholds = roc_curve(y_N, probability_N, drop_intermediate=False)
    best = int(np.argmax(true_positive - false_positive))
    below = probability_N[probability_N < thresholds[best]]
    if not np.isfinite(thresholds[best]) or not len(below):
        return 0.5
    return float((thresholds[best] + below.max()) / 2)
