"""Calibration slope and intercept against an unpenalised logistic regression."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from training.evaluation.recalibration import recalibration


def drawn(slope, intercept, *, ecgs=4000, seed=0):
    """Answers whose true logit is `intercept + slope * logit(probability)`."""
    draw = np.random.default_rng(seed)
    probability = expit(draw.normal(-1, 1.5, ecgs))
    return (draw.uniform(size=ecgs) < expit(intercept + slope * logit(probability))).astype(np.int64), probability


@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (0.5, 0.4), (2, -1), (-0.3, 0.0)])
def test_slope_and_intercept_are_those_that_made_the_answers(slope, intercept):
    truth, probability = drawn(slope, intercept)
    found = recalibration(truth, probability, np.arange(len(truth)))
    assert found.slope.value == pytest.approx(slope, abs=0.15)
    assert found.intercept.value == pytest.approx(intercept, abs=0.15)
    assert found.slope.low < slope < found.slope.high


def test_the_fit_is_that_of_an_unpenalised_regression():
    truth, probability = drawn(0.7, 0.3, ecgs=300, seed=4)
    model = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(logit(probability)[:, None], truth)
    found = recalibration(truth, probability, np.arange(300) // 3)
    assert found.slope.value == pytest.approx(model.coef_[0, 0], abs=1e-4)
    assert found.intercept.value == pytest.approx(model.intercept_[0], abs=1e-4)


def test_intervals_are_those_of_resampled_patients():
    truth, probability = drawn(0.7, 0.3, ecgs=120, seed=5)
    patient = np.arange(120) // 3
    draw, slopes = np.random.default_rng(0), []
    for _ in range(500):
        rows = np.concatenate([np.flatnonzero(patient == p) for p in draw.integers(0, 40, 40)])
        model = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(logit(probability[rows])[:, None], truth[rows])
        slopes.append(model.coef_[0, 0])
    found = recalibration(truth, probability, patient).slope
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(slopes, [2.5, 97.5])), abs=1e-3)


def test_probabilities_that_are_too_high_on_the_whole_have_a_negative_intercept_at_slope_1():
    truth, probability = drawn(1, -1)
    found = recalibration(truth, probability, np.arange(len(truth))).intercept_at_slope_1
    assert found.value == pytest.approx(-1, abs=0.1)
    shifted = expit(logit(probability) + found.value)
    assert shifted.mean() == pytest.approx(truth.mean(), abs=1e-9)


def test_answers_that_the_probabilities_part_have_no_slope():
    truth, probability = np.repeat([0, 1], 10), np.linspace(0.1, 0.9, 20)
    assert "no slope" in recalibration(truth, probability, np.arange(20))
    assert "no slope" in recalibration(1 - truth, probability, np.arange(20))
    assert "both answers" in recalibration(np.zeros(20, np.int64), probability, np.arange(20))


def test_where_many_draws_part_the_answers_the_slope_has_no_interval():
    truth, probability = np.repeat([0, 1], 10), np.linspace(0.1, 0.9, 20)
    truth[[9, 10]] = 1, 0
    found = recalibration(truth, probability, np.arange(20))
    assert found.slope.interval is None
    assert np.isfinite(found.slope.value)


def test_certain_probabilities_are_brought_to_a_finite_logit():
    truth, probability = drawn(1, 0, ecgs=200)
    probability[:5], truth[:5] = (0, 0, 1, 1, 1), (0, 1, 1, 1, 0)
    assert np.isfinite(recalibration(truth, probability, np.arange(200)).slope.value)
