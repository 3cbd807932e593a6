"""What a search was narrowed to is said in words that hold for what was asked, and for nothing else."""

from __future__ import annotations

import pytest

from outputs.narrowed import AppliedFilters, SearchFilters, filters_sentence


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"lvef_max": 40.0}, "LVEF at most 40 %"),
        ({"lvef_min": 0.0}, "LVEF at least 0 %"),
        ({"lvef_min": 30.5, "lvef_max": 40.0}, "LVEF 30.5 to 40 %"),
        ({"age_min": 70.0}, "age at least 70"),
        ({"age_min": 60.0, "age_max": 70.0, "sex": "female"}, "age 60 to 70, female"),
        ({"acquired_after": "2020-01-01"}, "acquired 2020-01-01 or later"),
        ({"acquired_before": "2020-01-01"}, "acquired 2020-01-01 or earlier"),
        ({"view": "A4C"}, "with a view A4C"),
        ({"shd": True}, "with structural heart disease"),
        ({"shd": False}, "without structural heart disease"),
        ({"one_per_patient": True}, "one study of each patient"),
    ],
)
def test_what_was_asked_is_said_with_how_many_studies_it_left(asked, said):
    applied = AppliedFilters(**asked)
    assert filters_sentence(SearchFilters(applied=applied, studies=7)) == f"{said}. 7 studies of the index match."


def test_one_study_is_no_studies():
    said = filters_sentence(SearchFilters(applied=AppliedFilters(sex="male"), studies=1))
    assert said == "male. 1 study of the index matches."
