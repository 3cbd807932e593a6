"""LVEF as a number in percent, with an interval, from the features of an ECG.

Letters in array names: B batch, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator
from torch import Tensor, nn

from models.labels import Numbers
from models.operating_point import Share

LOWEST_PERCENT, HIGHEST_PERCENT = 0.0, 100.0


class IntervalBin(BaseModel):
    """Of predictions below `below_percent` and not in an earlier bin: so far from them lay the share `coverage`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    below_percent: FiniteFloat | None
    """None in the last bin."""
    half_width_percent: float = Field(ge=0, allow_inf_nan=False)
    n_calibration: int = Field(ge=1)
    """Patients, one ECG of each, who fitted nothing of the number."""


class LvefInterval(BaseModel):
    """Split-conformal intervals (Vovk et al. 2005; Lei et al. 2018), in bins of the prediction.

    In each bin `half_width_percent` is the ceil((n + 1) coverage)-th smallest |LVEF - prediction| of its n patients.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverage: Share
    bins: tuple[IntervalBin, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _edges_rise_to_the_open_bin(self) -> LvefInterval:
        edges = [one.below_percent for one in self.bins[:-1]]
        known = [edge for edge in edges if edge is not None]
        if len(known) < len(edges) or self.bins[-1].below_percent is not None or known != sorted(set(known)):
            raise ValueError("the edges of the bins must rise, and the last bin has none")
        return self

    def bin_of(self, percent: float) -> IntervalBin:
        return next(one for one in self.bins if one.below_percent is None or percent < one.below_percent)


@dataclass(frozen=True)
class LvefEstimate:
    """LVEF in percent. `low` to `high` holds it for a share `coverage` of patients; all None without an interval."""

    percent: float
    low: float | None = None
    high: float | None = None
    coverage: float | None = None
    n_calibration: int | None = None
    """Patients of the bin that the interval is from."""


class LvefNumber(BaseModel):
    """Ridge regression (Hoerl and Kennard 1970) on standardised features, in percent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight_F: Numbers
    bias: FiniteFloat
    interval: LvefInterval | None = None

    def estimate(self, percent: float) -> LvefEstimate:
        """The number with its interval; `percent` is what `LvefNumberHead` gives."""
        if self.interval is None:
            return LvefEstimate(percent)
        found = self.interval.bin_of(percent)
        low, high = percent - found.half_width_percent, percent + found.half_width_percent
        return LvefEstimate(
            percent,
            max(low, LOWEST_PERCENT),
            min(high, HIGHEST_PERCENT),
            self.interval.coverage,
            found.n_calibration,
        )


class LvefNumberHead(nn.Module):
    """Features (B, F) to LVEF in percent (B,), clipped to 0..100. Standardising and ridge are folded into one layer."""

    def __init__(self, number: LvefNumber, mean_F: Sequence[float], std_F: Sequence[float]) -> None:
        super().__init__()
        weight_F, mean, std = (torch.tensor(row, dtype=torch.float64) for row in (number.weight_F, mean_F, std_F))
        folded_F = weight_F / std
        self.linear = nn.Linear(len(folded_F), 1)
        self.linear.weight = nn.Parameter(folded_F[None].float(), requires_grad=False)
        self.linear.bias = nn.Parameter((number.bias - folded_F @ mean)[None].float(), requires_grad=False)

    def forward(self, features_BF: Tensor) -> Tensor:
        percent_B: Tensor = self.linear(features_BF)[:, 0]
        return percent_B.clamp(LOWEST_PERCENT, HIGHEST_PERCENT)
