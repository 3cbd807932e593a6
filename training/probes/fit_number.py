"""Fits LVEF as a number: ridge regression on train patients, its penalty on val, its interval on calibration patients.

Letters: N ECGs, F features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from models.labels import LvefClasses
from models.lvef_number import HIGHEST_PERCENT, LOWEST_PERCENT, LvefNumber
from training.probes.conformal import lvef_interval
from training.probes.labelled import Splits

_PENALTIES = tuple(np.logspace(-2, 6, 17).tolist())
_HIGH_EDGE_PERCENT = 60.0
"""Most hearts are preserved: a further edge among them."""

_Float64 = NDArray[np.float64]


def fit_number(splits: Splits, classes: LvefClasses) -> LvefNumber:
    """`splits` have LVEF in percent as labels; all calibration patients size the interval, one ECG of each.

    The bins of the interval are the LVEF classes and LVEF above 60: edges that no patient had a say in, at which people
    think, so that an error that grows towards low LVEF is told as such.
    """
    best = best_ridge(splits, LOWEST_PERCENT, HIGHEST_PERCENT)

    def predicted(model: Ridge, x_NF: _Float64) -> _Float64:
        return np.asarray(np.clip(model.predict(x_NF), LOWEST_PERCENT, HIGHEST_PERCENT), dtype=np.float64)

    held_out = splits.calibration.one_each()
    edges = sorted({*classes.edges_percent, _HIGH_EDGE_PERCENT})
    return LvefNumber(
        weight_F=tuple(best.coef_.tolist()),
        bias=float(best.intercept_),
        interval=lvef_interval(predicted(best, held_out.x_NF), held_out.value_N, edges),
    )


def best_ridge(splits: Splits, lowest: float = -np.inf, highest: float = np.inf) -> Ridge:
    """Of a row of penalties the one with the smallest squared error on val, predictions clipped to these ends."""
    fits = [Ridge(alpha=alpha).fit(splits.train.x_NF, splits.train.value_N) for alpha in _PENALTIES]
    predicted = [np.clip(model.predict(splits.val.x_NF), lowest, highest) for model in fits]
    return fits[int(np.argmin([np.mean((found_N - splits.val.value_N) ** 2) for found_N in predicted]))]
