"""What rankings of the test patients' studies find: those of an arm, of chance, and of one that knows all it can.

Letters: E ECGs, S studies, P pairs (of PHENOTYPES: phenotypes), D dimensions, Q queries, T targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.batches import PairedArrays
from training.data.median_beat import BeatSpace
from training.evaluation.ideal import IdealRanking
from training.evaluation.retrieval import (
    phenotype_pairs,
    phenotype_tolerance,
    random_average_precision,
    random_precision_Q,
    score_queries,
)
from training.reproduce.data import ComparisonData, PatientGroup
from training.reproduce.endpoints import PHENOTYPES
from training.reproduce.truth import RATE_AND_RHYTHM

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class LikeStudies:
    """ECGs with a known phenotype as queries, studies of like phenotype as targets, the own patient left out."""

    ecg_Q: _Int64
    study_T: _Int64
    relevant_QT: NDArray[np.bool_]
    own_patient_QT: NDArray[np.bool_]

    @staticmethod
    def of(pairs: PairedArrays, value_S: _Float64) -> LikeStudies:
        known_P = np.isfinite(value_S[pairs.study_P])
        patient_P, study_P = pairs.patient_P[known_P], pairs.study_P[known_P]
        ecg_Q, first_Q, query_P = np.unique(pairs.ecg_P[known_P], return_index=True, return_inverse=True)
        study_T, first_T, target_P = np.unique(study_P, return_index=True, return_inverse=True)
        tolerance = phenotype_tolerance(target_P, value_S[study_P])
        relevant_QT = phenotype_pairs(query_P, target_P, target_P, value_S[study_P], tolerance)
        return LikeStudies(ecg_Q, study_T, relevant_QT, patient_P[first_Q][:, None] == patient_P[first_T][None])


def known_phenotypes(test: PatientGroup) -> list[tuple[str, _Float64]]:
    """Those that differ among the studies: not every cohort knows volumes."""
    each = zip(PHENOTYPES, test.phenotypes_SP.T, strict=True)
    return [(name, value_S) for name, value_S in each if len(np.unique(value_S[np.isfinite(value_S)])) >= 2]


def chance_EP(test: PatientGroup) -> _Float64:
    """Of every ECG the precision at 10 of a random ranking, by PHENOTYPES; NaN where the phenotype is unknown."""
    chance = np.full((len(test.pairs.signals_LN), len(PHENOTYPES)), np.nan)
    for name, value_S in known_phenotypes(test):
        query = LikeStudies.of(test.pairs, value_S)
        chance[query.ecg_Q, PHENOTYPES.index(name)] = random_precision_Q(query.relevant_QT, query.own_patient_QT, 10)
    return chance


@dataclass(frozen=True)
class Retrieved:
    """From ECG to study, among the studies of other patients but for `own_E`: see `EcgScores`."""

    metrics: dict[str, float]
    precision_EP: _Float64
    own_E: _Float64


def retrieve(test: PatientGroup, similarity_ES: NDArray[np.float32]) -> Retrieved:
    """The numbers of `measure` that need nothing but a similarity of every ECG to every study."""
    values, lifts, of_popularity = {}, [], []
    precision_EP = np.full((len(similarity_ES), len(PHENOTYPES)), np.nan)
    for name, value_S in known_phenotypes(test):
        query = LikeStudies.of(test.pairs, value_S)
        similarity_QT = similarity_ES[np.ix_(query.ecg_Q, query.study_T)]
        scores = score_queries(similarity_QT, query.relevant_QT, query.own_patient_QT)
        precision_Q = scores.precision_Q(10)
        chance_Q = random_precision_Q(query.relevant_QT, query.own_patient_QT, 10)
        precision_EP[query.ecg_Q, PHENOTYPES.index(name)] = precision_Q
        values[f"precision_at_10_{name}"] = float(precision_Q.mean())
        values[f"map_{name}"] = scores.metrics().mean_average_precision
        if chance_Q.any():
            lifts.append(float(precision_Q.mean() / chance_Q.mean()))
            of_popularity.append(float(popularity_precision_Q(scores.places_T, query).mean() / chance_Q.mean()))
            values |= {f"lift_{name}": lifts[-1], f"popularity_lift_{name}": of_popularity[-1]}
    own_E, pairs = own_in_first_tenth(test.pairs, similarity_ES), test.pairs
    patient_E, patient_S = (_owners(of_P, pairs.patient_P) for of_P in (pairs.ecg_P, pairs.study_P))
    own_patient_ES = patient_E[:, None] == patient_S[None]
    hub_share = score_queries(similarity_ES, np.zeros(similarity_ES.shape, bool), own_patient_ES).hub_share()
    values |= {"own_in_first_tenth": float(own_E.mean())}
    values |= {} if hub_share is None else {"hub_share": hub_share}
    if lifts:
        values |= {"lift_mean": float(np.mean(lifts)), "popularity_lift_mean": float(np.mean(of_popularity))}
    return Retrieved(values, precision_EP, own_E)


def popularity_precision_Q(places_T: _Int64, query: LikeStudies) -> _Float64:
    """What each ECG would find, on average, in the first ten places of a stranger's ranking.

    A ranking that puts typical studies first for everybody finds more than chance and knows nobody: of a Gaussian
    phenotype up to 1.4 times as much. What an arm's lift has beyond this, it has by looking at the ECG.
    """
    allowed_QT = ~query.own_patient_QT
    found_Q = (query.relevant_QT & allowed_QT) @ places_T.astype(np.float64)
    precision_Q: _Float64 = found_Q / np.maximum(allowed_QT @ places_T.astype(np.float64), 1.0)
    return precision_Q


def own_in_first_tenth(pairs: PairedArrays, similarity_ES: NDArray[np.float32]) -> _Float64:
    """1 for each ECG of which fewer than a tenth of all studies are nearer than the nearest of its own, else 0."""
    own_similarity_E = np.full(len(similarity_ES), -np.inf, np.float32)
    np.maximum.at(own_similarity_E, pairs.ecg_P, similarity_ES[pairs.ecg_P, pairs.study_P])
    nearer_E = (similarity_ES > own_similarity_E[:, None]).sum(axis=1)
    first_E: _Float64 = (nearer_E < similarity_ES.shape[1] / 10).astype(np.float64)
    return first_E


def _owners(item_P: _Int64, patient_P: _Int64) -> _Int64:
    owner = np.zeros(int(item_P.max()) + 1, np.int64)
    owner[item_P] = patient_P
    return owner


def random_retrieval(test: PatientGroup) -> dict[str, float]:
    """What a ranking by chance gives, on average, for the names of `retrieve`; what hubs it has nobody can say."""
    values = {"own_in_first_tenth": 0.1, "lift_mean": 1.0, "popularity_lift_mean": 1.0}
    for name, value_S in known_phenotypes(test):
        query = LikeStudies.of(test.pairs, value_S)
        chance_Q = random_precision_Q(query.relevant_QT, query.own_patient_QT, 10)
        values[f"precision_at_10_{name}"] = float(chance_Q.mean())
        values[f"map_{name}"] = random_average_precision(query.relevant_QT, query.own_patient_QT)
        values[f"lift_{name}"] = 1.0
    return values


def ideal_ranking(data: ComparisonData, rate_hz: float) -> dict[str, float] | None:
    """What `training.evaluation.ideal` finds on the same patients; None where the truth of the studies is not known.

    Of two rankings, each number is the larger one: with all facts, and without rate and rhythm. The former finds the
    own study best, and gives away some of LVEF for it, which an arm need not do.
    """
    groups = data.train, data.val, data.test
    facts = [group.facts_SF for group in groups if group.facts_SF is not None]
    if len(facts) < len(groups):
        return None
    space = BeatSpace.of(data.train.ecgs.signals_LN, rate_hz)
    ecgs = [space.vectors(group.ecgs.signals_LN).astype(np.float64) for group in groups]
    found = []
    for chosen in (slice(None), slice(None, -RATE_AND_RHYTHM)):
        train, val = (
            (ecg_EF[group.pairs.ecg_P], fact_SF[group.pairs.study_P, chosen])
            for group, ecg_EF, fact_SF in zip(groups[:2], ecgs[:2], facts[:2], strict=True)
        )
        similarity_ES = IdealRanking.fit(train, val).similarity_ES(ecgs[2], facts[2][:, chosen])
        found.append(retrieve(data.test, similarity_ES).metrics)
    return {name: max(one[name] for one in found) for name in found[0]}
