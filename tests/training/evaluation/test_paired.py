"""Differences of two models: the same resampled patients for both."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.evaluation.paired import auroc_difference, precision_differences
from training.evaluation.retrieval_report import QueryPrecision

PATIENT = np.arange(200) // 2


def drawn():
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 200)
    shared = draw.uniform(0, 0.7, 200)
    return truth, 0.4 * truth + shared, 0.3 * truth + shared + 0.05 * draw.standard_normal(200)


def resamples():
    draw = np.random.default_rng(0)
    for _ in range(500):
        yield np.concatenate([np.flatnonzero(p == PATIENT) for p in draw.integers(0, 100, 100)])


def test_the_interval_is_of_differences_in_the_same_resampled_patients():
    truth, better, worse = drawn()
    found = auroc_difference("AUROC", truth, better, worse, PATIENT)
    each = [roc_auc_score(truth[r], better[r]) - roc_auc_score(truth[r], worse[r]) for r in resamples()]
    expected = tuple(np.percentile(each, [2.5, 97.5]))
    assert (found.difference.low, found.difference.high) == pytest.approx(expected)
    assert (found.this, found.other) == pytest.approx((roc_auc_score(truth, better), roc_auc_score(truth, worse)))
    assert found.difference.value == pytest.approx(found.this - found.other)
    assert (found.n, found.patients) == (200, 100)


def test_a_model_beside_itself_differs_by_nought_without_an_interval():
    truth, better, _ = drawn()
    found = auroc_difference("AUROC", truth, better, better, PATIENT)
    assert (found.difference.value, found.difference.interval) == (0, None)
    with pytest.raises(ValueError, match="both answers"):
        auroc_difference("AUROC", np.zeros(200, int), better, better, PATIENT)


def test_the_lift_moves_chance_with_the_patients():
    draw = np.random.default_rng(1)
    chance = draw.uniform(0.2, 0.5, 200)
    this, other = (QueryPrecision(draw.uniform(size=200) * scale, chance, PATIENT) for scale in (1.0, 0.8))
    precision, lift = precision_differences("x", this, other)
    gap = this.precision_Q - other.precision_Q
    assert precision.difference.value == pytest.approx(gap.mean())
    assert lift.difference.value == pytest.approx(gap.mean() / chance.mean())
    each = [gap[r].mean() / chance[r].mean() for r in resamples()]
    assert (lift.difference.low, lift.difference.high) == pytest.approx(tuple(np.percentile(each, [2.5, 97.5])))


def test_where_chance_finds_nothing_no_lift_is_compared():
    nothing = QueryPrecision(np.zeros(200), np.zeros(200), PATIENT)
    assert [found.score for found in precision_differences("x", nothing, nothing)] == ["precision@10, x"]
