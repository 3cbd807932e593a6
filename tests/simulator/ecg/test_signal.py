"""Simulated ECGs: lead algebra, normal ranges, and each structure -> ECG effect in its direction, with overlap.

Measured on the noise-free leads by code that knows nothing of how they were made. Letters: K independent leads
(I, II, V1..V6), N samples.
"""

from dataclasses import replace

import numpy as np
import pytest
from healthy import HEALTHY
from scipy.signal import find_peaks

from inputs.records import STANDARD_LEADS
from simulator.ecg.electrics import sample_electrics
from simulator.ecg.heart import shape_beat
from simulator.ecg.recorder import choose_recorder
from simulator.ecg.signal import heart_leads, simulate_ecg, twelve_leads
from simulator.physiology import lv_mass_g

RATE_HZ = 500.0
ONE, TWO, V1, V2, V3, V5, V6 = 0, 1, 2, 3, 4, 6, 7

FAILING = replace(
    HEALTHY, lvef_percent=26.0, lvedv_ml=205.0, lvesv_ml=151.7, lv_mass_g=lv_mass_g(205.0, 0.9, 0.85),
    la_volume_index=40.0, heart_rate_bpm=78.0,
)  # fmt: skip
THICK = replace(HEALTHY, septum_cm=1.4, posterior_wall_cm=1.25, lv_mass_g=lv_mass_g(106.0, 1.4, 1.25))
RIGHT = replace(HEALTHY, pasp_mmhg=72.0, rv_dysfunction=2, tapse_cm=1.3)
FIBRILLATING = replace(HEALTHY, rhythm="atrial_fibrillation", heart_rate_bpm=88.0)


def beats_of(leads_KN, rate_hz=RATE_HZ):
    """(beats, K, samples) from 300 ms before to 500 ms after each dominant deflection, flat before the P wave."""
    steep_N = np.abs(np.diff(leads_KN, axis=1)).sum(axis=0)
    smooth_N = np.convolve(steep_N, np.ones(30) / 30, "same")
    peaks, _ = find_peaks(smooth_N, height=0.35 * smooth_N.max(), distance=int(0.3 * rate_hz))
    before, after = int(0.3 * rate_hz), int(0.5 * rate_hz)
    cut = [leads_KN[:, p - before : p + after] for p in peaks if p >= before and p + after <= leads_KN.shape[1]]
    return np.array(cut), np.diff(peaks) / rate_hz


def median_beat(physiology, number, **kwargs):
    electrics = replace(sample_electrics(np.random.default_rng([5, number])), ectopy=0.0, **kwargs)
    rng = np.random.default_rng([6, number])
    leads_KN = heart_leads(physiology, electrics=electrics, rate_hz=RATE_HZ, duration_s=6.0, rng=rng)
    return np.median(beats_of(leads_KN)[0], axis=0)


QRS = slice(100, 210)
P_WAVE = slice(20, 115)
T_WAVE = slice(230, 390)


def qrs_width_ms(beat_KS):
    steep = np.abs(np.diff(beat_KS, axis=1)).sum(axis=0)[80:260]
    active = np.flatnonzero(steep > 0.12 * steep.max())
    return (active[-1] - active[0]) * 1000.0 / RATE_HZ


def limb_swing(beat_KS):
    one, two = beat_KS[ONE, QRS], beat_KS[TWO, QRS]
    return max(np.ptp(x) for x in (one, two, two - one, one - two / 2, two - one / 2, (one + two) / 2))


def axis_deg(beat_KS):
    one, foot = beat_KS[ONE, QRS], beat_KS[TWO, QRS] - beat_KS[ONE, QRS] / 2
    degrees = np.degrees(np.arctan2(2 / np.sqrt(3) * (foot.max() + foot.min()), one.max() + one.min()))
    return degrees + 360 if degrees < -90 else degrees  # far right goes past 180


def extreme(wave):
    return wave.max() if wave.max() > -wave.min() else wave.min()


MEASURES = {
    "qrs_width_ms": qrs_width_ms,
    "sv1_rv5_mv": lambda b: -b[V1, QRS].min() + b[V5, QRS].max(),
    "r_v3_mv": lambda b: b[V3, QRS].max(),
    "t_v6_mv": lambda b: extreme(b[V6, T_WAVE]),
    "t_v2_mv": lambda b: extreme(b[V2, T_WAVE]),
    "limb_swing_mv": limb_swing,
    "limb_over_chest": lambda b: limb_swing(b) / np.ptp(b[V1:, QRS], axis=1).mean(),
    "axis_deg": axis_deg,
    "r_over_s_v1": lambda b: b[V1, QRS].max() / max(0.02, -b[V1, QRS].min()),
    "s_v6_mv": lambda b: -b[V6, QRS].min(),
    "s_v2_mv": lambda b: -b[V2, QRS].min(),
    "p_v1_depth_mv": lambda b: -b[V1, P_WAVE].min(),
    "p_ii_mv": lambda b: b[TWO, P_WAVE].max() - b[TWO, 5:15].mean(),
    "q_ii_mv": lambda b: -b[TWO, 120:155].min(),
}


@pytest.fixture(scope="module")
def measured():
    """Each measure of 120 different people's beats, given one physiology; computed once per physiology."""
    seen = {}

    def measure(physiology, name):
        if physiology not in seen:
            seen[physiology] = [median_beat(physiology, number) for number in range(120)]
        return np.array([MEASURES[name](beat) for beat in seen[physiology]])

    return measure


@pytest.mark.parametrize(
    ("finding", "measure", "direction"),
    [
        (FAILING, "qrs_width_ms", +1),
        (FAILING, "r_v3_mv", -1),
        (FAILING, "t_v6_mv", -1),
        (FAILING, "limb_over_chest", -1),
        (THICK, "sv1_rv5_mv", +1),
        (THICK, "t_v6_mv", -1),
        (THICK, "axis_deg", -1),
        (replace(HEALTHY, lvedv_ml=200.0, lv_mass_g=lv_mass_g(200.0, 0.95, 0.95)), "s_v2_mv", +1),
        (replace(HEALTHY, la_volume_index=55.0), "p_v1_depth_mv", +1),
        (RIGHT, "axis_deg", +1),
        (RIGHT, "r_over_s_v1", +1),
        (RIGHT, "s_v6_mv", +1),
        (RIGHT, "t_v2_mv", -1),
        (RIGHT, "p_ii_mv", +1),
        (replace(HEALTHY, effusion=2), "limb_swing_mv", -1),
        (replace(HEALTHY, infarct="anterior", lvef_percent=45.0), "r_v3_mv", -1),
        (replace(HEALTHY, infarct="inferior", lvef_percent=45.0), "q_ii_mv", +1),
        (replace(HEALTHY, weight_kg=115.0), "axis_deg", -1),
        (replace(HEALTHY, sex="female"), "sv1_rv5_mv", -1),
    ],
)
def test_a_finding_moves_the_ecg_its_way_and_still_overlaps_with_health(measured, finding, measure, direction):
    healthy, ill = measured(HEALTHY, measure), measured(finding, measure)
    # The chance that an ill person lies further that way than a healthy one: 0.5 no effect, 1 no overlap.
    beyond = (direction * (ill[:, None] - healthy[None, :]) > 0).mean()
    assert 0.55 < beyond < 0.99
    assert direction * (ill.mean() - healthy.mean()) > 0


def test_limb_leads_obey_einthoven_and_goldberger_before_noise():
    electrics = sample_electrics(np.random.default_rng(1))
    leads_KN = heart_leads(FAILING, electrics=electrics, rate_hz=500, duration_s=4.0, rng=np.random.default_rng(2))
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


def test_a_healthy_ecg_lies_in_the_textbook_ranges(measured):
    assert 80 <= np.median(measured(HEALTHY, "qrs_width_ms")) <= 105
    assert 1.0 <= np.median([median_beat(HEALTHY, n)[V5, QRS].max() for n in range(30)]) <= 2.0
    assert 0.5 <= np.median([-median_beat(HEALTHY, n)[V1, QRS].min() for n in range(30)]) <= 1.5
    assert np.mean((measured(HEALTHY, "axis_deg") > -30) & (measured(HEALTHY, "axis_deg") < 90)) > 0.9
    assert np.mean(measured(HEALTHY, "t_v6_mv") > 0) > 0.95
    assert 0.08 <= np.median(measured(HEALTHY, "p_ii_mv")) <= 0.22


def test_r_waves_grow_from_v1_and_pass_s_around_v3():
    beats = [median_beat(HEALTHY, number) for number in range(40)]
    r_over_s = np.median([b[V1:, QRS].max(axis=1) / np.maximum(0.02, -b[V1:, QRS].min(axis=1)) for b in beats], axis=0)
    assert r_over_s[0] < 0.6
    assert r_over_s[1] < 1
    assert r_over_s[3] > 1


def test_qrs_widens_with_low_lvef_on_average_and_a_fifth_gets_left_bundle_block():
    beats = {
        lvef: [
            shape_beat(replace(FAILING, lvef_percent=lvef), sample_electrics(np.random.default_rng([9, n])),
                       np.random.default_rng([10, n]))
            for n in range(800)
        ]
        for lvef in (62.0, 45.0, 30.0, 20.0)
    }  # fmt: skip
    widths = [np.mean([b.qrs_ms for b in beats[lvef]]) for lvef in (62.0, 45.0, 30.0, 20.0)]
    assert widths == sorted(widths)
    assert widths[2] - widths[0] > 10
    blocked = [np.mean([b.conduction == "left_bundle_block" for b in beats[lvef]]) for lvef in (62.0, 30.0)]
    assert blocked[0] < 0.03
    assert 0.15 < blocked[1] < 0.32
    ectopy = [np.mean([b.ectopic_beats_per_s for b in beats[lvef]]) for lvef in (62.0, 30.0)]
    assert ectopy[1] > 2.5 * ectopy[0]


def test_low_voltage_marks_effusions_and_is_rare_without(measured):
    assert 0.2 < np.mean(measured(replace(HEALTHY, effusion=2), "limb_swing_mv") < 0.5) < 0.8
    assert np.mean(measured(replace(HEALTHY, effusion=3), "limb_swing_mv") < 0.5) > 0.5
    assert np.mean(measured(HEALTHY, "limb_swing_mv") < 0.5) < 0.05


def test_voltage_criteria_for_hypertrophy_are_met_by_a_minority_of_thick_hearts(measured):
    assert 0.15 < np.mean(measured(THICK, "sv1_rv5_mv") >= 3.5) < 0.5
    assert np.mean(measured(HEALTHY, "sv1_rv5_mv") >= 3.5) < 0.08


def test_every_second_beat_differs_in_a_large_effusion_only():
    def alternation(effusion):
        electrics = replace(sample_electrics(np.random.default_rng(4)), ectopy=0.0, expression=1.0)
        seen = replace(HEALTHY, effusion=effusion)
        leads = heart_leads(seen, electrics=electrics, rate_hz=500, duration_s=10.0, rng=np.random.default_rng(5))
        heights = np.ptp(beats_of(leads)[0][:, V5], axis=1)
        return abs(heights[::2].mean() - heights[1::2].mean()) / heights.mean()

    assert alternation(3) > 0.2
    assert alternation(2) < 0.02


def test_fibrillation_has_no_p_wave_and_irregular_beats():
    def spread_and_p(physiology, number):
        electrics = replace(sample_electrics(np.random.default_rng([11, number])), ectopy=0.0, fibrillation_voltage=0.0)
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
        electrics=replace(sample_electrics(np.random.default_rng(1)), ectopy=0.0, voltage=0.0, t_voltage=0.0),
        rate_hz=500,
        duration_s=10.0,
        rng=np.random.default_rng(2),
    )[V1]
    spectrum = np.abs(np.fft.rfft(waves - waves.mean())) ** 2
    hz = np.fft.rfftfreq(len(waves), 1 / 500)
    assert spectrum[(hz > 3.5) & (hz < 17)].sum() > 0.8 * spectrum.sum()


def test_heart_rate_is_the_physiology_s():
    for rate in (50.0, 70.0, 110.0):
        electrics = replace(sample_electrics(np.random.default_rng(3)), ectopy=0.0)
        seen = replace(HEALTHY, heart_rate_bpm=rate)
        leads = heart_leads(seen, electrics=electrics, rate_hz=500, duration_s=20.0, rng=np.random.default_rng(4))
        assert 60 / beats_of(leads)[1].mean() == pytest.approx(rate, rel=0.03)


def test_two_ecgs_of_one_patient_are_more_alike_than_those_of_two():
    def beat(person, recording):
        electrics = replace(sample_electrics(np.random.default_rng([20, person])), ectopy=0.0)
        rng = np.random.default_rng([21, person, recording])
        leads = heart_leads(HEALTHY, electrics=electrics, rate_hz=500, duration_s=6.0, rng=rng)
        return np.median(beats_of(leads)[0], axis=0).ravel()

    own = [np.corrcoef(beat(p, 0), beat(p, 1))[0, 1] for p in range(12)]
    others = [np.corrcoef(beat(p, 0), beat(p + 1, 1))[0, 1] for p in range(12)]
    assert np.mean(own) > np.mean(others) + 0.02
    assert np.median(own) > 0.97


def test_the_start_of_a_recording_falls_anywhere_in_a_beat():
    electrics = replace(sample_electrics(np.random.default_rng(3)), ectopy=0.0)
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
        return simulate_ecg(FAILING, electrics=electrics, recorder=recorder, rng=rng)

    np.testing.assert_array_equal(draw(5), draw(5))
    assert draw(5).shape != draw(6).shape or (draw(5) != draw(6)).any()


def test_a_heart_looks_the_same_at_every_sampling_rate():
    electrics = sample_electrics(np.random.default_rng(1))
    fine, coarse = (
        heart_leads(HEALTHY, electrics=electrics, rate_hz=hz, duration_s=4.0, rng=np.random.default_rng(2))
        for hz in (1000, 250)
    )
    np.testing.assert_allclose(fine[:, ::4], coarse, atol=2e-3)  # bumps end at four widths, on different samples
