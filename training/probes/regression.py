"""Regressions and nearest neighbours on ECG features, and when there are too few answers for them.

Letters: E ECGs asked, N ECGs known, F features, C classes, K neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neighbors import NearestNeighbors

from training.data.embedded import EmbeddedEcgs

_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]

_NEIGHBOURS = 5


_INVERSE_REGULARISATION = 0.01
"""C of a logistic regression where no labels are there to choose it by."""


def knn_probabilities(known_NF: _Float32, truth_N: _Int64, asked_EF: _Float32, classes: int) -> _Float64:
    """Shares (E, classes) of the classes among the five nearest known ECGs, found by brute force."""
    model = NearestNeighbors(n_neighbors=_NEIGHBOURS, algorithm="brute").fit(known_NF)
    nearest_EK = model.kneighbors(asked_EF, return_distance=False)
    shares_EC: _Float64 = np.mean(truth_N[nearest_EK][:, :, None] == np.arange(classes), axis=1)
    return shares_EC


def standardised(known: EmbeddedEcgs, test: EmbeddedEcgs) -> tuple[_Float64, _Float64]:
    """Features of both, over mean and standard deviation of all known ECGs, which needs no labels."""
    mean_F = known.features_EF.mean(axis=0, dtype=np.float64)
    std_F = known.features_EF.std(axis=0, dtype=np.float64)
    std_F = np.where(std_F > 0, std_F, 1.0)
    return (known.features_EF - mean_F) / std_F, (test.features_EF - mean_F) / std_F


def linear_probabilities(known_NF: _Float64, truth_N: _Int64, asked_EF: _Float64) -> _Float64:
    """Probabilities (E, C) of a logistic regression of C 0.01 on standardised features. The truth has every class."""
    model = LogisticRegression(C=_INVERSE_REGULARISATION, max_iter=2000).fit(known_NF, truth_N)
    probability_EC: _Float64 = model.predict_proba(asked_EF)
    return probability_EC


def lacking_answers(split: str, truth_E: _Float64, names: Sequence[str], fewest: int = 1) -> str | None:
    """Why these ECGs cannot be fitted or scored, in counts; None where `fewest` or more have each of the answers.

    `truth_E` holds numbers of the `names`, NaN where unknown.
    """
    counts = {name: int(np.sum(truth_E == number)) for number, name in enumerate(names)}
    if min(counts.values()) >= fewest:
        return None
    if unknown := int(np.isnan(truth_E).sum()):
        counts["unknown"] = unknown
    found = ", ".join(f"{count} ({name})" for name, count in counts.items())
    return f"needs {'' if fewest == 1 else f'{fewest} '}ECGs of each answer, and the {split} patients have {found}"


_INVERSE_REGULARISATIONS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def best_regression(
    train_NF: _Float64, train_N: _Int64, val_NF: _Float64, val_N: _Int64
) -> tuple[LogisticRegression, float]:
    """The logistic regression, among a few strengths of regularisation, with the smallest log loss on `val`."""
    fits = [LogisticRegression(C=c, max_iter=2000).fit(train_NF, train_N) for c in _INVERSE_REGULARISATIONS]
    losses = [log_loss(val_N, model.predict_proba(val_NF), labels=model.classes_) for model in fits]
    best = int(np.argmin(losses))
    return fits[best], _INVERSE_REGULARISATIONS[best]
