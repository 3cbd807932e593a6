"""Nuisance: where noise enters, and that it knows nothing of disease."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.ecg.electrics import sample_electrics
from simulator.ecg.recorder import choose_recorder, electrode_noise, record
from simulator.ecg.signal import twelve_leads
from simulator.patient import SITES, sample_patient
from simulator.physiology import shd_flags

QUIET = replace(
    choose_recorder(0, np.random.default_rng(0)),
    rate_hz=500, mains_uv=0.0, hiss_uv=0.0, muscle_uv=0.0, wander_uv=0.0, pop_chance=0.0, loose_chance=0.0, gain=1.0,
    highpass_hz=0.05, lowpass_hz=150.0, notch=False, arms_reversed=False,
)  # fmt: skip
SILENCE = np.zeros((8, 5000))


def noise_leads(recorder, seed=0):
    return record(SILENCE, recorder=recorder, skin_noise=1.0, rng=np.random.default_rng(seed))


def test_a_quiet_recorder_leaves_the_heart_nearly_as_it_is():
    t_s = np.arange(5000) / 500
    heart = 0.5 * np.exp(-0.5 * (((t_s % 0.8) - 0.3) / 0.02) ** 2) * np.ones((8, 1))
    seen = record(heart, recorder=QUIET, skin_noise=1.0, rng=np.random.default_rng(1))
    assert np.corrcoef(seen[0], heart[0])[0, 1] > 0.98
    assert np.ptp(seen[0]) == pytest.approx(np.ptp(heart[0]), rel=0.1)


@pytest.mark.parametrize("chance", ["pop_chance", "loose_chance"])
def test_one_bad_electrode_disturbs_the_leads_that_use_it(chance):
    recorder, seen = replace(QUIET, **{chance: 1.0}), set()
    for seed in range(60):
        disturbed = np.ptp(noise_leads(recorder, seed), axis=1) > 1e-9
        chest = disturbed[2:]
        if disturbed[0] or disturbed[1]:
            assert chest.all(), "an arm or leg electrode is in the chest leads' reference"
            seen.add(("RA", "LA", "LL")[(0 if disturbed[0] and disturbed[1] else 1 if disturbed[0] else 2)])
        else:
            assert chest.sum() == 1
            seen.add(f"V{int(np.flatnonzero(chest)[0]) + 1}")
    assert seen == {"RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6"}


def test_swapped_arms_turn_lead_one_over_and_leave_the_chest_as_it_is():
    heart = np.random.default_rng(0).normal(size=(8, 2000)).cumsum(axis=1) / 100.0
    right, swapped = (
        twelve_leads(
            record(heart, recorder=replace(QUIET, arms_reversed=arms), skin_noise=1.0, rng=np.random.default_rng(1))
        )
        for arms in (False, True)
    )
    one, two, three, avr, avl, avf = range(6)
    for seen, was, sign in (
        (one, one, -1),
        (two, three, 1),
        (three, two, 1),
        (avr, avl, 1),
        (avl, avr, 1),
        (avf, avf, 1),
    ):
        np.testing.assert_allclose(swapped[seen], sign * right[was], atol=1e-5)
    np.testing.assert_array_equal(swapped[6:], right[6:])


def test_one_recording_in_a_hundred_has_swapped_arms_and_its_recorder_says_so():
    recorders = [choose_recorder(i % SITES, np.random.default_rng([40, i])) for i in range(6000)]
    assert 0.006 < np.mean([recorder.arms_reversed for recorder in recorders]) < 0.015


def test_a_notch_takes_the_hum_and_hardly_anything_of_the_heart():
    hum = replace(QUIET, mains_uv=30.0)
    loud, filtered = (noise_leads(replace(hum, notch=notch), seed=4)[5, 2500:] for notch in (False, True))
    assert filtered.std() < 0.2 * loud.std()
    t_s = np.arange(5000) / 500
    heart = np.exp(-0.5 * (((t_s % 0.8) - 0.3) / 0.012) ** 2) * np.ones((8, 1))
    plain, notched = (
        record(heart, recorder=replace(QUIET, notch=notch), skin_noise=1.0, rng=np.random.default_rng(1))
        for notch in (False, True)
    )
    assert np.abs(plain - notched).max() < 0.08


def test_limb_leads_obey_einthoven_with_noise_too():
    lead = twelve_leads(noise_leads(replace(QUIET, hiss_uv=30.0, wander_uv=200.0, mains_uv=20.0)))
    np.testing.assert_allclose(lead[0] + lead[2], lead[1], atol=1e-5)
    np.testing.assert_allclose(lead[3:6].sum(axis=0), 0, atol=1e-5)


@pytest.mark.parametrize("hz", [50.0, 60.0])
def test_mains_hum_is_at_the_site_s_frequency(hz):
    noise = noise_leads(replace(QUIET, mains_uv=20.0, mains_hz=hz))[4]
    spectrum = np.abs(np.fft.rfft(noise[500:]))
    assert np.fft.rfftfreq(4500, 1 / 500)[spectrum.argmax()] == pytest.approx(hz, abs=0.3)


def test_wander_is_slow_and_a_stronger_high_pass_removes_more_of_it():
    weak, strong = (noise_leads(replace(QUIET, wander_uv=300.0, highpass_hz=hz), seed=3) for hz in (0.05, 0.5))
    spectrum = np.abs(np.fft.rfft(weak[5] - weak[5].mean())) ** 2
    assert spectrum[np.fft.rfftfreq(5000, 1 / 500) < 1.0].sum() > 0.95 * spectrum.sum()
    assert strong.std() < 0.6 * weak.std()


def test_noise_levels_differ_between_patients_and_carry_through():
    levels = np.array([sample_electrics(np.random.default_rng(i)).skin_noise for i in range(200)])
    assert np.percentile(levels, 90) > 2.5 * np.percentile(levels, 10)
    recorder = replace(QUIET, hiss_uv=5.0)
    calm, rough = (
        electrode_noise(2000, recorder=recorder, skin_noise=level, rng=np.random.default_rng(1)) for level in (1.0, 3.0)
    )
    np.testing.assert_allclose(rough, 3.0 * calm, rtol=1e-5)


def test_recordings_of_all_rates_and_both_file_kinds_occur():
    recorders = [choose_recorder(site, np.random.default_rng([site, i])) for site in range(SITES) for i in range(200)]
    assert {r.rate_hz for r in recorders} == {250, 500, 1000}
    assert {r.file_kind for r in recorders} == {"wfdb", "dicom"}
    assert {r.augmented_order for r in recorders} == {"aVR aVL aVF", "aVR aVF aVL"}
    assert {r.mains_hz for r in recorders} == {50.0, 60.0}


def test_nuisance_is_independent_of_disease_given_the_site_although_sites_differ():
    rows = []
    for i in range(3000):
        rng = np.random.default_rng([30, i])
        patient = sample_patient(rng)
        ill = any(shd_flags(patient.at(200.0)).values())
        recorder, electrics = choose_recorder(patient.site, rng), sample_electrics(rng)
        loudness = recorder.hiss_uv * electrics.skin_noise
        rows.append((patient.site, ill, loudness, recorder.wander_uv, recorder.rate_hz, recorder.lowpass_hz))
    table = np.array(rows, dtype=float)
    for site in range(SITES):
        ill, *nuisances = table[table[:, 0] == site, 1:].T
        for nuisance in nuisances:
            assert abs(np.corrcoef(ill, nuisance)[0, 1]) < 4 / np.sqrt(len(ill))
    rates = [table[table[:, 0] == site, 4].mean() for site in range(SITES)]
    illness = [table[table[:, 0] == site, 1].mean() for site in range(SITES)]
    assert np.ptp(rates) > 100
    assert illness[0] > illness[2] + 0.05
