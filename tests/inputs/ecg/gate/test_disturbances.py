"""Each disturbance is found where it was put in, in the leads where it is, and not elsewhere."""

import numpy as np
import pytest
from dipole import heart_mv
from scipy.signal import butter, sosfiltfilt

from inputs.ecg.gate.gate import gate_warnings, lead_quality
from inputs.ecg.measured.traced import trace_ecg
from inputs.records import STANDARD_LEADS, EcgRecording, InputWarning

T_S = np.arange(5000) / 500
ROW = {lead: row for row, lead in enumerate(STANDARD_LEADS)}


def told(signal_mv):
    recording = EcgRecording(np.asarray(signal_mv, np.float32), 500.0, STANDARD_LEADS, "invented")
    return {one.code: one.leads for one in gate_warnings(trace_ecg(recording))}


@pytest.mark.parametrize("seed", range(6))
def test_a_clean_ecg_raises_nothing(seed):
    assert told(heart_mv(seed)) == {}


@pytest.mark.parametrize(
    ("code", "disturbance"),
    [
        ("wander", 0.8 * np.sin(2 * np.pi * 0.25 * T_S)),
        ("mains_hum", 0.12 * np.sin(2 * np.pi * 50 * T_S)),
        ("mains_hum", 0.12 * np.sin(2 * np.pi * 60 * T_S)),
        ("noisy", 0.15 * np.random.default_rng(7).standard_normal(5000)),
    ],
)
def test_what_lies_over_one_lead_is_said_of_that_lead(code, disturbance):
    signal_mv = heart_mv(0)
    signal_mv[ROW["V3"]] += disturbance
    assert told(signal_mv)[code] == ("V3",)


def test_a_lead_without_a_heartbeat_among_others_is_disconnected():
    signal_mv = heart_mv(1)
    signal_mv[ROW["V5"]] = 0.3 * np.random.default_rng(8).standard_normal(5000)
    assert told(signal_mv)["disconnected"] == ("V5",)


@pytest.mark.parametrize("at_s", [0.2, 9.2])
@pytest.mark.parametrize("height_mv", [1.0, 0.5])
def test_a_calibration_pulse_at_either_end_is_found(at_s, height_mv):
    signal_mv = heart_mv(2)
    signal_mv[:, (at_s <= T_S) & (at_s + 0.2 > T_S)] = height_mv
    assert "calibration_pulse" in told(signal_mv)


@pytest.mark.parametrize("seed", range(6))
def test_no_heart_is_taken_for_a_calibration_pulse(seed):
    assert "calibration_pulse" not in told(heart_mv(seed, noise_mv=0.0))


def test_a_pacemakers_spikes_are_found_before_wide_beats():
    signal_mv = heart_mv(4)
    peaks = np.flatnonzero(signal_mv[ROW["II"]] > 0.8 * signal_mv[ROW["II"]].max())
    first = peaks[np.diff(peaks, prepend=-1000) > 100]
    for at in first[first > 60]:
        signal_mv[:, at - 40 : at - 38] += 1.5
    assert "pacing_spikes" in told(signal_mv)


@pytest.mark.parametrize("width_ms", [6.0, 8.0, 10.0])
def test_narrow_q_waves_well_before_the_middle_of_qrs_are_no_pacemaker(width_ms):
    """As a thick septum or an old infarct gives them; a pacemaker's pulse at their place is found."""
    clean_mv = heart_mv(4)
    peaks = np.flatnonzero(clean_mv[ROW["II"]] > 0.8 * clean_mv[ROW["II"]].max())
    first = peaks[np.diff(peaks, prepend=-1000) > 100]
    with_q_mv, paced_mv = clean_mv.copy(), clean_mv.copy()
    for at in first[first > 60]:
        with_q_mv -= 1.2 * np.exp(-0.5 * ((T_S - T_S[at] + 0.032) / (width_ms / 1000)) ** 2)
        paced_mv[:, at - 16 : at - 15] -= 1.2
    assert "pacing_spikes" not in told(with_q_mv)
    assert "pacing_spikes" in told(paced_mv)


def test_of_each_lead_the_codes_that_name_it_are_listed_but_no_notes():
    warnings = [
        InputWarning("noisy", "", ("I", "V1")),
        InputWarning("noisy", "", ("I",)),
        InputWarning("leads_derived", "", ("III",), "note"),
    ]
    quality = {one.lead: one.codes for one in lead_quality(STANDARD_LEADS, warnings)}
    assert quality == dict.fromkeys(STANDARD_LEADS, ()) | {"I": ("noisy",), "V1": ("noisy",)}


def test_rare_spikes_far_from_any_beat_are_found_and_ten_times_the_gain_makes_none():
    signal_mv = heart_mv(5)
    assert "pacing_spikes" not in told(10.0 * signal_mv)
    rows, sizes = range(12), np.random.default_rng(4).choice([-1.0, 1.0], 12)
    peaks = np.flatnonzero(np.abs(signal_mv[ROW["V2"]]) > 0.8 * np.abs(signal_mv[ROW["V2"]]).max())
    first = peaks[np.diff(peaks, prepend=-1000) > 100]
    for at in first[1:-1:3]:
        signal_mv[rows, at + 200] += 2.0 * sizes
    assert "pacing_spikes" in told(signal_mv)


@pytest.mark.parametrize("size_mv", [0.1, 0.2])
def test_bursts_of_muscle_over_a_part_are_no_pacemaker(size_mv):
    draw = np.random.default_rng(12)
    muscle = sosfiltfilt(butter(2, (15, 100), "bandpass", fs=500, output="sos"), draw.standard_normal((12, 1250)))
    signal_mv = heart_mv(6)
    signal_mv[:, 3750:] += size_mv / muscle.std() * muscle * np.clip(np.sin(2 * np.pi * 1.1 * T_S[:1250]), 0, 1) ** 2
    assert "pacing_spikes" not in told(signal_mv)


@pytest.mark.parametrize("hz", [50.0, 60.0])
@pytest.mark.parametrize("size_mv", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("over_beats", [True, False])
def test_hum_is_said_at_any_size_over_beats_and_alone(hz, size_mv, over_beats):
    signal_mv = heart_mv(7)
    for lead in ("V2", "V4"):
        signal_mv[ROW[lead]] *= over_beats
        signal_mv[ROW[lead]] += size_mv * np.sin(2 * np.pi * hz * T_S + 1.0)
    assert told(signal_mv)["mains_hum"] == ("V2", "V4")
