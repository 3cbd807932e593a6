"""Which measures of a heart are doubted as those of a wrong rate: not what a wide QRS or a pause explains."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hearts import simulated

from inputs.ecg.measured.measure import MeasuredEcg, measure_ecg
from inputs.ecg.measured.rate_check import rate_warning
from inputs.records import EcgRecording


@pytest.fixture(scope="module")
def at_half_its_rate() -> tuple[EcgRecording, MeasuredEcg]:
    """A record that would make a usual heart at another rate."""
    recording = simulated(3000)[0]
    return replace(recording, rate_hz=recording.rate_hz / 2), measure_ecg(recording)


def doubted(heart, bpm, qrs_ms, qtc_ms) -> str | None:
    recording, measured = heart
    warning = rate_warning(recording, replace(measured, heart_rate_bpm=bpm, qrs_ms=qrs_ms, qtc_ms=qtc_ms))
    return None if warning is None else warning.message


@pytest.mark.parametrize(
    "measures", [(60.0, 148.0, 594.0), (75.0, 148.0, 563.0), (50.0, 180.0, 620.0), (60.0, 150.0, 400.0)]
)
def test_a_wide_qrs_makes_qt_longer_and_is_not_doubted(at_half_its_rate, measures):
    assert doubted(at_half_its_rate, *measures) is None


def test_a_qt_that_no_wide_qrs_explains_is_doubted_and_it_is_said_whose_it_may_be(at_half_its_rate):
    said = doubted(at_half_its_rate, 60.0, 140.0, 700.0)
    assert said is not None
    assert "unless this heart has a pacemaker or a wide QRS" in said
    slow = doubted(at_half_its_rate, 36.0, 180.0, 700.0)
    assert slow is not None
    assert "a pacemaker, a wide QRS" in slow


def test_without_a_heart_rate_the_width_of_qrs_decides(at_half_its_rate):
    assert doubted(at_half_its_rate, None, 98.0, None) is None
    assert doubted(at_half_its_rate, None, 300.0, None) is not None
