"""Bundles with gaps: what is there works, what is missing is named; and studies pooled together."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from models.architecture import demo
from models.bundle import (
    TOWER_COMPONENTS,
    Bundle,
    BundleDraft,
    BundleError,
    Use,
    read_ecg_tower,
    read_manifest,
    verify_bundle,
    without,
    write_bundle,
)
from models.towers import EcgTower, EchoTower

RNG = np.random.default_rng(31)
WINDOWS = RNG.normal(size=(3, 2, 12, demo().ecg.window_samples)).astype(np.float32)
VIEWS = RNG.normal(size=(3, 8, demo().view_dim)).astype(np.float32)
PRESENT = np.arange(8) < np.array([[1], [4], [8]])


def tower(kind: type[EcgTower] | type[EchoTower], whole: Any, absent: tuple[str, ...]) -> Any:
    """A copy of a tower without some of its components."""
    copied = kind(demo())
    copied.load_state_dict(whole.state_dict())
    return without(copied.eval(), absent)


@pytest.fixture
def gaps(tmp_path, draft, demo_modules):
    """A bundle without the components named."""

    def write(*absent: str) -> Bundle:
        write_bundle(
            tmp_path / "gaps",
            draft.model_copy(update={"absent": absent}),
            ecg_tower=tower(EcgTower, demo_modules["ecg_tower"], absent),
            echo_tower=tower(EchoTower, demo_modules["echo_tower"], absent),
            card="# Gaps\n",
        )
        verify_bundle(tmp_path / "gaps")
        return Bundle.load(tmp_path / "gaps", device="cpu")

    return write


def test_the_named_components_are_the_towers_own(demo_modules):
    for file, name in (("ecg_tower.safetensors", "ecg_tower"), ("echo_tower.safetensors", "echo_tower")):
        assert TOWER_COMPONENTS[file] == tuple(child for child, _ in demo_modules[name].named_children())


def test_features_alone_are_the_features_of_the_whole(bundle_dir):
    bundle = Bundle.load(bundle_dir, device="cpu", parts=("ecg",))
    assert np.allclose(bundle.ecg_features(WINDOWS), bundle.embed_ecgs(WINDOWS).features_BF, atol=1e-6)


def test_without_alignment_features_and_predictions_remain_and_there_are_no_embeddings(gaps, bundle_dir):
    bundle, whole = gaps("ecg_alignment_global_token"), Bundle.load(bundle_dir, device="cpu")
    assert np.array_equal(bundle.ecg_features(WINDOWS), whole.ecg_features(WINDOWS))
    assert "ecg_embeddings" not in bundle.gives
    output = bundle.embed_ecgs(WINDOWS)
    assert output.embeddings_BD is None
    assert output.row(0).embedding_D is None
    assert np.allclose(output.features_BF, whole.ecg_features(WINDOWS), atol=1e-6)


def test_an_encoder_alone_gives_the_plain_mean_of_its_tokens(gaps, bundle_dir):
    bundle, whole = gaps("token_aggregator", "ecg_alignment_global_token"), Bundle.load(bundle_dir, device="cpu")
    one = WINDOWS[:, :1]  # of several windows the normalised ones are averaged
    found, normalised = bundle.embed_ecgs(one).features_BF, whole.ecg_features(one)
    assert "ecg_features" not in bundle.gives
    assert not np.allclose(found, normalised)
    norm = read_ecg_tower(bundle_dir, whole.manifest).token_aggregator.ecg_layernorm_global
    assert np.allclose(norm(torch.from_numpy(found)).numpy(), normalised, atol=1e-4)


@pytest.mark.parametrize("absent", [("token_aggregator", "ecg_alignment_global_token"), ("ecg_encoder",)])
def test_a_bundle_that_cannot_give_features_loads_and_names_what_is_missing(gaps, absent):
    bundle = gaps(*absent)
    with pytest.raises(BundleError, match=absent[0]):
        bundle.ecg_features(WINDOWS)


def test_without_alignment_studies_are_still_pooled(gaps, bundle_dir):
    bundle, whole = gaps("echo_alignment_global_token"), Bundle.load(bundle_dir, device="cpu")
    found, expected = bundle.pool_studies(VIEWS, PRESENT), whole.pool_studies(VIEWS, PRESENT)
    assert found.embeddings_BD is None
    assert np.array_equal(found.tokens_BP, expected.tokens_BP)
    with pytest.raises(BundleError, match="echo_alignment_global_token"):
        bundle.pool_study(VIEWS[0])


@pytest.mark.parametrize(
    ("file", "use"),
    [
        ("echo_encoder", lambda bundle: bundle.embed_clips(np.zeros((1, 3, 16, 8, 8), np.float32))),
        ("echo_tower", lambda bundle: bundle.pool_study(VIEWS[0])),
        ("echo_tower", lambda bundle: bundle.pool_studies(VIEWS, PRESENT)),
    ],
)
def test_a_file_that_the_bundle_lacks_is_said_to_be_missing(tmp_path, draft, demo_modules, file, use):
    parts = {"ecg_tower": None, **{name: demo_modules[name] for name in ("echo_encoder", "echo_tower")}, file: None}
    write_bundle(tmp_path / "b", draft, **parts, card="# Without\n")
    bundle = Bundle.load(tmp_path / "b", device="cpu", parts=("echo",))
    with pytest.raises(BundleError) as caught:
        use(bundle)
    assert str(caught.value) == f"this bundle has no {file}.safetensors, which these vectors need"


def test_a_gap_that_the_manifest_does_not_tell_is_refused(tmp_path, draft, demo_modules):
    half = tower(EcgTower, demo_modules["ecg_tower"], ("token_aggregator",))
    with pytest.raises(ValueError, match=r"token_aggregator\.ecg_layernorm_global\.weight \(96,\) is missing"):
        write_bundle(tmp_path / "a", draft, ecg_tower=half, card="# Gaps\n")
    told = draft.model_copy(update={"absent": ("token_aggregator",)})
    with pytest.raises(ValueError, match="is not expected"):
        write_bundle(tmp_path / "b", told, ecg_tower=demo_modules["ecg_tower"], card="# Gaps\n")
    with pytest.raises(ValueError, match="no tower has"):
        BundleDraft.model_validate(dict(draft) | {"absent": ("head",)})


def test_a_manifest_says_what_a_bundle_gives_and_what_is_missing(gaps, bundle_dir):
    whole = read_manifest(bundle_dir)[0]
    assert all(whole.gives(use) for use in get_args(Use))
    unaligned = gaps("ecg_alignment_global_token").manifest
    assert {use for use in get_args(Use) if not unaligned.gives(use)} == {
        "ecg_embeddings", "predictions", "view_vectors", "retrieval"
    }  # fmt: skip
    assert unaligned.lacks("ecg_embeddings") == ("ecg_alignment_global_token",)
    assert unaligned.lacks("retrieval") == ("echo_encoder.safetensors", "ecg_alignment_global_token")
    assert unaligned.lacks("predictions") == ("probes.json",)


def test_studies_pooled_together_are_the_studies_pooled_alone(bundle_dir):
    bundle = Bundle.load(bundle_dir, device="cpu", parts=("echo",))
    assert bundle.manifest.echo.max_views == 5
    padded = np.where(PRESENT[:, :, None], VIEWS, np.float32("nan"))
    together = bundle.pool_studies(padded, PRESENT)
    for row, (views, present) in enumerate(zip(VIEWS, PRESENT, strict=True)):
        alone = bundle.pool_study(views[present])
        assert np.allclose(together.tokens_BP[row], alone.token, atol=1e-5)
        assert np.allclose(together.embeddings_BD[row], alone.embedding_D, atol=1e-6)
        assert np.allclose(together.pool_weights_BV[row, present], alone.pool_weights_V, atol=1e-6)
        assert (together.pool_weights_BV[row, ~present] == 0).all()


def test_gaps_between_views_do_not_use_up_the_views_that_count(bundle_dir):
    bundle = Bundle.load(bundle_dir, device="cpu", parts=("echo",))
    present = np.array([[False, True, True, False, True, True, True, True]])
    found = bundle.pool_studies(VIEWS[:1], present)
    alone = bundle.pool_study(VIEWS[0, present[0]][:5])
    assert np.allclose(found.tokens_BP[0], alone.token, atol=1e-5)
    assert (found.pool_weights_BV[0] > 0).tolist() == [False, True, True, False, True, True, True, False]
