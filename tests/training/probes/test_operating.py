"""Where a threshold is put so that enough of the ill lie above it, and what is counted there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.probes.operating import count_calls, operating_point, threshold_for


def test_the_threshold_lies_in_the_middle_of_the_gap_below_the_last_case_it_must_reach():
    probability = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.1, 0.2, 0.05])
    case = np.array([True] * 10 + [False, False])
    assert threshold_for(0.9, probability, case) == pytest.approx(0.25)  # nine of ten: down to 0.3; 0.2 is next


@given(data=st.data(), cases=st.integers(1, 30), others=st.integers(0, 30))
def test_enough_lie_above_and_not_above_the_next_value(data, cases, others):
    values = data.draw(st.lists(st.integers(1, 40), min_size=cases + others, max_size=cases + others))
    probability = np.array(values) / 41
    case = np.arange(cases + others) < cases
    threshold = threshold_for(0.9, probability, case)
    assert np.mean(probability[case] > threshold) >= 0.9
    next_up = probability[probability > threshold].min()
    assert np.mean(probability[case] > next_up) < 0.9


def test_counts_are_weighed_to_the_prevalence_that_the_probability_holds_for():
    y = np.array([0, 0, 1, 1])
    calls = count_calls(np.array([True, False, True, False]), y, 1, (0.9, 0.1))
    assert calls.called_C == pytest.approx((1.8, 0.2))
    assert calls.not_called_C == pytest.approx((1.8, 0.2))
    assert calls.ppv == pytest.approx(0.1), "a rule that calls every second one finds what is there"
    assert calls.n_C == (2, 2)


def test_nothing_is_counted_where_nobody_or_everybody_is_a_case():
    for y in (np.zeros(5, int), np.ones(5, int)):
        assert operating_point(0.5, np.linspace(0, 1, 5), y, 1, (0.5, 0.5)) is None


def test_a_class_that_no_patient_shows_counts_nobody():
    calls = count_calls(np.array([True, False, True]), np.array([0, 2, 2]), 0, (0.2, 0.1, 0.7))
    assert (calls.n_C, calls.called_C[1], calls.not_called_C[1]) == ((1, 0, 2), 0, 0)
