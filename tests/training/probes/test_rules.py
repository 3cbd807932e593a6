"""The AUROC of a flag's probe with its bounds, and the rule that stands on them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.probes.rules import auroc_with_bounds, fit_rule


def scores(count, positives, distance, seed=0):
    draw = np.random.default_rng(seed)
    y = (np.arange(count) < positives).astype(int)
    return draw.standard_normal(count) + distance * y, y


@pytest.mark.parametrize("digits", [8, 0], ids=["all scores differ", "most scores are equal"])
def test_the_auroc_is_that_of_a_library(digits):
    score, y = scores(300, 40, 1.0)
    score = np.round(score, digits)
    assert auroc_with_bounds(score, y)[0] == pytest.approx(roc_auc_score(y, score), abs=1e-12)


def test_bounds_are_those_of_a_bootstrap_written_out():
    score, y = scores(200, 30, 1.0)
    draw, found = np.random.default_rng(9), []
    while len(found) < 2000:
        rows = draw.integers(200, size=200)
        found.append(roc_auc_score(y[rows], score[rows]))
    _, low, high = auroc_with_bounds(score, y)
    assert (low, high) == pytest.approx(np.quantile(found, [0.025, 0.975]), abs=0.012)


def test_bounds_are_the_same_every_time_and_of_every_order():
    score, y = scores(150, 12, 1.2)
    assert auroc_with_bounds(score, y) == auroc_with_bounds(score, y) == auroc_with_bounds(score[::-1], y[::-1])


def test_bounds_hold_the_true_auroc_about_nineteen_times_in_twenty():
    """Two normals a distance d apart have AUROC Phi(d / sqrt 2): 0.760 at 1."""
    held = [low <= 0.7602 <= high for _, low, high in (auroc_with_bounds(*scores(200, 50, 1.0, s)) for s in range(100))]
    assert 88 <= sum(held) <= 99


def test_few_with_the_flag_make_a_wide_interval():
    widths = [high - low for _, low, high in (auroc_with_bounds(*scores(500, n, 1.0)) for n in (5, 100))]
    assert widths[0] > 2 * widths[1]


def test_an_auroc_needs_both_answers():
    with pytest.raises(ValueError, match="with and without"):
        auroc_with_bounds(np.arange(4.0), np.zeros(4, int))
    assert fit_rule(np.linspace(0.1, 0.9, 4), np.zeros(4, int), 0.1) is None


def test_the_rule_counts_whom_three_times_the_base_odds_raise_weighed_to_the_base_rate():
    probability = np.array([0.05, 0.2, 0.26, 0.6, 0.1, 0.3, 0.7, 0.01])
    y = np.array([0, 0, 0, 0, 1, 1, 1, 0])
    rule = fit_rule(probability, y, 0.1)  # raised from 0.25
    assert rule.calls.n_C == (5, 3)
    assert rule.calls.sensitivity == pytest.approx(2 / 3)
    assert rule.calls.specificity == pytest.approx(3 / 5)
    assert rule.calls.cases == pytest.approx(0.1 * 8)
    assert rule.calls.ppv == pytest.approx(0.1 * 2 / 3 / (0.1 * 2 / 3 + 0.9 * 2 / 5))
    assert (rule.least_odds_ratio, rule.least_ppv, rule.least_auroc) == (3.0, 0.20, 0.70)
