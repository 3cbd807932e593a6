"""How unlike an ECG is to those a model was trained on: one score, as numbers a person can read and a module.

Four parts, each blind where another sees: the distance of the encoder's features, of the agreement between leads and of
the texture from those of the training ECGs (Mahalanobis, arXiv 1807.03888), and whether time runs forwards. Each is
scaled to 0 at what is typical and 1 at its 99th percentile; the score is the largest, because one is enough.

Letters in tensor names: B batch, S numbers of one kind.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator
from torch import Tensor, nn

from models.ecg_shape import EcgShape

UNUSUAL_PERCENTILE = 95.0
"""Above, an ECG is called unusual; so is one in twenty of those it was trained for."""

_Numbers = tuple[FiniteFloat, ...]


class OodOutput(NamedTuple):
    """One row per ECG. A percentile is the share of held-out ECGs that are less unusual, 0 to 100."""

    score_B: NDArray[np.float64]
    percentile_B: NDArray[np.float64]


class Scale(BaseModel):
    """What a part is worth: 0 at the median of the validation patients' ECGs, 1 at their 99th percentile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    median: FiniteFloat
    tail: FiniteFloat

    @model_validator(mode="after")
    def _increases(self) -> Scale:
        if not self.tail > self.median:
            raise ValueError("the tail of a scale must lie above its median")
        return self


class Distance(BaseModel):
    """Logarithm of the squared Mahalanobis distance from the training ECGs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean_S: _Numbers
    factor: tuple[_Numbers, ...]
    """Lower triangle, row by row, of the matrix A with A A^T = inverse of the shrunk covariance."""
    scale: Scale

    @model_validator(mode="after")
    def _is_a_triangle(self) -> Distance:
        if not self.mean_S or [len(row) for row in self.factor] != list(range(1, len(self.mean_S) + 1)):
            raise ValueError("the factor of a distance must be a triangle as large as its mean")
        return self


class Direction(BaseModel):
    """A weighted sum that is the greater, the more an ECG looks as if it ran backwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight_S: _Numbers
    scale: Scale


class OutOfDistribution(BaseModel):
    """Fitted without labels: weights on train, scales on val, percentiles on calibration patients."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: Distance
    leads: Distance
    texture: Distance
    direction: Direction
    held_out_scores: _Numbers = Field(min_length=1)
    """Scores of ECGs of patients who trained nothing, one per patient, rising (of many, evenly spaced ones)."""

    @model_validator(mode="after")
    def _rises(self) -> OutOfDistribution:
        if list(self.held_out_scores) != sorted(self.held_out_scores):
            raise ValueError("held_out_scores must rise")
        return self

    def percentile(self, score_B: ArrayLike) -> NDArray[np.float64]:
        """The share, in percent, of the held-out ECGs and the one in question that are less unusual than this one."""
        less = np.searchsorted(self.held_out_scores, np.asarray(score_B, dtype=np.float64), side="left")
        return np.asarray(100.0 * less / (len(self.held_out_scores) + 1), dtype=np.float64)


class OodHead(nn.Module):
    """Features (B, F) and shapes to scores (B,), in float64: squared distances span many orders of magnitude."""

    def __init__(self, numbers: OutOfDistribution) -> None:
        super().__init__()
        self.features, self.leads, self.texture = map(_DistanceHead, (numbers.features, numbers.leads, numbers.texture))
        self.direction = _DirectionHead(numbers.direction)

    def forward(self, features_BF: Tensor, shape: EcgShape) -> Tensor:
        parts = (
            self.features(features_BF),
            self.leads(shape.leads_BS),
            self.texture(shape.texture_BS),
            self.direction(shape.direction_BS),
        )
        return torch.stack(parts, dim=1).amax(dim=1)


class _DistanceHead(nn.Module):
    mean_S: Tensor
    factor_SS: Tensor

    def __init__(self, numbers: Distance) -> None:
        super().__init__()
        factor = np.zeros((len(numbers.mean_S),) * 2)
        factor[np.tril_indices(len(factor))] = np.concatenate(numbers.factor)
        self.register_buffer("mean_S", torch.tensor(numbers.mean_S, dtype=torch.float64))
        self.register_buffer("factor_SS", torch.from_numpy(factor))
        self.scale = numbers.scale

    def forward(self, value_BS: Tensor) -> Tensor:
        squared_B = ((value_BS.double() - self.mean_S) @ self.factor_SS).square().sum(dim=1)
        return _scaled(squared_B.clamp(min=1e-12).log(), self.scale)


class _DirectionHead(nn.Module):
    weight_S: Tensor

    def __init__(self, numbers: Direction) -> None:
        super().__init__()
        self.register_buffer("weight_S", torch.tensor(numbers.weight_S, dtype=torch.float64))
        self.scale = numbers.scale

    def forward(self, value_BS: Tensor) -> Tensor:
        return _scaled(value_BS.double() @ self.weight_S, self.scale)


def _scaled(part_B: Tensor, scale: Scale) -> Tensor:
    return (part_B - scale.median) / (scale.tail - scale.median)
