"""Retrieval of one split, both ways, with and without the query's own patient: what is found, and what chance finds.

Letters: E ECGs, S studies, D dimensions, R table rows, Q queries, T targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ground.findings import LV_PHENOTYPES, STROKE_VOLUME
from training.evaluation.metrics import Estimate, ReportPart, bootstrap
from training.evaluation.retrieval import (
    exact_pairs,
    phenotype_pairs,
    phenotype_tolerance,
    random_precision_Q,
    random_recall,
    score_queries,
)

PHENOTYPES = (*LV_PHENOTYPES, STROKE_VOLUME)
Vectors = Mapping[str, NDArray[np.float32]]
"""Unit embeddings (D,) by id."""
_CURVE_RANKS = (1, 2, 3, 5, 10, 20, 50, 100)


class RankCurve(ReportPart):
    """What is found among the first k, and what chance finds; k goes up to 100 or to what every query may choose."""

    k: tuple[int, ...]
    precision: tuple[float, ...]
    random_precision: tuple[float, ...]
    recall: tuple[float, ...]
    random_recall: tuple[float, ...]


class DirectionReport(ReportPart):
    """One direction of retrieval. `lift_at_10` is precision@10 over what random ranking gives; 0 where that is 0.

    The ideal ranking knows what is relevant: it orders by the difference of the phenotypes themselves, and none does
    better. The fields of it, and the hub share, are None in reports of before there were any.
    """

    queries: int
    targets: int
    metrics: dict[str, float]
    precision_at_10: Estimate
    random_precision: float
    """At 10, on average."""
    lift_at_10: Estimate
    curve: RankCurve
    ideal_precision: float | None = None
    """At 10, on average: below 1 where fewer than ten are relevant."""
    hub_share: float | None = None
    """Of all first ten places, what the most often found tenth of the targets takes; 0.1 were all found as often."""

    @property
    def ideal_lift(self) -> float | None:
        """The most that `lift_at_10` can be."""
        ideal = self.ideal_precision
        return None if ideal is None or not self.random_precision else ideal / self.random_precision

    @property
    def share_of_ideal(self) -> float | None:
        """How far precision@10 is from random (0) to ideal (1); None where these are one."""
        ideal = self.ideal_precision
        if ideal is None or ideal - self.random_precision < 1e-9:
            return None
        return (self.precision_at_10.value - self.random_precision) / (ideal - self.random_precision)


class RetrievalReport(ReportPart):
    """Retrieval of the query's own study (`relevant` is "pair") or of studies with a like phenotype.

    Relevant are studies within `tolerance` (half a standard deviation) of the query's phenotype.
    """

    relevant: str
    tolerance: float | None
    own_patient_excluded: bool
    ecg_to_study: DirectionReport
    study_to_ecg: DirectionReport


def retrieval_reports(
    pairs: pd.DataFrame,
    labels: pd.DataFrame,
    ecg_embeddings: Vectors,
    study_embeddings: Vectors,
) -> tuple[RetrievalReport, ...]:
    """Every ECG and study of `pairs` (patient_id, ecg_id, study_id) against each other, by unit embeddings (D,).

    `labels` has the PHENOTYPES by study_id. A phenotype that is known of fewer than two studies is left out.
    """
    reports = []
    for relevant in ("pair", *PHENOTYPES):
        asked = _setting(pairs, labels, relevant)
        if asked is None:
            continue
        similarity_ES = asked.similarity_ES(ecg_embeddings, study_embeddings)
        # Without the query's own patient there is no exact pair to find.
        for excluded in (False,) if relevant == "pair" else (False, True):
            own_ES = asked.own_ES if excluded else None
            own_SE = None if own_ES is None else own_ES.T
            reports.append(
                RetrievalReport(
                    relevant=relevant,
                    tolerance=asked.tolerance,
                    own_patient_excluded=excluded,
                    ecg_to_study=_direction(similarity_ES, asked.forward_ES, own_ES, asked.patient_E),
                    study_to_ecg=_direction(similarity_ES.T, asked.backward_SE, own_SE, asked.patient_S),
                )
            )
    return tuple(reports)


@dataclass(frozen=True)
class QueryPrecision:
    """What each ECG finds among its first ten studies, what chance would find there, and whose ECG it is."""

    precision_Q: NDArray[np.float64]
    chance_Q: NDArray[np.float64]
    patient_Q: NDArray[np.int64]


def query_precision(
    pairs: pd.DataFrame, labels: pd.DataFrame, ecg_embeddings: Vectors, study_embeddings: Vectors, relevant: str
) -> QueryPrecision | None:
    """Of ECG to study, own patient excluded except where the own study is sought; queries in the order of `pairs`.

    None where `retrieval_reports` leaves `relevant` out.
    """
    asked = _setting(pairs, labels, relevant)
    if asked is None:
        return None
    own_ES = None if relevant == "pair" else asked.own_ES
    scores = score_queries(asked.similarity_ES(ecg_embeddings, study_embeddings), asked.forward_ES, own_ES)
    return QueryPrecision(
        scores.precision_Q(10), random_precision_Q(asked.forward_ES, own_ES, 10), asked.patient_E.astype(np.int64)
    )


@dataclass(frozen=True)
class _Setting:
    """Who is asked for what."""

    ecg_ids: pd.Index
    study_ids: pd.Index
    patient_E: NDArray[np.int64]
    patient_S: NDArray[np.int64]
    tolerance: float | None
    forward_ES: NDArray[np.bool_]
    backward_SE: NDArray[np.bool_]

    @property
    def own_ES(self) -> NDArray[np.bool_]:
        own_ES: NDArray[np.bool_] = self.patient_E[:, None] == self.patient_S[None, :]
        return own_ES

    def similarity_ES(self, ecg_embeddings: Vectors, study_embeddings: Vectors) -> NDArray[np.float32]:
        ecg_ED = np.stack([ecg_embeddings[name] for name in self.ecg_ids])
        similarity_ES: NDArray[np.float32] = ecg_ED @ np.stack([study_embeddings[name] for name in self.study_ids]).T
        return similarity_ES


def _setting(pairs: pd.DataFrame, labels: pd.DataFrame, relevant: str) -> _Setting | None:
    known = pairs if relevant == "pair" else pairs[labels.loc[pairs["study_id"], relevant].notna().to_numpy()]
    if relevant != "pair" and known["study_id"].nunique() < 2:
        return None
    ecg_R, ecg_ids = pd.factorize(known["ecg_id"])
    study_R, study_ids = pd.factorize(known["study_id"])
    patient_R, _ = pd.factorize(known["patient_id"])
    patient_E = patient_R[np.unique(ecg_R, return_index=True)[1]]
    patient_S = patient_R[np.unique(study_R, return_index=True)[1]]
    if relevant == "pair":
        tolerance = None
        forward_ES = exact_pairs(ecg_R, study_R, len(ecg_ids), len(study_ids))
        backward_SE = forward_ES.T
    else:
        value_R = labels.loc[known["study_id"], relevant].to_numpy(dtype=np.float64)
        tolerance = phenotype_tolerance(study_R, value_R)
        forward_ES = phenotype_pairs(ecg_R, study_R, study_R, value_R, tolerance)
        backward_SE = phenotype_pairs(study_R, ecg_R, study_R, value_R, tolerance)
    return _Setting(ecg_ids, study_ids, patient_E, patient_S, tolerance, forward_ES, backward_SE)


def _direction(
    similarity_QT: NDArray[np.float32],
    relevant_QT: NDArray[np.bool_],
    excluded_QT: NDArray[np.bool_] | None,
    patient_Q: NDArray[np.int64],
) -> DirectionReport:
    queries, targets = similarity_QT.shape
    choices = targets if excluded_QT is None else targets - int(excluded_QT.sum(axis=1).max())
    ranks = tuple(k for k in _CURVE_RANKS if k <= choices)
    scores = score_queries(similarity_QT, relevant_QT, excluded_QT, more_ranks=ranks)
    precision_Q = scores.precision_Q(10)
    chance_Q = random_precision_Q(relevant_QT, excluded_QT, 10)

    def scores_at_10(weight_RQ: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        # Chance varies with the patients drawn just as what is found does, so their ratio is drawn as one.
        found_R, chance_R = weight_RQ @ precision_Q, weight_RQ @ chance_Q
        with np.errstate(divide="ignore", invalid="ignore"):  # a draw in which nothing is relevant: left out
            return {"precision": found_R / weight_RQ.sum(axis=1), "lift": found_R / chance_R}

    at_10 = bootstrap(scores_at_10, patient_Q)
    return DirectionReport(
        queries=queries,
        targets=targets,
        metrics=scores.metrics().as_dict(),
        precision_at_10=at_10["precision"],
        random_precision=float(chance_Q.mean()),
        lift_at_10=at_10.get("lift", Estimate(value=0.0)),
        ideal_precision=float(scores.ideal_precision_Q(10).mean()),
        hub_share=scores.hub_share(),
        curve=RankCurve(
            k=ranks,
            precision=tuple(float(scores.precision_Q(k).mean()) for k in ranks),
            random_precision=tuple(float(random_precision_Q(relevant_QT, excluded_QT, k).mean()) for k in ranks),
            recall=tuple(float(scores.recall_Q(k).mean()) for k in ranks),
            random_recall=tuple(random_recall(relevant_QT, excluded_QT, k) for k in ranks),
        ),
    )
