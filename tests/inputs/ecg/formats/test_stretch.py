"""A long recording is read in a stretch that somebody chose, and never silently in another."""

from __future__ import annotations

import pytest

from inputs.ecg.formats.base import stretch
from inputs.errors import UnreadableFile
from inputs.limits import MAX_SAMPLES
from inputs.records import NO_HINTS, ReadHints


@pytest.mark.parametrize(
    ("hints", "found"),
    [
        (NO_HINTS, slice(0, 40_000)),
        (ReadHints(start_s=3.0), slice(1500, 6500)),
        (ReadHints(start_s=70.0, length_s=10.0), slice(35_000, 40_000)),
        (ReadHints(length_s=80.0), slice(0, 40_000)),
    ],
)
def test_the_stretch_that_was_asked_for_is_read(hints, found):
    assert stretch(hints, 40_000, 500.0) == found


@pytest.mark.parametrize(
    "hints",
    [
        ReadHints(start_s=70.1),
        ReadHints(start_s=-1.0),
        ReadHints(length_s=0.0),
        ReadHints(length_s=0.0001),
        ReadHints(start_s=float("nan")),
        ReadHints(length_s=float("inf")),
    ],
)
def test_a_stretch_that_is_not_there_is_refused(hints):
    with pytest.raises(UnreadableFile) as refused:
        stretch(hints, 40_000, 500.0)
    assert refused.value.code == "stretch_out_of_range"


def test_a_recording_that_is_too_long_says_how_to_choose_a_stretch():
    with pytest.raises(UnreadableFile) as refused:
        stretch(NO_HINTS, MAX_SAMPLES + 1, 500.0)
    assert refused.value.code == "too_long"
    assert "start_s" in refused.value.hint
    assert stretch(ReadHints(start_s=1000.0), MAX_SAMPLES + 1, 500.0) == slice(500_000, 505_000)
