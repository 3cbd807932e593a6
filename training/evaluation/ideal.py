"""What the best contrastive ranking could find: of everything plain in an ECG, against perfect facts of every echo.

A contrastive loss converges to ranking by pointwise mutual information: how much likelier an ECG and a study are
together than apart (van den Oord et al., arXiv 1807.03748). For numbers that are jointly Gaussian that follows from
their canonical correlations. A lift near 1 that an ideal ranking does not pass either is a ceiling, and no defect.

Letters: P pairs, E ECGs, S studies, F numbers of an ECG, G facts of an echo, K canonical directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST_SINGULAR = 1e-2
"""Of the largest: directions in which the known patients hardly differ are left out."""
_HIGHEST_R = 0.98

_Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class IdealRanking:
    """Canonical directions of ECGs and facts, and how strongly each pair of them goes together."""

    ecg_mean_F: _Float64
    ecg_FK: _Float64
    fact_mean_G: _Float64
    fact_GK: _Float64
    r_K: _Float64

    @classmethod
    def fit(cls, train: tuple[_Float64, _Float64], val: tuple[_Float64, _Float64]) -> IdealRanking:
        """By canonical correlation analysis of the pairs (P, F) and (P, G) of train patients.

        The correlations themselves are those of the val patients' pairs: on pairs that chose the directions they would
        be too high, and chance directions would count.
        """
        (ecg_mean_F, ecg_whiten), (fact_mean_G, fact_whiten) = (_whitening(side) for side in train)
        ecg_P, fact_P = (train[0] - ecg_mean_F) @ ecg_whiten, (train[1] - fact_mean_G) @ fact_whiten
        u, _, vt = np.linalg.svd(ecg_P.T @ fact_P / len(ecg_P), full_matrices=False)
        ecg_FK, fact_GK = ecg_whiten @ u, fact_whiten @ vt.T
        a_PK, b_PK = (val[0] - ecg_mean_F) @ ecg_FK, (val[1] - fact_mean_G) @ fact_GK
        spread_K = np.maximum(a_PK.std(axis=0) * b_PK.std(axis=0), 1e-12)
        r_K = ((a_PK - a_PK.mean(axis=0)) * (b_PK - b_PK.mean(axis=0))).mean(axis=0) / spread_K
        return cls(ecg_mean_F, ecg_FK, fact_mean_G, fact_GK, np.clip(r_K, 0.0, _HIGHEST_R))

    def similarity_ES(self, ecg_EF: _Float64, fact_SG: _Float64) -> NDArray[np.float32]:
        """Pointwise mutual information, but for what is the same for all studies of an ECG."""
        a_EK, b_SK = (ecg_EF - self.ecg_mean_F) @ self.ecg_FK, (fact_SG - self.fact_mean_G) @ self.fact_GK
        weight_K = 1.0 / (1.0 - self.r_K**2)
        together_ES = (a_EK * self.r_K * weight_K) @ b_SK.T
        alone_S = 0.5 * (b_SK**2) @ (self.r_K**2 * weight_K)
        return (together_ES - alone_S).astype(np.float32)


def _whitening(side: _Float64) -> tuple[_Float64, _Float64]:
    """Mean, and the map to uncorrelated numbers of variance 1."""
    mean = side.mean(axis=0)
    _, singular, axes = np.linalg.svd(side - mean, full_matrices=False)
    kept = singular > _LEAST_SINGULAR * singular[0]
    return mean, axes[kept].T / singular[kept] * np.sqrt(len(side))
