"""Chooses operating points on validation patients and counts on calibration patients what they bring.

Letters: N ECGs, one of each patient; C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.operating_point import Calls, OperatingPoint

SENSITIVITY = 0.90
"""Of those who are ill: the cut of a test that decides who is sent on, and misses one in ten."""

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


def threshold_reaching(case_N: NDArray[np.bool_], probability_N: _Float64, sensitivity: float) -> float:
    """The highest threshold at or above which this share of the cases lies: the probability of the last of them."""
    ranked = np.sort(probability_N[case_N])[::-1]
    return float(ranked[max(1, math.ceil(sensitivity * len(ranked) - 1e-9)) - 1])


def threshold_for(sensitivity: float, probability_N: _Float64, case_N: NDArray[np.bool_]) -> float:
    """The largest threshold with that share of the cases above it, in the middle of the gap below the last of them."""
    last = threshold_reaching(case_N, probability_N, sensitivity)
    below = probability_N[probability_N < last]
    return float((last + (below.max() if len(below) else 0.0)) / 2)


def operating_point(
    threshold: float, probability_N: _Float64, y_N: _Int64, case: int, prevalence_C: Sequence[float]
) -> OperatingPoint | None:
    """What calling `case` above the threshold brings; None where nobody, or everybody, is a case."""
    calls = count_calls(probability_N > threshold, y_N, case, prevalence_C)
    if calls is None:
        return None
    return OperatingPoint(threshold=threshold, sought_sensitivity=SENSITIVITY, calls=calls)


def count_calls(called_N: NDArray[np.bool_], y_N: _Int64, case: int, prevalence_C: Sequence[float]) -> Calls | None:
    """Counts by true class, weighed to `prevalence_C`; None where nobody, or everybody, is a case.

    How often a class is called does not depend on how frequent it is among these patients, PPV and NPV do: they are to
    hold where the probabilities do.
    """
    classes = len(prevalence_C)
    n_C = np.bincount(y_N, minlength=classes)
    if not 0 < n_C[case] < n_C.sum():
        return None
    called_C = np.bincount(y_N[called_N], minlength=classes)
    counted = Calls(
        case=case,
        called_C=tuple(called_C.astype(float).tolist()),
        not_called_C=tuple((n_C - called_C).astype(float).tolist()),
        n_C=tuple(n_C.tolist()),
    )
    return counted.weighed((np.asarray(prevalence_C) * n_C.sum() / np.maximum(n_C, 1)).tolist())
