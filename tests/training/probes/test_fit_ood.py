"""What is no ECG is unusual: noise, sines, exchanged leads, time backwards; the encoder has random weights here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from inputs.ecg.prepare import ecg_windows, prepare_ecg
from inputs.records import STANDARD_LEADS, EcgRecording
from inputs.specs import EcgSpec
from models.architecture import EcgArchitecture, demo
from models.ecg_shape import EcgShape
from models.ood import UNUSUAL_PERCENTILE, OodHead, OutOfDistribution
from models.towers import EcgTower
from simulator.ecg.electrics import sample_electrics
from simulator.ecg.recorder import choose_recorder
from simulator.ecg.signal import simulate_ecg
from simulator.patient import sample_patient
from training.probes.fit_ood import OodData, describe_signals, fit_ood

SPEC = EcgSpec(windows="first")
TRAIN, VAL, HELD_OUT, NEW = 300, 120, 150, 200


def simulated(count, seed):
    recordings = []
    for stream in np.random.SeedSequence(seed).spawn(count):
        rng = np.random.default_rng(stream)
        patient, electrics = sample_patient(rng), sample_electrics(rng)
        recorder = choose_recorder(patient.site, rng)
        signal = simulate_ecg(patient.at(0.0), electrics=electrics, recorder=recorder, rng=rng, duration_s=2.6)
        recordings.append(EcgRecording(signal, recorder.rate_hz, STANDARD_LEADS, "simulated"))
    return recordings


@pytest.fixture(scope="module")
def data_of():
    sizes = demo().model_copy(update={"ecg": EcgArchitecture(embed_dim=24, depth=1, heads=2)})
    torch.manual_seed(0)
    tower = EcgTower(sizes).eval()

    def embed(recordings):
        signals = [prepare_ecg(recording, SPEC).signal_LN for recording in recordings]
        windows = torch.from_numpy(np.concatenate([ecg_windows(signal, SPEC) for signal in signals]))
        with torch.inference_mode():
            return OodData(tower.features(windows).numpy(), describe_signals(signals, SPEC))

    return embed


@pytest.fixture(scope="module")
def splits(data_of):
    recordings = simulated(TRAIN + VAL + HELD_OUT, seed=1)
    return [*map(data_of, (recordings[:TRAIN], recordings[TRAIN : TRAIN + VAL], recordings[TRAIN + VAL :]))]


@pytest.fixture(scope="module")
def fitted(splits):
    return fit_ood(*splits)


@pytest.fixture(scope="module")
def new():
    return simulated(NEW, seed=2)


def percentile(numbers: OutOfDistribution, data: OodData):
    with torch.inference_mode():
        return numbers.percentile(OodHead(numbers)(torch.from_numpy(data.features_NF), data.shape).numpy())


def backwards(recordings):
    return [replace(r, signal_mv=np.ascontiguousarray(r.signal_mv[:, ::-1])) for r in recordings]


def shuffled(recordings):
    rng = np.random.default_rng(3)
    return [replace(r, signal_mv=r.signal_mv[rng.permutation(12)]) for r in recordings]


def noise(recordings):
    rng = np.random.default_rng(4)
    return [replace(r, signal_mv=rng.normal(0, 0.3, r.signal_mv.shape).astype(np.float32)) for r in recordings]


def sines(recordings):
    rng = np.random.default_rng(5)

    def sine(recording):
        t_s = np.arange(recording.signal_mv.shape[1]) / recording.rate_hz
        height, phase = rng.uniform(0.2, 1.0, (12, 1)), rng.uniform(0, 2 * np.pi, (12, 1))
        return (height * np.sin(2 * np.pi * rng.uniform(0.5, 40) * t_s + phase)).astype(np.float32)

    return [replace(r, signal_mv=sine(r)) for r in recordings]


def test_new_ecgs_are_as_usual_as_those_held_out(fitted, data_of, new):
    found = percentile(fitted, data_of(new))
    # The percentile is itself measured on 150, so that of 200 new ECGs two are expected and eight are not rare enough.
    assert (found > 99).sum() <= 9
    assert 40 < found.mean() < 60


@pytest.mark.parametrize("spoil", [noise, shuffled, sines, backwards])
def test_what_is_no_ecg_is_told_to_be_unlike_the_others(fitted, data_of, new, spoil):
    """By the percentile that answers go by: which held-out ECG happens to be the most unusual decides the 99th."""
    assert (percentile(fitted, data_of(spoil(new))) > UNUSUAL_PERCENTILE).mean() >= 0.95


def test_a_percentile_counts_the_less_unusual(fitted):
    scores = np.array(fitted.held_out_scores)
    asked = np.array([-100.0, np.median(scores), 100.0])
    expected = [100 * sum(s < score for s in scores) / (len(scores) + 1) for score in asked]
    assert fitted.percentile(asked) == pytest.approx(expected)
    assert len(scores) == HELD_OUT


@pytest.mark.parametrize("kind", ["features", "leads", "texture"])
def test_distances_are_those_that_scikit_learn_finds_with_the_shrunk_covariance(fitted, splits, data_of, new, kind):
    def numbers(data):
        return (data.features_NF if kind == "features" else getattr(data.shape, f"{kind}_BS").numpy()).astype(float)

    train, some = numbers(splits[0]), numbers(data_of(new[:20]))
    mean, std = train.mean(axis=0), train.std(axis=0)
    expected = LedoitWolf().fit((train - mean) / std).mahalanobis((some - mean) / std)
    part, scale = getattr(OodHead(fitted), kind)(torch.from_numpy(some)).numpy(), getattr(fitted, kind).scale
    assert np.exp(part * (scale.tail - scale.median) + scale.median) == pytest.approx(expected, rel=1e-4)


def test_the_numbers_survive_json_exactly(fitted):
    assert OutOfDistribution.model_validate_json(fitted.model_dump_json()) == fitted


def test_too_few_ecgs_give_no_score(data_of, new):
    few = data_of(new[:90])
    assert fit_ood(few, few, few) is None


def test_windows_too_short_give_no_score():
    assert describe_signals([np.zeros((12, 500), np.float32)], EcgSpec(window_samples=480)) is None


def test_a_number_that_never_changes_does_no_harm(data_of):
    data = data_of(simulated(120, seed=7))
    shape = EcgShape(data.shape.leads_BS, torch.zeros_like(data.shape.texture_BS), data.shape.direction_BS)
    constant = OodData(data.features_NF, shape)
    numbers = fit_ood(constant, constant, constant)
    assert np.isfinite(numbers.held_out_scores).all()
