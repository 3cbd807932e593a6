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


def drawn(bpm, qrs_ms, *, qtc_ms=390.0, rate_hz=500.0, seed=0):
    """A regular rhythm of 10 s as bumps in time: P, Q, R, S and T, larger from V1 to V5."""
    random = np.random.default_rng(seed)
    time_s, beat_s, qrs_s = np.arange(int(10 * rate_hz)) / rate_hz, 60.0 / bpm, qrs_ms / 1000.0
    qt_s = qtc_ms / 1000.0 * np.sqrt(beat_s)
    since_s = (time_s + random.uniform(0.0, beat_s)) % beat_s - 0.35 * beat_s  # since the onset of QRS

    def bump(at_s, wide_s, high_mv):
        return high_mv * np.exp(-0.5 * ((since_s - at_s) / wide_s) ** 2)

    p, q, r = bump(-0.07, 0.014, 0.1), bump(0.17 * qrs_s, 0.09 * qrs_s, -0.1), bump(0.45 * qrs_s, 0.14 * qrs_s, 1.0)
    s, t = bump(0.77 * qrs_s, 0.1 * qrs_s, -0.3), bump(qrs_s + 0.6 * (qt_s - qrs_s), 0.13 * qt_s, 0.3)
    one, two = 0.6 * p + q + 0.6 * r + 0.8 * t, p + q + r + s + t
    chest = [
        0.6 * p + (0.2 + 0.2 * place) * r + (3.0 - 0.6 * place) * s + (0.4 + 0.15 * place) * t for place in range(6)
    ]
    one, two, *chest = np.stack([one, two, *chest]) + 0.008 * random.standard_normal((8, len(time_s)))
    signal_mv = np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *chest])
    return EcgRecording(signal_mv.astype(np.float32), rate_hz, STANDARD_LEADS, "drawn")


@pytest.fixture(scope="module")
def recordings():
    return [simulated(seed)[0] for seed in range(3000, 3030)]


def test_the_right_rate_is_not_doubted(recordings):
    assert [doubted(recording) for recording in recordings] == [None] * len(recordings)


@pytest.mark.parametrize(("factor", "least"), [(0.2, 0.65), (0.5, 0.6), (2.0, 0.5), (4.0, 0.55), (10.0, 0.75)])
def test_most_records_at_a_rate_that_is_wrong_by_far_are_doubted(recordings, factor, least):
    wrong = [replace(recording, rate_hz=factor * recording.rate_hz) for recording in recordings[::2]]
    wrong = [recording for recording in wrong if recording.rate_hz >= 50.0]
    said = [warning for recording in wrong if (warning := doubted(recording)) is not None]
    assert len(said) >= least * len(wrong)
    assert {warning.code for warning in said} == {"rate_implausible"}
    assert all(" it would be a usual one" in warning.message for warning in said)


@pytest.mark.parametrize("wrong_hz", [100.0, 250.0, 1000.0, 2000.0])
def test_of_rates_that_a_heart_cannot_tell_apart_the_commonest_is_named(wrong_hz):
    said = doubted(replace(drawn(70, 95, qtc_ms=400.0), rate_hz=wrong_hz))
    assert said is not None
    assert "512 Hz, as 500 Hz, it would" in said.message


HEARTS = {"newborn": (165, 50), "child": (140, 60), "heart block": (34, 170), "paced": (40, 190)}


@pytest.mark.parametrize("heart", HEARTS)
def test_a_heart_that_is_fast_and_narrow_or_slow_and_wide_is_not_doubted(heart):
    for seed in range(3):
        recording = drawn(*HEARTS[heart], seed=seed)
        measured = measure_ecg(recording)
        assert (measured.heart_rate_bpm, measured.qrs_ms) == pytest.approx(HEARTS[heart], rel=0.3)
        assert rate_warning(recording, measured) is None


def test_a_long_qt_alone_is_an_illness_and_not_another_rate():
    recording = drawn(65, 110, qtc_ms=640.0, rate_hz=200.0)  # at 300 Hz heart rate and QRS would be usual, too
    measured = measure_ecg(recording)
    assert measured.qtc_ms > 555.0
    assert rate_warning(recording, measured) is None


@pytest.mark.parametrize(("factor", "unless"), [(2.0, "a newborn's or a very fast heart"), (0.5, "heart block")])
def test_where_a_rate_is_wrong_by_two_it_is_said_whose_heart_may_be_so(factor, unless):
    said = doubted(replace(drawn(70, 90, qtc_ms=400.0), rate_hz=500.0 * factor))
    assert said is not None
    assert f"At the {500 * factor:g} Hz that are said" in said.message
    assert unless in said.message


def test_noise_and_flat_lines_are_not_called_another_rate():
    draw = np.random.default_rng(8)
    for signal in (
        np.zeros((12, 5000)),
        draw.standard_normal((12, 5000)),
        draw.standard_normal((12, 5000)).cumsum(axis=1),
    ):
        recording = EcgRecording(signal.astype(np.float32), 500.0, STANDARD_LEADS, "npy")
        assert doubted(recording) is None
