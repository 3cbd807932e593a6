"""Measures, on calibration patients, whether a flag's probe may say that the flag is raised.

Letters: N patients, one ECG of each; D draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.findings import FindingRule, odds_threshold
from training.probes.operating import count_calls
from training.samples import aurocs

LEAST_ODDS_RATIO = 3.0
LEAST_PPV = 0.20
LEAST_AUROC = 0.70
_DRAWS, _DRAWS_AT_ONCE = 1000, 100

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


def fit_rule(probability_N: _Float64, y_N: _Int64, prevalence: float) -> FindingRule | None:
    """The rule of a flag of this base rate; None where these patients all have it or all have it not."""
    raised_N = probability_N >= odds_threshold(LEAST_ODDS_RATIO, prevalence)
    calls = count_calls(raised_N, y_N, 1, (1.0 - prevalence, prevalence))
    if calls is None:
        return None
    auroc, low, high = auroc_with_bounds(probability_N, y_N)
    return FindingRule(
        least_odds_ratio=LEAST_ODDS_RATIO,
        least_ppv=LEAST_PPV,
        least_auroc=LEAST_AUROC,
        auroc=auroc,
        auroc_low=low,
        auroc_high=high,
        calls=calls,
    )


def auroc_with_bounds(score_N: _Float64, y_N: _Int64) -> tuple[float, float, float]:
    """AUROC, and a 95 % interval by percentile bootstrap over patients (Efron 1979), always of the same draws.

    Equal scores count half. Draws that lack one of the answers are left out. ValueError where `y_N` lacks one.
    """
    count = len(y_N)
    if not 0 < y_N.sum() < count:
        raise ValueError("an AUROC needs patients with and without")
    order = np.argsort(score_N, kind="stable")  # so that the draws do not depend on the order of the patients
    sorted_N, yes_N = score_N[order], y_N[order] == 1
    stream = np.random.default_rng(0)
    drawn = []
    for _ in range(_DRAWS // _DRAWS_AT_ONCE):
        row_DN = stream.integers(count, size=(_DRAWS_AT_ONCE, count)) + count * np.arange(_DRAWS_AT_ONCE)[:, None]
        weights = np.bincount(row_DN.ravel(), minlength=_DRAWS_AT_ONCE * count)
        drawn.append(aurocs(yes_N, sorted_N, weights.reshape(_DRAWS_AT_ONCE, count).astype(np.float64)))
    low, high = np.nanquantile(np.concatenate(drawn), [0.025, 0.975])
    return float(aurocs(yes_N, sorted_N, np.ones((1, count)))[0]), float(low), float(high)
