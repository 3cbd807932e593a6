from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from models.towers import EcgTower, EchoTower
from training.data.batches import PairedArrays
from training.evaluation.retrieval import random_average_precision
from training.evaluation.validation import embed_ecgs, embed_studies
from training.objectives.supervised import UNKNOWN, LabelledEcgs
from training.reproduce.data import ComparisonData, PatientGroup
from training.reproduce.measure import measure, random_ranking
from training.reproduce.train_arm import TrainedArm


def test_random_average_precision_is_the_mean_over_every_order():
    relevant = np.array([[True, False, True, False, True], [False, True, False, False, False], [False] * 5])
    excluded = np.array([[False] * 5, [True, False, False, False, False], [False] * 5])

    def mean_over_orders(relevant_T):
        orders = [average_precision_score(order, -np.arange(len(order))) for order in permutations(relevant_T)]
        return np.mean(orders)

    expected = np.mean([mean_over_orders(relevant[0]), mean_over_orders(relevant[1][1:]), 0.0])
    assert random_average_precision(relevant, excluded) == pytest.approx(expected)


@pytest.fixture(scope="module")
def comparison(micro_recipe):
    """Random ECGs; patients have two each, which share a study; some labels are unknown."""
    draw = np.random.default_rng(5)

    def part(patients):
        ecgs = 2 * patients
        signals = [draw.standard_normal((12, 700)).astype(np.float32) for _ in range(ecgs)]
        views = [draw.standard_normal((3, 12)).astype(np.float32) for _ in range(patients)]
        owner = np.repeat(np.arange(patients), 2)
        lvef, shd = np.arange(ecgs) % 3, owner % 2
        lvef[1], shd[2] = UNKNOWN, UNKNOWN
        phenotypes = draw.normal(50, 10, (patients, 7))
        phenotypes[0, 1] = np.nan
        answers = np.stack([owner % 2, owner % 3 == 0, np.zeros(ecgs), np.full(ecgs, np.nan)], axis=1).astype(float)
        pairs = PairedArrays(signals, views, np.arange(ecgs), owner, owner)
        names = [np.array(["A4C", "PLAX", "A4C"])] * patients
        groups = pd.DataFrame({"sex": np.where(owner % 2, "male", "female")})
        return PatientGroup(pairs, LabelledEcgs(signals, owner, lvef, shd), phenotypes, names, answers, groups)

    torch.manual_seed(0)
    towers = EcgTower(micro_recipe.architecture).eval(), EchoTower(micro_recipe.architecture).eval()
    return TrainedArm(*towers, None), ComparisonData(part(20), part(12), part(16))


def test_retrieval_is_what_a_loop_over_queries_finds_among_other_patients(comparison, micro_recipe):
    arm, data = comparison
    metrics = measure(arm, data, data, micro_recipe, torch.device("cpu")).metrics
    with torch.inference_mode():
        ecgs = embed_ecgs(arm.ecg_tower, data.test.pairs.signals_LN, micro_recipe.ecg, torch.device("cpu"))
        studies = embed_studies(arm.echo_tower, data.test.pairs.views_VD, 8, torch.device("cpu"))
    value = data.test.phenotypes_SP[:, 1]
    known = np.flatnonzero(np.isfinite(value))
    tolerance = np.std(value[known], ddof=1) / 2
    precisions, average_precisions, shares = [], [], []
    for ecg, vector in enumerate(ecgs):
        own = data.test.pairs.study_P[ecg]
        if own not in known:
            continue
        others = [study for study in known if study != own]
        like = np.array([abs(value[study] - value[own]) <= tolerance for study in others])
        similarity = np.array([vector @ studies[study] for study in others])
        precisions.append(like[np.argsort(-similarity)[:10]].mean())
        average_precisions.append(average_precision_score(like, similarity) if like.any() else 0.0)
        shares.append(like.mean())
    assert metrics["precision_at_10_lvedv_ml"] == pytest.approx(np.mean(precisions))
    assert metrics["map_lvedv_ml"] == pytest.approx(np.mean(average_precisions), abs=1e-6)
    assert random_ranking(data.test)["precision_at_10_lvedv_ml"] == pytest.approx(np.mean(shares))


def test_features_that_hold_the_label_are_read_by_both_probes_and_unknown_labels_count_for_nothing(
    comparison, micro_recipe
):
    _, data = comparison

    class Telling(EcgTower):
        def forward(self, windows_BLN):
            features, aligned = super().forward(windows_BLN)
            return features * 1e-3 + windows_BLN[:, 0, :1], aligned

    for part in (data.train, data.val, data.test):
        for signal, lvef in zip(part.ecgs.signals_LN, part.ecgs.lvef_class_E, strict=True):
            signal[0] = 3.0 if lvef == 0 else -1.0 if lvef == UNKNOWN else 0.0
    torch.manual_seed(0)
    arm = TrainedArm(Telling(micro_recipe.architecture).eval(), None, None)
    metrics = measure(arm, data, data, micro_recipe, torch.device("cpu")).metrics
    assert metrics["auroc_knn_lvef_lowest"] == metrics["auroc_linear_lvef_lowest"] == 1.0
    assert metrics["auroc_linear_lvef_classes"] > 0.6
    assert not [name for name in metrics if name.startswith(("map", "precision"))]


def test_shd_is_scored_by_scikit_learns_auroc_over_known_labels(comparison, micro_recipe, monkeypatch):
    arm, data = comparison
    asked = {}

    def recorded(known_NF, truth_N, asked_EF, classes):
        share = np.random.default_rng(0).random((len(asked_EF), classes))
        asked[classes] = share
        return share

    monkeypatch.setattr("training.reproduce.measure.knn_probabilities", recorded)
    metrics = measure(arm, data, data, micro_recipe, torch.device("cpu")).metrics
    truth = data.test.ecgs.shd_E[data.test.ecgs.shd_E != UNKNOWN]
    assert metrics["auroc_knn_shd"] == pytest.approx(roc_auc_score(truth, asked[2][:, 1]))
