"""Sets within a class: each class by its own quantile, and those that lean on everybody's are named."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from models.prediction_sets import PerClassSets

SETS = PerClassSets(coverage=0.9, quantile_C=(0.9, 0.6, 0.3), n_calibration_C=(30, 25, 200))


@pytest.mark.parametrize(
    ("probability_C", "expected"),
    [((0.1, 0.1, 0.8), (0, 2)), ((0.05, 0.4, 0.55), (1, 2)), ((0.2, 0.39, 0.41), (0, 2)), ((0.05, 0.3, 0.65), (2,))],
)
def test_each_class_is_held_to_its_own_quantile(probability_C, expected):
    """Reduced from 0.1, mildly reduced from 0.4, preserved from 0.7; the most probable is always in."""
    assert SETS.classes(probability_C) == expected


def test_several_answers_given_are_all_in():
    assert SETS.classes((0.05, 0.3, 0.65), (2, 0)) == (0, 2)
    assert SETS.classes((0.05, 0.3, 0.65), 1) == (1,)


@pytest.mark.parametrize(("falls_back", "kind"), [((), "per_class"), ((1,), "mixed"), ((0, 1, 2), "overall")])
def test_the_kind_of_coverage_says_whether_every_class_has_its_own(falls_back, kind):
    sets = SETS.model_copy(update={"falls_back": falls_back})
    assert (sets.coverage_kind, sets.n_calibration) == (kind, 255)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"n_calibration_C": (30, 25)}, "for each class"),
        ({"falls_back": (3,)}, "numbers of classes"),
        ({"falls_back": (1, 0)}, "rising"),
        ({"quantile_C": (0.9, 0.6, float("nan"))}, "quantile_C"),
    ],
)
def test_sets_that_do_not_fit_together_are_refused(change, named):
    with pytest.raises(ValidationError, match=named):
        PerClassSets.model_validate(SETS.model_dump() | change)
