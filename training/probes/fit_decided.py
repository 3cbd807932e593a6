"""Fits a yes-no probe that is decided at a threshold: SHD as a whole, or a label of the user's own.

Letters: N ECGs, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.probes import Calibration, FlagProbe, LvefProbe, ShdProbe
from training.probes.calibrate import fit_between, fit_yes_no
from training.probes.conformal import per_class_sets, prediction_sets
from training.probes.labelled import Labelled, Splits, halves
from training.probes.operating import SENSITIVITY, operating_point, threshold_for
from training.probes.regression import best_regression
from training.probes.shown import largest_flag

_Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class YesNoChoices:
    """What was chosen for a yes-no probe, and on how many ECGs."""

    inverse_regularisation: float
    train_ecgs: int
    calibration_ecgs: int
    calibration_unlabelled_ecgs: int
    threshold: float | None
    """None of a flag, which has a rule."""
    train_prevalence: float


def fit_decided(
    splits: Splits, flags: Sequence[FlagProbe] = (), lvef: LvefProbe | None = None
) -> tuple[ShdProbe, YesNoChoices]:
    """All that is fitted here is of the shown probability: the largest of its own and those of the `flags`."""
    model, inverse_regularisation = best_regression(
        splits.train.x_NF, splits.train.y_N, splits.val.x_NF, splits.val.y_N
    )
    weight_F, bias = model.coef_[0], float(model.intercept_[0])
    fitting, sizing = halves(splits.calibration, 2)
    if flags:
        floor_N = largest_flag(flags, lvef, fitting.x_NF)
        scale, shift = fit_between(fitting.x_NF @ weight_F + bias, fitting.y_N, floor_N)
    else:
        scale, shift = fit_yes_no(fitting.x_NF @ weight_F + bias, fitting.y_N)

    def probability_N(data: Labelled) -> _Float64:
        own_N = expit((data.x_NF @ weight_F + bias) * scale + shift)
        return np.asarray(np.maximum(own_N, largest_flag(flags, lvef, data.x_NF)), np.float64)

    def both_N2(data: Labelled) -> _Float64:
        return np.column_stack([1.0 - probability_N(data), probability_N(data)])

    choosing, counted = with_cases(splits.val, 1), splits.calibration.one_each()
    threshold = threshold_for(SENSITIVITY, probability_N(choosing), choosing.y_N == 1)
    prevalence = float(fitting.y_N.mean())
    probe = ShdProbe(
        weight_F=tuple(weight_F.tolist()),
        bias=bias,
        calibration=Calibration(scale=scale, shift=(shift,)),
        threshold=threshold,
        prevalence=prevalence,
        sets=None if sizing is None else prediction_sets(both_N2(sizing), sizing.y_N),
        per_class_sets=None if sizing is None else per_class_sets(both_N2(sizing), sizing.y_N),
        operating_point=operating_point(
            threshold, probability_N(counted), counted.y_N, 1, (1.0 - prevalence, prevalence)
        ),
    )
    return probe, yes_no_choices(splits, fitting, inverse_regularisation, threshold)


def with_cases(val: Labelled, case: int) -> Labelled:
    """One ECG of each patient; every ECG where those chosen blindly show no case."""
    chosen = val.one_each()
    return chosen if (chosen.y_N == case).any() else val


def yes_no_choices(
    splits: Splits, fitting: Labelled, inverse_regularisation: float, threshold: float | None
) -> YesNoChoices:
    return YesNoChoices(
        inverse_regularisation=inverse_regularisation,
        train_ecgs=len(splits.train.y_N),
        calibration_ecgs=len(fitting.y_N),
        calibration_unlabelled_ecgs=splits.calibration.unlabelled,
        threshold=threshold,
        train_prevalence=float(splits.train.y_N.mean()),
    )
