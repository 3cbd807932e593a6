"""Retrieval ground truth and all 24 metrics: ours beside the definitions written as loops, then 5,000 x 5,000.

    python -m benchmarks.retrieval_metrics [--small 300] [--large 5000]

Relevant are studies of like phenotype, both ways. The small case runs both, which must agree; the ratio is of the best
of three rounds in which they take turns. The large case runs ours alone and prints its time and the peak memory of the
whole process, similarities included.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from numpy.typing import NDArray

from training.evaluation.retrieval import (
    RANKS_K,
    phenotype_pairs,
    phenotype_tolerance,
    retrieval_metrics,
)

ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=300)
    parser.add_argument("--large", type=int, default=5000)
    options = parser.parse_args()

    case = made_up(options.small)
    plain: list[float] = []
    vectorised: list[float] = []
    for _ in range(ROUNDS):
        for measure, spent in ((naive, plain), (ours, vectorised)):
            start = time.perf_counter()
            found = measure(*case)
            spent.append(time.perf_counter() - start)
            if measure is naive:
                expected = found
        np.testing.assert_allclose(found, expected, atol=1e-6)
    loops_ms, ours_ms = 1e3 * min(plain), 1e3 * min(vectorised)
    print(f"{options.small} x {options.small}, both ways, 24 equal metrics:")
    print(f"  loops {loops_ms:.0f} ms, ours {ours_ms:.1f} ms, ratio {loops_ms / ours_ms:.0f}")

    case = made_up(options.large)
    start = time.perf_counter()
    ours(*case)
    seconds = time.perf_counter() - start
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"{options.large} x {options.large}, both ways: {seconds:.1f} s, peak memory of the process {peak_gb:.2f} GB")


def made_up(size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float32]]:
    """As many ECGs as studies, two table rows each on average; phenotype and similarity have something in common."""
    draw = np.random.default_rng(size)
    ecg_R = np.concatenate([np.arange(size), draw.integers(0, size, size)])
    study_R = np.concatenate([draw.permutation(size), draw.integers(0, size, size)])
    lvef_R = np.clip(draw.normal(55, 10, size), 10, 80)[study_R]
    similarity_ES = draw.standard_normal((size, size), dtype=np.float32)
    return ecg_R, study_R, lvef_R, similarity_ES


def ours(
    ecg_R: NDArray[np.int64],
    study_R: NDArray[np.int64],
    lvef_R: NDArray[np.float64],
    similarity_ES: NDArray[np.float32],
) -> list[float]:
    tolerance = phenotype_tolerance(study_R, lvef_R)
    forward_ES = phenotype_pairs(ecg_R, study_R, study_R, lvef_R, tolerance)
    backward_SE = phenotype_pairs(study_R, ecg_R, study_R, lvef_R, tolerance)
    both = (retrieval_metrics(similarity_ES, forward_ES), retrieval_metrics(similarity_ES.T, backward_SE))
    return [value for metrics in both for value in metrics.as_dict().values()]


def naive(
    ecg_R: NDArray[np.int64],
    study_R: NDArray[np.int64],
    lvef_R: NDArray[np.float64],
    similarity_ES: NDArray[np.float32],
) -> list[float]:
    """The same from the definitions: one query, one target at a time."""
    tolerance = 0.5 * float(np.std([value for _, value in set(zip(study_R, lvef_R, strict=True))], ddof=1))
    values = []
    for query_R, target_R, similarity_QT in ((ecg_R, study_R, similarity_ES), (study_R, ecg_R, similarity_ES.T)):
        rows = list(zip(query_R.tolist(), target_R.tolist(), study_R.tolist(), lvef_R.tolist(), strict=True))
        values += naive_direction(rows, similarity_QT, tolerance)
    return values


def naive_direction(
    rows: list[tuple[int, int, int, float]], similarity_QT: NDArray[np.float32], tolerance: float
) -> list[float]:
    of_query: dict[int, set[tuple[int, float]]] = {}
    of_target: dict[int, set[float]] = {}
    for query, target, study, value in rows:
        of_query.setdefault(query, set()).add((study, value))
        of_target.setdefault(target, set()).add(value)
    targets = similarity_QT.shape[1]
    recall: dict[int, list[float]] = {k: [] for k in RANKS_K}
    precision: dict[int, list[float]] = {k: [] for k in RANKS_K}
    average_precision, first_rank, alignment = [], [], []
    for query in range(len(similarity_QT)):
        own = sum(value for _, value in of_query[query]) / len(of_query[query])
        relevant = {t for t in range(targets) if any(abs(value - own) <= tolerance for value in of_target[t])}
        similarities = similarity_QT[query].tolist()
        ranked = sorted(range(targets), key=lambda t: -similarities[t])
        hits = [t in relevant for t in ranked]
        for k in RANKS_K:
            recall[k].append(sum(hits[:k]) / len(relevant) if relevant else 0.0)
            precision[k].append(sum(hits[:k]) / k)
        found, total = 0, 0.0
        for place, hit in enumerate(hits, start=1):
            if hit:
                found += 1
                total += found / place
        average_precision.append(total / len(relevant) if relevant else 0.0)
        first_rank.append(hits.index(True) + 1 if relevant else targets + 1)
        if relevant:
            alignment.append(sum(similarities[t] for t in relevant) / len(relevant))
    at_k = [float(np.mean(column[k])) for k in RANKS_K for column in (recall, precision)]
    ranks = [float(np.median(first_rank)), float(np.mean(first_rank))]
    return [*at_k, float(np.mean(average_precision)), *ranks, float(np.mean(alignment)) if alignment else 0.0]


if __name__ == "__main__":
    main()
