"""Retrieval ground truth and metrics, both ways, as the published evaluation defines them (arXiv 2603.08505).

Letters: Q queries, T targets, R table rows. A table row says that an ECG and a study belong together and what the
study's phenotype was in one view. Queries and targets are ECGs and studies in either role.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

RANKS_K = (1, 3, 5, 10)
HUB_RANK = 10
"""Hubs are targets that stand among the first ten of very many queries."""
_CHUNK_CELLS = 4_000_000
"""Similarities ranked at once: bounds the working memory to about 150 MB whatever the number of queries."""


@dataclass(frozen=True)
class RetrievalMetrics:
    """Twelve numbers of one direction, averaged over queries, except the median rank.

    A query without relevant targets counts 0 in recall and mAP, and its first hit has rank T + 1. `alignment_score`
    is the mean similarity to a query's relevant targets, averaged over the queries that have any.
    """

    recall_at_1: float
    precision_at_1: float
    recall_at_3: float
    precision_at_3: float
    recall_at_5: float
    precision_at_5: float
    recall_at_10: float
    precision_at_10: float
    mean_average_precision: float
    median_rank: float
    mean_rank: float
    alignment_score: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def exact_pairs(
    query_of_row_R: NDArray[np.int64], target_of_row_R: NDArray[np.int64], queries: int, targets: int
) -> NDArray[np.bool_]:
    """relevant_QT: True where the table names the pair."""
    relevant_QT = np.zeros((queries, targets), bool)
    relevant_QT[query_of_row_R, target_of_row_R] = True
    return relevant_QT


def phenotype_tolerance(study_of_row_R: NDArray[np.int64], value_R: NDArray[np.float64], share: float = 0.5) -> float:
    """`share` of the sample standard deviation (ddof 1) over the distinct (study, value) pairs."""
    distinct = np.unique(np.column_stack([study_of_row_R.astype(np.float64), value_R]), axis=0)
    if len(distinct) < 2:
        raise ValueError("a phenotype tolerance needs at least two distinct values")
    return float(share * np.std(distinct[:, 1], ddof=1))


def phenotype_pairs(
    query_of_row_R: NDArray[np.int64],
    target_of_row_R: NDArray[np.int64],
    study_of_row_R: NDArray[np.int64],
    value_R: NDArray[np.float64],
    tolerance: float,
) -> NDArray[np.bool_]:
    """relevant_QT: True where any of a target's values lies within `tolerance` of the query's value.

    A query's value is the mean over its distinct (study, value) rows. The relation is not symmetric where the views
    of a study disagree. Items are numbered 0.. without gaps; every item has a row, and every value is finite.
    """
    rows = np.column_stack([query_of_row_R.astype(np.float64), study_of_row_R.astype(np.float64), value_R])
    distinct = np.unique(rows, axis=0)
    queries = int(query_of_row_R.max()) + 1
    owner = distinct[:, 0].astype(np.int64)
    query_value_Q = np.bincount(owner, distinct[:, 2], queries) / np.bincount(owner, minlength=queries)

    target_rows = np.unique(np.column_stack([target_of_row_R.astype(np.float64), value_R]), axis=0)
    targets = int(target_of_row_R.max()) + 1
    first_row_T = np.searchsorted(target_rows[:, 0], np.arange(targets))
    relevant_QT = np.empty((queries, targets), bool)
    step = max(1, _CHUNK_CELLS // len(target_rows))
    for start in range(0, queries, step):
        part = slice(start, start + step)
        near = np.abs(query_value_Q[part, None] - target_rows[None, :, 1]) <= tolerance
        relevant_QT[part] = np.logical_or.reduceat(near, first_row_T, axis=1)
    return relevant_QT


@dataclass(frozen=True)
class QueryScores:
    """What each query found. Row i of hits_KQ counts the relevant among the first ranks_K[i]; a query without relevant
    targets has first rank T + 1 and alignment NaN. places_T counts how often a target is among a query's first ten."""

    ranks_K: tuple[int, ...]
    hits_KQ: NDArray[np.int64]
    relevant_Q: NDArray[np.int64]
    average_precision_Q: NDArray[np.float64]
    first_rank_Q: NDArray[np.float64]
    alignment_Q: NDArray[np.float64]
    places_T: NDArray[np.int64]

    def hub_share(self) -> float | None:
        """The share of all first ten places that the most often found tenth of the targets takes; None of no places.

        Were every target found as often, it would be a tenth.
        """
        hubs = -(-len(self.places_T) // 10)
        places = int(self.places_T.sum())
        return float(np.sort(self.places_T)[-hubs:].sum() / places) if places else None

    def ideal_precision_Q(self, k: int) -> NDArray[np.float64]:
        """Precision at k of the ranking that knows the answer: by difference of phenotype, all relevant stand first."""
        share_Q: NDArray[np.float64] = np.minimum(self.relevant_Q, k) / k
        return share_Q

    def precision_Q(self, k: int) -> NDArray[np.float64]:
        share_Q: NDArray[np.float64] = self.hits_KQ[self.ranks_K.index(k)] / k
        return share_Q

    def recall_Q(self, k: int) -> NDArray[np.float64]:
        share_Q: NDArray[np.float64] = self.hits_KQ[self.ranks_K.index(k)] / np.maximum(self.relevant_Q, 1)
        return share_Q

    def metrics(self) -> RetrievalMetrics:
        aligned = self.alignment_Q[self.relevant_Q > 0]
        return RetrievalMetrics(
            **{f"recall_at_{k}": float(self.recall_Q(k).mean()) for k in RANKS_K},
            **{f"precision_at_{k}": float(self.precision_Q(k).mean()) for k in RANKS_K},
            mean_average_precision=float(self.average_precision_Q.mean()),
            median_rank=float(np.median(self.first_rank_Q)),
            mean_rank=float(self.first_rank_Q.mean()),
            alignment_score=float(aligned.mean()) if len(aligned) else 0.0,
        )


def score_queries(
    similarity_QT: NDArray[np.float32],
    relevant_QT: NDArray[np.bool_],
    excluded_QT: NDArray[np.bool_] | None = None,
    more_ranks: tuple[int, ...] = (),
) -> QueryScores:
    """Ranks the targets of every query. `excluded_QT` (say, the query's own patient) are taken out of the ranking.

    Hits are counted at RANKS_K and at `more_ranks`. Ties keep the targets' order. Works through chunks of queries, so
    memory stays bounded.
    """
    if similarity_QT.shape != relevant_QT.shape or not similarity_QT.size:
        raise ValueError("similarity and relevance must be one non-empty (queries, targets) matrix each")
    queries, targets = similarity_QT.shape
    ranks_K = tuple(sorted({*RANKS_K, *more_ranks}))
    hits_KQ = np.zeros((len(ranks_K), queries), np.int64)
    relevant_Q = np.zeros(queries, np.int64)
    average_precision_Q = np.zeros(queries)
    first_rank_Q = np.full(queries, targets + 1.0)
    alignment_Q = np.full(queries, np.nan)
    places_T = np.zeros(targets, np.int64)

    step = max(1, _CHUNK_CELLS // targets)
    for start in range(0, queries, step):
        part = slice(start, start + step)
        similarity, relevant = similarity_QT[part], relevant_QT[part]
        if excluded_QT is not None:
            relevant = relevant & ~excluded_QT[part]
            similarity = np.where(excluded_QT[part], -np.inf, similarity)
        order = np.argsort(-similarity, axis=1, kind="stable")
        ranked = np.take_along_axis(relevant, order, axis=1)
        first = order[:, :HUB_RANK]
        chosen = first.ravel()
        if excluded_QT is not None:  # what was taken out stands last, and first where nothing else is left
            chosen = first[~np.take_along_axis(excluded_QT[part], first, axis=1)]
        places_T += np.bincount(chosen, minlength=targets)
        hits = np.cumsum(ranked, axis=1, dtype=np.int32)
        count = hits[:, -1]
        for row, k in enumerate(ranks_K):
            hits_KQ[row, part] = hits[:, min(k, targets) - 1]
        relevant_Q[part] = count
        precision_sum = np.sum(ranked * (hits / np.arange(1, targets + 1)), axis=1)
        average_precision_Q[part] = precision_sum / np.maximum(count, 1)
        first_rank_Q[part] = np.where(count > 0, ranked.argmax(axis=1) + 1.0, targets + 1.0)
        total = np.sum(np.where(relevant, similarity, 0.0), axis=1, dtype=np.float64)
        alignment_Q[part] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return QueryScores(ranks_K, hits_KQ, relevant_Q, average_precision_Q, first_rank_Q, alignment_Q, places_T)


def retrieval_metrics(
    similarity_QT: NDArray[np.float32],
    relevant_QT: NDArray[np.bool_],
    excluded_QT: NDArray[np.bool_] | None = None,
) -> RetrievalMetrics:
    """All metrics of one direction; see `score_queries`."""
    return score_queries(similarity_QT, relevant_QT, excluded_QT).metrics()


def random_precision_Q(
    relevant_QT: NDArray[np.bool_], excluded_QT: NDArray[np.bool_] | None, k: int
) -> NDArray[np.float64]:
    """Precision at k that a random ranking gives each query on average: the share of relevant among allowed targets.

    Where k goes beyond them nothing more is found, so there it falls as 1 / k.
    """
    allowed_QT = np.ones_like(relevant_QT) if excluded_QT is None else ~excluded_QT
    allowed_Q = allowed_QT.sum(axis=1)
    relevant_share_Q = (relevant_QT & allowed_QT).sum(axis=1) / np.maximum(allowed_Q, 1)
    precision_Q: NDArray[np.float64] = relevant_share_Q * np.minimum(k, allowed_Q) / k
    return precision_Q


def random_recall(relevant_QT: NDArray[np.bool_], excluded_QT: NDArray[np.bool_] | None, k: int) -> float:
    """Recall at k that a random ranking gives on average: k of the allowed targets, where any of them is relevant."""
    if excluded_QT is None:
        allowed_Q, found_Q = np.full(len(relevant_QT), relevant_QT.shape[1]), relevant_QT.any(axis=1)
    else:
        allowed_Q, found_Q = (~excluded_QT).sum(axis=1), (relevant_QT & ~excluded_QT).any(axis=1)
    return float(np.mean(np.where(found_Q, np.minimum(k / np.maximum(allowed_Q, 1), 1.0), 0.0)))


def random_average_precision(relevant_QT: NDArray[np.bool_], excluded_QT: NDArray[np.bool_] | None = None) -> float:
    """Mean over queries of the expected average precision of a random ranking; 0 where nothing is relevant.

    With R of T relevant: rank k is relevant with probability R/T, and then the k - 1 ranks before it hold on average
    (k - 1)(R - 1)/(T - 1) relevant ones. Summed, with H the T-th harmonic number: (H + (R - 1)(T - H)/(T - 1)) / T.
    """
    expected = []
    allowed_QT = np.ones_like(relevant_QT) if excluded_QT is None else ~excluded_QT
    for relevant_T, allowed_T in zip(relevant_QT, allowed_QT, strict=True):
        targets, hits = int(allowed_T.sum()), int((relevant_T & allowed_T).sum())
        harmonic = float(np.sum(1 / np.arange(1, targets + 1)))
        expected.append((harmonic + (hits - 1) * (targets - harmonic) / max(targets - 1, 1)) / targets if hits else 0.0)
    return float(np.mean(expected))
