"""Linear probes on the ECG features, as numbers a person can read and as a module that applies them.

Letters in tensor names: B batch, F features, C LVEF classes, N studies.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

Numbers = tuple[float, ...]


class LvefClasses(BaseModel):
    """Classes of the left-ventricular ejection fraction, lowest first, divided at the edges."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: tuple[str, ...] = ("reduced", "mildly reduced", "preserved")
    edges_percent: Numbers = (40.0, 50.0)
    edge_belongs_below: tuple[bool, ...] = (True, False)
    """One per edge: does a value exactly on it belong to the class below?"""

    @model_validator(mode="after")
    def _edges_fit(self) -> LvefClasses:
        if not len(self.labels) == len(self.edges_percent) + 1 == len(self.edge_belongs_below) + 1:
            raise ValueError("LVEF classes need one label more than edges, and one side per edge")
        if not self.edges_percent or list(self.edges_percent) != sorted(set(self.edges_percent)):
            raise ValueError("LVEF edges must increase")
        return self

    @property
    def ranges(self) -> tuple[str, ...]:
        """The classes in words: `<= 40 %`, `> 40 % and < 50 %`, `>= 50 %`."""
        edges = list(zip(self.edges_percent, self.edge_belongs_below, strict=True))
        under = [f"{'<=' if below else '<'} {edge:g} %" for edge, below in edges]
        above = [f"{'>' if below else '>='} {edge:g} %" for edge, below in edges]
        between = [f"{low} and {high}" for low, high in zip(above[:-1], under[1:], strict=True)]
        return (under[0], *between, above[-1])

    def class_of(self, lvef_percent_N: ArrayLike) -> NDArray[np.int64]:
        """Class numbers (N,); ValueError where LVEF is unknown (NaN)."""
        lvef_N = np.asarray(lvef_percent_N, dtype=np.float64)
        if np.isnan(lvef_N).any():
            raise ValueError("an unknown LVEF has no class; leave it out first")
        edges = zip(self.edges_percent, self.edge_belongs_below, strict=True)
        above = [lvef_N > edge if below else lvef_N >= edge for edge, below in edges]
        return np.asarray(np.sum(above, axis=0), dtype=np.int64)


class LabelDefinitions(BaseModel):
    """What the probes' outputs mean. Stored in every bundle beside the numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lvef: LvefClasses = LvefClasses()
    shd_flags: tuple[str, ...] = Field(min_length=1)
    shd_rule: str = "positive when any flag is true, negative when all are known and false, else unknown"


class Calibration(BaseModel):
    """Fitted on a split that trained nothing else: logits * scale + shift (temperature, or Platt's sigmoid)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    shift: Numbers
    """One per class, or one for a yes-no probe."""


class LvefProbe(BaseModel):
    """Softmax regression on standardised features, then calibration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight_CF: tuple[Numbers, ...]
    bias_C: Numbers
    calibration: Calibration


class ShdProbe(BaseModel):
    """Logistic regression on standardised features, then Platt calibration, then a decision at `threshold`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight_F: Numbers
    bias: float
    calibration: Calibration
    threshold: float = Field(ge=0, le=1)
    """Positive when the calibrated probability is greater."""


class Probes(BaseModel):
    """Everything that turns an ECG's features into probabilities. ValueError when the numbers do not fit together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    feature_mean_F: Numbers
    feature_std_F: Numbers
    lvef: LvefProbe
    shd: ShdProbe

    @model_validator(mode="after")
    def _numbers_fit(self) -> Probes:
        features, classes = len(self.feature_mean_F), len(self.lvef.weight_CF)
        rows = [self.feature_std_F, self.shd.weight_F, *self.lvef.weight_CF]
        if any(len(row) != features for row in rows):
            raise ValueError(f"every probe must have one number for each of the {features} features")
        if len(self.lvef.bias_C) != classes or len(self.lvef.calibration.shift) != classes:
            raise ValueError(f"the LVEF probe must have one bias and one shift for each of its {classes} classes")
        if len(self.shd.calibration.shift) != 1:
            raise ValueError("the SHD probe must have one calibration shift")
        if not all(math.isfinite(n) for row in [self.feature_mean_F, *rows] for n in row):
            raise ValueError("probe numbers must be finite")
        if min(self.feature_std_F) <= 0:
            raise ValueError("feature_std_F must be positive")
        return self


class ProbeHeads(nn.Module):
    """Features (B, F) to LVEF class probabilities (B, C) and the SHD probability (B,).

    Standardising, the probes and their calibration are linear one after the other, so they are folded into one layer
    in float64: its last row is SHD, the others are LVEF.
    """

    def __init__(self, probes: Probes) -> None:
        super().__init__()
        std = torch.tensor(probes.feature_std_F, dtype=torch.float64)
        mean = torch.tensor(probes.feature_mean_F, dtype=torch.float64)
        scale = torch.tensor(
            [probes.lvef.calibration.scale] * len(probes.lvef.bias_C) + [probes.shd.calibration.scale],
            dtype=torch.float64,
        )
        weight = torch.tensor([*probes.lvef.weight_CF, probes.shd.weight_F], dtype=torch.float64) / std
        bias = torch.tensor([*probes.lvef.bias_C, probes.shd.bias], dtype=torch.float64) - weight @ mean
        shift = torch.tensor([*probes.lvef.calibration.shift, *probes.shd.calibration.shift], dtype=torch.float64)
        self.linear = nn.Linear(len(mean), len(bias))
        self.linear.weight = nn.Parameter((weight * scale[:, None]).float(), requires_grad=False)
        self.linear.bias = nn.Parameter((bias * scale + shift).float(), requires_grad=False)

    def forward(self, features_BF: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.linear(features_BF)
        return logits[:, :-1].softmax(dim=1), logits[:, -1].sigmoid()
