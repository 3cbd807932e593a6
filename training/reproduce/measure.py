"""What is measured of every arm, on the test patients: probes of the ECG features, and retrieval of like studies.

Letters: E ECGs, S studies, F features, D dimensions, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import normalize

from inputs.ecg.prepare import ecg_windows
from inputs.specs import EcgSpec
from models.towers import EcgTower
from training.evaluation.metrics import binary_scores, multiclass_scores
from training.evaluation.validation import chunks, embed_studies
from training.evaluation.view_gate import participation_ratio
from training.objectives.supervised import UNKNOWN
from training.probes.regression import best_regression, knn_probabilities
from training.recipes import Recipe
from training.reproduce.data import ComparisonData, PatientGroup
from training.reproduce.endpoints import QUESTIONS, Answers, EcgScores, Question
from training.reproduce.few_labels import enough_answers, few_label_answers
from training.reproduce.retrieved import random_retrieval, retrieve
from training.reproduce.train_arm import TrainedArm

PROBES = ("knn", "linear")
LABELS = ("lvef_lowest", "lvef_classes", "shd")
_BATCH = 8
"""Records of up to four windows: larger chunks outgrow a CPU's cache and are slower there."""

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class _Embedded:
    features_EF: NDArray[np.float32]
    embeddings_ED: NDArray[np.float32]


@dataclass(frozen=True)
class Measured:
    """Numbers by name, and what they are means of.

    `auroc_<probe>_<question>`; of an aligned arm `precision_at_10_`, `lift_` and `map_<phenotype>`, `lift_mean`,
    `own_in_first_tenth`, `hub_share` and `participation_ratio`.
    """

    metrics: dict[str, float]
    scores: EcgScores


def measure(
    arm: TrainedArm, seen: ComparisonData, data: ComparisonData, recipe: Recipe, device: torch.device
) -> Measured:
    """Probes are fitted on the train patients whom the arm saw; the test patients are all, with their views as `seen`.

    Studies are like one another by the phenotypes of `data`, the same for every arm.
    """
    with torch.inference_mode():
        train, val, test = (
            _embed(arm.ecg_tower, part.ecgs.signals_LN, recipe.ecg, device)
            for part in (seen.train, seen.val, seen.test)
        )
        metrics = _probe_aurocs(seen, train, val, test, classes=len(recipe.lvef_classes.labels))
        answers = few_label_answers(seen.train, train.features_EF, seen.test, test.features_EF)
        metrics |= _few_label_aurocs(answers, data.test)
        if arm.echo_tower is None:
            return Measured(metrics, EcgScores(None, None, answers))
        study_SD = embed_studies(arm.echo_tower, seen.test.pairs.views_VD, recipe.echo.max_views, device)
        found = retrieve(data.test, test.embeddings_ED @ study_SD.T)
        metrics |= found.metrics | {"participation_ratio": participation_ratio(study_SD)}
        return Measured(metrics, EcgScores(found.precision_EP, found.own_E, answers))


def random_ranking(test: PatientGroup) -> dict[str, float]:
    """What a ranking by chance gives, on average, for the names of `measure`; of the others nobody can say."""
    aurocs = {f"auroc_{probe}_{label}": 0.5 for probe in PROBES for label in LABELS}
    asked = [question for column, question in enumerate(QUESTIONS) if enough_answers(test.answers_EQ[:, column])]
    aurocs |= {f"auroc_{probe}_{question}": 0.5 for probe in ("few", "knn") for question in asked}
    return aurocs | ({"auroc_mean": 0.5} if asked else {}) | random_retrieval(test)


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


def _few_label_aurocs(answers: Mapping[Question, Answers], test: PatientGroup) -> dict[str, float]:
    """Of each question by few labels, on average over draws of them, and by neighbours; and the mean of all."""
    aurocs: dict[str, float] = {}
    for column, question in enumerate(QUESTIONS):
        if question in answers:
            truth_E = test.answers_EQ[:, column]
            known_E = np.isfinite(truth_E)
            true_E, said = truth_E[known_E].astype(np.int64), answers[question]
            draws = [binary_scores(true_E, few_E[known_E])["auroc"] for few_E in said.few_DE]
            aurocs[f"auroc_few_{question}"] = float(np.mean(draws))
            aurocs[f"auroc_knn_{question}"] = binary_scores(true_E, said.knn_E[known_E])["auroc"]
    return aurocs | ({"auroc_mean": float(np.mean([*aurocs.values()]))} if aurocs else {})
