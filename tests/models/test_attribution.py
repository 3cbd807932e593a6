"""Maps of patches: they sum to what they explain, are the same alone and in a batch, and explain what is served."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models import attribution
from models.architecture import EcgArchitecture, demo
from models.attribution import METHODS, Explainer, log_odds
from models.bundle import Bundle, write_bundle
from models.lvef_number import LvefNumber, LvefNumberHead
from models.probe_heads import ProbeHeads
from models.probes import Probes
from models.towers import EcgTower

SIZES = EcgArchitecture(leads=3, window_samples=84, patch_samples=12, embed_dim=96, depth=2, heads=3)
FEW_ROWS = 8
"""Less than the patches of a window, so that they are encoded in several goes."""


@pytest.fixture(scope="module")
def all_probes(judging_probes):
    """With LVEF as a number, and SHD raised to a flag that is brought between the LVEF classes."""
    numbers = judging_probes.model_dump()
    width = len(numbers["feature_mean_F"])
    numbers["lvef"]["number"] = LvefNumber(weight_F=(0.3,) * width, bias=50.0).model_dump()
    numbers["shd_covers_flags"] = True
    numbers["flags"]["lvef_lte_45_flag"]["lvef_classes"] = (1, 2)
    return Probes.model_validate(numbers)


@pytest.fixture(scope="module")
def tower():
    torch.manual_seed(12)
    tower = EcgTower(demo().model_copy(update={"ecg": SIZES})).eval()
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return tower


@pytest.fixture(scope="module")
def explainer(tower, all_probes):
    number = LvefNumberHead(all_probes.lvef.number, all_probes.feature_mean_F, all_probes.feature_std_F)
    return Explainer(tower, ProbeHeads(all_probes), number, rate_hz=400.0, rows=FEW_ROWS)


def ecgs(count, windows=1, sizes=SIZES):
    """Made-up ECGs that are flat for more than half of their patches."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(count, windows, sizes.leads, sizes.patches_per_lead, sizes.patch_samples))
    signal[..., ::2, :] = 0.1
    return signal.reshape(count, windows, sizes.leads, sizes.window_samples).astype(np.float32)


def studies(count, seed=1):
    drawn = np.random.default_rng(seed).normal(size=(count, demo().embedding_dim)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_integrated_gradients_sum_to_the_difference_from_the_records_own_zero(explainer):
    found = explainer.attribution(ecgs(2, windows=2), studies(2))
    assert found.targets == ("lvef_lowest", "shd", "lvef_percent", "match")
    difference_BT = found.value_BT - found.zero_BT
    assert (np.abs(difference_BT) > 1e-3).all()
    assert found.map_BTWLP.sum(axis=(2, 3, 4)) == pytest.approx(difference_BT, rel=0.01, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_is_the_same_alone_and_in_a_batch(explainer, method, monkeypatch):
    monkeypatch.setattr(attribution, "STEPS", 4)
    windows, near = ecgs(3), studies(3)
    together = explainer.attribution(windows, near, method=method)
    for number in range(3):
        alone = explainer.attribution(windows[number : number + 1], near[number : number + 1], method=method)
        assert np.array_equal(alone.map_BTWLP[0], together.map_BTWLP[number])
    assert together.map_BTWLP.shape == (3, 4, 1, SIZES.leads, SIZES.patches_per_lead)
    assert not np.allclose(together.map_BTWLP[0], together.map_BTWLP[1])


@pytest.mark.parametrize("method", METHODS)
def test_a_patch_at_its_leads_own_zero_speaks_for_nothing(explainer, method, monkeypatch):
    monkeypatch.setattr(attribution, "STEPS", 4)
    map_LP = explainer.attribution(ecgs(1), method=method).map_BTWLP[0, 0, 0]
    # The flat ones of `ecgs` are most, so that the median lies there; occlusion rounds.
    assert np.abs(map_LP[:, ::2]).max() < 1e-6 < 1e-4 < np.abs(map_LP[:, 1::2]).min()


def test_occlusion_says_what_is_lost_with_one_patch(explainer):
    windows = ecgs(1, windows=2)
    found = explainer.attribution(windows, studies(1), method="occlusion")
    without = windows.copy()
    without[0, 1, 2, SIZES.patch_samples : 2 * SIZES.patch_samples] = np.float32(0.1)
    with torch.no_grad():
        left_T = explainer.said(torch.from_numpy(without), torch.from_numpy(studies(1)[0]))[0].numpy()
    assert found.map_BTWLP[0, :, 1, 2, 1] == pytest.approx(found.value_BT[0] - left_T, rel=1e-3, abs=1e-6)


def test_what_is_explained_is_what_a_bundle_says(tmp_path, draft, demo_modules, all_probes):
    path = tmp_path / "bundle"
    write_bundle(path, draft, **demo_modules, probes=all_probes, card="# A test bundle\n")
    bundle = Bundle.load(path, device="cpu", parts=("ecg",))
    windows, near = ecgs(3, windows=2, sizes=demo().ecg), studies(3)
    output = bundle.embed_ecgs(windows)
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():  # as on a thread that serves
        patch.setattr(attribution, "STEPS", 1)
        found = bundle.explainer().attribution(windows, near)
    lowest_B, shd_B, percent_B, match_B = found.value_BT.T
    assert 1 / (1 + np.exp(-lowest_B)) == pytest.approx(output.lvef_BC[:, 0], abs=1e-5)
    assert 1 / (1 + np.exp(-shd_B)) == pytest.approx(output.shd_B, abs=1e-5)
    assert np.clip(percent_B, 0, 100) == pytest.approx(output.lvef_percent_B, abs=1e-3)
    assert match_B == pytest.approx((output.embeddings_BD * near).sum(axis=1), abs=1e-5)
    assert found.patch_s_P[:2].tolist() == [0.0, demo().ecg.patch_samples / 400.0]


@pytest.mark.parametrize("method", METHODS)
def test_one_target_alone_has_the_map_that_it_has_among_all(explainer, method, monkeypatch):
    monkeypatch.setattr(attribution, "STEPS", 8)
    every = explainer.attribution(ecgs(1, windows=2), studies(1), method=method)
    for place, target in enumerate(every.targets):
        alone = explainer.attribution(ecgs(1, windows=2), studies(1), method=method, asked=(target,))
        assert alone.targets == (target,)
        np.testing.assert_allclose(alone.map_BTWLP[:, 0], every.map_BTWLP[:, place], atol=1e-5)
        np.testing.assert_allclose(alone.value_BT[:, 0], every.value_BT[:, place], rtol=1e-6)
    with pytest.raises(ValueError, match="do not say what is asked"):
        explainer.attribution(ecgs(1), asked=("match",))


@pytest.mark.parametrize("method", METHODS)
def test_whoever_does_not_want_it_any_more_is_asked_between_its_points_and_ends_it(explainer, method):
    class Enough(Exception):
        pass

    asked: list[int] = []

    def go_on() -> None:
        asked.append(1)
        if len(asked) == 5:
            raise Enough

    explainer.rows = 4
    whole = explainer.attribution(ecgs(1), studies(1), method=method, go_on=lambda: asked.append(1))
    points = (
        attribution.STEPS if method == "integrated_gradients" else math.ceil(SIZES.leads * SIZES.patches_per_lead / 4)
    )
    assert len(asked) == points
    assert np.array_equal(whole.map_BTWLP, explainer.attribution(ecgs(1), studies(1), method=method).map_BTWLP)
    asked.clear()
    with pytest.raises(Enough):
        explainer.attribution(ecgs(1), studies(1), method=method, go_on=go_on)
    assert len(asked) == 5


@pytest.mark.parametrize("bounds", [(0, 1), (1, 2), (2, 3), (0, 3)])
def test_log_odds_are_those_of_the_probabilities_bounds_and_flags_included(all_probes, bounds):
    numbers = all_probes.model_dump()
    numbers["flags"]["lvef_lte_45_flag"]["lvef_classes"] = bounds
    heads = ProbeHeads(Probes.model_validate(numbers))
    features_BF = torch.randn(200, SIZES.embed_dim, generator=torch.Generator().manual_seed(0))
    said = heads(features_BF)
    lowest_B, shd_B = log_odds(heads, features_BF)
    assert torch.allclose(lowest_B.sigmoid(), said.lvef_BC[:, 0], atol=1e-5)
    assert torch.allclose(shd_B.sigmoid(), said.shd_B, atol=1e-5)


def test_without_heads_only_a_match_can_be_explained(tower):
    bare = Explainer(tower, None, None, rate_hz=400.0, rows=FEW_ROWS)
    assert bare.targets(match=True) == ("match",)
    with pytest.raises(ValueError, match="nothing that could be explained"):
        bare.attribution(ecgs(1))


@pytest.mark.parametrize(
    ("windows", "near", "named"),
    [
        (ecgs(1)[0], None, "windows"),
        (np.full_like(ecgs(1), np.nan), None, "finite"),
        (ecgs(2), studies(1), "one study for each"),
    ],
)
def test_what_is_no_ecg_or_has_no_study_is_refused(explainer, windows, near, named):
    with pytest.raises(ValueError, match=named):
        explainer.attribution(windows, near)
