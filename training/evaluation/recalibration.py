"""How far probabilities must be stretched and shifted to fit what was seen: Cox's slope and intercept.

Letters: N ECGs, R resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from training.evaluation.metrics import Estimate, ReportPart, bootstrap

_LEAST_PROBABILITY = 1e-6
"""A probability of 0 or 1 has no logit."""
_STEPS = 30
_LONGEST_STEP = 2.0
_CONVERGED = 1e-8
_MOST_UNDEFINED = 0.05
"""A draw in which the logits part the answers has no finite slope; without many of them an interval is too narrow."""

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


class RecalibrationReport(ReportPart):
    """Logistic regression of the answer on the logit of its probability (Cox, Biometrika 1958).

    Perfect are slope 1 and intercept 0; a slope below 1 says that probabilities are too extreme. `intercept_at_slope_1`
    is calibration in the large: below 0 the probabilities are too high on the whole.
    """

    slope: Estimate
    intercept: Estimate
    intercept_at_slope_1: Estimate

    def in_words(self) -> str:
        return f"slope {self.slope}, intercept {self.intercept}, intercept at slope 1 {self.intercept_at_slope_1}"


def recalibration(truth_N: _Int64, probability_N: _Float64, patient_N: _Int64) -> RecalibrationReport | str:
    """Intervals are over patients. Where there is no finite fit, why: a clause."""
    logit_N = logit(np.clip(probability_N, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY))
    if len(np.unique(truth_N)) < 2:
        return "calibration needs ECGs of both answers"
    if np.ptp(logit_N) < 1e-9:
        return "calibration needs probabilities that differ"
    positive_N = truth_N == 1
    start_2 = np.array([0.0, 1.0])
    whole = _fits(positive_N, logit_N, np.ones((1, len(truth_N))), start_2)
    if not np.isfinite(whole["slope"][0]):
        return "the probabilities part the answers without an overlap, and no slope fits that"
    start_2 = np.array([whole["intercept"][0], whole["slope"][0]])
    found = bootstrap(
        lambda weight_RN: _fits(positive_N, logit_N, weight_RN, start_2), patient_N, most_undefined=_MOST_UNDEFINED
    )
    if len(found) < len(whole):
        return "no slope and intercept fit the probabilities"
    return RecalibrationReport(**found)


def _fits(
    positive_N: NDArray[np.bool_], logit_N: _Float64, weight_RN: _Float64, start_2: _Float64
) -> dict[str, _Float64]:
    """Of every resample at once, by Newton's method from `start_2` (intercept, slope); NaN where nothing fits."""
    centre, scale = logit_N.mean(), logit_N.std()
    x_N = (logit_N - centre) / scale
    fits_R = _has_fit(positive_N, x_N, weight_RN)
    squares_N3 = np.column_stack([np.ones_like(x_N), x_N, x_N**2])
    aims_R2 = weight_RN @ (positive_N[:, None] * squares_N3[:, :2])
    level_R = np.full(len(weight_RN), start_2[0] + start_2[1] * centre)
    slope_R = np.full(len(weight_RN), start_2[1] * scale)
    size_R = np.full(len(weight_RN), np.inf)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(_STEPS):
            p_RN = expit(level_R[:, None] + slope_R[:, None] * x_N)
            gap_R2 = aims_R2 - (weight_RN * p_RN) @ squares_N3[:, :2]
            curve_R3 = (weight_RN * p_RN * (1 - p_RN)) @ squares_N3
            determinant_R = curve_R3[:, 0] * curve_R3[:, 2] - curve_R3[:, 1] ** 2
            up_R = (curve_R3[:, 2] * gap_R2[:, 0] - curve_R3[:, 1] * gap_R2[:, 1]) / determinant_R
            tilt_R = (curve_R3[:, 0] * gap_R2[:, 1] - curve_R3[:, 1] * gap_R2[:, 0]) / determinant_R
            size_R = np.hypot(up_R, tilt_R)
            shorter_R = np.minimum(1.0, _LONGEST_STEP / np.maximum(size_R, _CONVERGED))
            level_R, slope_R = level_R + shorter_R * up_R, slope_R + shorter_R * tilt_R
            if not np.any(size_R[fits_R] > _CONVERGED):
                break
    fits_R &= size_R <= _CONVERGED
    slope_R = np.where(fits_R, slope_R / scale, np.nan)
    return {
        "slope": slope_R,
        "intercept": np.where(fits_R, level_R - slope_R * centre, np.nan),
        "intercept_at_slope_1": _shifts(positive_N, logit_N, weight_RN),
    }


def _has_fit(positive_N: NDArray[np.bool_], x_N: _Float64, weight_RN: _Float64) -> NDArray[np.bool_]:
    """Whether both answers occur and their logits overlap."""
    ends = []
    for answer_N in (positive_N, ~positive_N):
        there_RN = (weight_RN > 0) & answer_N
        ends.append((np.where(there_RN, x_N, np.inf).min(axis=1), np.where(there_RN, x_N, -np.inf).max(axis=1)))
    (low_yes_R, high_yes_R), (low_no_R, high_no_R) = ends
    overlap_R: NDArray[np.bool_] = (low_yes_R < high_no_R) & (low_no_R < high_yes_R)
    return overlap_R


def _shifts(positive_N: NDArray[np.bool_], logit_N: _Float64, weight_RN: _Float64) -> _Float64:
    """The shift of all logits with which as many are expected positive as are; NaN where only one answer occurs."""
    aim_R, total_R = weight_RN @ positive_N, weight_RN.sum(axis=1)
    shift_R = np.zeros(len(weight_RN))
    both_R = (aim_R > 0) & (aim_R < total_R)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        step_R = np.zeros_like(shift_R)
        for _ in range(_STEPS):
            p_RN = expit(logit_N + shift_R[:, None])
            weighted_RN = weight_RN * p_RN
            gap_R = aim_R - weighted_RN.sum(axis=1)
            step_R = np.clip(gap_R / (weighted_RN * (1 - p_RN)).sum(axis=1), -_LONGEST_STEP, _LONGEST_STEP)
            shift_R = shift_R + step_R
            if not np.any(np.abs(step_R[both_R]) > _CONVERGED):
                break
        return np.where(both_R & (np.abs(step_R) <= _CONVERGED), shift_R, np.nan)
