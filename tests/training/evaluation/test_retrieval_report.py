"""Retrieval reports of embeddings made up for the purpose, where what must come out is known."""

import numpy as np
import pandas as pd
import pytest

from training.evaluation.retrieval import score_queries
from training.evaluation.retrieval_report import PHENOTYPES, DirectionReport, retrieval_reports


def reports(phenotype_S, vector_E, vector_S):
    """Of one ECG and one study per patient, by what is relevant and whether the own patient is excluded."""
    names = [str(i) for i in range(len(phenotype_S))]
    pairs = pd.DataFrame({"patient_id": names, "ecg_id": names, "study_id": names})
    labels = pd.DataFrame(dict.fromkeys(PHENOTYPES, phenotype_S), index=names)
    found = retrieval_reports(
        pairs, labels, dict(zip(names, vector_E, strict=True)), dict(zip(names, vector_S, strict=True))
    )
    return {(report.relevant, report.own_patient_excluded): report for report in found}


def random_vectors(count, seed):
    vectors = np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_interval_of_the_lift_moves_chance_with_the_patients():
    """Eight studies are alike, two like no other: among ten targets every ranking finds what chance finds."""
    value = np.array([50.0] * 8 + [20.0, 90.0])
    found = reports(value, random_vectors(10, 0), random_vectors(10, 1))["lvef_percent", False].ecg_to_study
    assert found.precision_at_10.value == found.random_precision == pytest.approx((8 * 0.8 + 2 * 0.1) / 10)
    assert found.precision_at_10.low < found.precision_at_10.high
    assert found.lift_at_10.value == pytest.approx(1)
    assert found.lift_at_10.interval is None  # of a ratio that no draw moves


def test_the_lift_of_a_perfect_ranking_is_of_all_queries_together():
    """Of forty studies each has its nine nearest and itself as like ones; sorted by value they are found first."""
    angle = np.repeat(np.arange(4), 10) * np.pi / 2
    vectors = np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    found = reports(np.repeat([10.0, 40.0, 70.0, 100.0], 10), vectors, vectors)["lvef_percent", False].ecg_to_study
    assert (found.precision_at_10.value, found.random_precision) == (1.0, 0.25)
    assert found.lift_at_10.value == 4.0
    assert found.precision_at_10.interval is None


def test_where_fewer_than_ten_may_be_chosen_chance_at_10_is_what_is_there_over_ten():
    value = np.array([50.0, 51.0, 52.0, 20.0, 90.0, 91.0])
    found = reports(value, random_vectors(6, 0), random_vectors(6, 1))["lvef_percent", True].ecg_to_study
    assert found.random_precision == pytest.approx((2 + 2 + 2 + 0 + 1 + 1) / 6 / 10)
    assert found.precision_at_10.value == found.random_precision
    assert found.curve.k == (1, 2, 3, 5)
    assert found.curve.random_precision == pytest.approx([(2 + 2 + 2 + 0 + 1 + 1) / 6 / 5] * 4)


def test_where_nothing_is_relevant_the_lift_is_nought():
    value = np.array([10.0, 90.0])
    found = reports(value, random_vectors(2, 0), random_vectors(2, 1))["lvef_percent", True].ecg_to_study
    assert (found.lift_at_10.value, found.lift_at_10.interval) == (0, None)


def test_the_ideal_is_what_a_ranking_by_the_true_difference_finds():
    draw = np.random.default_rng(4)
    value = draw.normal(55, 12, 30)
    found = reports(value, random_vectors(30, 0), random_vectors(30, 1))["lvef_percent", True].ecg_to_study
    own, tolerance = np.eye(30, dtype=bool), 0.5 * np.std(value, ddof=1)
    difference = np.abs(value[:, None] - value).astype(np.float32)
    knows = score_queries(-difference, difference <= tolerance, own).precision_Q(10)
    assert found.ideal_precision == pytest.approx(knows.mean())
    assert found.ideal_lift == pytest.approx(knows.mean() / found.random_precision)
    assert found.random_precision < found.ideal_precision < 1
    expected = (found.precision_at_10.value - found.random_precision) / (knows.mean() - found.random_precision)
    assert found.share_of_ideal == pytest.approx(expected)


def test_a_ranking_that_finds_the_same_studies_for_all_is_told_by_its_hubs():
    """Of forty studies the first ten stand in nearly every first ten, four of them make a tenth of all."""
    angle = np.linspace(0, 1, 40)
    vectors = np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    alike = np.repeat(vectors[:1], 40, axis=0)
    value = np.arange(40.0)
    same, spread = (reports(value, ecgs, vectors)["lvef_percent", True].ecg_to_study for ecgs in (alike, vectors))
    assert same.hub_share == pytest.approx(4 * 39 / 400)  # for all queries but their own patient's
    assert 0.1 < spread.hub_share < 0.2


def test_excluded_studies_take_no_place_also_where_too_few_are_left():
    excluded = np.zeros((3, 4), bool)
    excluded[:, 3] = True
    scores = score_queries(np.ones((3, 4), np.float32), np.ones((3, 4), bool), excluded)
    assert scores.places_T.tolist() == [3, 3, 3, 0]
    nobody = score_queries(np.ones((3, 4), np.float32), np.ones((3, 4), bool), np.ones((3, 4), bool))
    assert nobody.hub_share() is None


def test_where_random_is_ideal_no_share_of_the_way_is_told():
    found = reports(np.full(12, 50.0), random_vectors(12, 0), random_vectors(12, 1))["lvef_percent", True].ecg_to_study
    assert (found.random_precision, found.ideal_precision, found.share_of_ideal) == (1, 1, None)


def test_a_stored_direction_of_before_the_bounds_reads():
    found = reports(np.arange(12.0), random_vectors(12, 0), random_vectors(12, 1))["pair", False].ecg_to_study
    old = found.model_dump(exclude={"ideal_precision", "hub_share"})
    assert DirectionReport.model_validate(old).ideal_lift is None
