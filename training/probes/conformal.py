"""How large prediction sets and intervals must be to hold the truth: split conformal prediction.

Letters: N patients, one ECG of each, who fitted nothing of what is judged; C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.lvef_number import IntervalBin, LvefInterval
from models.prediction_sets import PerClassSets, PredictionSets
from training.probes.labelled import FEWEST_FOR_SETS

COVERAGE = 0.9
FEWEST_OF_A_BIN = 40
"""Patients in a bin of LVEF intervals: coverage then has a standard deviation of less than 5 percentage points."""

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


def conformal_quantile(score_N: _Float64) -> float:
    """The ceil((n + 1) coverage)-th smallest of n scores; n is at least 9."""
    rank = math.ceil((len(score_N) + 1) * COVERAGE - 1e-9)
    return float(np.partition(score_N, rank - 1)[rank - 1])


def prediction_sets(probability_NC: _Float64, y_N: _Int64) -> PredictionSets:
    """Of 1 - the probability of the truth."""
    quantile = conformal_quantile(_scores(probability_NC, y_N))
    return PredictionSets(coverage=COVERAGE, quantile=quantile, n_calibration=len(y_N))


def per_class_sets(probability_NC: _Float64, y_N: _Int64) -> PerClassSets:
    """The same in each class apart; a class of fewer than 20 patients takes the quantile of all."""
    score_N = _scores(probability_NC, y_N)
    n_C = np.bincount(y_N, minlength=probability_NC.shape[1])
    few = tuple(int(number) for number in np.flatnonzero(n_C < FEWEST_FOR_SETS))
    return PerClassSets(
        coverage=COVERAGE,
        quantile_C=tuple(
            conformal_quantile(score_N if number in few else score_N[y_N == number]) for number in range(len(n_C))
        ),
        n_calibration_C=tuple(n_C.tolist()),
        falls_back=few,
    )


def _scores(probability_NC: _Float64, y_N: _Int64) -> _Float64:
    return np.asarray(1.0 - probability_NC[np.arange(len(y_N)), y_N], dtype=np.float64)


def lvef_interval(predicted_N: _Float64, truth_N: _Float64, edges_percent: Sequence[float]) -> LvefInterval | None:
    """Intervals in bins of the prediction, divided at `edges_percent`; None of fewer than 40 patients.

    A bin of fewer than 40 goes together with the smaller of its neighbours, the smallest bin first.
    """
    if len(predicted_N) < FEWEST_OF_A_BIN:
        return None
    edges = list(edges_percent)
    while True:
        bin_N = np.searchsorted(edges, predicted_N, side="right")
        sizes = np.bincount(bin_N, minlength=len(edges) + 1)
        smallest = int(sizes.argmin())
        if sizes[smallest] >= FEWEST_OF_A_BIN:
            break
        sides = [side for side in (smallest - 1, smallest + 1) if 0 <= side < len(sizes)]
        neighbour = min(sides, key=lambda side: int(sizes[side]))
        del edges[min(smallest, neighbour)]
    residual_N = np.abs(truth_N - predicted_N)
    bins = tuple(
        IntervalBin(
            below_percent=below,
            half_width_percent=conformal_quantile(residual_N[bin_N == number]),
            n_calibration=int(sizes[number]),
        )
        for number, below in enumerate([*edges, None])
    )
    return LvefInterval(coverage=COVERAGE, bins=bins)


def half_width(predicted_N: _Float64, truth_N: _Float64) -> float | None:
    """Of one interval for all; None of fewer than 20 patients."""
    return conformal_quantile(np.abs(truth_N - predicted_N)) if len(truth_N) >= FEWEST_FOR_SETS else None
