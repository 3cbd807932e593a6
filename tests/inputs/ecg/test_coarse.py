"""Records of coarse steps, or drawn without noise: what follows from that alone is no finding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inputs.ecg.gate.limb_laws import law_warnings
from inputs.ecg.quality import check_ecg
from inputs.errors import UnusableRecording
from inputs.specs import EcgSpec

PUBLISHED = EcgSpec()


def codes(recording) -> list[str]:
    return [warning.code for warning in check_ecg(recording, PUBLISHED).warnings]


def in_steps(signal_mv, step_mv):
    return np.round(signal_mv / step_mv) * step_mv


@pytest.mark.parametrize("step_mv", [0.02, 0.025, 0.05])
def test_rounding_alone_makes_no_leads_contradict_each_other(ecg, step_mv):
    one, two = 1.5 * step_mv * np.random.default_rng(0).standard_normal((2, 5000))
    limbs = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    coarse = in_steps(np.vstack([limbs, ecg.signal_mv()[6:]]), step_mv)
    residual = coarse[1] - coarse[0] - coarse[2]
    assert residual.std() > 0.15 * coarse[:3].std(axis=1).max()
    assert law_warnings(ecg.recording(coarse), set()) == []


def test_leads_that_are_exchanged_contradict_each_other_in_coarse_steps_too(ecg):
    coarse = in_steps(ecg.signal_mv() * 0.3, 0.025)
    coarse[[1, 2]] = coarse[[2, 1]]
    assert "leads_inconsistent" in [warning.code for warning in law_warnings(ecg.recording(coarse), set())]


def drawn(bpm: float, seconds: float = 10.0, rate_hz: float = 500.0) -> np.ndarray:
    """Twelve leads of a heart without noise: P, QRS and T for each beat, and zero between."""
    since_s = (np.arange(int(seconds * rate_hz)) / rate_hz + 0.5) % (60.0 / bpm)
    waves = ((0.15, 0.03, 0.1), (0.3, 0.02, 1.0), (0.6, 0.08, 0.3))
    beat = sum(high_mv * np.exp(-(((since_s - at_s) / wide_s) ** 2)) for at_s, wide_s, high_mv in waves)
    one, two, *chest = np.multiply.outer(np.array([0.5, 1.0, 0.3, 0.5, 0.7, 0.9, 1.1, 0.8]), beat)
    return in_steps(np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *chest]), 0.005)


@pytest.mark.parametrize("bpm", [30, 35, 40])
def test_a_slow_heart_of_a_simulator_is_not_without_signal(ecg, bpm):
    assert "samples_missing" not in codes(ecg.recording(drawn(bpm)))


@pytest.mark.parametrize(("at_end", "fits"), [(100, True), (400, False)])
def test_a_little_padding_makes_no_record_too_short(ecg, at_end, fits):
    signal = ecg.signal_mv()[:, :1280]  # 2.56 s, and 2.52 are needed
    signal[:, -at_end:] = signal[:, -at_end][:, None]
    recording = replace(ecg.recording(signal), rate_hz=500.0)
    if fits:
        assert "padding_cut" not in codes(recording)
        return
    with pytest.raises(UnusableRecording) as refused:
        check_ecg(recording, PUBLISHED)
    assert refused.value.code == "too_short"
