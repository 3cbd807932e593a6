"""The committed demo bundle on patients it has never met: do its sets cover, and does it notice what is no ECG?

The patients are drawn afresh from the simulator that drew the training patients; nothing here is about real ones.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import betabinom

from cli.demo import DEMO_BUNDLE
from cohorts import shd_label
from inputs.ecg.prepare import ecg_windows, prepare_ecg
from inputs.records import STANDARD_LEADS, EcgRecording
from models.bundle import Bundle
from simulator.ecg.electrics import sample_electrics
from simulator.ecg.recorder import choose_recorder
from simulator.ecg.signal import simulate_ecg
from simulator.patient import sample_patient
from simulator.report import report_study

pytestmark = pytest.mark.drill

FRESH, SPOILT = 400, 200


@pytest.fixture(scope="module")
def bundle():
    bundle = Bundle.load(DEMO_BUNDLE, device="cpu", parts=("ecg",))
    assert bundle.probes.ood is not None
    assert bundle.probes.lvef.sets is not None
    assert bundle.probes.shd.sets is not None
    return bundle


@pytest.fixture(scope="module")
def fresh():
    """One ECG and the report of one study of each of 400 new patients."""
    recordings, studies = [], []
    for stream in np.random.SeedSequence(987_654_321).spawn(FRESH):
        rng = np.random.default_rng(stream)
        patient, electrics = sample_patient(rng), sample_electrics(rng)
        day = float(rng.uniform(30, 1000))
        recorder = choose_recorder(patient.site, rng)
        signal = simulate_ecg(patient.at(day), electrics=electrics, recorder=recorder, rng=rng)
        recordings.append(EcgRecording(signal, recorder.rate_hz, STANDARD_LEADS, "simulated"))
        studies.append(report_study(patient.at(day), rng))
    return recordings, studies


def embed(bundle, recordings):
    spec = bundle.manifest.ecg
    signals = [prepare_ecg(recording, spec).signal_LN for recording in recordings]
    return bundle.embed_ecgs(np.stack([ecg_windows(signal_LN, spec) for signal_LN in signals]))


@pytest.fixture(scope="module")
def answers(bundle, fresh):
    return embed(bundle, fresh[0])


def assert_covers(covered, sets):
    """Coverage of n patients by sets of m others is beta-binomial (Vovk 2012); 1 case in 1000 may fall below.

    The answer given, which is always in, can only add, so there is no upper bound to test.
    """
    rank = int(np.ceil((sets.n_calibration + 1) * sets.coverage))
    least = betabinom.ppf(0.001, len(covered), rank, sets.n_calibration + 1 - rank)
    assert np.sum(covered) >= least, f"{np.mean(covered):.3f} of {len(covered)}, sets of {sets.n_calibration}"


def test_lvef_sets_cover_fresh_patients(bundle, fresh, answers):
    sets, classes = bundle.probes.lvef.sets, bundle.manifest.labels.lvef
    known = [row for row, study in enumerate(fresh[1]) if study["lvef_percent"] is not None]
    truth = classes.class_of([fresh[1][row]["lvef_percent"] for row in known])
    assert_covers([t in sets.classes(answers.lvef_BC[row]) for row, t in zip(known, truth, strict=True)], sets)


def test_shd_sets_cover_fresh_patients(bundle, fresh, answers):
    sets, threshold = bundle.probes.shd.sets, bundle.probes.shd.threshold
    truth = [shd_label(study) for study in fresh[1]]
    known = [row for row, label in enumerate(truth) if label is not None]
    shd = answers.shd_B
    found = [sets.classes([1 - shd[row], shd[row]], int(shd[row] > threshold)) for row in known]
    assert_covers([int(truth[row]) in inside for row, inside in zip(known, found, strict=True)], sets)


def test_fresh_patients_are_seldom_called_unusual(bundle, answers):
    held_out = len(bundle.probes.ood.held_out_scores)
    rank = int(0.99 * (held_out + 1)) + 1  # so many held-out ECGs must be less unusual
    most = betabinom.ppf(0.999, FRESH, held_out + 1 - rank, rank)
    assert (answers.ood.percentile_B > 99).sum() <= most


def backwards(recording, rng):
    return np.ascontiguousarray(recording.signal_mv[:, ::-1])


def shuffled(recording, rng):
    return recording.signal_mv[rng.permutation(12)]


def white_noise(recording, rng):
    return rng.normal(0, 0.3, recording.signal_mv.shape).astype(np.float32)


def sines(recording, rng):
    t_s = np.arange(recording.signal_mv.shape[1]) / recording.rate_hz
    height, phase = rng.uniform(0.2, 1.0, (12, 1)), rng.uniform(0, 2 * np.pi, (12, 1))
    return (height * np.sin(2 * np.pi * rng.uniform(0.5, 40) * t_s + phase)).astype(np.float32)


@pytest.mark.parametrize("spoil", [white_noise, shuffled, sines, backwards])
def test_what_is_no_ecg_lies_above_the_99th_percentile(bundle, fresh, spoil):
    rng = np.random.default_rng(1)
    spoilt = [replace(recording, signal_mv=spoil(recording, rng)) for recording in fresh[0][:SPOILT]]
    assert (embed(bundle, spoilt).ood.percentile_B > 99).mean() >= 0.95
