"""From a prepared ECG to its predictions and its nearest studies, on one immutable snapshot.

`retrieve` is what the batcher's lane calls: embed and probe the whole batch, then search; what has its vector already
is only searched with. The lane is one thread, because an index is not thread-safe.

Letters: W windows, L leads, N samples, D dimensions, K neighbours, B queries.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.answering.snapshots import Snapshot
from index.patients import nearest_of_each_patient
from index.rows import RowSet
from models.bundle import EcgVerdict


@dataclass(frozen=True, eq=False)
class Query:
    """One prepared ECG. `k` is 0 when only predictions are wanted; allowed: rows, None for all.

    one_per_patient: whether of each patient the most similar study alone is wanted. verdict: what is known of the ECG
    already, so that it is searched with and not embedded; without its windows then. `of_vector`: of what is no ECG.
    """

    snapshot: Snapshot
    windows_WLN: NDArray[np.float32] | None
    k: int = 0
    allowed: RowSet | None = None
    one_per_patient: bool = False
    verdict: EcgVerdict | None = None

    def __post_init__(self) -> None:
        if (self.windows_WLN is None) == (self.verdict is None):
            raise ValueError("a query has windows, or a verdict on them")

    @classmethod
    def of_vector(
        cls, snapshot: Snapshot, vector_D: NDArray[np.float32], k: int, allowed: RowSet | None = None
    ) -> Self:
        """A search with a unit vector of the index's space, such as a study's."""
        verdict = EcgVerdict(np.empty(0, np.float32), vector_D, None, None, {}, None)
        return cls(snapshot, None, k, allowed, verdict=verdict)


@dataclass(frozen=True, eq=False)
class Found:
    """What one query gets. ids_K are row ids of the catalogue, best first; times are those of its batch."""

    verdict: EcgVerdict
    ids_K: NDArray[np.int64]
    similarity_K: NDArray[np.float32]
    percentile_K: NDArray[np.float64] | None
    """Of each similarity among those of a sample of the index; None where the index is too small to say."""
    embed_s: float
    search_s: float


def retrieve(queries: Sequence[Query]) -> list[Found]:
    """Embed, probe and search a batch; queries of different snapshots or window counts do not mix."""
    alike: dict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
    for position, query in enumerate(queries):
        shape = () if query.windows_WLN is None else query.windows_WLN.shape
        alike[id(query.snapshot), shape].append(position)
    answered: dict[int, Found] = {}
    for positions in alike.values():
        answered.update(zip(positions, _retrieve_alike([queries[position] for position in positions]), strict=True))
    return [answered[position] for position in range(len(queries))]


def _retrieve_alike(queries: Sequence[Query]) -> list[Found]:
    started = time.perf_counter()
    verdicts = _verdicts(queries)
    embedded = time.perf_counter()
    nothing_D = np.empty(0, np.float32)  # of a model that predicts only, which the pipeline lets nobody search with
    vectors_BD = np.stack([nothing_D if one.embedding_D is None else one.embedding_D for one in verdicts])
    hits = _search(queries, vectors_BD)
    percentile_BK = _percentiles(queries, vectors_BD, [similarity_K for _, similarity_K in hits])
    searched = time.perf_counter()
    return [
        Found(verdict, *hit, percentile_K, embed_s=embedded - started, search_s=searched - embedded)
        for verdict, hit, percentile_K in zip(verdicts, hits, percentile_BK, strict=True)
    ]


def _verdicts(queries: Sequence[Query]) -> list[EcgVerdict]:
    """Those that are known, or that the model gives; either holds for all of the queries."""
    known = [query.verdict for query in queries if query.verdict is not None]
    if known:
        return known
    windows = [query.windows_WLN for query in queries if query.windows_WLN is not None]
    ecgs = queries[0].snapshot.embedder.embed_ecgs(np.stack(windows))
    return [ecgs.row(number) for number in range(len(queries))]


def _search(
    queries: Sequence[Query], vectors_BD: NDArray[np.float32]
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Queries over the whole index go through it together, each restricted one alone."""
    nothing = np.empty(0, np.int64), np.empty(0, np.float32)
    nearest = [nothing for _ in queries]
    searching = [row for row, query in enumerate(queries) if query.k]
    together = [row for row in searching if queries[row].allowed is None and not queries[row].one_per_patient]
    if together:
        index = queries[together[0]].snapshot.searchable.index
        hits = index.search(vectors_BD[together], max(queries[row].k for row in together))
        for place, row in enumerate(together):
            ids_K, similarity_K = hits.ids_BK[place, : queries[row].k], hits.similarity_BK[place, : queries[row].k]
            nearest[row] = ids_K[ids_K >= 0], similarity_K[ids_K >= 0]
    for row in set(searching) - set(together):
        nearest[row] = _search_alone(queries[row], vectors_BD[row])
    return nearest


def _search_alone(query: Query, vector_D: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    generation = query.snapshot.searchable
    allowed_N = None if query.allowed is None else query.allowed.ids
    if query.one_per_patient:
        patients = generation.catalogue.patients
        return nearest_of_each_patient(generation.index, vector_D, query.k, allowed_N, patients)
    hits = generation.index.search(vector_D[np.newaxis], query.k, allowed_N)
    found_K = hits.ids_BK[0] >= 0
    return hits.ids_BK[0, found_K], hits.similarity_BK[0, found_K]


def _percentiles(
    queries: Sequence[Query], vectors_BD: NDArray[np.float32], similarity_BK: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float64] | None]:
    """One product with the sample for all queries that found something."""
    said: list[NDArray[np.float64] | None] = [None for _ in queries]
    rows = [row for row, similarity_K in enumerate(similarity_BK) if len(similarity_K)]
    sample = queries[rows[0]].snapshot.searchable.sample if rows else None
    if sample is not None:
        for row, percentile_K in zip(
            rows, sample.percentiles(vectors_BD[rows], [similarity_BK[row] for row in rows]), strict=True
        ):
            said[row] = percentile_K
    return said


def warm_up(snapshot: Snapshot, windows_LN: tuple[int, int], max_batch: int) -> None:
    """Run every power-of-two batch size, and the cap, once, so that no caller pays for first-time work.

    Call it where `retrieve` is called: what is prepared, such as OpenMP's threads, belongs to the thread.
    """
    sizes = {2**power for power in range(max_batch.bit_length())} | {max_batch}
    for size in sorted(sizes):
        k = 0 if snapshot.generation is None else 1
        retrieve([Query(snapshot, np.zeros((1, *windows_LN), np.float32), k)] * size)
