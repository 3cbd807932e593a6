"""Scores of one yes-no question in many weighed samples of the same ECGs at once: what bootstraps stand on.

Letters: N ECGs, R resamples, K distinct scores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_Float64 = NDArray[np.float64]
_Bool = NDArray[np.bool_]


def scores_of_samples(
    positive_N: _Bool, score_N: _Float64, decided_N: _Bool, weight_RN: _Float64
) -> dict[str, _Float64]:
    """Scores (R,) of samples in which ECG n occurs weight_RN[r, n] times; NaN where one of the answers does not occur.

    One sort serves all resamples: that, and no loop over them, is why this is not scikit-learn's.
    """
    order = np.argsort(-score_N, kind="stable")
    last_of_tie = np.append(np.diff(score_N[order]) != 0, True)
    sorted_RN = weight_RN[:, order]
    called_RK = np.cumsum(sorted_RN, axis=1)[:, last_of_tie]
    hits_RK = np.cumsum(sorted_RN * positive_N[order], axis=1)[:, last_of_tie]
    gained_RK = np.diff(hits_RK, axis=1, prepend=0)
    missed_RK = np.diff(called_RK, axis=1, prepend=0) - gained_RK
    positives_R, total_R = hits_RK[:, -1], called_RK[:, -1]
    negatives_R = total_R - positives_R
    found_R, decided_R = weight_RN @ (decided_N & positive_N), weight_RN @ decided_N
    rejected_R = negatives_R - (decided_R - found_R)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = {
            "auroc": np.sum(missed_RK * (hits_RK - gained_RK / 2), axis=1) / (positives_R * negatives_R),
            "auprc": np.sum(gained_RK * (hits_RK / np.maximum(called_RK, 1)), axis=1) / positives_R,
            "f1": 2 * found_R / (positives_R + decided_R),
            "balanced_accuracy": (found_R / positives_R + rejected_R / negatives_R) / 2,
        }
    undefined_R = (positives_R == 0) | (negatives_R == 0)
    return {name: np.where(undefined_R, np.nan, values) for name, values in scores.items()}


def aurocs(positive_N: _Bool, score_N: _Float64, weight_RN: _Float64) -> _Float64:
    """AUROC (R,) of samples as `scores_of_samples` has them."""
    return scores_of_samples(positive_N, score_N, positive_N, weight_RN)["auroc"]
