"""What is measured of every arm, on the test patients: probes of the ECG features, and retrieval of like studies.

Letters: E ECGs, S studies, P pairs, F features, D dimensions, C classes, Q queries, T targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import normalize

from ground.findings import LV_PHENOTYPES
from inputs.ecg.prepare import ecg_windows
from inputs.specs import EcgSpec
from models.towers import EcgTower
from training.data.batches import PairedArrays
from training.evaluation.metrics import binary_scores, multiclass_scores
from training.evaluation.retrieval import (
    phenotype_pairs,
    phenotype_tolerance,
    random_average_precision,
    random_precision_Q,
    score_queries,
)
from training.evaluation.validation import chunks, embed_studies
from training.objectives.supervised import UNKNOWN
from training.probes.regression import best_regression, knn_probabilities
from training.recipes import Recipe
from training.reproduce.arms import TrainedArm
from training.reproduce.data import ComparisonData, PatientGroup

PROBES = ("knn", "linear")
QUESTIONS = ("lvef_lowest", "lvef_classes", "shd")
_BATCH = 8
"""Records of up to four windows: larger chunks outgrow a CPU's cache and are slower there."""

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class _Embedded:
    features_EF: NDArray[np.float32]
    embeddings_ED: NDArray[np.float32]


def measure(arm: TrainedArm, data: ComparisonData, recipe: Recipe, device: torch.device) -> dict[str, float]:
    """Numbers by name: `auroc_<probe>_<question>`, and of an aligned arm `precision_at_10_` and `map_<phenotype>`."""
    with torch.inference_mode():
        train, val, test = (
            _embed(arm.ecg_tower, part.ecgs.signals_LN, recipe.ecg, device)
            for part in (data.train, data.val, data.test)
        )
        metrics = _probe_aurocs(data, train, val, test, classes=len(recipe.lvef_classes.labels))
        if arm.echo_tower is not None:
            study_SD = embed_studies(arm.echo_tower, data.test.pairs.views_VD, recipe.echo.max_views, device)
            metrics |= _retrieval(data.test, test.embeddings_ED @ study_SD.T)
    return metrics


def random_ranking(test: PatientGroup) -> dict[str, float]:
    """What a ranking by chance gives, on average, for the names of `measure`."""
    values = {f"auroc_{probe}_{question}": 0.5 for probe in PROBES for question in QUESTIONS}
    for name, value_S in _known_phenotypes(test):
        query = _LikeStudies.of(test.pairs, value_S)
        chance_Q = random_precision_Q(query.relevant_QT, query.own_patient_QT, 10)
        values[f"precision_at_10_{name}"] = float(chance_Q.mean())
        values[f"map_{name}"] = random_average_precision(query.relevant_QT, query.own_patient_QT)
    return values


def _embed(
    tower: EcgTower, signals_LN: Sequence[NDArray[np.float32]], spec: EcgSpec, device: torch.device
) -> _Embedded:
    """Features and unit vectors of whole records: both averaged over windows, the latter back to unit length."""
    features, unit = [], []
    for part in chunks(signals_LN, _BATCH):
        windows = [ecg_windows(signal, spec) for signal in part]
        counts = [len(w) for w in windows]
        features_WF, aligned_WD = tower(torch.from_numpy(np.concatenate(windows)).to(device))
        features += [rows.mean(dim=0) for rows in torch.split(features_WF, counts)]
        unit += [normalize(rows.mean(dim=0), dim=0) for rows in torch.split(normalize(aligned_WD, dim=1), counts)]
    return _Embedded(torch.stack(features).cpu().numpy(), torch.stack(unit).cpu().numpy())


def _probe_aurocs(
    data: ComparisonData, train: _Embedded, val: _Embedded, test: _Embedded, *, classes: int
) -> dict[str, float]:
    aurocs = {}
    for label, count in (("lvef", classes), ("shd", 2)):
        (train_EF, train_y), (val_EF, val_y), (test_EF, test_y) = (
            _known(embedded.features_EF, part.ecgs.lvef_class_E if label == "lvef" else part.ecgs.shd_E)
            for embedded, part in ((train, data.train), (val, data.val), (test, data.test))
        )
        answers = {
            "knn": knn_probabilities(train_EF, train_y, test_EF, count),
            "linear": _linear_probabilities(train_EF, train_y, val_EF, val_y, test_EF),
        }
        for probe, probability_EC in answers.items():
            if label == "lvef":
                lowest = binary_scores((test_y == 0).astype(np.int64), probability_EC[:, 0])
                aurocs[f"auroc_{probe}_lvef_lowest"] = lowest["auroc"]
                aurocs[f"auroc_{probe}_lvef_classes"] = multiclass_scores(test_y, probability_EC)["auroc"]
            else:
                aurocs[f"auroc_{probe}_shd"] = binary_scores(test_y, probability_EC[:, 1])["auroc"]
    return aurocs


def _known(features_EF: NDArray[np.float32], label_E: _Int64) -> tuple[NDArray[np.float32], _Int64]:
    return features_EF[label_E != UNKNOWN], label_E[label_E != UNKNOWN]


def _linear_probabilities(
    train_EF: NDArray[np.float32],
    train_y: _Int64,
    val_EF: NDArray[np.float32],
    val_y: _Int64,
    test_EF: NDArray[np.float32],
) -> _Float64:
    """Logistic regression on standardised features; the regularisation is the one with the least log loss on `val`."""
    scaler = StandardScaler().fit(train_EF.astype(np.float64))
    train_x, val_x, test_x = (scaler.transform(part.astype(np.float64)) for part in (train_EF, val_EF, test_EF))
    model, _ = best_regression(train_x, train_y, val_x, val_y)
    probability_EC: _Float64 = model.predict_proba(test_x)
    return probability_EC


@dataclass(frozen=True)
class _LikeStudies:
    """ECGs with a known phenotype as queries, studies of like phenotype as targets, the own patient left out."""

    ecg_Q: _Int64
    study_T: _Int64
    relevant_QT: NDArray[np.bool_]
    own_patient_QT: NDArray[np.bool_]

    @staticmethod
    def of(pairs: PairedArrays, value_S: _Float64) -> _LikeStudies:
        known_P = np.isfinite(value_S[pairs.study_P])
        patient_P, study_P = pairs.patient_P[known_P], pairs.study_P[known_P]
        ecg_Q, first_Q, query_P = np.unique(pairs.ecg_P[known_P], return_index=True, return_inverse=True)
        study_T, first_T, target_P = np.unique(study_P, return_index=True, return_inverse=True)
        tolerance = phenotype_tolerance(target_P, value_S[study_P])
        relevant_QT = phenotype_pairs(query_P, target_P, target_P, value_S[study_P], tolerance)
        return _LikeStudies(ecg_Q, study_T, relevant_QT, patient_P[first_Q][:, None] == patient_P[first_T][None])


def _known_phenotypes(test: PatientGroup) -> list[tuple[str, _Float64]]:
    """Those that differ among the studies: not every cohort knows volumes."""
    each = zip(LV_PHENOTYPES, test.phenotypes_SP.T, strict=True)
    return [(name, value_S) for name, value_S in each if len(np.unique(value_S[np.isfinite(value_S)])) >= 2]


def _retrieval(test: PatientGroup, similarity_ES: NDArray[np.float32]) -> dict[str, float]:
    """From ECG to study, among the studies of other patients."""
    values = {}
    for name, value_S in _known_phenotypes(test):
        query = _LikeStudies.of(test.pairs, value_S)
        similarity_QT = similarity_ES[np.ix_(query.ecg_Q, query.study_T)]
        found = score_queries(similarity_QT, query.relevant_QT, query.own_patient_QT).metrics()
        values[f"precision_at_10_{name}"] = found.precision_at_10
        values[f"map_{name}"] = found.mean_average_precision
    return values
