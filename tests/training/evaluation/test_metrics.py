from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

import training.evaluation.metrics as our_metrics
from training.evaluation.metrics import (
    Estimate,
    binary_scores,
    bootstrap,
    classes_report,
    multiclass_scores,
    regression_report,
    reliability,
    yes_no_report,
)
from training.probes.regression import knn_probabilities

PUBLISHED = np.load(Path(__file__).parents[1] / "data" / "published.npz")


def published(kind):
    names, values = PUBLISHED[f"probe_{kind}_metric_names"], PUBLISHED[f"probe_{kind}_metric_values"]
    return dict(zip(names.tolist(), values.tolist(), strict=True))


def probe_input(name):
    return PUBLISHED[f"probe_in_{name}"]


def test_a_dash_between_the_ends_of_an_interval_never_meets_a_minus_sign():
    assert Estimate(value=0.91, low=0.88, high=0.93).in_digits(2, "-") == "0.91 (0.88-0.93)"
    assert Estimate(value=-0.1, low=-0.33, high=0.05).in_digits(2, "-") == "-0.10 (-0.33 to 0.05)"


def test_small_numbers_are_told_in_significant_digits_and_scores_as_ever():
    assert str(Estimate(value=2.134e-5, low=1.9e-5, high=2.3e-5)) == "2.13e-05 (1.9e-05 to 2.3e-05)"
    assert str(Estimate(value=0.0, low=0.0, high=0.01)) == "0.000 (0.000 to 0.010)"
    assert str(Estimate(value=0.0)) == "0.000 (interval not measured)"


def test_what_is_not_defined_is_no_estimate():
    with pytest.raises(ValueError, match="finite"):
        Estimate(value=float("nan"))
    assert bootstrap(lambda w: {"nothing": np.full(len(w), np.nan)}, np.arange(50)) == {}


@pytest.mark.parametrize(("scale", "offset"), [(1e-6, 85e-6), (1.0, 1e9), (1e7, 1.7e9), (1e-20, 0.0), (1e20, 0.0)])
def test_a_number_is_scored_alike_in_every_unit(scale, offset):
    draw = np.random.default_rng(0)
    truth = draw.normal(60, 12, 80)
    said, patient = truth + draw.normal(0, 4, 80), np.arange(80) // 2
    here, there = (regression_report(a * truth + b, a * said + b, patient) for a, b in ((1, 0), (scale, offset)))
    assert there.r2.value == pytest.approx(here.r2.value, abs=1e-4)
    assert there.r2.interval == pytest.approx(here.r2.interval, abs=1e-4)
    assert there.mean_absolute_error.value / scale == pytest.approx(here.mean_absolute_error.value, rel=1e-4)
    assert there.mean_absolute_error.low / scale == pytest.approx(here.mean_absolute_error.low, rel=1e-4)


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
        estimate = bootstrap(lambda w, v=value: {"mean": w @ v / w.sum(axis=1)}, patient, seed=repeat)["mean"]
        covered += estimate.low <= 0 <= estimate.high
    # 95 % nominal; taking ECGs for patients would cover about 60 %.
    assert covered >= 50


def resampled_rows(patient, seed):
    """The rows of 500 resamples, one patient after another: what `bootstrap` expresses as weights."""
    draw = np.random.default_rng(seed)
    for _ in range(500):
        chosen = draw.integers(0, patient.max() + 1, patient.max() + 1)
        yield np.concatenate([np.flatnonzero(patient == p) for p in chosen])


@pytest.mark.parametrize("decimals", [1, 6])
def test_intervals_are_those_of_scores_of_resampled_rows(decimals):
    draw = np.random.default_rng(decimals)
    patient = draw.permutation(np.concatenate([np.arange(12), draw.integers(0, 12, 28)]))
    truth = (draw.uniform(size=12) < 0.4).astype(np.int64)[patient]
    probability = np.round(np.clip(0.3 * truth + draw.uniform(0, 0.7, 40), 0, 1), decimals)
    report = yes_no_report(truth, probability, patient, threshold=0.4)
    rows = [r for r in resampled_rows(patient, 0) if 0 < truth[r].sum() < len(r)]
    each = [binary_scores(truth[r], probability[r], 0.4) for r in rows]
    assert len(each) > 400
    for name in ("auroc", "auprc", "f1", "balanced_accuracy"):
        estimate = getattr(report, name)
        expected = np.percentile([scores[name] for scores in each], [2.5, 97.5])
        assert (estimate.low, estimate.high) == pytest.approx(tuple(expected)), name


def test_intervals_leave_out_draws_that_lack_a_class():
    truth = np.array([0, 0, 0, 1, 1, 1, 1, 2])
    probability = np.random.default_rng(5).dirichlet(np.ones(3), 8)
    rows = [r for r in resampled_rows(np.arange(8), 0) if len(np.unique(truth[r])) == 3]
    assert 50 < len(rows) < 450
    each = [multiclass_scores(truth[r], probability[r]) for r in rows]
    report = classes_report(truth, probability, np.arange(8))
    for name in ("auroc", "auprc", "f1", "balanced_accuracy"):
        estimate = getattr(report, name)
        expected = np.percentile([scores[name] for scores in each], [2.5, 97.5])
        assert (estimate.low, estimate.high) == pytest.approx(tuple(expected)), name


def test_one_patient_has_a_value_and_no_interval():
    truth, probability = np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.6, 0.8])
    report = yes_no_report(truth, probability, np.zeros(4, np.int64))
    assert (report.auroc.value, report.auroc.interval) == (0.75, None)
    assert str(report.auroc) == "0.750 (interval not measured)"
    assert yes_no_report(truth, probability, np.arange(4)).auroc.interval is not None


def test_a_score_that_hardly_any_draw_defines_has_no_interval():
    def scores(weight):
        defined = np.arange(len(weight)) < 30
        return {"rare": np.where(defined | (len(weight) == 1), weight[:, 0], np.nan), "always": weight[:, 0]}

    found = bootstrap(scores, np.arange(6))
    assert found["rare"].interval is None
    assert found["always"].interval is not None


def test_draws_that_differ_by_rounding_alone_have_no_interval():
    found = bootstrap(lambda w: {"sum": 0.1 + 1e-16 * w[:, 0]}, np.arange(6))["sum"]
    assert found.interval is None


def test_a_stored_estimate_reads_with_and_without_an_interval():
    for text in ('{"value":0.5,"low":0.4,"high":0.6}', '{"value":0.5}', '{"value":0.5,"low":null,"high":null}'):
        assert Estimate.model_validate_json(text).value == 0.5


def test_intervals_do_not_depend_on_how_many_resamples_fit_in_memory(monkeypatch):
    draw = np.random.default_rng(3)
    truth, probability, patient = draw.integers(0, 3, 90), draw.dirichlet(np.ones(3), 90), np.arange(90) // 3
    whole = classes_report(truth, probability, patient).auroc
    monkeypatch.setattr(our_metrics, "_CHUNK_CELLS", 1)
    one_at_a_time = classes_report(truth, probability, patient).auroc
    assert one_at_a_time.model_dump() == pytest.approx(whole.model_dump())


def test_regression_scores_equal_scikit_learns():
    draw = np.random.default_rng(6)
    truth = 55 + 10 * draw.standard_normal(200)
    predicted = truth + 6 * draw.standard_normal(200)
    report = regression_report(truth, predicted, np.arange(200) // 2)
    assert report.r2.value == pytest.approx(sk.r2_score(truth, predicted))
    assert report.mean_absolute_error.value == pytest.approx(sk.mean_absolute_error(truth, predicted))
    rows = list(resampled_rows(np.arange(200) // 2, 0))
    low, high = np.percentile([sk.r2_score(truth[r], predicted[r]) for r in rows], [2.5, 97.5])
    assert (report.r2.low, report.r2.high) == pytest.approx((low, high))
    with pytest.raises(ValueError, match="does not vary"):
        regression_report(np.full(5, 3.0), np.arange(5.0), np.arange(5))


@pytest.mark.parametrize("rows", [60, 5000])
def test_the_roc_curve_goes_from_corner_to_corner_and_holds_the_auroc(rows):
    draw = np.random.default_rng(rows)
    truth = draw.integers(0, 2, rows)
    report = yes_no_report(truth, np.clip(0.2 * truth + draw.uniform(0, 0.8, rows), 0, 1), np.arange(rows))
    x, y = report.roc.false_positive_rate, report.roc.sensitivity
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert len(x) <= 101
    assert np.trapezoid(y, x) == pytest.approx(report.auroc.value, abs=2e-3)


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
    assert report.calibration_in_words() == "ECE 0.400, Brier 0.347, AUROC 0.500 (interval not measured)"


def test_a_split_with_one_answer_only_is_refused():
    with pytest.raises(ValueError, match="both answers"):
        yes_no_report(np.zeros(5, np.int64), np.linspace(0, 1, 5), np.arange(5))
    with pytest.raises(ValueError, match="every class"):
        classes_report(np.array([0, 1, 1]), np.full((3, 3), 1 / 3), np.arange(3))
