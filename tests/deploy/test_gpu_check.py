"""The check on a GPU host tells answers that agree from answers that do not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from deploy.gpu_check import CheckFailed, compare_judgements
from inputs.specs import EcgSpec
from models.bundle import EcgOutput
from models.ood import OodOutput

SPEC = EcgSpec(windows="mean", max_windows=2)


class StandIn:
    """Answers as the ECGs decide, with errors added."""

    def __init__(self, **errors: float) -> None:
        self.manifest = SimpleNamespace(ecg=SPEC)
        self.errors = errors
        self.windows_BWLN = np.empty(0)

    def embed_ecgs(self, windows_BWLN: np.ndarray) -> EcgOutput:
        self.windows_BWLN = windows_BWLN
        size_B = np.abs(windows_BWLN).mean(axis=(1, 2, 3))
        size_BC = np.tile(size_B[:, None] / 10, (1, 3))

        def off(name: str) -> np.ndarray:
            return np.eye(1, len(size_B), 5)[0] * self.errors.get(name, 0.0)  # of one ECG alone

        return EcgOutput(
            size_BC,
            size_BC,
            size_BC + off("lvef")[:, None],
            size_B / 10 + off("shd"),
            size_BC + off("flags")[:, None],
            OodOutput(size_B + off("ood_score"), size_B),
            lvef_percent_B=50 * size_B + off("lvef_percent"),
        )


def test_answers_alike_are_reported_with_their_differences():
    cpu, gpu = StandIn(), StandIn(shd=1e-4, ood_score=-5e-3)
    found = compare_judgements(cpu, gpu)
    assert found["shd_largest_difference"] == pytest.approx(1e-4)
    assert found["ood_score_largest_difference"] == pytest.approx(5e-3)
    assert found["flags_largest_difference"] == found["lvef_largest_difference"] == 0
    assert cpu.windows_BWLN.shape == (64, 2, 12, SPEC.window_samples)
    assert np.array_equal(cpu.windows_BWLN, gpu.windows_BWLN)
    kurtosis = (cpu.windows_BWLN**4).mean(axis=-1) / (cpu.windows_BWLN**2).mean(axis=-1) ** 2
    assert np.median(kurtosis) > 5, "ordinary ECGs have beats; noise has 3"


@pytest.mark.parametrize(
    "error", [{"lvef": 0.002}, {"shd": -0.002}, {"flags": 0.002}, {"ood_score": 0.02}, {"lvef_percent": 0.2}]
)
def test_one_ecg_judged_otherwise_fails_the_check(error):
    with pytest.raises(CheckFailed, match=rf"^{next(iter(error))}_largest_difference is 0\.0*2, more"):
        compare_judgements(StandIn(), StandIn(**error))


def test_a_score_that_is_no_number_fails_the_check():
    with pytest.raises(CheckFailed, match="ood_score_largest_difference is nan"):
        compare_judgements(StandIn(), StandIn(ood_score=float("nan")))


@pytest.mark.parametrize("missing", ["flags_BQ", "ood"])
def test_a_bundle_that_says_too_little_fails_the_check(missing):
    quiet = StandIn()
    full = quiet.embed_ecgs
    quiet.embed_ecgs = lambda windows_BWLN: replace(full(windows_BWLN), **{missing: None})
    with pytest.raises(CheckFailed, match="demo bundle"):
        compare_judgements(quiet, StandIn())
    with pytest.raises(CheckFailed, match="the GPU says less"):
        compare_judgements(StandIn(), quiet)
