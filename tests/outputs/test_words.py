"""What people read instead of codes."""

from __future__ import annotations

import pytest

from ground.findings import SHD_FLAGS
from outputs.words import (
    decision_words,
    disagree_words,
    flag_words,
    lvef_class_words,
    number_words,
    shd_words,
    spread_words,
    unusual_words,
)


@pytest.mark.parametrize("flag", SHD_FLAGS)
def test_no_flag_is_read_as_its_code(flag):
    assert "_" not in flag_words(flag)


def test_a_decision_names_its_threshold():
    assert decision_words(positive=True, threshold=0.3) == "positive (threshold 0.30)"
    assert decision_words(positive=False, threshold=0.456) == "negative (threshold 0.46)"


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
    assert spread_words(31.0, 28.5, 40.0) == "31 (28.5 to 40)"


def test_neighbours_that_disagree_are_said_to_in_numbers():
    assert disagree_words(31.0, 9, 48.2, 63.0).startswith(
        "The median LVEF of 9 similar studies, 31 %, lies outside the predicted 48.2 to 63 %."
    )


def test_an_unusual_ecg_is_warned_about_in_two_sentences():
    assert unusual_words(99.41).startswith("This ECG is unlike the ECGs this model knows; the numbers are for show.")
    assert "more unusual than 99.4 % of held-out ECGs" in unusual_words(99.41)
