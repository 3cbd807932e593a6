"""Makes probabilities of the scores of probes, on patients who trained nothing else.

Letters: N ECGs, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax

_MOST_LOG_SCALE = 6.0
_SHIFTS_TO_START_FROM = (0.0, -0.5, -1.0, -2.0, -4.0)
"""Beside the shift that fits without bounds; a floor raises probabilities, so the shift that fits with it is lower, and
with a ceiling the other way round."""

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


def fit_calibration(logits_NC: _Float64, y_N: _Int64) -> tuple[float, _Float64]:
    """Scale and shift per class that minimise the log loss of softmax(logits * scale + shift).

    Temperature scaling with a bias (Guo et al., arXiv 1706.04599); for two classes it is Platt's sigmoid. Platt's
    smoothed targets keep it finite where a class is perfectly separated. The shifts sum to zero.
    """
    classes = logits_NC.shape[1]
    counts = np.bincount(y_N, minlength=classes)
    smoothed_NC = np.full((len(y_N), classes), 0.0)
    smoothed_NC[:] = 1.0 / (counts[y_N][:, None] + 2.0) / (classes - 1)
    smoothed_NC[np.arange(len(y_N)), y_N] = (counts[y_N] + 1.0) / (counts[y_N] + 2.0)

    def objective(parameters: _Float64) -> tuple[float, _Float64]:
        scale, shift_C = np.exp(parameters[0]), parameters[1:]
        scores = logits_NC * scale + shift_C
        error_NC = softmax(scores, axis=1) - smoothed_NC
        loss = -np.sum(smoothed_NC * log_softmax(scores, axis=1)) + 0.5 * np.sum(shift_C) ** 2
        gradient = np.concatenate([[np.sum(error_NC * logits_NC) * scale], error_NC.sum(axis=0) + np.sum(shift_C)])
        return float(loss), gradient

    bounds = [(-_MOST_LOG_SCALE, _MOST_LOG_SCALE)] + [(None, None)] * classes
    solved = minimize(objective, np.zeros(1 + classes), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(np.exp(solved.x[0])), np.asarray(solved.x[1:], np.float64)


def fit_yes_no(score_N: _Float64, y_N: _Int64) -> tuple[float, float]:
    """The same of a yes-no probe: scale and shift of Platt's sigmoid."""
    scale, shift_2 = fit_calibration(np.column_stack([np.zeros(len(y_N)), score_N]), y_N)
    return scale, float(shift_2[1] - shift_2[0])


def fit_between(
    score_N: _Float64, y_N: _Int64, floor_N: _Float64, ceiling_N: _Float64 | None = None
) -> tuple[float, float]:
    """Scale and shift that minimise the log loss of sigmoid(score * scale + shift) clipped to bounds, targets smoothed.

    Where a bound is shown the loss has no slope, and it may have several valleys: the simplex of Nelder and Mead
    (1965), which needs no slope, goes down from several shifts, and the best one counts.
    """
    scale, shift = fit_yes_no(score_N, y_N)
    counts = np.bincount(y_N, minlength=2)
    target_N = np.where(y_N == 1, (counts[1] + 1.0) / (counts[1] + 2.0), 1.0 / (counts[0] + 2.0))

    def loss(parameters: _Float64) -> float:
        own_N = expit(score_N * np.exp(parameters[0]) + parameters[1])
        shown_N = np.clip(np.clip(own_N, floor_N, ceiling_N), 1e-12, 1 - 1e-12)
        return float(-np.mean(target_N * np.log(shown_N) + (1 - target_N) * np.log1p(-shown_N)))

    bounds = [(-_MOST_LOG_SCALE, _MOST_LOG_SCALE), (None, None)]
    moves = _SHIFTS_TO_START_FROM + (() if ceiling_N is None else tuple(-lower for lower in _SHIFTS_TO_START_FROM[1:]))
    starts = [np.array([np.log(scale), shift + move]) for move in moves]
    solved = [minimize(loss, start, method="Nelder-Mead", bounds=bounds) for start in starts]
    best = min(solved, key=lambda found: float(found.fun))
    return float(np.exp(best.x[0])), float(best.x[1])
