"""A loaded bundle: what it gives for ECGs, clips and studies."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from models.architecture import demo
from models.bundle import Bundle, BundleError, ecgs_per_chunk, write_bundle
from models.ecg_shape import describe_windows
from models.probes import reweighted

RNG = np.random.default_rng(21)
WINDOWS = RNG.normal(size=(40, 1, 12, 1008)).astype(np.float32)
CLIPS = RNG.normal(size=(3, 3, 16, 64, 64)).astype(np.float32)
VIEWS = RNG.normal(size=(4, 128)).astype(np.float32)


@pytest.fixture
def bundle(bundle_dir) -> Bundle:
    return Bundle.load(bundle_dir, device="cpu")


def test_loaded_weights_give_what_the_written_modules_give(bundle, demo_modules):
    features, aligned = demo_modules["ecg_tower"](torch.from_numpy(WINDOWS[:2, 0]))
    ours = bundle.embed_ecgs(WINDOWS[:2])
    assert np.abs(ours.features_BF - features.numpy()).max() <= 2e-5
    assert np.abs(ours.embeddings_BD - F.normalize(aligned, dim=1).numpy()).max() <= 2e-5
    views = demo_modules["echo_encoder"](torch.from_numpy(CLIPS))
    assert np.abs(bundle.embed_clips(CLIPS) - views.numpy()).max() <= 2e-5


def test_an_ecg_alone_and_in_a_batch_of_several_chunks_gives_the_same_vector(bundle):
    together, alone = bundle.embed_ecgs(WINDOWS), bundle.embed_ecgs(WINDOWS[18:19])
    assert len(WINDOWS) > ecgs_per_chunk(demo(), bundle.device)
    for name in ("features_BF", "embeddings_BD", "lvef_BC", "shd_B"):
        assert np.allclose(getattr(together, name)[18], getattr(alone, name)[0], atol=2e-5), name


def test_answers_are_float32_of_unit_length_and_probabilities(bundle):
    output, study = bundle.embed_ecgs(WINDOWS[:3]), bundle.pool_study(VIEWS)
    assert np.allclose(np.linalg.norm(output.embeddings_BD, axis=1), 1, atol=1e-6)
    assert np.linalg.norm(study.embedding_D) == pytest.approx(1, abs=1e-6)
    assert np.allclose(np.linalg.norm(study.view_embeddings_VD, axis=1), 1, atol=1e-6)
    assert np.allclose(output.lvef_BC.sum(axis=1), 1, atol=1e-6)
    assert ((output.shd_B > 0) & (output.shd_B < 1)).all()
    assert output.ood is None
    vectors = [
        array
        for name, array in vars(output).items()
        if name not in ("ood", "probes", "not_predicted", "lvef_percent_B", "own_BK")
    ]
    arrays = [*vectors, *vars(study).values(), bundle.embed_clips(CLIPS[:1])]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    assert output.own_BK.dtype == np.float64, "beside a large mean float32 would lose a number"
    assert output.embeddings_BD.shape == (3, bundle.embedding_dim)


def test_windows_of_one_ecg_count_alike(bundle):
    windows = WINDOWS[:4, 0]
    each, both = bundle.embed_ecgs(windows[:, None]), bundle.embed_ecgs(windows.reshape(2, 2, 12, 1008))
    assert np.allclose(both.features_BF, each.features_BF.reshape(2, 2, -1).mean(axis=1), atol=1e-5)
    mean = each.embeddings_BD.reshape(2, 2, -1).mean(axis=1)
    assert np.allclose(both.embeddings_BD, mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-5)
    repeated = bundle.embed_ecgs(np.repeat(WINDOWS[:2], 3, axis=1))
    assert np.allclose(repeated.embeddings_BD, each.embeddings_BD[:2], atol=1e-5)


def test_half_precision_keeps_the_direction(bundle_dir, bundle):
    half = Bundle.load(bundle_dir, device="cpu", precision="bf16")
    exact, rough = bundle.embed_ecgs(WINDOWS[:4]), half.embed_ecgs(WINDOWS[:4])
    assert (exact.embeddings_BD * rough.embeddings_BD).sum(axis=1).min() >= 0.999
    assert not np.array_equal(exact.embeddings_BD, rough.embeddings_BD)
    assert rough.features_BF.dtype == np.float32


def test_only_the_first_max_views_count(bundle):
    assert bundle.manifest.echo.max_views == 5
    views = RNG.normal(size=(8, 128)).astype(np.float32)
    all_views, first = bundle.pool_study(views), bundle.pool_study(views[:5])
    assert np.array_equal(all_views.embedding_D, first.embedding_D)
    assert all_views.pool_weights_V.shape == (8,)
    assert (all_views.pool_weights_V[5:] == 0).all()
    assert all_views.pool_weights_V.sum() == pytest.approx(1, abs=1e-6)
    assert all_views.view_embeddings_VD.shape == (8, bundle.embedding_dim)


def test_view_embeddings_are_those_of_studies_of_each_view_alone(bundle):
    expected = [bundle.pool_study(VIEWS[number : number + 1]).embedding_D for number in range(len(VIEWS))]
    assert np.allclose(bundle.pool_study(VIEWS).view_embeddings_VD, expected, atol=1e-6)
    assert not np.allclose(expected[0], expected[1], atol=1e-3)


def test_a_bundle_without_probes_gives_features_only(tmp_path, draft, demo_modules):
    write_bundle(tmp_path / "b", draft, **demo_modules, card="# No probes\n")
    bundle = Bundle.load(tmp_path / "b", device="cpu", parts=("ecg",))
    output = bundle.embed_ecgs(WINDOWS[:1])
    assert bundle.probes is None
    assert output.lvef_BC is None
    assert output.shd_B is None
    assert output.features_BF.shape == (1, 96)


@pytest.fixture
def judging_dir(tmp_path, draft, demo_modules, judging_probes):
    path = tmp_path / "judging"
    write_bundle(path, draft, **demo_modules, probes=judging_probes, card="# Judging\n")
    return path


def test_the_score_of_a_bundle_is_the_largest_part_of_what_it_sees(judging_dir):
    bundle = Bundle.load(judging_dir, device="cpu", parts=("ecg",))
    output = bundle.embed_ecgs(WINDOWS[:3])
    assert output.flags_BQ.shape == (3, 1)
    assert output.flags_BQ[:, 0] == pytest.approx(output.shd_B), "the same numbers give the same probability"
    shape = describe_windows(torch.from_numpy(WINDOWS[:3]), bundle.manifest.ecg)
    parts = [
        np.log((((values - 0.1) * (1 + np.arange(values.shape[1]))) ** 2).sum(axis=1))
        for values in (output.features_BF, shape.leads_BS.numpy(), shape.texture_BS.numpy())
    ]
    expected = np.max([*parts, shape.direction_BS.sum(dim=1).numpy()], axis=0)
    assert output.ood.score_B == pytest.approx(expected, rel=1e-5)
    assert output.ood.percentile_B == pytest.approx([10 * sum(s < e for s in range(9)) for e in expected])


def test_a_bundle_moved_to_another_prevalence_answers_so_and_the_first_one_as_before(judging_dir):
    bundle = Bundle.load(judging_dir, device="cpu", parts=("ecg",))
    before = bundle.embed_ecgs(WINDOWS[:3])
    moved = bundle.with_prevalence(shd=0.1)
    after = moved.embed_ecgs(WINDOWS[:3])
    two = np.column_stack([1 - before.shd_B, before.shd_B])
    assert after.shd_B == pytest.approx(reweighted(two, (0.5, 0.5), (0.9, 0.1))[:, 1], abs=1e-6)
    assert np.array_equal(after.features_BF, before.features_BF)
    assert np.array_equal(bundle.embed_ecgs(WINDOWS[:3]).shd_B, before.shd_B)
    assert np.array_equal(after.ood.score_B, before.ood.score_B)


@pytest.mark.parametrize("windows_each", [1, 2])
def test_an_ecg_is_as_unusual_alone_as_in_a_batch_of_several_chunks(judging_dir, windows_each):
    bundle = Bundle.load(judging_dir, device="cpu", parts=("ecg",))
    windows = WINDOWS.reshape(-1, windows_each, 12, 1008)
    assert windows.shape[0] * windows_each > ecgs_per_chunk(demo(), bundle.device)
    together = bundle.embed_ecgs(windows).ood.score_B
    assert together.shape == (len(windows),)
    for row in (0, 15, len(windows) - 1):
        assert bundle.embed_ecgs(windows[row : row + 1]).ood.score_B[0] == pytest.approx(together[row], rel=1e-5)


def test_half_precision_does_not_say_how_unusual_an_ecg_is(judging_dir):
    half = Bundle.load(judging_dir, device="cpu", parts=("ecg",), precision="bf16")
    output = half.embed_ecgs(WINDOWS[:2])
    assert output.ood is None
    assert output.flags_BQ.shape == (2, 1)
    assert half.with_prevalence(shd=0.1).embed_ecgs(WINDOWS[:2]).ood is None


def test_loading_the_ecg_part_does_not_open_the_echo_files(bundle_dir):
    (bundle_dir / "echo_encoder.safetensors").unlink()
    (bundle_dir / "echo_tower.safetensors").write_bytes(b"not weights")
    bundle = Bundle.load(bundle_dir, device="cpu", parts=("ecg",))
    assert bundle.embed_ecgs(WINDOWS[:1]).shd_B.shape == (1,)
    with pytest.raises(BundleError, match=r"echo_encoder\.safetensors was not loaded"):
        bundle.embed_clips(CLIPS)
    with pytest.raises(BundleError, match=r"echo_tower\.safetensors was not loaded"):
        bundle.pool_study(VIEWS)


def test_a_loaded_model_does_not_change_when_its_files_do(bundle_dir):
    bundle = Bundle.load(bundle_dir, device="cpu", parts=("ecg",))
    before = bundle.embed_ecgs(WINDOWS[:1]).embeddings_BD
    weights = bundle_dir / "ecg_tower.safetensors"
    with weights.open("r+b") as file:
        file.write(b"\0" * weights.stat().st_size)
    assert np.array_equal(bundle.embed_ecgs(WINDOWS[:1]).embeddings_BD, before)


def test_loading_does_not_pull_in_the_compiler(bundle_dir):
    """torch's compiler and sympy cost a server 80 MB and a second; some operations without memory would load them."""
    code = (
        "import sys; from pathlib import Path; from models.bundle import Bundle;"
        "Bundle.load(Path(sys.argv[1]), device='cpu');"
        "sys.exit('sympy' in sys.modules or 'torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(bundle_dir)], check=False).returncode == 0


@pytest.mark.parametrize(
    ("windows", "named"),
    [
        (np.zeros((1, 12, 1008), np.float32), "batch, windows, leads, samples"),
        (np.zeros((0, 1, 12, 1008), np.float32), "batch, windows, leads, samples"),
        (np.zeros((1, 1, 11, 1008), np.float32), r"\(batch, 12, 1008\)"),
        (np.full((1, 1, 12, 1008), np.nan, np.float32), "finite"),
    ],
)
def test_windows_that_are_no_windows_are_refused(bundle, windows, named):
    with pytest.raises(ValueError, match=named):
        bundle.embed_ecgs(windows)


def test_a_study_without_views_is_refused(bundle):
    with pytest.raises(ValueError, match="at least one view"):
        bundle.pool_study(np.zeros((0, 128), np.float32))
