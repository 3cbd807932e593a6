"""Where nothing was recorded although samples are there: padding at the ends, stretches without signal inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inputs.ecg.prepare import ecg_windows, prepare_ecg
from inputs.ecg.quality import LOST_LEADS_ALLOWED, check_ecg
from inputs.ecg.still import without_held, without_padding
from inputs.errors import UnusableRecording
from inputs.specs import EcgSpec

PUBLISHED = EcgSpec()
AVERAGED = EcgSpec(windows="mean")
RATE_HZ = 500.0


def codes(warnings):
    return [warning.code for warning in warnings]


def held(signal_LN, first, last, level_L):
    """`signal_LN` with another constant in each lead between two samples."""
    signal_LN = signal_LN.copy()
    signal_LN[:, first:last] = np.asarray(level_L)[:, None]
    return signal_LN


def test_zeros_that_all_leads_share_at_the_ends_are_cut_and_those_of_one_lead_are_not(ecg):
    signal = ecg.signal_mv()
    signal[:, [0, -1]] = 0.01  # so that what is cut is what was put there
    padded = np.pad(signal, ((0, 0), (60, 75)))
    found = prepare_ecg(ecg.recording(padded), PUBLISHED)
    np.testing.assert_array_equal(found.signal_LN, prepare_ecg(ecg.recording(signal), PUBLISHED).signal_LN)
    (said,) = [warning for warning in found.warnings if warning.code == "padding_cut"]
    assert "0.27 s" in said.message
    signal[3, :100] = 0.0
    assert "padding_cut" not in codes(prepare_ecg(ecg.recording(signal), PUBLISHED).warnings)


def test_a_lead_that_is_empty_does_not_hide_padding_and_what_is_left_must_be_long_enough(ecg):
    padded = np.pad(ecg.signal_mv()[:, :1000], ((0, 0), (2000, 2000)))
    padded[5] = np.nan
    with pytest.raises(UnusableRecording) as refused:
        prepare_ecg(ecg.recording(padded), PUBLISHED)
    assert refused.value.code == "too_short"


LEVELS = {
    "the same in all leads": np.full(12, -0.0002),
    "another in each lead": np.linspace(-3.0, 0.5, 12),
    "the least of 16 bits": np.full(12, -32768 * 0.0025),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("at", ["start", "end"])
def test_any_constant_that_all_leads_keep_at_an_end_is_cut(ecg, level, at):
    signal = ecg.signal_mv()
    first, last = (0, 1500) if at == "start" else (3500, 5000)
    found = prepare_ecg(ecg.recording(held(signal, first, last, LEVELS[level])), PUBLISHED)
    there = signal[:, 1500:] if at == "start" else signal[:, :3500]
    np.testing.assert_array_equal(found.signal_LN, prepare_ecg(ecg.recording(there), PUBLISHED).signal_LN)
    (said,) = [warning for warning in found.warnings if warning.code == "padding_cut"]
    assert "3.00 s of all leads staying at one value" in said.message


def test_a_device_that_stopped_and_held_its_last_values_left_padding(ecg):
    signal = ecg.signal_mv()
    recording = ecg.recording(held(signal, 2000, 5000, signal[:, 1999]))
    kept, warnings = without_padding(recording)
    assert (kept.signal_mv.shape[1], codes(warnings)) == (1999, ["padding_cut"])
    with pytest.raises(UnusableRecording) as refused:
        check_ecg(ecg.recording(held(signal, 1000, 5000, signal[:, 999])), PUBLISHED)
    assert refused.value.code == "too_short"


def test_zeros_and_then_another_constant_are_both_padding(ecg):
    signal = held(ecg.signal_mv(), 0, 1000, np.full(12, 0.4))
    signal[:, :500] = 0.0
    kept, warnings = without_padding(ecg.recording(signal))
    assert (kept.signal_mv.shape[1], codes(warnings)) == (4000, ["padding_cut"])


def test_what_is_shorter_than_a_heart_may_rest_and_what_one_lead_does_not_share_is_kept(ecg):
    signal = ecg.signal_mv()
    short = held(signal, 0, 80, np.full(12, 0.3))  # 0.16 s, longer than any found in a recording of a device
    assert without_padding(ecg.recording(short))[0].signal_mv.shape == signal.shape
    not_all = held(signal, 0, 1000, np.full(12, 0.3))
    not_all[7] = signal[7]
    assert without_padding(ecg.recording(not_all))[0].signal_mv.shape == signal.shape


def test_a_flat_lead_is_no_padding_and_does_not_hide_it(ecg):
    signal = ecg.signal_mv()
    signal[6] = 0.7
    assert without_padding(ecg.recording(signal))[0].signal_mv.shape == signal.shape
    warnings = check_ecg(ecg.recording(signal), PUBLISHED).warnings
    assert [warning.leads for warning in warnings if warning.code == "leads_flat"] == [("V1",)]
    assert "samples_missing" not in codes(warnings)
    padded = held(signal, 4000, 5000, np.linspace(1.0, 2.0, 12))
    padded[6] = 0.7
    assert without_padding(ecg.recording(padded))[0].signal_mv.shape == (12, 4000)


def test_a_record_of_nothing_but_steps_is_cut_whole_and_refused(ecg):
    steps = np.repeat(np.random.default_rng(1).normal(size=(12, 20)), 250, axis=1)
    with pytest.raises(UnusableRecording) as refused:
        check_ecg(ecg.recording(steps), PUBLISHED)
    assert refused.value.code == "too_short"
    assert without_padding(ecg.recording(steps))[1][0].message.startswith("10.00 s")


@pytest.mark.parametrize("level", [*LEVELS, "zero"])
def test_a_stretch_without_signal_inside_is_the_gap_that_it_is(ecg, level):
    signal = ecg.signal_mv()
    still = ecg.recording(held(signal, 2000, 3250, LEVELS.get(level, np.zeros(12))))
    missing = ecg.recording(held(signal, 2000, 3250, np.full(12, np.nan)))
    found = prepare_ecg(still, PUBLISHED)
    np.testing.assert_array_equal(found.signal_LN, prepare_ecg(missing, PUBLISHED).signal_LN)
    (said,) = [warning for warning in found.warnings if warning.code == "samples_missing"]
    assert said.leads == PUBLISHED.leads
    assert said.message.startswith("25.00% of the samples are missing, or stay at one value for long,")


def test_too_much_of_what_the_model_sees_is_refused_and_what_it_does_not_see_is_not(ecg):
    dropped_out = ecg.recording(held(ecg.signal_mv(), 1250, 3750, np.zeros(12)))
    assert "samples_missing" in codes(check_ecg(dropped_out, PUBLISHED).warnings)  # its one window lies before
    with pytest.raises(
        UnusableRecording, match=r"in 2\.52 s that the model sees, leads I, .* hold no signal"
    ) as refused:
        check_ecg(dropped_out, AVERAGED)
    assert (refused.value.code, refused.value.leads) == ("signal_empty", AVERAGED.leads)


def test_the_windows_that_are_judged_are_those_that_are_cut(ecg):
    width = AVERAGED.window_samples
    plain = prepare_ecg(ecg.recording(ecg.signal_mv()), AVERAGED).signal_LN
    firsts = [
        next(at for at in range(plain.shape[1]) if np.array_equal(plain[:, at : at + width], window))
        for window in ecg_windows(plain, AVERAGED)
    ]
    assert firsts == [0, 997, 1995, 2992]
    for first in firsts:
        own = [round(at * RATE_HZ / AVERAGED.rate_hz) for at in (first, first + width)]
        signal = ecg.signal_mv()
        signal[[1, 2, 7], own[1] - 700 : own[1]] = np.nan  # of 1260
        check_ecg(ecg.recording(signal), AVERAGED)
        signal[8, own[1] - 700 : own[1]] = np.nan
        with pytest.raises(UnusableRecording, match="leads II, III, V2, V3 hold"):
            check_ecg(ecg.recording(signal), AVERAGED)


def test_one_lead_that_drops_out_is_a_finding_of_that_lead(ecg):
    signal = ecg.signal_mv()
    signal[8, 1000:] = 0.13
    warnings = check_ecg(ecg.recording(signal), AVERAGED).warnings
    (said,) = [warning for warning in warnings if warning.code == "samples_missing"]
    assert said.leads == ("V3",)
    three = ecg.signal_mv()
    three[[2, 8, 11], 1000:] = 0.0
    assert LOST_LEADS_ALLOWED == 3
    assert "samples_missing" in codes(check_ecg(ecg.recording(three), AVERAGED).warnings)


def test_a_heart_drawn_without_noise_rests_between_its_beats_and_is_left_alone(ecg):
    signal = ecg.signal_mv()
    for beat in range(500, 4500, 500):  # 60 a minute, still for 0.65 s
        signal = held(signal, beat, beat + 325, np.linspace(0.01, 0.02, 12))
    recording = ecg.recording(signal)
    assert without_held(recording) == (recording, False)
    one = ecg.signal_mv()
    one[4, 1000:1750] = 0.0  # 1.5 s, at 40 a minute
    assert not without_held(ecg.recording(one))[1]
    one[:, 1000:1800] = 0.0  # 1.6 s of all
    assert without_held(ecg.recording(one))[1]


def test_coarse_steps_of_a_quiet_record_are_neither_padding_nor_gaps(ecg):
    """8 bits over 10 mV, as of an old recorder: single leads keep their value for long."""
    coarse = ecg.recording(np.round(ecg.signal_mv() / 0.04) * 0.04)
    assert without_padding(coarse) == (coarse, [])
    assert without_held(coarse) == (coarse, False)


def test_the_recording_itself_is_not_written_to(ecg):
    recording = ecg.recording(held(ecg.signal_mv(), 2000, 3250, np.zeros(12)))
    before = recording.signal_mv.copy()
    check_ecg(recording, PUBLISHED)
    np.testing.assert_array_equal(recording.signal_mv, before)
    assert without_held(replace(recording, signal_mv=ecg.signal_mv().astype(np.float32)))[1] is False


@pytest.mark.parametrize("blank", [0.0, 0.25, np.nan])
def test_leads_that_have_a_quarter_of_the_time_each_are_refused_and_it_is_said_what_they_look_like(ecg, blank):
    signal = ecg.signal_mv()
    for row in range(12):
        signal[row, : 1250 * (row // 3)] = signal[row, 1250 * (row // 3 + 1) :] = blank
    with pytest.raises(UnusableRecording) as refused:
        check_ecg(ecg.recording(signal), PUBLISHED)
    assert refused.value.leads == PUBLISHED.leads[3:]
    assert "printout of 3 by 4" in refused.value.hint
    assert "digital ECG of 10 s" in refused.value.hint
    signal[1] = ecg.signal_mv()[1]  # a strip of rhythm below
    with pytest.raises(UnusableRecording, match="hold no signal most of the time"):
        check_ecg(ecg.recording(signal), PUBLISHED)


@pytest.mark.parametrize("blank", [0.0, np.nan])
def test_a_few_leads_that_take_turns_are_told(ecg, blank):
    signal = ecg.signal_mv()
    signal[6, 1500:] = signal[7, :3000] = blank
    assert "leads_in_turn" in codes(check_ecg(ecg.recording(signal), PUBLISHED).warnings)
    signal = ecg.signal_mv()
    signal[6] = blank
    signal[:, 4000:] = blank
    assert "leads_in_turn" not in codes(check_ecg(ecg.recording(signal), PUBLISHED).warnings)
