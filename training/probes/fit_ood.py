"""Fits the out-of-distribution score of a bundle: from ECGs alone, no label is looked at.

Train ECGs give means, covariances and the direction of time, val ECGs the scale of each part, and one ECG of each
calibration patient the percentiles.

Letters: N ECGs, S numbers of one kind, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression

from inputs.ecg.prepare import ecg_windows
from inputs.specs import EcgSpec
from models.ecg_shape import EcgShape, describable, describe_windows
from models.ood import Direction, Distance, OodHead, OutOfDistribution, Scale

_FEWEST_TRAIN, _FEWEST_VAL = 100, 50
FEWEST_HELD_OUT = 100
"""With fewer held-out patients no ECG can lie above the 99th percentile."""
_MOST_SCORES = 1000
_DIGITS = 7
_RIDGE = 1e-6
"""Of unit variances: for numbers that never change."""

_Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class OodData:
    """ECGs of one split: the features the bundle gives and their shape, row by row."""

    features_NF: NDArray[np.float32]
    shape: EcgShape


def describe_signals(signals_LN: Sequence[NDArray[np.float32]], spec: EcgSpec) -> EcgShape | None:
    """The shape of prepared records, one row each; None where the windows of `spec` are too short to describe."""
    if not describable(spec) or not len(signals_LN):
        return None
    rows = [describe_windows(torch.from_numpy(ecg_windows(signal, spec))[None], spec) for signal in signals_LN]
    return EcgShape(*(torch.cat(kind) for kind in zip(*rows, strict=True)))


def fit_ood(train: OodData, val: OodData, held_out: OodData) -> OutOfDistribution | None:
    """None where there are too few ECGs: 100 train, 50 val, and 100 held out, which are one per patient."""
    sizes = [len(data.features_NF) for data in (train, val, held_out)]
    if any(size < least for size, least in zip(sizes, (_FEWEST_TRAIN, _FEWEST_VAL, FEWEST_HELD_OUT), strict=True)):
        return None
    unscaled = OutOfDistribution(
        features=_distance(train.features_NF.astype(np.float64)),
        leads=_distance(train.shape.leads_BS.double().numpy()),
        texture=_distance(train.shape.texture_BS.double().numpy()),
        direction=_direction(train.shape.direction_BS.double().numpy()),
        held_out_scores=(0.0,),
    )
    head = OodHead(unscaled)
    parts = {
        "features": head.features(torch.from_numpy(val.features_NF)),
        "leads": head.leads(val.shape.leads_BS),
        "texture": head.texture(val.shape.texture_BS),
        "direction": head.direction(val.shape.direction_BS),
    }
    scaled = {
        name: getattr(unscaled, name).model_copy(update={"scale": _scale(part_N.numpy())})
        for name, part_N in parts.items()
    }
    fitted = unscaled.model_copy(update=scaled)
    scores = np.sort(OodHead(fitted)(torch.from_numpy(held_out.features_NF), held_out.shape).numpy())
    if len(scores) > _MOST_SCORES:
        scores = scores[np.linspace(0, len(scores) - 1, _MOST_SCORES).round().astype(int)]
    return fitted.model_copy(update={"held_out_scores": _numbers(scores)})


_AS_IT_IS = Scale(median=0.0, tail=1.0)


def _distance(value_NS: _Float64) -> Distance:
    """Mean and inverse covariance, shrunk as Ledoit and Wolf (2004) do, of standardised numbers."""
    mean_S, std_S = value_NS.mean(axis=0), value_NS.std(axis=0)
    std_S = np.where(std_S > 0, std_S, 1.0)
    covariance_SS, _ = ledoit_wolf((value_NS - mean_S) / std_S, assume_centered=True)
    covariance_SS += _RIDGE * np.eye(len(covariance_SS))
    factor_SS = np.linalg.cholesky(np.linalg.inv(covariance_SS)) / std_S[:, None]
    rows = tuple(_numbers(row[: place + 1]) for place, row in enumerate(factor_SS))
    return Distance(mean_S=_numbers(mean_S), factor=rows, scale=_AS_IT_IS)


def _direction(value_NS: _Float64) -> Direction:
    """The weights that best tell ECGs from the same ECGs backwards, whose numbers are theirs with the sign changed."""
    std_S = np.where(value_NS.std(axis=0) > 0, value_NS.std(axis=0), 1.0)
    forwards_NS = value_NS / std_S
    model = LogisticRegression(C=0.1, fit_intercept=False, max_iter=2000)
    model.fit(np.concatenate([forwards_NS, -forwards_NS]), np.repeat([0, 1], len(value_NS)))
    return Direction(weight_S=_numbers(model.coef_[0] / std_S), scale=_AS_IT_IS)


def _scale(part_N: _Float64) -> Scale:
    median, tail = np.quantile(part_N, [0.5, 0.99])
    return Scale(median=float(median), tail=float(max(tail, median + 1e-6)))


def _numbers(values: _Float64) -> tuple[float, ...]:
    """Seven digits are more than the ECGs decide, and a third of the file."""
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)
