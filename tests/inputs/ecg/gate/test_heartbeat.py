"""What is no ECG, or holds no heartbeat, is told from every heart."""

from dataclasses import replace

import numpy as np
import pytest
from dipole import heart_mv
from healthy import HEALTHY
from hearts import simulated

from inputs.ecg.gate.gate import gate_warnings, withheld_codes
from inputs.ecg.measured.traced import trace_ecg
from inputs.records import STANDARD_LEADS, EcgRecording

T_S = np.arange(5000) / 500


def withheld(signal_mv, rate_hz=500.0):
    recording = EcgRecording(np.asarray(signal_mv, np.float32), rate_hz, STANDARD_LEADS, "invented")
    return withheld_codes(gate_warnings(trace_ecg(recording)))


def twelve(eight):
    one, two, *chest = eight
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *chest])


@pytest.mark.parametrize("seed", range(12))
def test_simulated_hearts_are_answered(seed):
    recording, _ = simulated(seed)
    assert withheld_codes(gate_warnings(trace_ecg(recording))) == ()


@pytest.mark.parametrize("kind", ["left_bundle_block", "right_bundle_block", "paced"])
@pytest.mark.parametrize("rate_bpm", [55.0, 80.0, 105.0])
def test_broad_qrs_complexes_of_any_origin_are_answered(kind, rate_bpm):
    heart = replace(HEALTHY, conduction=kind, heart_rate_bpm=rate_bpm)
    for seed in range(5):
        recording, _ = simulated(seed, physiology=heart)
        assert withheld_codes(gate_warnings(trace_ecg(recording))) == ()


@pytest.mark.parametrize("size_mv", [0.03, 0.3, 2.0])
@pytest.mark.parametrize("make", [lambda noise: noise, lambda noise: np.diff(noise, prepend=0.0, axis=1)])
def test_noise_is_noise_whether_limb_leads_are_its_own_or_computed(size_mv, make):
    noise = size_mv * make(np.random.default_rng(2).standard_normal((12, 5000)))
    assert withheld(noise) == ("noise_only",)
    assert withheld(twelve(noise[:8])) == ("noise_only",)


@pytest.mark.parametrize("hz", [0.7, 11.0, 33.0])
def test_a_tone_is_no_ecg(hz):
    phases = np.random.default_rng(3).uniform(0, 6, (8, 1))
    assert withheld(twelve(np.sin(2 * np.pi * hz * T_S + phases))) == ("not_an_ecg",)


@pytest.mark.parametrize(("hz", "drift"), [(2.0, 0.0), (3.0, 0.0), (5.0, 0.0), (7.0, 0.0), (5.0, 0.3), (7.0, 0.3)])
def test_a_steady_wave_at_which_ventricles_flutter_may_be_a_heart_without_qrs(hz, drift):
    phases = np.random.default_rng(3).uniform(0, 6, (8, 1))
    turns = hz * T_S + drift * np.sin(2 * np.pi * 0.3 * T_S)
    recording = EcgRecording(np.float32(twelve(np.sin(2 * np.pi * turns + phases))), 500.0, STANDARD_LEADS, "invented")
    (told,) = [one for one in gate_warnings(trace_ecg(recording)) if one.severity == "withheld"]
    assert (told.code, "ventricular fibrillation" in told.message) == ("no_qrs", True)


@pytest.mark.parametrize("rate_bpm", [30.0, 40.0])
def test_one_or_two_beats_are_too_few_and_no_noise(rate_bpm):
    signal_mv = heart_mv(1, seconds=20.0)
    beat_mv = signal_mv[:, _first_r(signal_mv) - 200 : _first_r(signal_mv) + 150]
    slow_mv = 0.01 * np.random.default_rng(7).standard_normal((12, 1300))
    for at in np.arange(50, 950, 30000 / rate_bpm).astype(int):
        slow_mv[:, at : at + 350] += beat_mv
    assert set(withheld(slow_mv)) <= {"too_few_beats"}


def _first_r(signal_mv):
    return 500 + int(np.abs(signal_mv[1, 500:900]).argmax())


@pytest.mark.parametrize("noise_mv", [0.01, 0.02])
def test_one_curve_under_noise_is_no_12_lead_ecg(noise_mv):
    draw = np.random.default_rng(8)
    sizes = draw.uniform(0.6, 1.5, (8, 1)) * draw.choice([-1, 1], (8, 1))
    curve = heart_mv(0, noise_mv=0.0)[1]
    assert withheld(twelve(sizes * curve + noise_mv * draw.standard_normal((8, 5000)))) == ("not_an_ecg",)


@pytest.mark.parametrize(
    "curve",
    [
        np.exp(-(((T_S * 1.2) % 1 - 0.3) ** 2) / 0.02),
        (T_S * 1.1) % 1,
        np.sign(np.sin(2 * np.pi * 1.3 * T_S)),
        heart_mv(0)[1],
    ],
)
def test_one_curve_in_twelve_sizes_is_no_12_lead_ecg(curve):
    sizes = np.random.default_rng(4).uniform(0.3, 1.5, (8, 1))
    assert withheld(twelve(sizes * curve)) == ("not_an_ecg",)


def test_without_qrs_there_is_no_answer():
    """P waves alone, as where no beat reaches the ventricles."""
    waves = 0.12 * np.exp(-0.5 * (((T_S % 0.8) - 0.4) / 0.03) ** 2)
    sizes = np.random.default_rng(5).uniform(0.3, 1.5, (8, 1))
    other = 0.05 * np.sin(2 * np.pi * 0.9 * T_S + sizes) + 0.06 * np.sin(2 * np.pi * 4.3 * T_S + 3 * sizes)
    (code,) = withheld(twelve(sizes * waves + other))
    assert code in ("no_qrs", "not_an_ecg")


def test_a_scale_wrong_by_ten_or_more_is_withheld():
    for factor in (20.0, 1000.0, 0.05):
        assert "scale_implausible" in withheld(factor * heart_mv(1))
    for factor in (0.4, 1.0, 2.0):
        assert withheld(factor * heart_mv(1)) == ()


def test_an_ecg_under_a_loud_hum_and_wander_is_an_ecg():
    signal_mv = heart_mv(2) + 0.3 * np.sin(2 * np.pi * 50 * T_S) + 0.8 * np.sin(2 * np.pi * 0.2 * T_S)
    assert withheld(signal_mv) == ()


def test_few_beats_alike_are_a_warning():
    draw = np.random.default_rng(6)
    signal_mv = heart_mv(3)
    for start in range(0, 5000, 700):  # every other beat is another one
        signal_mv[:, start : start + 200] *= draw.uniform(-1.5, 1.5, (12, 1))
    assert withheld(twelve(signal_mv[[0, 1, *range(6, 12)]])) == ()
