"""Fits probes of the user's own labels: a yes or no as SHD is fitted, a number by ridge regression with an interval.

Letters: N ECGs, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ground.errors import Refusal
from models.probes import OwnNumber, ShdProbe
from training.probes.conformal import COVERAGE, half_width
from training.probes.fit_decided import YesNoChoices, fit_decided
from training.probes.fit_number import best_ridge
from training.probes.labelled import FEWEST_OF_AN_ANSWER, Splits, rarer

Kind = Literal["yes_no", "number"]

_FEWEST_OF_A_NUMBER = {"train": 20, "val": 10, "calibration": 10}
"""Patients whose number is known."""


@dataclass(frozen=True)
class NumberChoices:
    """What was chosen for a number, and on how many ECGs."""

    penalty: float
    train_ecgs: int
    calibration_ecgs: int
    train_mean: float
    train_sd: float


@dataclass(frozen=True)
class OwnFit:
    """By label."""

    yes_no: dict[str, ShdProbe] = field(default_factory=dict)
    numbers: dict[str, OwnNumber] = field(default_factory=dict)
    choices: dict[str, YesNoChoices | NumberChoices] = field(default_factory=dict)


def fit_own(labels: Mapping[str, tuple[Kind, Splits]]) -> OwnFit:
    """Refusal for a label with too few patients of an answer, or too few with a number."""
    found = OwnFit()
    for name, (kind, splits) in labels.items():
        check_enough(name, kind, splits)
        if kind == "yes_no":
            found.yes_no[name], found.choices[name] = fit_decided(splits)
        else:
            found.numbers[name], found.choices[name] = _fit_number(splits)
    return found


def check_enough(name: str, kind: Kind, splits: Splits) -> None:
    """Refusal for a label that a split knows of too few patients. No feature is looked at."""
    for split, data in splits.named().items():
        if kind == "yes_no" and rarer(data) < FEWEST_OF_AN_ANSWER[split]:
            counts = [len(np.unique(data.patients[data.y_N == answer])) for answer in (1, 0)]
            raise Refusal(
                "label_too_few",
                f"{name} needs {FEWEST_OF_AN_ANSWER[split]} {split} patients of either answer, and has {counts[0]} of "
                f"yes and {counts[1]} of no.",
            )
        patients = len(np.unique(data.patients))
        if kind == "number" and patients < _FEWEST_OF_A_NUMBER[split]:
            sentence = f"{name} needs {_FEWEST_OF_A_NUMBER[split]} {split} patients who have it, and {patients} do."
            raise Refusal("label_too_few", sentence)
        if kind == "number" and len(np.unique(data.value_N)) < 2:
            raise Refusal("label_too_few", f"{name} is the same number in all {split} patients.")


def _fit_number(splits: Splits) -> tuple[OwnNumber, NumberChoices]:
    best = best_ridge(splits)
    held_out = splits.calibration.one_each()
    half = half_width(np.asarray(best.predict(held_out.x_NF), np.float64), held_out.value_N)
    number = OwnNumber(
        weight_F=tuple(best.coef_.tolist()),
        bias=float(best.intercept_),
        half_width=half,
        coverage=None if half is None else COVERAGE,
        n_calibration=None if half is None else len(held_out.value_N),
    )
    return number, NumberChoices(
        penalty=float(best.alpha),
        train_ecgs=len(splits.train.value_N),
        calibration_ecgs=len(splits.calibration.value_N),
        train_mean=float(splits.train.value_N.mean()),
        train_sd=float(splits.train.value_N.std()),
    )
