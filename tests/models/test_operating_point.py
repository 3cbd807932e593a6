"""What a threshold brings: shares from counts, and the same shares where a condition is otherwise frequent."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from models.operating_point import Calls, OperatingPoint

CALLS = Calls(case=1, called_C=(30.0, 45.0), not_called_C=(120.0, 5.0), n_C=(150, 50))


def test_shares_follow_from_the_four_counts():
    assert (CALLS.true_positives, CALLS.false_positives, CALLS.true_negatives, CALLS.false_negatives) == (
        45,
        30,
        120,
        5,
    )
    assert CALLS.sensitivity == pytest.approx(0.9)
    assert CALLS.specificity == pytest.approx(0.8)
    assert CALLS.ppv == pytest.approx(0.6)
    assert CALLS.npv == pytest.approx(0.96)
    assert CALLS.echos_per_case == pytest.approx(1 / 0.6)
    assert CALLS.prevalence == pytest.approx(CALLS.cases / (CALLS.cases + CALLS.others))


def test_the_lowest_of_three_classes_may_be_the_case():
    calls = Calls(case=0, called_C=(9.0, 5.0, 6.0), not_called_C=(1.0, 5.0, 74.0), n_C=(10, 10, 80))
    assert (calls.true_positives, calls.false_positives, calls.true_negatives, calls.false_negatives) == (9, 11, 79, 1)
    assert (calls.n_cases, calls.n_others) == (10, 90)


def test_elsewhere_only_what_depends_on_how_frequent_the_case_is_changes():
    """From one in four to one in ten; PPV by Bayes."""
    moved = CALLS.weighed((0.9 / 0.75, 0.1 / 0.25))
    assert moved.sensitivity == pytest.approx(CALLS.sensitivity)
    assert moved.specificity == pytest.approx(CALLS.specificity)
    assert moved.ppv == pytest.approx(0.1 * 0.9 / (0.1 * 0.9 + 0.9 * 0.2))
    assert moved.npv == pytest.approx(0.9 * 0.8 / (0.9 * 0.8 + 0.1 * 0.1))
    assert moved.n_C == CALLS.n_C, "the patients behind it are those they were"


def test_where_nobody_or_everybody_is_called_a_share_of_nobody_is_not_told():
    nobody = Calls(case=1, called_C=(0.0, 0.0), not_called_C=(8.0, 2.0), n_C=(8, 2))
    assert (nobody.ppv, nobody.echos_per_case, nobody.npv) == (None, None, 0.8)
    everybody = Calls(case=1, called_C=(8.0, 2.0), not_called_C=(0.0, 0.0), n_C=(8, 2))
    assert (everybody.npv, everybody.ppv) == (None, 0.2)
    in_vain = Calls(case=1, called_C=(3.0, 0.0), not_called_C=(5.0, 2.0), n_C=(8, 2))
    assert (in_vain.ppv, in_vain.echos_per_case) == (0.0, None)


@pytest.mark.parametrize(
    ("threshold", "called_C", "can_tell", "tells_apart"),
    [
        (0.3, (30.0, 45.0), True, True),
        (0.5, (30.0, 45.0), True, True),
        (0.51, (30.0, 45.0), False, True),  # "unlikely" would be said of more likely than not
        (0.3, (150.0, 50.0), False, False),  # everybody is called
        (0.3, (150.0, 45.0), False, False),  # nobody without it is ruled out
        (0.3, (135.0, 45.0), False, False),  # NPV is 1 - prevalence
        (0.3, (132.0, 45.0), True, True),
    ],
)
def test_a_point_that_rules_nothing_out_cannot_tell(threshold, called_C, can_tell, tells_apart):
    not_called_C = tuple(n - called for n, called in zip(CALLS.n_C, called_C, strict=True))
    calls = CALLS.model_copy(update={"called_C": called_C, "not_called_C": not_called_C})
    point = OperatingPoint(threshold=threshold, sought_sensitivity=0.9, calls=calls)
    assert (point.can_tell, point.tells_apart) == (can_tell, tells_apart)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"called_C": (30.0,)}, "for each class"),
        ({"case": 2}, "for each class"),
        ({"called_C": (30.0, 0.0), "not_called_C": (120.0, 0.0)}, "with and without"),
        ({"called_C": (0.0, 45.0), "not_called_C": (0.0, 5.0)}, "with and without"),
        ({"called_C": (float("inf"), 45.0)}, "finite"),
        ({"called_C": (-1.0, 45.0)}, "greater than or equal to 0"),
    ],
)
def test_counts_that_cannot_be_are_refused(change, named):
    with pytest.raises(ValidationError, match=named):
        Calls.model_validate(CALLS.model_dump() | change)


def test_a_threshold_is_a_probability():
    with pytest.raises(ValidationError, match="threshold"):
        OperatingPoint(threshold=1.2, sought_sensitivity=0.9, calls=CALLS)
