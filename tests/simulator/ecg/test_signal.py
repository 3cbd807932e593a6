"""Simulated ECGs: lead algebra, rhythm, what recordings share. Letters: K independent leads, N samples."""

from dataclasses import replace

import numpy as np
import pytest
from beats import TWO, V1, beats_of
from healthy import HEALTHY

from inputs.records import STANDARD_LEADS
from simulator.ecg.electrics import sample_electrics
from simulator.ecg.recorder import choose_recorder
from simulator.ecg.signal import heart_leads, simulate_ecg, twelve_leads

FIBRILLATING = replace(HEALTHY, rhythm="atrial_fibrillation", heart_rate_bpm=88.0)


def test_limb_leads_obey_einthoven_and_goldberger_before_noise():
    electrics = sample_electrics(np.random.default_rng(1))
    leads_KN = heart_leads(HEALTHY, electrics=electrics, rate_hz=500, duration_s=4.0, rng=np.random.default_rng(2))
    lead = dict(zip(STANDARD_LEADS, twelve_leads(leads_KN).astype(np.float64), strict=True))
    rounding = 1e-6
    np.testing.assert_allclose(lead["I"] + lead["III"], lead["II"], atol=rounding)
    np.testing.assert_allclose(lead["aVR"] + lead["aVL"] + lead["aVF"], 0, atol=rounding)
    np.testing.assert_allclose(lead["aVR"], -(lead["I"] + lead["II"]) / 2, atol=rounding)
    np.testing.assert_allclose(lead["aVL"], (lead["I"] - lead["III"]) / 2, atol=rounding)
    np.testing.assert_allclose(lead["aVF"], (lead["II"] + lead["III"]) / 2, atol=rounding)
    for k, name in enumerate(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")):
        np.testing.assert_allclose(lead[name], leads_KN[k], atol=rounding)
    assert np.ptp(lead["III"]) > 0.05


def test_fibrillation_has_no_p_wave_and_irregular_beats():
    def spread_and_p(physiology, number):
        electrics = replace(
            sample_electrics(np.random.default_rng([11, number])),
            ectopy=0.0,
            atrial_ectopy=0.0,
            fibrillation_voltage=0.0,
        )
        rng = np.random.default_rng([12, number])
        leads = heart_leads(physiology, electrics=electrics, rate_hz=500, duration_s=10.0, rng=rng)
        beats, rr_s = beats_of(leads)
        beat = np.median(beats, axis=0)
        return rr_s.std() / rr_s.mean(), np.ptp(beat[TWO, 60:120])

    sinus = np.array([spread_and_p(HEALTHY, n) for n in range(20)])
    fibrillating = np.array([spread_and_p(FIBRILLATING, n) for n in range(20)])
    assert sinus[:, 0].max() < 0.08
    assert fibrillating[:, 0].min() > 0.08
    assert np.median(sinus[:, 1]) > 0.06
    assert np.median(fibrillating[:, 1]) < 0.02


def test_fibrillatory_waves_fill_the_gaps_between_beats():
    waves = heart_leads(
        replace(FIBRILLATING, heart_rate_bpm=50.0),
        electrics=replace(
            sample_electrics(np.random.default_rng(1)),
            ectopy=0.0,
            atrial_ectopy=0.0,
            voltage=0.0,
            t_voltage=0.0,
            j_voltage=0.0,
            early_repolarisation=1.0,
        ),
        rate_hz=500,
        duration_s=10.0,
        rng=np.random.default_rng(2),
    )[V1]
    spectrum = np.abs(np.fft.rfft(waves - waves.mean())) ** 2
    hz = np.fft.rfftfreq(len(waves), 1 / 500)
    assert spectrum[(hz > 3.5) & (hz < 17)].sum() > 0.8 * spectrum.sum()


def test_heart_rate_is_the_physiology_s():
    for rate in (50.0, 70.0, 110.0):
        electrics = replace(sample_electrics(np.random.default_rng(3)), ectopy=0.0, atrial_ectopy=0.0)
        seen = replace(HEALTHY, heart_rate_bpm=rate)
        leads = heart_leads(seen, electrics=electrics, rate_hz=500, duration_s=20.0, rng=np.random.default_rng(4))
        assert 60 / beats_of(leads)[1].mean() == pytest.approx(rate, rel=0.03)


def test_two_ecgs_of_one_patient_are_more_alike_than_those_of_two():
    def beat(person, recording):
        electrics = replace(sample_electrics(np.random.default_rng([20, person])), ectopy=0.0, atrial_ectopy=0.0)
        rng = np.random.default_rng([21, person, recording])
        leads = heart_leads(HEALTHY, electrics=electrics, rate_hz=500, duration_s=6.0, rng=rng)
        return np.median(beats_of(leads)[0], axis=0).ravel()

    own = [np.corrcoef(beat(p, 0), beat(p, 1))[0, 1] for p in range(12)]
    others = [np.corrcoef(beat(p, 0), beat(p + 1, 1))[0, 1] for p in range(12)]
    assert np.mean(own) > np.mean(others) + 0.02
    assert np.median(own) > 0.97


def test_the_start_of_a_recording_falls_anywhere_in_a_beat():
    electrics = replace(sample_electrics(np.random.default_rng(3)), ectopy=0.0, atrial_ectopy=0.0)
    firsts = []
    for seed in range(60):
        leads = heart_leads(HEALTHY, electrics=electrics, rate_hz=500, duration_s=3.0, rng=np.random.default_rng(seed))
        firsts.append(np.argmax(np.abs(leads[TWO, :440])) / 441)
    assert np.histogram(firsts, bins=4, range=(0, 1))[0].min() >= 5


@pytest.mark.parametrize("rate_hz", [250, 500, 1000])
def test_a_recording_has_twelve_finite_leads_at_the_recorder_s_rate(rate_hz):
    rng = np.random.default_rng(8)
    recorder = replace(choose_recorder(0, rng), rate_hz=rate_hz)
    signal = simulate_ecg(HEALTHY, electrics=sample_electrics(rng), recorder=recorder, rng=rng)
    assert signal.shape == (12, 10 * rate_hz)
    assert signal.dtype == np.float32
    assert np.isfinite(signal).all()
    assert np.abs(signal).max() < 10


def test_the_same_draws_give_the_same_recording():
    def draw(seed):
        rng = np.random.default_rng(seed)
        electrics, recorder = sample_electrics(rng), choose_recorder(1, rng)
        return simulate_ecg(HEALTHY, electrics=electrics, recorder=recorder, rng=rng)

    np.testing.assert_array_equal(draw(5), draw(5))
    assert draw(5).shape != draw(6).shape or (draw(5) != draw(6)).any()


def test_a_heart_looks_the_same_at_every_sampling_rate():
    electrics = sample_electrics(np.random.default_rng(1))
    fine, coarse = (
        heart_leads(HEALTHY, electrics=electrics, rate_hz=hz, duration_s=4.0, rng=np.random.default_rng(2))
        for hz in (1000, 250)
    )
    np.testing.assert_allclose(fine[:, ::4], coarse, atol=2e-3)  # bumps end at four widths, on different samples
