"""Exact search over 100,000 x 512 vectors: our index beside plain FAISS and plain numpy, in one run.

    python -m benchmarks.search [--vectors 100000] [--threads N]

`faiss` is IndexFlatIP.search with FAISS's own settings, `numpy` a float32 matrix product and a partition. All three
must name the same neighbours. The best of several rounds in which the three take turns, so that noise hits them alike.
Last, in turns as well, a search beside the same search with the percentiles of its neighbours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from index.backends.faiss_backend import FaissIndex, blas_from_batch
from index.percentile import SimilaritySample

faiss: Any = _faiss  # its type stubs do not know what its Python layer adds

DIM = 512
K = 10
FAISS_OWN = (faiss.cvar.distance_compute_blas_threshold, faiss.cvar.distance_compute_blas_database_bs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=faiss.omp_get_max_threads())
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    faiss.omp_set_num_threads(options.threads)

    rng = np.random.default_rng(0)
    vectors_ND = rng.standard_normal((options.vectors, DIM), dtype=np.float32)
    vectors_ND /= np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    ours = FaissIndex(DIM)
    ours.add(np.arange(options.vectors), vectors_ND)
    plain = faiss.IndexFlatIP(DIM)
    plain.add(vectors_ND)

    def plain_faiss(queries_BD: NDArray[np.float32]) -> NDArray[np.int64]:
        faiss.cvar.distance_compute_blas_threshold, faiss.cvar.distance_compute_blas_database_bs = FAISS_OWN
        return np.asarray(plain.search(queries_BD, K)[1])

    def plain_numpy(queries_BD: NDArray[np.float32]) -> NDArray[np.int64]:
        similarity_BN = queries_BD @ vectors_ND.T
        best_BK = np.argpartition(similarity_BN, -K, axis=1)[:, -K:]
        order_BK = np.argsort(-np.take_along_axis(similarity_BN, best_BK, axis=1), axis=1)
        return np.take_along_axis(best_BK, order_BK, axis=1)

    print(f"{options.vectors} x {DIM}, k {K}, {options.threads} threads; BLAS from batch {blas_from_batch(DIM)}")
    print(f"{'':28}{'ours ms':>10}{'faiss ms':>10}{'numpy ms':>10}{'faiss/ours':>12}{'numpy/ours':>12}")
    for batch in (1, 8, 64):
        queries_BD = rng.standard_normal((batch, DIM), dtype=np.float32)
        queries_BD /= np.linalg.norm(queries_BD, axis=1, keepdims=True)
        report(
            f"batch {batch}",
            [
                partial(our_ids, ours, queries_BD),
                partial(plain_faiss, queries_BD),
                partial(plain_numpy, queries_BD),
            ],
            options.rounds,
        )
    for name, allowed_N in (
        ("one patient excluded", np.arange(3, options.vectors)),
        ("1 % allowed", np.sort(rng.permutation(options.vectors)[: options.vectors // 100])),
        ("50 % allowed", np.sort(rng.permutation(options.vectors)[: options.vectors // 2])),
    ):
        for batch in (1, 64):
            queries_BD = rng.standard_normal((batch, DIM), dtype=np.float32)
            selector = faiss.IDSelectorBatch(allowed_N)

            def faiss_with_selector(
                q: NDArray[np.float32] = queries_BD, selector: object = selector
            ) -> NDArray[np.int64]:
                return np.asarray(plain.search(q, K, params=faiss.SearchParameters(sel=selector))[1])

            def numpy_rows(
                q: NDArray[np.float32] = queries_BD, rows: NDArray[np.int64] = allowed_N
            ) -> NDArray[np.int64]:
                similarity_BN = q @ vectors_ND[rows].T
                best_BK = np.argpartition(similarity_BN, -K, axis=1)[:, -K:]
                order_BK = np.argsort(-np.take_along_axis(similarity_BN, best_BK, axis=1), axis=1)
                return rows[np.take_along_axis(best_BK, order_BK, axis=1)]

            report(
                f"{name}, batch {batch}",
                [partial(our_ids, ours, queries_BD, allowed_N), faiss_with_selector, numpy_rows],
                options.rounds,
            )

    report_percentiles(ours, options.rounds)


def report_percentiles(index: FaissIndex, rounds: int) -> None:
    """A search, and the same with percentiles, in milliseconds, and the median of the ratios within a round."""
    sample = SimilaritySample.of(index)
    if sample is None:
        return
    print(f"{'':28}{'search ms':>10}{'with percentiles':>18}{'ratio':>8}")
    rng = np.random.default_rng(1)
    for batch in (1, 8, 64):
        queries_BD = rng.standard_normal((batch, DIM), dtype=np.float32)
        queries_BD /= np.linalg.norm(queries_BD, axis=1, keepdims=True)
        spent_ms: list[tuple[float, float]] = []
        for _ in range(1 + rounds):
            start = time.perf_counter()
            hits = index.search(queries_BD, K)
            searched = time.perf_counter()
            hits = index.search(queries_BD, K)
            sample.percentiles(queries_BD, list(hits.similarity_BK))
            spent_ms.append((1e3 * (searched - start), 1e3 * (time.perf_counter() - searched)))
        alone_ms, both_ms = np.array(spent_ms[1:]).T  # the first round warms up
        ratio = np.median(both_ms / alone_ms)
        print(f"{f'batch {batch}':28}{alone_ms.min():>10.1f}{both_ms.min():>18.1f}{ratio:>8.2f}")


def our_ids(
    index: FaissIndex, queries_BD: NDArray[np.float32], allowed_N: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    return index.search(queries_BD, K, allowed_N).ids_BK


def report(name: str, contenders: list[Callable[[], NDArray[np.int64]]], rounds: int) -> None:
    """One line of the table: milliseconds and what the others take relative to ours."""
    answers = [contender() for contender in contenders]
    assert all(np.array_equal(answers[0], answer) for answer in answers[1:]), f"{name}: the answers differ"
    times: list[list[float]] = [[] for _ in contenders]
    for _ in range(rounds):
        for contender, spent in zip(contenders, times, strict=True):
            start = time.perf_counter()
            contender()
            spent.append(1e3 * (time.perf_counter() - start))
    ours_ms, faiss_ms, numpy_ms = (min(spent) for spent in times)
    ratios = f"{faiss_ms / ours_ms:>12.2f}{numpy_ms / ours_ms:>12.2f}"
    print(f"{name:28}{ours_ms:>10.1f}{faiss_ms:>10.1f}{numpy_ms:>10.1f}{ratios}")


if __name__ == "__main__":
    main()
