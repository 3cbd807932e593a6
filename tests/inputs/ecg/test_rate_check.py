"""A rate that is wrong by a factor is noticed by the heart it makes, and a right one is not doubted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hearts import simulated

from inputs.ecg.measured.measure import measure_ecg
from inputs.ecg.measured.rate_check import rate_warning
from inputs.records import STANDARD_LEADS, EcgRecording


def doubted(recording):
    return rate_warning(recording, measure_ecg(recording))


@pytest.fixture(scope="module")
def recordings():
    return [simulated(seed)[0] for seed in range(3000, 3030)]


def test_the_right_rate_is_not_doubted(recordings):
    assert [doubted(recording) for recording in recordings] == [None] * len(recordings)


@pytest.mark.parametrize(("factor", "least"), [(0.2, 0.75), (0.5, 0.55), (4.0, 0.55), (10.0, 0.75)])
def test_most_records_at_a_rate_that_is_wrong_by_far_are_doubted(recordings, factor, least):
    wrong = [replace(recording, rate_hz=factor * recording.rate_hz) for recording in recordings]
    wrong = [recording for recording in wrong if recording.rate_hz >= 50.0]
    said = [warning for recording in wrong if (warning := doubted(recording)) is not None]
    assert len(said) >= least * len(wrong)
    assert {warning.code for warning in said} == {"rate_implausible"}
    assert all(" Hz it would be a usual one" in warning.message for warning in said)


def test_noise_and_flat_lines_are_not_called_another_rate():
    draw = np.random.default_rng(8)
    for signal in (
        np.zeros((12, 5000)),
        draw.standard_normal((12, 5000)),
        draw.standard_normal((12, 5000)).cumsum(axis=1),
    ):
        recording = EcgRecording(signal.astype(np.float32), 500.0, STANDARD_LEADS, "npy")
        assert doubted(recording) is None
