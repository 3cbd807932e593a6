"""Every measure where it is hard, and what must stay silent: noise, lead off, one beat."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from healthy import HEALTHY
from hearts import simulated

from inputs.ecg.measured.measure import MeasuredEcg, measure_ecg
from inputs.records import STANDARD_LEADS, EcgRecording

FIELDS = tuple(name for name in MeasuredEcg.__dataclass_fields__ if name != "not_reliable")
INTERVALS = ("pr_ms", "qrs_ms", "qt_ms")
ROW = {lead: row for row, lead in enumerate(STANDARD_LEADS)}
BASE, TRUTH = simulated(13, physiology=HEALTHY, ectopy=0.0, rate_hz=500)
FOUND = measure_ecg(BASE)


def with_signal(signal_mv, recording=BASE):
    return replace(recording, signal_mv=np.asarray(signal_mv, dtype=np.float32))


def only(leads):
    rows = [ROW[lead] for lead in leads]
    return EcgRecording(BASE.signal_mv[rows], BASE.rate_hz, tuple(leads), "simulated")


def same(found, expected=FOUND, *, ms=6.0, deg=4.0, but=()):
    """Whether two ECGs measure alike, apart from the fields named."""
    tolerance = {"heart_rate_bpm": 0.5, "regular": 0.0, "axis_deg": deg}
    for name in FIELDS:
        if name not in but:
            assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=tolerance.get(name, ms)), name


def silent(found):
    return found.not_reliable == FIELDS


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("bpm", [30.0, 40.0, 60.0, 100.0, 150.0, 180.0, 200.0])
def test_rate_and_qrs_are_found_from_30_to_200_beats_a_minute(bpm):
    recording, truth = simulated(13, physiology=replace(HEALTHY, heart_rate_bpm=bpm), ectopy=0.0)
    found = measure_ecg(recording)
    assert found.heart_rate_bpm == pytest.approx(bpm, rel=0.03)
    assert found.regular
    assert found.qrs_ms == pytest.approx(truth.qrs_ms + 12.0, abs=10.0)


@pytest.mark.parametrize("bpm", [30.0, 40.0, 60.0, 100.0])
def test_pr_and_qt_are_found_at_slow_and_ordinary_rates(bpm):
    recording, truth = simulated(13, physiology=replace(HEALTHY, heart_rate_bpm=bpm), ectopy=0.0)
    found = measure_ecg(recording)
    assert found.pr_ms == pytest.approx(truth.pr_ms, abs=12.0)
    assert found.qt_ms == pytest.approx(truth.qt_ms, abs=20.0)


def test_p_that_falls_into_the_t_wave_before_it_gives_no_pr_interval():
    assert measure_ecg(simulated(13, physiology=replace(HEALTHY, heart_rate_bpm=200.0), ectopy=0.0)[0]).pr_ms is None


@pytest.mark.parametrize("rate_hz", [100, 250, 400, 1000, 2000])
def test_sampling_rate_changes_no_measure(rate_hz):
    at_500, at_other = (
        measure_ecg(simulated(13, physiology=HEALTHY, ectopy=0.0, rate_hz=hz, noise=False)[0]) for hz in (500, rate_hz)
    )
    same(at_other, at_500)


@pytest.mark.parametrize("gain", [0.1, 0.3, 3.0, 10.0])
def test_amplitude_changes_no_measure(gain):
    same(measure_ecg(with_signal(gain * BASE.signal_mv)), ms=0.1, deg=0.1)


def test_an_ecg_upside_down_has_the_same_intervals_and_the_opposite_axis():
    found = measure_ecg(with_signal(-BASE.signal_mv))
    same(found, but=("axis_deg",))
    assert found.axis_deg == pytest.approx(FOUND.axis_deg - 180.0, abs=4.0)


def test_exchanged_arm_electrodes_change_the_axis_alone():
    swapped = BASE.signal_mv.copy()
    swapped[ROW["I"]] *= -1.0
    swapped[[ROW["II"], ROW["III"]]] = swapped[[ROW["III"], ROW["II"]]]
    swapped[[ROW["aVR"], ROW["aVL"]]] = swapped[[ROW["aVL"], ROW["aVR"]]]
    found = measure_ecg(with_signal(swapped))
    same(found, but=("axis_deg",))
    assert found.axis_deg == pytest.approx(180.0 - FOUND.axis_deg, abs=4.0)


def test_wander_and_mains_hum_change_no_measure():
    t_s = np.arange(BASE.signal_mv.shape[1]) / BASE.rate_hz
    same(measure_ecg(with_signal(BASE.signal_mv + 1.5 * np.sin(2 * np.pi * 0.3 * t_s))), ms=8.0)
    for mains_hz in (50.0, 60.0):
        same(measure_ecg(with_signal(BASE.signal_mv + 0.3 * np.sin(2 * np.pi * mains_hz * t_s))), ms=8.0, deg=8.0)


def test_pacing_spikes_are_no_beats():
    paced = BASE.signal_mv.copy()
    paced[:, 40::400] += 4.0
    paced[:, 41::400] += 4.0
    same(measure_ecg(with_signal(paced)), ms=8.0)


def test_a_lead_that_is_off_does_not_spoil_the_others():
    flat = BASE.signal_mv.copy()
    flat[ROW["V3"]] = 0.0
    same(measure_ecg(with_signal(flat)))


@pytest.mark.parametrize("seed", range(6))
def test_a_lead_full_of_noise_does_not_spoil_the_others(seed):
    noisy = BASE.signal_mv.copy()
    noisy[ROW["V3"]] = noise(5000, seed=seed)
    same(measure_ecg(with_signal(noisy)))


def test_eight_leads_measure_as_twelve():
    same(measure_ecg(only(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))))


def test_chest_leads_alone_have_no_frontal_axis():
    found = measure_ecg(only(("V1", "V2", "V3", "V4", "V5", "V6")))
    assert found.not_reliable == ("axis_deg",)


def test_one_lead_shows_the_rhythm_but_no_interval_over_all_leads():
    found = measure_ecg(only(("II",)))
    assert found.heart_rate_bpm == pytest.approx(FOUND.heart_rate_bpm, abs=0.5)
    assert found.regular
    assert {*INTERVALS, "qtc_ms", "axis_deg"} == {*found.not_reliable}


def test_limb_leads_that_contradict_each_other_have_no_axis():
    mislabelled = BASE.signal_mv.copy()
    mislabelled[[ROW["III"], ROW["V3"]]] = mislabelled[[ROW["V3"], ROW["III"]]]
    mislabelled[[ROW["aVR"], ROW["V5"]]] = mislabelled[[ROW["V5"], ROW["aVR"]]]
    found = measure_ecg(with_signal(mislabelled))
    assert "axis_deg" in found.not_reliable
    same(found, but=("axis_deg",))


@pytest.mark.parametrize("rate_hz", [250, 500, 1000, 1001])
def test_single_samples_that_are_missing_change_nothing_at_any_rate(rate_hz):
    whole, _ = simulated(13, physiology=HEALTHY, ectopy=0.0, rate_hz=rate_hz)
    holed_mv = whole.signal_mv.copy()
    holed_mv[:, 777] = np.nan
    holed_mv[3, ::900] = np.nan
    same(measure_ecg(with_signal(holed_mv, whole)), measure_ecg(whole))


@pytest.mark.parametrize("filling", [np.nan, 0.0])
@pytest.mark.parametrize("strip", [(), ("II",)])
def test_a_printout_of_four_columns_is_measured_column_by_column(filling, strip):
    printed = np.full_like(BASE.signal_mv, filling)
    for column in range(4):
        rows, samples = slice(3 * column, 3 * column + 3), slice(1250 * column, 1250 * column + 1250)
        printed[rows, samples] = BASE.signal_mv[rows, samples]
    for lead in strip:
        printed[ROW[lead]] = BASE.signal_mv[ROW[lead]]
    same(measure_ecg(with_signal(printed)), ms=12.0, deg=8.0)


def test_columns_laid_over_each_other_are_not_taken_for_one_beat():
    stacked = np.concatenate([BASE.signal_mv[3 * c : 3 * c + 3, 1250 * c : 1250 * c + 1250] for c in range(4)])
    assert silent(measure_ecg(with_signal(stacked)))


def test_two_and_a_half_seconds_show_intervals_but_not_whether_the_heart_is_regular():
    found = measure_ecg(with_signal(BASE.signal_mv[:, :1250]))
    assert found.regular is None
    for name in INTERVALS:
        assert getattr(found, name) == pytest.approx(getattr(FOUND, name), abs=8.0)


def test_of_a_long_record_the_first_twenty_seconds_count():
    long, _ = simulated(13, physiology=HEALTHY, ectopy=0.0, rate_hz=500, duration_s=60.0)
    later = long.signal_mv.copy()
    later[:, 10_000:] = noise(12, 20_000)
    assert measure_ecg(with_signal(later, long)) == measure_ecg(long)
    assert measure_ecg(long).not_reliable == ()


def test_a_lead_off_after_the_first_half_leaves_the_first_half():
    half = BASE.signal_mv.copy()
    half[:, 2500:] = 0.0
    same(measure_ecg(with_signal(half)), ms=8.0, but=("heart_rate_bpm", "qtc_ms"))


def test_bigeminy_is_irregular():
    beat, twice = BASE.signal_mv[:, 300:700], []
    for gap in (0, 250) * 6:
        twice += [beat, np.repeat(beat[:, -1:], gap, axis=1) + 0.01 * noise(12, gap)]
    assert measure_ecg(with_signal(np.concatenate(twice, axis=1))).regular is False


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("colour", ["white", "brown", "common"])
def test_noise_measures_nothing(colour, seed):
    white = noise(12, 5000, seed=seed)
    brown = 0.05 * np.cumsum(white, axis=1)
    signal = {"white": white, "brown": brown, "common": np.repeat(brown[:1], 12, axis=0) + 0.02 * white}[colour]
    assert silent(measure_ecg(with_signal(signal)))


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan, np.inf])
def test_a_flat_line_measures_nothing(value):
    assert silent(measure_ecg(with_signal(np.full((12, 5000), value))))


@pytest.mark.parametrize("hz", [1.2, 10.0, 50.0])
def test_a_sine_is_no_heart(hz):
    wave = np.sin(2 * np.pi * hz * np.arange(5000) / 500)
    assert silent(measure_ecg(with_signal(np.repeat(wave[None], 12, axis=0))))


def test_one_beat_measures_nothing():
    r = 300 + int(np.abs(np.diff(BASE.signal_mv[:, 300:700], axis=1)).sum(axis=0).argmax())
    one = np.repeat(BASE.signal_mv[:, r - 150 : r - 149], 5000, axis=1) + 0.005 * noise(12, 5000)
    one[:, 2350:2750] = BASE.signal_mv[:, r - 150 : r + 250]
    assert silent(measure_ecg(with_signal(one)))


@pytest.mark.parametrize("samples", [0, 1, 2, 100, 499, 600])
def test_a_record_too_short_for_two_beats_measures_nothing_and_raises_nothing(samples):
    assert silent(measure_ecg(with_signal(BASE.signal_mv[:, :samples])))


def test_a_record_without_a_standard_lead_or_at_no_sensible_rate_measures_nothing():
    assert silent(measure_ecg(replace(BASE, lead_names=tuple(f"VX{row}" for row in range(12)))))
    assert silent(measure_ecg(replace(BASE, rate_hz=5.0)))
    assert silent(measure_ecg(replace(BASE, rate_hz=1e6)))


def test_more_noise_makes_more_measures_unreliable_before_it_makes_them_wrong():
    for height_mv in (0.02, 0.05, 0.1, 0.2, 0.4, 1.0):
        found = measure_ecg(with_signal(BASE.signal_mv + height_mv * noise(12, 5000)))
        for name in INTERVALS:
            value = getattr(found, name)
            assert value is None or value == pytest.approx(getattr(FOUND, name), abs=15.0)
    assert silent(found)


def test_an_electrode_that_comes_loose_makes_no_rate_of_its_own():
    """It jumps between beats, so that some of what was found is like nothing else."""
    recording, truth = simulated(1084)
    found = measure_ecg(recording)
    assert found.heart_rate_bpm is None or found.heart_rate_bpm == pytest.approx(truth.heart_rate_bpm, abs=3.0)


@pytest.mark.parametrize("seed", range(30))
def test_nothing_that_a_file_may_hold_raises(seed):
    """Gaps, rails, bursts, absurd values, leads away, any length and rate; a warning would be an error here."""
    rng = np.random.default_rng(seed)
    broken = BASE.signal_mv.copy()
    for _ in range(4):
        first, last = sorted(rng.integers(0, 5001, 2))
        rows = rng.random(12) < rng.random()
        part = broken[rows, first:last]
        fillings = (np.nan, 0.0, np.inf, -3e38, 7.0, part + rng.normal(size=part.shape) * 10.0 ** rng.uniform(-3, 3))
        broken[rows, first:last] = fillings[rng.integers(len(fillings))]
    rows = np.flatnonzero(rng.random(12) < rng.uniform(0.2, 1.5))
    rate_hz = float(rng.choice([1.0, 50.0, 73.3, 100.0, 500.0, 5000.0, 20_000.0]))
    samples = 5000 if rng.random() < 0.6 else int(rng.integers(0, 5000))
    leads = tuple(STANDARD_LEADS[row] for row in rows)
    found = measure_ecg(EcgRecording(broken[rows, :samples], rate_hz, leads, "broken"))
    assert found.not_reliable == tuple(name for name in FIELDS if getattr(found, name) is None)


@pytest.mark.parametrize("crafted", ["paired", "holes"])
def test_a_record_of_a_very_high_rate_is_not_held_several_times(crafted):
    signal = np.repeat(np.random.default_rng(3).normal(0, 1, (10, 200_000)), 2, axis=1).astype(np.float32)
    if crafted == "holes":
        signal[:, ::3] = np.nan
    recording = EcgRecording(signal, 20_000.0, STANDARD_LEADS[:10], "invented")
    tracemalloc.start()
    try:
        assert measure_ecg(recording).heart_rate_bpm is None
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 2.5 * signal.nbytes


@pytest.mark.parametrize("shared", [1, 5, 10, 40])
def test_leads_that_share_an_instant_only_have_a_rate_and_no_intervals(shared):
    """Electrodes that come off in turn: what two of them have in common is too short to look for a beat in."""
    samples = np.arange(BASE.signal_mv.shape[1])
    end, half = samples.size, samples.size // 2
    gone = np.zeros(BASE.signal_mv.shape, bool)
    gone[::2] = (samples >= end // 4) & (samples < 3 * end // 4)
    gone[1::2] = (samples < end // 4 - shared) | (samples >= 3 * end // 4 - 3)
    gone[11] = samples < half
    found = measure_ecg(with_signal(np.where(gone, np.nan, BASE.signal_mv)))
    assert found.heart_rate_bpm == pytest.approx(FOUND.heart_rate_bpm, rel=0.05)
    assert found.not_reliable == (*INTERVALS, "qtc_ms", "axis_deg")
