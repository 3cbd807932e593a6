"""How often a yes/no call is right: counted on patients, and what follows where a condition is otherwise frequent.

Letters in array names: C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Calls(BaseModel):
    """Calibration patients, one ECG of each, by their true class and by whether a rule calls them.

    The counts are weighed so that the classes are as frequent as the probabilities of the probe suppose, and therefore
    are no whole numbers; `n_C` are the patients behind them. For a yes/no question the classes are no and yes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: int = Field(ge=0)
    """The class that the rule is to call."""
    called_C: tuple[Count, ...]
    not_called_C: tuple[Count, ...]
    n_C: tuple[Annotated[int, Field(ge=0)], ...]

    @model_validator(mode="after")
    def _counts_fit(self) -> Calls:
        if not len(self.called_C) == len(self.not_called_C) == len(self.n_C) > self.case:
            raise ValueError("there must be one count called, one not called and one of patients for each class")
        if not self.cases > 0 or not self.others > 0:
            raise ValueError("a rule is counted on patients with and without what it is to call")
        return self

    @property
    def true_positives(self) -> float:
        return self.called_C[self.case]

    @property
    def false_positives(self) -> float:
        return sum(self.called_C) - self.true_positives

    @property
    def false_negatives(self) -> float:
        return self.not_called_C[self.case]

    @property
    def true_negatives(self) -> float:
        return sum(self.not_called_C) - self.false_negatives

    @property
    def cases(self) -> float:
        return self.true_positives + self.false_negatives

    @property
    def others(self) -> float:
        return self.false_positives + self.true_negatives

    @property
    def n_cases(self) -> int:
        """Patients, unweighed."""
        return self.n_C[self.case]

    @property
    def n_others(self) -> int:
        return sum(self.n_C) - self.n_cases

    @property
    def sensitivity(self) -> float:
        return self.true_positives / self.cases

    @property
    def specificity(self) -> float:
        return self.true_negatives / self.others

    @property
    def prevalence(self) -> float:
        """How frequent cases are where PPV and NPV hold."""
        return self.cases / (self.cases + self.others)

    @property
    def ppv(self) -> float | None:
        """Share of cases among the called; None where nobody is called."""
        called = sum(self.called_C)
        return self.true_positives / called if called > 0 else None

    @property
    def npv(self) -> float | None:
        """Share of others among those not called; None where everybody is called."""
        not_called = sum(self.not_called_C)
        return self.true_negatives / not_called if not_called > 0 else None

    @property
    def echos_per_case(self) -> float | None:
        """How many of the called have an echo until one shows a case: 1 / PPV. None where none would."""
        return 1.0 / self.ppv if self.ppv else None

    def weighed(self, weight_C: Sequence[float]) -> Calls:
        """The same rule where class c is `weight_C[c]` times as frequent."""
        called_C, not_called_C = (
            tuple(count * weight for count, weight in zip(count_C, weight_C, strict=True))
            for count_C in (self.called_C, self.not_called_C)
        )
        return self.model_copy(update={"called_C": called_C, "not_called_C": not_called_C})


def tells_apart(sensitivity: float, specificity: float) -> bool:
    """Whether an ECG below a threshold has a case less often than all.

    NPV is better than 1 - prevalence just where sensitivity and specificity are more than one together.
    """
    return sensitivity + specificity > 1.0 + 1e-9


def rules_out(threshold: float, sensitivity: float, specificity: float) -> bool:
    """Whether it has a case less often than all, and at most as often as not."""
    return threshold <= 0.5 and tells_apart(sensitivity, specificity)


class OperatingPoint(BaseModel):
    """A threshold on a calibrated probability, chosen for its sensitivity, and what calling above it brings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(ge=0, le=1)
    """Positive when the probability is greater."""
    sought_sensitivity: Share
    """Reached on the validation patients who chose the threshold; `calls` are of others."""
    calls: Calls

    @property
    def can_tell(self) -> bool:
        """Whether its yes or no says anything; else no ECG is given one."""
        return rules_out(self.threshold, self.calls.sensitivity, self.calls.specificity)

    @property
    def tells_apart(self) -> bool:
        """The same of a label of the user's own, which may be so common that its limit lies above one half."""
        return tells_apart(self.calls.sensitivity, self.calls.specificity)
