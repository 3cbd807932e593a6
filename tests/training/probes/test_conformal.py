"""Sets and intervals beside another implementation, and their promise kept on fresh patients."""

from __future__ import annotations

import numpy as np
import pytest
from crepes import ConformalClassifier, ConformalRegressor
from crepes.extras import hinge
from scipy.stats import betabinom

from training.probes.conformal import conformal_quantile, lvef_interval, per_class_sets, prediction_sets

EDGES = (40.0, 50.0, 60.0)


def patients(count, seed, shares=(0.15, 0.12, 0.73)):
    """Probabilities (count, 3) that know something of the class, most sure of the commonest one."""
    draw = np.random.default_rng(seed)
    y = draw.choice(3, size=count, p=shares)
    logits = draw.standard_normal((count, 3)) + 1.2 * np.eye(3)[y] + np.log(shares)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), y


def test_sets_within_classes_are_those_of_a_library():
    """It asks for a p-value of 0.1 in floating point: where (n + 1) 0.9 is whole its sets are larger by a tie."""
    known, truth = patients(400, 20)
    assert all((np.bincount(truth) + 1) % 10)
    asked, _ = patients(500, 2)
    theirs = ConformalClassifier().fit(hinge(known, np.arange(3), truth), bins=truth)
    expected = np.column_stack(
        [
            theirs.predict_set(hinge(asked), np.full(500, number), confidence=0.9, smoothing=False)[:, number]
            for number in range(3)
        ]
    )
    sets = per_class_sets(known, truth)
    found = 1.0 - asked <= np.array(sets.quantile_C)
    np.testing.assert_array_equal(found, expected == 1)


def test_overall_sets_are_those_of_a_library():
    known, truth = patients(400, 3)
    asked, _ = patients(500, 4)
    theirs = ConformalClassifier().fit(hinge(known, np.arange(3), truth))
    expected = theirs.predict_set(hinge(asked), confidence=0.9, smoothing=False)
    np.testing.assert_array_equal(1.0 - asked <= prediction_sets(known, truth).quantile, expected == 1)


def test_intervals_in_bins_are_those_of_a_library():
    draw = np.random.default_rng(5)
    predicted = draw.uniform(20, 75, 600)
    truth = predicted + draw.normal(0, 4 + 0.1 * (75 - predicted))
    interval = lvef_interval(predicted, truth, EDGES)
    theirs = ConformalRegressor().fit(truth - predicted, bins=np.searchsorted(EDGES, predicted, side="right"))
    asked = np.linspace(20.5, 74.5, 40)
    expected = theirs.predict_int(asked, bins=np.searchsorted(EDGES, asked, side="right"), confidence=0.9)
    found = [interval.bin_of(percent).half_width_percent for percent in asked]
    assert found == pytest.approx((expected[:, 1] - expected[:, 0]) / 2)


def within_sampling_error(covered, n_calibration):
    """Coverage of new patients by sets of n others is beta-binomial (Vovk 2012); 1 case in 1000 lies outside."""
    rank = int(np.ceil((n_calibration + 1) * 0.9))
    low, high = betabinom.ppf([0.0005, 0.9995], len(covered), rank, n_calibration + 1 - rank)
    return low <= np.sum(covered) <= high


def test_each_class_is_covered_and_by_the_overall_sets_the_rare_ones_are_not():
    known, truth = patients(1500, 6)
    within, overall = per_class_sets(known, truth), prediction_sets(known, truth)
    asked, asked_truth = patients(6000, 7)
    missed = []
    for number in range(3):
        own = asked[asked_truth == number, number]
        assert within_sampling_error(1 - own <= within.quantile_C[number], within.n_calibration_C[number])
        missed.append(np.mean(1 - own > overall.quantile))
    assert max(missed[:2]) > 0.3 > 0.1 > missed[2]


def test_within_classes_the_promise_survives_another_mix_of_patients_and_overall_it_does_not():
    known, truth = patients(1500, 8)
    within, overall = per_class_sets(known, truth), prediction_sets(known, truth)
    everyone, everyones = patients(12_000, 9)
    ill = np.flatnonzero((everyones < 2) | (np.arange(12_000) % 20 == 0))  # few of the preserved are left
    asked, asked_truth = everyone[ill], everyones[ill]
    own = asked[np.arange(len(ill)), asked_truth]
    assert np.mean(1 - own <= np.array(within.quantile_C)[asked_truth]) > 0.86
    assert np.mean(1 - own <= overall.quantile) < 0.8


@pytest.mark.parametrize(("rare", "kind", "falls_back"), [(20, "per_class", ()), (19, "mixed", (1,))])
def test_a_class_of_fewer_than_twenty_leans_on_everybody_and_is_named(rare, kind, falls_back):
    known, _ = patients(200, 10)
    truth = np.repeat([0, 1, 2], [60, rare, 140 - rare])
    sets = per_class_sets(known, truth)
    assert (sets.coverage_kind, sets.falls_back, sets.n_calibration_C) == (kind, falls_back, (60, rare, 140 - rare))
    everybody = prediction_sets(known, truth).quantile
    assert (sets.quantile_C[1] == everybody) == (kind == "mixed")
    assert sets.quantile_C[0] != everybody


def test_the_quantile_is_the_smallest_score_that_the_promise_allows():
    assert conformal_quantile(np.arange(1.0, 10.0)) == 9.0  # ceil(10 x 0.9) of nine
    assert conformal_quantile(np.arange(1.0, 20.0)) == 18.0
    assert conformal_quantile(np.arange(1.0, 21.0)) == 19.0


def test_intervals_hold_the_truth_within_each_bin():
    draw = np.random.default_rng(11)

    def hearts(count):
        predicted = np.clip(draw.normal(55, 10, count), 15, 75)
        return predicted, np.clip(predicted + draw.normal(0, 3 + 0.15 * (75 - predicted)), 0, 100)

    interval = lvef_interval(*hearts(1200), EDGES)
    assert [one.below_percent for one in interval.bins] == [40.0, 50.0, 60.0, None]
    predicted, truth = hearts(8000)
    bins = [interval.bin_of(percent) for percent in predicted]
    covered = np.array([abs(t - p) <= b.half_width_percent for t, p, b in zip(truth, predicted, bins, strict=True)])
    for one in interval.bins:
        assert within_sampling_error(covered[[b == one for b in bins]], one.n_calibration)
    widths = [one.half_width_percent for one in interval.bins]
    assert widths[0] > 1.5 * widths[-1], "an error that grows towards low LVEF is told as such"


@pytest.mark.parametrize(
    ("counts", "edges"),
    [
        ((40, 40, 40, 40), [40.0, 50.0, 60.0, None]),
        ((39, 41, 60, 80), [50.0, 60.0, None]),
        ((60, 39, 41, 80), [40.0, 60.0, None]),
        ((60, 80, 39, 50), [40.0, 50.0, None]),
        ((80, 90, 60, 3), [40.0, 50.0, None]),
        ((10, 10, 10, 90), [None]),
        ((0, 0, 0, 40), [None]),
        ((20, 30, 0, 90), [60.0, None]),
    ],
)
def test_a_bin_of_fewer_than_forty_goes_together_with_its_smaller_neighbour(counts, edges):
    predicted = np.repeat([35.0, 45.0, 55.0, 65.0], counts)
    interval = lvef_interval(predicted, predicted + 1.0, EDGES)
    assert [one.below_percent for one in interval.bins] == edges
    assert sum(one.n_calibration for one in interval.bins) == sum(counts)


def test_fewer_than_forty_in_all_have_no_interval():
    assert lvef_interval(np.full(39, 60.0), np.full(39, 61.0), EDGES) is None
