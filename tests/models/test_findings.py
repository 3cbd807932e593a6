"""What is said of a flag: raised where odds and PPV are high enough, and nothing by a probe that cannot tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.findings import FindingRule
from models.operating_point import Calls

RULE = FindingRule(
    least_odds_ratio=3.0,
    least_ppv=0.2,
    least_auroc=0.7,
    auroc=0.85,
    auroc_low=0.78,
    auroc_high=0.91,
    calls=Calls(case=1, called_C=(20.0, 20.0), not_called_C=(880.0, 80.0), n_C=(900, 100)),
)


def changed(**fields):
    return FindingRule.model_validate(RULE.model_dump() | fields)


def calls(with_flag, without):
    return Calls(case=1, called_C=(without, with_flag), not_called_C=(900 - without, 100 - with_flag), n_C=(900, 100))


def test_three_per_cent_is_never_raised_where_three_per_cent_is_usual():
    assert RULE.finding(0.03, 0.029) == "not_raised"


@pytest.mark.parametrize(("probability", "said"), [(0.2499, "not_raised"), (0.2501, "raised"), (0.9, "raised")])
def test_a_flag_is_raised_from_three_times_the_base_odds(probability, said):
    """One in ten is odds of 1 to 9; three times that is 1 to 3."""
    assert RULE.odds_threshold(0.1) == pytest.approx(0.25)
    assert RULE.finding(probability, 0.1) == said


def test_a_rule_that_is_right_of_fewer_than_one_in_five_whom_it_raises_cannot_tell():
    assert changed(calls=calls(20.0, 80.0)).finding(0.9, 0.1) == "raised"
    for probability in (0.001, 0.9):
        assert changed(calls=calls(20.0, 81.0)).finding(probability, 0.1) == "cannot_tell"


def test_a_rule_that_cannot_tell_here_may_tell_where_the_flag_is_commoner():
    """Nine of a hundred raised have it; with the flag four times as frequent it is 28 of 100."""
    rare = changed(calls=calls(9.0, 91.0))
    assert rare.finding(0.9, 0.1) == "cannot_tell"
    there = rare.model_copy(update={"calls": rare.calls.weighed((1.0, 4.0))})
    assert there.finding(0.9, 0.3) == "raised"
    assert there.finding(0.1, 0.3) == "not_raised"


def test_a_probe_that_may_be_hardly_better_than_chance_cannot_tell():
    assert changed(auroc_low=0.7).finding(0.9, 0.1) == "raised"
    for probability in (0.001, 0.9):
        assert changed(auroc_low=0.699).finding(probability, 0.1) == "cannot_tell"


def test_a_rule_that_raised_nobody_cannot_tell():
    for raised_without in (0.0, 1.0):
        assert changed(calls=calls(0.0, raised_without)).finding(0.9, 0.1) == "cannot_tell"


@given(probability=st.floats(0.001, 0.999), base=st.floats(0.001, 0.999))
def test_raised_means_the_odds_are_at_least_three_times_the_base_odds(probability, base):
    ratio = probability / (1 - probability) / (base / (1 - base))
    said = RULE.finding(probability, base)
    assert said == ("raised" if ratio >= 3 else "not_raised") or ratio == pytest.approx(3)


def test_bounds_that_cross_are_refused():
    with pytest.raises(ValidationError, match="must not exceed"):
        changed(auroc_low=0.95)
