"""What is drawn of a recording: ten seconds of twelve leads in their order, in millivolts, with what was found."""

from __future__ import annotations

import numpy as np
import pytest

from inputs.records import STANDARD_LEADS, EcgRecording, InputWarning
from outputs.tracing import extremes, tracing_of


def recorded(leads=STANDARD_LEADS, *, rate_hz=500.0, duration_s=10.0):
    """Every lead a wave of its own height: 0.1 mV for the first, a tenth more for each that follows."""
    samples = round(duration_s * rate_hz)
    wave_N = np.sin(2 * np.pi * np.arange(samples) / rate_hz)
    heights = [0.1 + 0.1 * STANDARD_LEADS.index(lead) if lead in STANDARD_LEADS else 5.0 for lead in leads]
    return EcgRecording(np.outer(heights, wave_N).astype(np.float32), rate_hz, tuple(leads), "made up")


def test_leads_are_drawn_in_their_order_whatever_that_of_the_file():
    recording = recorded(STANDARD_LEADS[::-1])
    tracing = tracing_of(recording, (), [(0.0, 2.5)])
    np.testing.assert_array_equal(tracing.signal_mv_LN, recording.signal_mv[::-1])
    assert (tracing.missing, tracing.derived, tracing.rate_hz, tracing.start_s) == ((), (), 500.0, 0.0)


def test_a_lead_that_the_file_lacks_is_computed_where_it_follows_and_else_missing():
    leads = [lead for lead in STANDARD_LEADS if lead not in ("aVR", "V3")]
    tracing = tracing_of(recorded([*leads, "VX"]), (), [(0.0, 10.0)])
    one, two, avr, v3 = (tracing.signal_mv_LN[STANDARD_LEADS.index(lead)] for lead in ("I", "II", "aVR", "V3"))
    np.testing.assert_allclose(avr, -(one + two) / 2, atol=1e-6)
    assert np.isnan(v3).all()
    assert (tracing.missing, tracing.derived, tracing.pair) == (("V3",), ("aVR",), ("I", "II"))
    said = " ".join(tracing.caption)
    assert "Computed from I and II: aVR." in said
    assert "Not recorded: V3." in said
    assert "Recorded and not drawn: VX." in said


def test_a_limb_lead_without_a_signal_is_drawn_as_the_model_sees_it():
    recording = recorded()
    signal_mv = recording.signal_mv.copy()
    signal_mv[1] = 0.0
    flat = EcgRecording(signal_mv, 500.0, STANDARD_LEADS, "made up")
    tracing = tracing_of(flat, (), [(0.0, 10.0)])
    assert (tracing.derived, tracing.pair) == (("II",), ("I", "III"))
    np.testing.assert_allclose(tracing.signal_mv_LN[1], signal_mv[0] + signal_mv[2], atol=1e-6)


@pytest.mark.parametrize(("window_s", "start_s"), [(0.0, 0.0), (20.0, 16.25), (27.5, 20.0)])
def test_ten_seconds_around_the_first_window_are_drawn(window_s, start_s):
    recording = recorded(duration_s=30.0)
    tracing = tracing_of(recording, (), [(window_s, 2.5), (0.0, 2.5)])
    assert tracing.start_s == start_s
    first = round(start_s * 500)
    np.testing.assert_array_equal(tracing.signal_mv_LN, recording.signal_mv[:, first : first + 5000])
    assert "10.0 s" in tracing.caption[0]


@pytest.mark.parametrize("rate_hz", [501.0, 977.0, 1000.0, 20_000.0])
def test_what_is_kept_is_small_and_a_pulse_of_one_sample_keeps_its_height(rate_hz):
    recording = recorded(rate_hz=rate_hz, duration_s=12.0)
    at = round(3.0 * rate_hz)
    recording.signal_mv[6, at] = 4.0
    tracing = tracing_of(recording, (), [(0.0, 2.5)])
    assert tracing.signal_mv_LN.nbytes <= 250_000
    assert tracing.rate_hz <= 500.0
    assert tracing.drawn_s == pytest.approx(10.0, abs=0.02)
    assert tracing.signal_mv_LN[6].max() == 4.0
    assert tracing.signal_mv_LN[6].argmax() / tracing.rate_hz == pytest.approx(at / rate_hz, abs=0.005)


def test_the_least_and_the_greatest_of_each_step_stay_as_they_came_and_gaps_stay_gaps():
    nan = np.nan
    row = np.array([[0, 3, 1, 2, 5, nan, 1, 4, nan, nan, nan, nan, 7]], np.float32)
    np.testing.assert_array_equal(extremes(row, 4), [[0, 3, 5, 1, nan, nan, 7, 7]])


def test_findings_stand_with_the_leads_that_they_name_and_notes_do_not():
    noisy = InputWarning("noisy", "There is much noise in leads V1, V2.", ("V1", "V2"))
    note = InputWarning("leads_centred", "Lead V1 was centred.", ("V1",), "note")
    tracing = tracing_of(recorded(), (noisy, note), [(0.0, 10.0)])
    assert [tracing.found_of(lead) for lead in ("V1", "V2", "V3")] == [(noisy,), (noisy,), ()]


@pytest.mark.parametrize(
    ("windows_s", "whole"),
    [
        ([(0.0, 2.5)], False),
        ([(0.0, 10.0)], True),
        ([(5.0, 5.0), (0.0, 5.01)], True),
        ([(0.0, 4.0), (5.0, 5.0)], False),
    ],
)
def test_whether_the_model_saw_all_that_is_drawn(windows_s, whole):
    assert tracing_of(recorded(), (), windows_s).seen_whole is whole


def test_a_finding_of_a_stretch_that_is_not_drawn_marks_no_lead():
    recording = recorded(duration_s=30.0)
    there = InputWarning("noisy", "At 2 to 12 s: noise.", ("V2",), stretch_s=(2.0, 12.0))
    elsewhere = InputWarning("disconnected", "At 20 to 30 s: nothing.", ("aVL",), stretch_s=(20.0, 30.0))
    found = tracing_of(recording, [there, elsewhere], [(0.0, 2.5), (25.0, 2.5)])
    assert found.found_of("V2") == (there,)
    assert found.found_of("aVL") == ()
