from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

from training.evaluate import knn_probabilities
from training.metrics import binary_scores, bootstrap, classes_report, multiclass_scores, reliability, yes_no_report

PUBLISHED = np.load(Path(__file__).parent / "data" / "published.npz")


def published(kind):
    names, values = PUBLISHED[f"probe_{kind}_metric_names"], PUBLISHED[f"probe_{kind}_metric_values"]
    return dict(zip(names.tolist(), values.tolist(), strict=True))


def probe_input(name):
    return PUBLISHED[f"probe_in_{name}"]


def test_knn_probe_for_two_classes_equals_the_published_one():
    shares = knn_probabilities(probe_input("x_train"), probe_input("bin_train"), probe_input("x_test"), 2)
    np.testing.assert_allclose(shares, PUBLISHED["probe_binary_classification_proba"], atol=1e-6)
    theirs = published("binary_classification")
    for name, value in binary_scores(probe_input("bin_test"), shares[:, 1]).items():
        assert value == pytest.approx(theirs[name], abs=1e-6), name


def test_knn_probe_for_three_classes_equals_the_published_one():
    shares = knn_probabilities(probe_input("x_train"), probe_input("multi_train"), probe_input("x_test"), 3)
    np.testing.assert_allclose(shares, PUBLISHED["probe_multiclass_classification_proba"], atol=1e-6)
    ours, theirs = multiclass_scores(probe_input("multi_test"), shares), published("multiclass_classification")
    for name in ("auroc", "auprc", "f1"):
        assert ours[name] == pytest.approx(theirs[name], abs=1e-6), name
    assert ours["balanced_accuracy"] == pytest.approx(theirs["recall"], abs=1e-6)


def test_knn_probe_per_label_equals_the_published_multilabel_one():
    theirs = published("multilabel_classification")
    each = []
    for label in range(4):
        train, test = probe_input("ml_train")[:, label], probe_input("ml_test")[:, label]
        shares = knn_probabilities(probe_input("x_train"), train, probe_input("x_test"), 2)
        each.append(binary_scores(test, shares[:, 1]))
        assert each[-1]["auroc"] == pytest.approx(theirs[f"auroc_per_output[{label}]"], abs=1e-6)
    for name in ("auroc", "auprc", "f1"):
        assert np.mean([scores[name] for scores in each]) == pytest.approx(theirs[name], abs=1e-6)


@pytest.mark.parametrize("decimals", [1, 6])
def test_scores_equal_scikit_learns_with_and_without_ties(decimals):
    draw = np.random.default_rng(decimals)
    truth = draw.integers(0, 2, 300)
    probability = np.round(np.clip(0.3 * truth + draw.uniform(0, 0.7, 300), 0, 1), decimals)
    ours = binary_scores(truth, probability, 0.4)
    assert ours == pytest.approx(
        {
            "auroc": sk.roc_auc_score(truth, probability),
            "auprc": sk.average_precision_score(truth, probability),
            "f1": sk.f1_score(truth, probability > 0.4),
            "balanced_accuracy": sk.balanced_accuracy_score(truth, probability > 0.4),
        }
    )


def test_intervals_cover_the_truth_as_often_as_they_say_when_patients_have_many_ecgs():
    draw = np.random.default_rng(0)
    covered = 0
    patient = np.repeat(np.arange(60), 5)
    for repeat in range(60):
        value = np.repeat(draw.normal(0, 1, 60), 5) + 0.1 * draw.standard_normal(300)
        estimate = bootstrap(lambda rows, v=value: {"mean": float(v[rows].mean())}, patient, seed=repeat)["mean"]
        covered += estimate.low <= 0 <= estimate.high
    # 95 % nominal; taking ECGs for patients would cover about 60 %.
    assert covered >= 50


def test_reliability_bins_hold_everything_once_and_perfect_calibration_shows():
    draw = np.random.default_rng(1)
    probability = draw.uniform(size=20_000)
    truth = (draw.uniform(size=20_000) < probability).astype(np.int64)
    bins = reliability(truth, probability)
    assert sum(b.n for b in bins) == 20_000
    assert all(abs(b.observed - b.mean_predicted) < 0.04 for b in bins)
    report = yes_no_report(truth[:4000], probability[:4000], np.arange(4000) // 50)
    assert report.expected_calibration_error < 0.04
    assert report.brier == pytest.approx(1 / 6, abs=0.02)


def test_expected_calibration_error_of_a_constant_is_its_distance_from_the_prevalence():
    truth = np.array([1, 0, 0, 0] * 25)
    report = yes_no_report(truth, np.full(100, 0.65), np.arange(100))
    assert report.expected_calibration_error == pytest.approx(0.4)
    assert report.auroc.value == 0.5


def test_a_split_with_one_answer_only_is_refused():
    with pytest.raises(ValueError, match="larger cohort"):
        yes_no_report(np.zeros(5, np.int64), np.linspace(0, 1, 5), np.arange(5))
    with pytest.raises(ValueError, match="larger cohort"):
        classes_report(np.array([0, 1, 1]), np.full((3, 3), 1 / 3), np.arange(3))
