"""How alike is alike: a similarity beside those of a sample of the index to the same ECG.

Letters: B queries, D dimensions, K neighbours, N studies of the index, S studies of the sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.base import StudyIndex

LARGEST_SAMPLE = 10_000
FEWEST_STUDIES = 100
"""Of fewer, one study would be more than a percentage point: nothing is said of an index so small."""
_SEED = 0
_AS_SIMILAR = 1e-6
"""More than float32 products differ by from the index's own sums: so near, a study counts as equally similar."""


class SimilaritySample:
    """Vectors of up to LARGEST_SAMPLE studies of an index. A percentile is an empirical distribution function at one
    query: it says where a neighbour lies among all studies, and nothing of whether it is near in itself.

    The choice is drawn with a fixed seed by place in the index, so that a generation has the same sample wherever it is
    opened; nothing of it is stored.
    """

    def __init__(self, vectors_SD: NDArray[np.float32]) -> None:
        self.vectors_SD = vectors_SD

    @classmethod
    def of(cls, index: StudyIndex) -> SimilaritySample | None:
        """A copy of the chosen vectors (at most 10,000 x D x 4 bytes); None below FEWEST_STUDIES."""
        if index.count < FEWEST_STUDIES:
            return None
        if index.count <= LARGEST_SAMPLE:
            return cls(index.vectors_ND.copy())
        rows_S = np.random.default_rng(_SEED).choice(index.count, LARGEST_SAMPLE, replace=False)
        return cls(index.vectors_ND[np.sort(rows_S)])

    def percentiles(
        self, queries_BD: NDArray[np.float32], similarity_BK: Sequence[NDArray[np.float32]]
    ) -> list[NDArray[np.float64]]:
        """For each query's similarities (as many as it has), the percentage of the sample less similar to it, 0 to 100.

        One matrix product for all queries; never falls where similarity rises.
        """
        sampled_BS = queries_BD @ self.vectors_SD.T
        sampled_BS.sort(axis=1)
        return [
            100.0 * np.searchsorted(sampled_S, similarity_K - np.float32(_AS_SIMILAR)) / len(sampled_S)
            for sampled_S, similarity_K in zip(sampled_BS, similarity_BK, strict=True)
        ]
