"""A constant on the leads is no heart: the demo's model answers the same with it, on forty simulated ECGs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hearts import simulated

from inputs.ecg.prepare import FAR_OFF_MV, ecg_windows, prepare_ecg
from inputs.records import EcgRecording
from models.bundle import Bundle

DEMO = Path(__file__).resolve().parents[1] / "bundles" / "demo"
ECGS = 40


@pytest.fixture(scope="module")
def bundle():
    return Bundle.load(DEMO, device="cpu", parts=("ecg",))


def answers(bundle, spec, recordings):
    """Embeddings (N, D) and all probabilities (N, ...) of recordings, prepared as `spec` says."""
    outputs = [bundle.embed_ecgs(ecg_windows(prepare_ecg(one, spec).signal_LN, spec)[None]) for one in recordings]
    probabilities = [np.hstack([o.lvef_BC[0], o.shd_B[:1], o.flags_BQ[0]]) for o in outputs]
    return np.stack([o.embeddings_BD[0] for o in outputs]), np.stack(probabilities)


def shifted(recording, offset_mv_L):
    signal_mv = (recording.signal_mv + offset_mv_L[:, None]).astype(np.float32)
    return EcgRecording(signal_mv, recording.rate_hz, recording.lead_names, recording.source_format)


@pytest.mark.parametrize("centre", ["median", "none"])
def test_offsets_alike_or_different_by_lead_change_no_answer(bundle, centre):
    """In the published order those of more than 0.1 mV in every lead, beside the ECG with its medians taken off."""
    draw = np.random.default_rng(11)
    spec = bundle.ecg.model_copy(update={"centre": centre})
    plain, moved = [], []
    for number in range(ECGS):
        recording = simulated(5000 + number)[0]
        if centre == "none":
            recording = shifted(recording, -np.median(recording.signal_mv, axis=1))
        size_mv = np.exp(draw.uniform(np.log(0.05 if centre == "median" else 1.05 * FAR_OFF_MV), np.log(5.0), 12))
        offset_mv_L = size_mv * draw.choice([-1.0, 1.0], 12)
        plain.append(recording)
        moved.append(shifted(recording, offset_mv_L if number % 2 else np.full(12, offset_mv_L[0])))
    embedding_ND, probability_NQ = answers(bundle, spec, plain)
    moved_ND, moved_NQ = answers(bundle, spec, moved)
    assert np.sum(embedding_ND * moved_ND, axis=1).min() >= 0.999
    assert np.abs(probability_NQ - moved_NQ).max() <= 0.01
