"""From a prepared ECG to its predictions and its nearest studies, on one immutable snapshot.

`retrieve` is what the batcher's lane calls: embed and probe the whole batch, then search. The lane is one thread,
because an index is not thread-safe. `Retriever` keeps the snapshot that new queries take; a swap is one assignment,
and the old generation is closed when its last query ends.

Letters: W windows, L leads, N samples, F features, D dimensions, C LVEF classes, Q SHD flags, K neighbours, B queries.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.answering.snapshots import Snapshot


@dataclass(frozen=True, eq=False)
class Query:
    """One prepared ECG. `k` is 0 when only predictions are wanted; allowed_N are row ids, None for all."""

    snapshot: Snapshot
    windows_WLN: NDArray[np.float32]
    k: int = 0
    allowed_N: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Unusual:
    """How unlike the ECGs of training one is: a score, and the share of held-out ECGs with a lower one, 0 to 100."""

    score: float
    percentile: float


@dataclass(frozen=True, eq=False)
class Found:
    """What one query gets. ids_K are row ids of the catalogue, best first; times are those of its batch.

    lvef_C, shd and flags_Q are probabilities, None in a bundle without probes; `unusual` is None where the bundle
    cannot tell.
    """

    features_F: NDArray[np.float32]
    embedding_D: NDArray[np.float32]
    lvef_C: NDArray[np.float32] | None
    shd: float | None
    ids_K: NDArray[np.int64]
    similarity_K: NDArray[np.float32]
    embed_s: float
    search_s: float
    flags_Q: NDArray[np.float32] | None = None
    unusual: Unusual | None = None


def retrieve(queries: Sequence[Query]) -> list[Found]:
    """Embed, probe and search a batch; queries of different snapshots or window counts do not mix."""
    alike: dict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
    for position, query in enumerate(queries):
        alike[id(query.snapshot), query.windows_WLN.shape].append(position)
    found: dict[int, Found] = {}
    for positions in alike.values():
        found.update(zip(positions, _retrieve_alike([queries[position] for position in positions]), strict=True))
    return [found[position] for position in range(len(queries))]


def _retrieve_alike(queries: Sequence[Query]) -> list[Found]:
    snapshot = queries[0].snapshot
    started = time.perf_counter()
    ecgs = snapshot.bundle.embed_ecgs(np.stack([query.windows_WLN for query in queries]))
    embedded = time.perf_counter()
    hits = _search(queries, ecgs.embeddings_BD)
    searched = time.perf_counter()
    return [
        Found(
            features_F=ecgs.features_BF[row],
            embedding_D=ecgs.embeddings_BD[row],
            lvef_C=None if ecgs.lvef_BC is None else ecgs.lvef_BC[row],
            shd=None if ecgs.shd_B is None else float(ecgs.shd_B[row]),
            ids_K=ids_K,
            similarity_K=similarity_K,
            embed_s=embedded - started,
            search_s=searched - embedded,
            flags_Q=None if ecgs.flags_BQ is None else ecgs.flags_BQ[row],
            unusual=None if ecgs.ood is None else Unusual(*(float(values_B[row]) for values_B in ecgs.ood)),
        )
        for row, (ids_K, similarity_K) in enumerate(hits)
    ]


def _search(
    queries: Sequence[Query], vectors_BD: NDArray[np.float32]
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Queries over the whole index go through it together, each restricted one alone."""
    nothing = np.empty(0, np.int64), np.empty(0, np.float32)
    hits = [nothing for _ in queries]
    unrestricted = [row for row, query in enumerate(queries) if query.k and query.allowed_N is None]
    restricted = [row for row, query in enumerate(queries) if query.k and query.allowed_N is not None]
    for rows in ([unrestricted] if unrestricted else []) + [[row] for row in restricted]:
        index = queries[rows[0]].snapshot.searchable.index
        k = max(queries[row].k for row in rows)
        found = index.search(vectors_BD[rows], k, queries[rows[0]].allowed_N)
        for place, row in enumerate(rows):
            ids_K, similarity_K = found.ids_BK[place, : queries[row].k], found.similarity_BK[place, : queries[row].k]
            hits[row] = ids_K[ids_K >= 0], similarity_K[ids_K >= 0]
    return hits


def warm_up(snapshot: Snapshot, windows_LN: tuple[int, int], max_batch: int) -> None:
    """Run every power-of-two batch size, and the cap, once, so that no caller pays for first-time work.

    Call it where `retrieve` is called: what is prepared, such as OpenMP's threads, belongs to the thread.
    """
    sizes = {2**power for power in range(max_batch.bit_length())} | {max_batch}
    for size in sorted(sizes):
        k = 0 if snapshot.generation is None else 1
        retrieve([Query(snapshot, np.zeros((1, *windows_LN), np.float32), k)] * size)
