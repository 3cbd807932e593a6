"""What people read instead of codes."""

from __future__ import annotations

import pytest

from ground.findings import SHD_FLAGS
from outputs.words import (
    chance_words,
    decision_words,
    disagree_words,
    finding_words,
    flag_words,
    lvef_class_words,
    number_words,
    share_of_words,
    shd_words,
    spread_words,
    unusual_words,
)


@pytest.mark.parametrize("flag", SHD_FLAGS)
def test_no_flag_is_read_as_its_code(flag):
    assert "_" not in flag_words(flag)


@pytest.mark.parametrize(
    ("probability", "threshold", "said"),
    [
        (0.07, 0.06, "cannot be ruled out (7 %; rule-out limit 6 %)"),
        (0.03, 0.06, "unlikely (3 %, below the rule-out limit of 6 %)"),
        (0.069, 0.071, "unlikely (6.9 %, below the rule-out limit of 7.1 %)"),
        (0.4, 0.4, "unlikely (40 %, at the rule-out limit of 40 %)"),
    ],
)
def test_a_decision_names_its_probability_and_limit_apart(probability, threshold, said):
    positive = probability > threshold
    assert decision_words(positive=positive, probability=probability, threshold=threshold, rules_out=True) == said


def test_a_threshold_of_an_older_bundle_is_named_as_one():
    said = [decision_words(positive=p, probability=0.5, threshold=0.456, rules_out=False) for p in (True, False)]
    assert said == ["positive (threshold 0.46)", "negative (threshold 0.46)"]


def test_what_a_model_cannot_tell_is_not_blamed_on_the_ecg():
    assert finding_words("cannot_tell") == "this model cannot tell"


def test_what_nobody_knows_is_said_to_be_unknown():
    assert [shd_words(shd) for shd in (True, False, None)] == ["yes", "no", "unknown"]


def test_an_lvef_class_is_named_by_its_range():
    assert lvef_class_words("<= 40 %") == "LVEF <= 40 %"


@pytest.mark.parametrize(
    ("value", "said"), [(0.954, "0.95"), (31.45, "31.4"), (55.0, "55"), (212.7, "213"), (1100.2, "1100"), (1.0, "1.00")]
)
def test_a_measured_number_is_as_exact_as_it_is_read(value, said):
    assert number_words(value) == said


def test_a_spread_names_its_quartiles():
    assert spread_words(31.0, 28.5, 40.0, 5) == "31 (28.5 to 40)"


def test_of_few_values_no_quartiles_and_no_percentages_are_said():
    assert spread_words(31.0, 28.5, 40.0, 4) == "31"
    assert [share_of_words(0.75, n) for n in (4, 8)] == ["3 of 4", "75 %"]


def test_no_probability_is_a_certainty_and_a_bound_is_called_one():
    assert [chance_words(p) for p in (0.9973, 0.36, 0.004)] == [">0.99", "0.36", "<0.01"]
    assert chance_words(0.36, "at_most") == "at most 0.36"
    assert chance_words(0.36, "at_least") == "at least 0.36"


def test_neighbours_that_disagree_are_said_to_in_numbers():
    assert disagree_words(31.0, 9, 48.2, 63.0).startswith(
        "The median LVEF of similar studies of 9 patients, 31 %, lies outside the predicted 48.2 to 63 %."
    )


def test_an_unusual_ecg_is_warned_about_in_two_sentences():
    assert unusual_words(99.41).startswith("This ECG is unlike the ECGs this model knows; the numbers are for show.")
    assert "more unusual than 99.4 % of held-out ECGs" in unusual_words(99.41)
