"""Of each patient the most similar study alone: one heart fills no list of similar ones.

Letters: D dimensions, K neighbours, N studies, C candidates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index.base import StudyIndex

_GROWTH = 4


@dataclass(frozen=True, eq=False)
class Patients:
    """Whose each study is: patients are numbers that mean nothing outside. row_ids_N ascend; 12 bytes a study."""

    row_ids_N: NDArray[np.int64]
    patient_N: NDArray[np.int32]

    @classmethod
    def of(cls, rows: Iterable[tuple[int, str]], count: int) -> Self:
        """From `count` row ids, ascending, each with its patient's pseudonym, which is not kept."""
        numbers: dict[str, int] = {}
        pairs = ((row_id, numbers.setdefault(patient_id, len(numbers))) for row_id, patient_id in rows)
        both = np.fromiter(pairs, dtype=[("row_id", np.int64), ("patient", np.int32)], count=count)
        return cls(both["row_id"].copy(), both["patient"].copy())

    def of_rows(self, row_ids_C: NDArray[np.int64]) -> NDArray[np.int32]:
        """The patient of each of these rows, all of which must be there."""
        return self.patient_N[np.searchsorted(self.row_ids_N, row_ids_C)]


def nearest_of_each_patient(
    index: StudyIndex, vector_D: NDArray[np.float32], k: int, allowed_N: NDArray[np.int64] | None, patients: Patients
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Row ids and similarities of up to `k` studies of different patients, best first: of each patient the most
    similar allowed one, as if all were sorted and the first of each kept. allowed_N: row ids, None for all.

    What the index returns is the beginning of that sorted list, so whoever is found first in it is found rightly. Where
    too few patients are in it, it is asked for more, and no longer for those it has named: a patient of very many
    studies costs one further search.
    """
    ids: list[NDArray[np.int64]] = []
    similarities: list[NDArray[np.float32]] = []
    left_N = patients.row_ids_N if allowed_N is None else np.asarray(allowed_N, dtype=np.int64)
    wanted, fetch = k, 2 * k
    while True:
        fetch = min(fetch, max(len(left_N), 1))
        hits = index.search(vector_D[np.newaxis], fetch, allowed_N)
        found_C = hits.ids_BK[0] >= 0
        ids_C, similarity_C = hits.ids_BK[0, found_C], hits.similarity_BK[0, found_C]
        patient_C = patients.of_rows(ids_C)
        first_C = np.sort(np.unique(patient_C, return_index=True)[1])[:wanted]
        ids.append(ids_C[first_C])
        similarities.append(similarity_C[first_C])
        wanted -= len(first_C)
        if wanted:
            left_N = left_N[~np.isin(patients.of_rows(left_N), patient_C)]
        if not wanted or not len(ids_C) or not len(left_N):
            return np.concatenate(ids), np.concatenate(similarities)
        allowed_N = left_N
        fetch *= _GROWTH
