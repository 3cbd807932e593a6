"""What is said of one SHD flag in a word: raised, not raised, or cannot tell.

A probe of a rare flag gives small probabilities to everybody, and a yes/no threshold on them calls a few per cent
"positive". Instead an ECG is compared with the base rate, and only where calling so is right often enough, by a probe
that tells hearts with the flag from those without.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.operating_point import Calls, Share

Finding = Literal["raised", "not_raised", "cannot_tell"]


def odds_threshold(odds_ratio: float, base_rate: float) -> float:
    """The probability whose odds are `odds_ratio` times those of `base_rate`."""
    odds = odds_ratio * base_rate / (1.0 - base_rate)
    return odds / (1.0 + odds)


class FindingRule(BaseModel):
    """Raised: `least_odds_ratio` times the base odds or more.

    Cannot tell: the lower bound of the AUROC is below `least_auroc`, or fewer than `least_ppv` of the calibration
    patients whom the odds rule raises have the flag, or it raises none. A rule that could raise nobody would say "not
    raised" to everybody. All of it was measured on calibration patients, one ECG of each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_odds_ratio: float = Field(gt=0, allow_inf_nan=False)
    least_ppv: Share
    least_auroc: Share
    auroc: float = Field(ge=0, le=1)
    auroc_low: float = Field(ge=0, le=1)
    auroc_high: float = Field(ge=0, le=1)
    """Bounds of a 95 % interval by bootstrap over patients."""
    calls: Calls
    """Whom the odds rule alone raises."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> FindingRule:
        if self.auroc_low > self.auroc_high:
            raise ValueError("the lower bound of the AUROC must not exceed the upper one")
        return self

    @property
    def can_tell(self) -> bool:
        """Whether any ECG is ever raised, without which nothing is said of any."""
        ppv = self.calls.ppv
        return self.auroc_low >= self.least_auroc and ppv is not None and ppv >= self.least_ppv

    def odds_threshold(self, base_rate: float) -> float:
        """The probability whose odds are `least_odds_ratio` times those of the base rate."""
        return odds_threshold(self.least_odds_ratio, base_rate)

    def finding(self, probability: float, base_rate: float) -> Finding:
        """What is said of an ECG of this probability, where a share `base_rate` has the flag."""
        if not self.can_tell:
            return "cannot_tell"
        return "raised" if probability >= self.odds_threshold(base_rate) else "not_raised"
