"""Operating points and net benefit against what is counted one ECG at a time."""

import numpy as np
import pytest
from sklearn import metrics as sk

from training.data.embedded import FlagAnswers
from training.evaluation.answers import YesNoAnswers
from training.evaluation.decisions import DecisionReport, decision_report
from training.probes.operating import threshold_reaching

PATIENT = np.arange(400) // 2


def answered(seed=0, *, threshold=0.35, unknown=0):
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 2, 400).astype(float)
    probability = np.clip(0.3 * truth + draw.uniform(0, 0.7, 400), 0, 1).round(2)
    truth[:unknown] = np.nan
    return YesNoAnswers("SHD", truth, FlagAnswers(probability, threshold))


def test_an_operating_point_is_the_strictest_that_reaches_its_sensitivity():
    asked = answered()
    truth, probability = asked.truth_E == 1, asked.answers.probability_E
    report = decision_report(asked, PATIENT)
    assert [point.aimed_sensitivity for point in report.operating_points] == [0.8, 0.9, 0.95, None]
    for point in report.operating_points[:3]:
        assert point.sensitivity.value >= point.aimed_sensitivity
        stricter = probability[probability > point.threshold].min()
        assert np.mean(probability[truth] >= stricter) < point.aimed_sensitivity


def test_rates_are_those_of_the_decisions():
    asked = answered()
    report = decision_report(asked, PATIENT)
    for point in report.operating_points:
        probability = asked.answers.probability_E
        own = point.aimed_sensitivity is None
        decided = probability > point.threshold if own else probability >= point.threshold
        (tn, fp), (fn, tp) = sk.confusion_matrix(asked.truth_E, decided)
        assert point.sensitivity.value == pytest.approx(tp / (tp + fn))
        assert point.specificity.value == pytest.approx(tn / (tn + fp))
        assert point.ppv.value == pytest.approx(tp / (tp + fp))
        assert point.npv.value == pytest.approx(tn / (tn + fn))
        assert point.flagged_per_1000.value == pytest.approx(1000 * (tp + fp) / 400)
        assert point.ppv.low < point.ppv.value < point.ppv.high
    assert report.own_point.threshold == 0.35


def test_intervals_are_those_of_resampled_patients():
    asked = answered(3)
    decided = asked.answers.probability_E > 0.35
    draw, each = np.random.default_rng(0), []
    for _ in range(500):
        rows = np.concatenate([np.flatnonzero(p == PATIENT) for p in draw.integers(0, 200, 200)])
        each.append(np.mean(asked.truth_E[rows][decided[rows]]))
    ppv = decision_report(asked, PATIENT).own_point.ppv
    assert (ppv.low, ppv.high) == pytest.approx(tuple(np.percentile(each, [2.5, 97.5])))


def test_net_benefit_weighs_false_positives_by_the_odds():
    asked = answered()
    report = decision_report(asked, PATIENT)
    assert [found.threshold_probability for found in report.net_benefit] == [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    for found in report.net_benefit:
        treated = asked.answers.probability_E >= found.threshold_probability
        odds = found.threshold_probability / (1 - found.threshold_probability)
        tp, fp = np.sum(treated & (asked.truth_E == 1)), np.sum(treated & (asked.truth_E == 0))
        assert found.model.value == pytest.approx(tp / 400 - odds * fp / 400)
        share = asked.truth_E.mean()
        assert found.treat_all.value == pytest.approx(share - odds * (1 - share))


def test_a_constant_that_treats_everybody_has_the_net_benefit_of_treating_all():
    asked = answered()
    asked = YesNoAnswers("SHD", asked.truth_E, FlagAnswers(np.full(400, 0.4), 0.5))
    report = decision_report(asked, PATIENT)
    assert all(found.model == found.treat_all for found in report.net_benefit)
    own = report.own_point
    assert (own.ppv, own.flagged_per_1000.value, own.flagged_per_1000.interval) == (None, 0, None)
    assert own.npv.value == pytest.approx(1 - asked.truth_E.mean())
    assert report.calibration is None
    assert report.calibration_not_measured == "calibration needs probabilities that differ"


def test_unknown_answers_count_nowhere_and_no_answers_give_a_reason():
    report = decision_report(answered(unknown=100), PATIENT)
    assert (report.n, report.patients) == (300, 150)
    reason = "SHD needs ECGs of each answer"
    nothing = decision_report(YesNoAnswers("SHD", np.ones(400), reason), PATIENT)
    assert (nothing.not_measured, nothing.operating_points, nothing.own_point) == (reason, (), None)
    assert DecisionReport.model_validate_json(report.model_dump_json()) == report


def test_a_threshold_reaches_every_positive_ecg_where_all_are_asked_for():
    positive, probability = np.array([True, True, False, True]), np.array([0.9, 0.2, 0.4, 0.6])
    assert threshold_reaching(positive, probability, 1.0) == 0.2
    assert threshold_reaching(positive, probability, 2 / 3) == 0.6
    assert threshold_reaching(positive, probability, 0.01) == 0.9
