"""What people read instead of codes."""

from __future__ import annotations

import pytest

from ground.findings import SHD_FLAGS
from outputs.words import decision_words, flag_words, lvef_class_words, shd_words, unusual_words


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


def test_an_unusual_ecg_is_warned_about_in_two_sentences():
    assert unusual_words(99.41).startswith("This ECG is unlike the ECGs this model knows; the numbers are for show.")
    assert "more unusual than 99.4 % of held-out ECGs" in unusual_words(99.41)
