"""Preparation against the published implementation's numbers, a dense solver, and itself under another roof."""

from __future__ import annotations

import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inputs.ecg import prepare
from inputs.ecg.prepare import (
    als_baseline,
    compile_solver,
    ecg_windows,
    normalise_signal,
    prepare_ecg,
    resample_signal,
)
from inputs.ecg.quality import check_ecg
from inputs.errors import UnusableRecording
from inputs.records import STANDARD_LEADS, EcgRecording, InputWarning
from inputs.specs import EcgSpec

SPEC = EcgSpec()
DATA = Path(__file__).parents[1] / "data"
VECTORS = np.load(DATA / "ecg_preparation_vectors.npz")
WHOLE = np.load(DATA / "ecg_whole_signal_vectors.npz")
"""Every fifth sample of a published output and the mean of every 25 samples, so that each sample counts."""
CASES = ("plain", "with NaN", "counts, spikes and a flat lead")


def raw_ecg(seed: int, which: int) -> np.ndarray:
    """The (12, 5000) inputs at 500 Hz from which the vectors were made: a pure function of the seed."""
    random = np.random.default_rng([seed, 6])
    time_s = np.arange(5000) / 500
    records = np.zeros((3, 12, 5000))
    for record in records:
        interval_s = random.uniform(0.7, 1.1)
        centres = np.arange(random.uniform(0, interval_s), 10.0, interval_s)
        for lead in record:
            height = random.uniform(0.4, 1.5) * random.choice([-1.0, 1.0])
            for centre in centres:
                lead += 0.12 * height * np.exp(-0.5 * ((time_s - centre + 0.16) / 0.025) ** 2)
                lead += height * np.exp(-0.5 * ((time_s - centre) / 0.011) ** 2)
                lead -= 0.25 * height * np.exp(-0.5 * ((time_s - centre - 0.03) / 0.012) ** 2)
                lead += 0.3 * height * np.exp(-0.5 * ((time_s - centre - 0.27) / 0.05) ** 2)
            lead += 0.3 * np.sin(2 * np.pi * random.uniform(0.05, 0.4) * time_s + random.uniform(0, 6.28))
            lead += random.uniform(-0.2, 0.2) * time_s / 10
            lead += 0.02 * random.standard_normal(5000)
    records[1, 3, 1000:1250] = np.nan
    records[1, 7, random.integers(0, 5000, 40)] = np.nan
    records[1, 10] = np.nan
    records[2] = 200.0 * records[2] + random.uniform(-300, 300, size=(12, 1))
    records[2, 5, random.integers(0, 5000, 10)] += 8000.0
    records[2, 9] = 0.0
    return records[which]


@pytest.fixture(params=range(3), ids=CASES)
def case(request: pytest.FixtureRequest) -> tuple[int, np.ndarray]:
    return request.param, raw_ecg(int(VECTORS["seed"]), request.param)


def assert_whole(ours: np.ndarray, name: str, atol: float) -> None:
    """Agreement with the stored samples of an output, and with its means over all samples."""
    np.testing.assert_allclose(ours[..., ::5], WHOLE[f"{name}_every_5th"], rtol=0, atol=atol)
    means = ours.astype(np.float64).reshape(*ours.shape[:-1], -1, 25).mean(axis=-1)
    np.testing.assert_allclose(means, WHOLE[f"{name}_means_of_25"], rtol=0, atol=atol)


def test_normalising_float32_agrees_with_the_published_implementation(case):
    which, signal = case
    ours = normalise_signal(signal.astype(np.float32), SPEC)
    assert ours.dtype == np.float32
    assert_whole(ours, f"process_f32_{which}", atol=1e-5)


def test_normalising_float64_agrees_with_the_published_implementation(case):
    which, signal = case
    ours = normalise_signal(signal, SPEC)
    np.testing.assert_allclose(ours[:, ::25], VECTORS[f"process_f64_{which}_slice"], rtol=0, atol=1e-7)


def test_resampling_agrees_with_the_published_implementation(case):
    which, signal = case
    for dtype, name in ((np.float32, "f32"), (np.float64, "f64")):
        vector = VECTORS[f"resample_{name}_{which}_slice"]
        ours = resample_signal(np.nan_to_num(signal).astype(dtype), 500.0, 400.0)[:, ::25]
        comparable = np.isfinite(vector)  # there, a NaN anywhere in a lead spoils the whole lead
        np.testing.assert_allclose(ours[comparable], vector[comparable], rtol=0, atol=1e-6 * np.abs(ours).max())


def test_a_whole_resampled_record_agrees_with_the_published_implementation():
    signal = raw_ecg(int(VECTORS["seed"]), 0).astype(np.float32)
    assert_whole(resample_signal(signal, 500.0, 400.0), "resample_f32_0", atol=2e-6)


def test_resampling_what_was_normalised_before_agrees_with_the_published_implementation(case):
    which, signal = case
    ours = resample_signal(normalise_signal(signal.astype(np.float32), SPEC), 500.0, 400.0)
    vector = WHOLE[f"process_then_resample_f32_{which}_every_25th"]
    np.testing.assert_allclose(ours[:, ::25], vector, rtol=0, atol=1e-5)


def test_resampling_alone_loses_every_lead_with_a_nan_as_published():
    signal = raw_ecg(int(VECTORS["seed"]), 1)
    lost_L = np.isnan(resample_signal(signal, 500.0, 400.0)).mean(axis=1)
    np.testing.assert_array_equal(lost_L, WHOLE["resample_nan_fraction_L"])
    np.testing.assert_array_equal(lost_L, np.isnan(signal).any(axis=1))


def test_a_length_that_the_rates_do_not_divide_is_rounded_down_as_published():
    assert resample_signal(raw_ecg(3, 0)[:1, :4999], 500.0, 400.0).shape == (1, 3999)


def test_resampling_then_normalising_agrees_with_the_published_implementation(case):
    which, signal = case
    ours = normalise_signal(resample_signal(np.nan_to_num(signal).astype(np.float32), 500.0, 400.0), SPEC)
    np.testing.assert_allclose(ours[:, ::25], VECTORS[f"resample_then_process_f32_{which}_slice"], rtol=0, atol=1e-5)


def test_preparing_a_whole_recording_whose_leads_lie_at_zero_is_just_that(ecg):
    signal = raw_ecg(int(VECTORS["seed"]), 0).astype(np.float32)
    signal -= np.median(signal, axis=1, keepdims=True)
    prepared = prepare_ecg(ecg.recording(signal), SPEC).signal_LN
    assert prepared.shape == (12, 4000)
    assert prepared.dtype == np.float32
    np.testing.assert_array_equal(prepared, normalise_signal(resample_signal(signal, 500.0, 400.0), SPEC))


def test_baseline_agrees_with_the_published_implementation():
    ours = als_baseline(raw_ecg(int(VECTORS["seed"]), 0)[:1], SPEC)[0]
    assert_whole(ours, "baseline_f64", atol=1e-8)


def test_baseline_of_other_arguments_agrees_with_the_published_implementation():
    """The published function's own defaults, which its preparation does not use."""
    defaults = EcgSpec(baseline_lambda=1e8, baseline_p=0.01, baseline_iterations=10)
    ours = als_baseline(raw_ecg(int(VECTORS["seed"]), 0)[:1], defaults)[0]
    np.testing.assert_allclose(ours[::25], WHOLE["baseline_default_arguments_f64_every_25th"], rtol=0, atol=1e-7)


def dense_baseline(y_N: np.ndarray, spec: EcgSpec) -> np.ndarray:
    """The definition, with a full matrix."""
    samples = len(y_N)
    differences = np.diff(np.eye(samples), 2, axis=0)
    weights = np.ones(samples)
    for _ in range(spec.baseline_iterations):
        matrix = np.diag(weights) + spec.baseline_lambda * differences.T @ differences
        baseline = np.linalg.solve(matrix, weights * y_N)
        weights = spec.baseline_p * (y_N > baseline) + (1 - spec.baseline_p) * (y_N < baseline)
    return baseline


@pytest.mark.parametrize("samples", [4, 5, 6, 50, 150])
@pytest.mark.parametrize(("smoothness", "p", "iterations"), [(1e4, 0.3, 5), (10.0, 0.05, 3), (1.0, 0.7, 1)])
def test_baseline_equals_a_dense_solve_at_any_length(samples, smoothness, p, iterations):
    spec = EcgSpec(baseline_lambda=smoothness, baseline_p=p, baseline_iterations=iterations)
    signal = np.random.default_rng(samples).standard_normal((5, samples)).cumsum(axis=1)
    expected = np.stack([dense_baseline(lead, spec) for lead in signal])
    np.testing.assert_allclose(als_baseline(signal, spec), expected, rtol=0, atol=1e-8)


def test_baseline_of_a_lead_does_not_depend_on_its_neighbours():
    signal = raw_ecg(3, 0)[:, :500]
    together = als_baseline(signal, SPEC)
    alone = np.concatenate([als_baseline(lead[None], SPEC) for lead in signal])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("level", [0.0, 1.5])
def test_flat_lead_is_its_own_baseline_and_spoils_no_other(level):
    signal = raw_ecg(3, 0)[:3, :500]
    signal[1] = level
    baseline = als_baseline(signal, SPEC)
    np.testing.assert_allclose(baseline[1], level, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(baseline[[0, 2]], als_baseline(signal[[0, 2]], SPEC))


def test_each_lead_group_has_mean_zero_and_variance_one(ecg):
    prepared = prepare_ecg(ecg.recording(), SPEC).signal_LN
    for first, last in SPEC.normalisation_groups:
        assert abs(prepared[first:last].mean()) < 1e-5
        assert prepared[first:last].var() == pytest.approx(1.0, abs=1e-4)


def test_prepared_ecg_does_not_depend_on_the_order_of_leads_in_the_file(ecg):
    signal = ecg.signal_mv()
    order = np.random.default_rng(5).permutation(12)
    shuffled = ecg.recording(signal[order], leads=[STANDARD_LEADS[i] for i in order])
    np.testing.assert_array_equal(
        prepare_ecg(shuffled, SPEC).signal_LN, prepare_ecg(ecg.recording(signal), SPEC).signal_LN
    )


def test_prepared_ecg_does_not_depend_on_the_amplifier_gain(ecg):
    signal = ecg.signal_mv()
    doubled = prepare_ecg(ecg.recording(2 * signal), SPEC).signal_LN
    np.testing.assert_allclose(doubled, prepare_ecg(ecg.recording(signal), SPEC).signal_LN, rtol=0, atol=1e-4)


@pytest.mark.parametrize("rate_hz", [100.0, 250.0, 360.0, 400.0, 1000.0])
def test_any_rate_gives_400_samples_per_second(ecg, rate_hz):
    prepared = prepare_ecg(ecg.recording(ecg.signal_mv(rate_hz=rate_hz), rate_hz=rate_hz), SPEC).signal_LN
    assert prepared.shape == (12, int(len(ecg.signal_mv(rate_hz=rate_hz)[0]) * 400 / rate_hz))


@pytest.mark.parametrize("centre", ["none", "median"])
@pytest.mark.parametrize("offset_mv", [0.0, 0.05, 2.0])
def test_missing_samples_lie_at_the_level_of_their_lead_and_stay_local(ecg, centre, offset_mv):
    spec = SPEC.model_copy(update={"centre": centre})
    gap = ecg.signal_mv() + np.float32(offset_mv)
    gap[4, 2000:2100] = np.nan
    filled = gap.copy()
    filled[4, 2000:2100] = np.nanmedian(gap[4])
    np.testing.assert_allclose(
        prepare_ecg(ecg.recording(gap), spec).signal_LN,
        prepare_ecg(ecg.recording(filled), spec).signal_LN,
        rtol=0,
        atol=1e-5,
    )


def test_spec_that_travelled_as_json_prepares_the_same_bits(ecg):
    travelled = EcgSpec.model_validate_json(SPEC.model_dump_json())
    recording = ecg.recording()
    assert prepare_ecg(recording, travelled).signal_LN.tobytes() == prepare_ecg(recording, SPEC).signal_LN.tobytes()


def test_four_threads_prepare_the_same_bits_as_one(ecg):
    recordings = [ecg.recording(ecg.signal_mv(seed)) for seed in range(4)]
    alone = [prepare_ecg(recording, SPEC).signal_LN.tobytes() for recording in recordings]
    together: list[bytes] = [b""] * 4

    def work(index: int) -> None:
        for _ in range(5):
            together[index] = prepare_ecg(recordings[index], SPEC).signal_LN.tobytes()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_preparing_leaves_the_recording_as_it_was(ecg):
    recording = ecg.recording()
    before = recording.signal_mv.copy()
    prepare_ecg(recording, SPEC)
    np.testing.assert_array_equal(recording.signal_mv, before)


def test_compile_solver_needs_no_recording():
    compile_solver()


def test_first_window_is_the_start_of_the_record(ecg):
    prepared = prepare_ecg(ecg.recording(), SPEC).signal_LN
    windows = ecg_windows(prepared, SPEC)
    assert windows.shape == (1, 12, 1008)
    np.testing.assert_array_equal(windows[0], prepared[:, :1008])


def test_mean_windows_are_evenly_spaced_and_reach_both_ends():
    record = np.tile(np.arange(4000, dtype=np.float32), (12, 1))
    starts = ecg_windows(record, EcgSpec(windows="mean"))[:, 0, 0]
    np.testing.assert_array_equal(starts, [0, 997, 1995, 2992])


def test_mean_windows_of_a_record_of_one_window_are_one():
    assert len(ecg_windows(np.zeros((12, 1008), np.float32), EcgSpec(windows="mean"))) == 1


def test_window_of_a_too_short_record_is_refused():
    with pytest.raises(UnusableRecording) as refusal:
        ecg_windows(np.zeros((12, 1007), np.float32), SPEC)
    assert refusal.value.code == "too_short"


def test_check_returns_what_preparation_starts_from(ecg):
    recording = ecg.recording()
    checked = check_ecg(recording, SPEC)
    by_hand = normalise_signal(resample_signal(checked.signal_mv_LN, 500.0, 400.0), SPEC)
    np.testing.assert_array_equal(prepare_ecg(recording, SPEC).signal_LN, by_hand)


def test_warnings_of_reading_come_first_and_those_of_judging_after_them(ecg):
    read = InputWarning("gain_assumed", "A sentence.")
    eight = tuple(lead for lead in STANDARD_LEADS if lead not in ("III", "aVR", "aVL", "aVF"))
    rows = [STANDARD_LEADS.index(lead) for lead in eight]
    recording = replace(ecg.recording(ecg.signal_mv()[rows], leads=eight), warnings=(read,))
    prepared = prepare_ecg(recording, SPEC)
    assert prepared.warnings == (read, *check_ecg(recording, SPEC).warnings)
    assert [warning.code for warning in prepared.warnings] == ["gain_assumed", "leads_derived"]


def test_one_long_record_is_prepared_at_a_time_and_ordinary_ones_pass_by(ecg):
    long = EcgRecording(np.tile(ecg.signal_mv(), 30), 500.0, STANDARD_LEADS, "test")
    done = threading.Event()

    def prepare_long() -> None:
        prepare_ecg(long, SPEC)
        done.set()

    with prepare._one_long:
        thread = threading.Thread(target=prepare_long, daemon=True)
        thread.start()
        prepare_ecg(ecg.recording(), SPEC)  # would wait for ever
        assert not done.wait(1.0)
    assert done.wait(20.0)
    thread.join()


@pytest.mark.parametrize("leads", [STANDARD_LEADS, STANDARD_LEADS[:2] + STANDARD_LEADS[6:]])
def test_a_long_record_is_prepared_in_little_more_memory_than_it_has(ecg, leads):
    """Several clients send such records in zips of 100 kB; what preparation takes is the service's."""
    rows = [STANDARD_LEADS.index(lead) for lead in leads]
    recording = EcgRecording(np.tile(ecg.signal_mv()[rows], 120).astype(np.float32), 2000.0, leads, "test")
    prepare_ecg(recording, SPEC)
    tracemalloc.start()
    prepare_ecg(recording, SPEC)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 45e6


def test_preparation_leaves_the_recording_as_it_was(ecg):
    signal_mv = ecg.signal_mv().astype(np.float32)
    signal_mv[3, 5:90] = np.nan
    recording = EcgRecording(signal_mv.copy(), 500.0, STANDARD_LEADS, "test")
    prepare_ecg(recording, SPEC)
    np.testing.assert_array_equal(recording.signal_mv, signal_mv)
