"""What an electrocardiograph wrote is bounded before anybody reads it."""

from __future__ import annotations

import pytest

from inputs.ecg.said import device_said
from inputs.limits import MAX_SAID_LETTERS, MAX_SAID_LINES


def test_texts_are_one_line_and_bounded():
    said = device_said(vendor="  GE\n\0 Healthcare ", model="x" * 10_000, statements=["", " ", "Sinus\trhythm"] * 100)
    assert said.vendor == "GE Healthcare"
    assert len(said.model) == MAX_SAID_LETTERS
    assert said.statements == ("Sinus rhythm",) * MAX_SAID_LINES


def test_measures_that_are_no_numbers_are_left_out_and_stand_in_one_order():
    given = {
        "qrs_ms": "96",
        "heart_rate_bpm": 61,
        "pr_ms": "n/a",
        "qt_ms": None,
        "p_axis_deg": "nan",
        "t_axis_deg": 29999,
    }
    assert device_said(measures=given).measures == (("heart_rate_bpm", 61.0), ("qrs_ms", 96.0))
    with pytest.raises(ValueError, match="height"):
        device_said(measures={"height": 1})
