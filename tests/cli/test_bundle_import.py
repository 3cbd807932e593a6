"""`bundle import`: from files as they are published to the published numbers, and a report that hides nothing."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from published_files import otis_content, save, save_single_file

from embedding.given_views import check_views
from inputs.view_source import ViewSource
from models.bundle import Bundle, BundleError, read_manifest

FEATURES, UNIT, CLIPS = 2e-5, 2e-5, 1e-3


@pytest.fixture(scope="module")
def imported(published_components, tmp_path_factory):
    from models.published.importer import import_bundle

    out = tmp_path_factory.mktemp("imported") / "bundle"
    return out, import_bundle(out, components=published_components)


@pytest.fixture
def single_file(published, tmp_path):
    parts = {name: published.weights(name) for name in ("ecg_encoder", "token_aggregator")}
    return save_single_file(parts, tmp_path / "echo2ecg.ckpt")


@pytest.fixture
def otis(published, tmp_path):
    encoder = published.weights("ecg_encoder")
    rows = np.random.default_rng(4).normal(size=(39, 96)).astype(np.float32)
    return save(otis_content(encoder, lead_rows=encoder["cls_token"].new_tensor(rows)), tmp_path / "otis.pth")


def loaded(file):
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_prepared_ecgs_get_the_published_features_and_embeddings(imported, published, command, tmp_path):
    np.save(tmp_path / "x.npy", published.ecg_windows.numpy())
    arguments = ("--prepared", tmp_path / "x.npy", "--bundle", imported[0], "-o", tmp_path / "ecg.npz")
    assert command("embed", "ecg", *arguments, "--device", "cpu")[0] == 0
    found = loaded(tmp_path / "ecg.npz")
    assert found["features"].shape == (4, 192)
    assert found["embeddings"].shape == (4, 512)
    assert np.abs(found["features"] - published.numbers["ecg_global_token"]).max() <= FEATURES
    assert np.abs(found["embeddings"] - published.numbers["ecg_aligned_l2norm"]).max() <= UNIT


def test_view_vectors_get_the_published_study_tokens_and_embeddings(imported, published, command, tmp_path):
    views, present = (tensor.numpy() for tensor in published.views)
    np.savez(tmp_path / "v.npz", views=views, present=present)
    arguments = ("--views", tmp_path / "v.npz", "--bundle", imported[0], "-o", tmp_path / "echo.npz")
    assert command("embed", "echo", *arguments, "--device", "cpu")[0] == 0
    found = loaded(tmp_path / "echo.npz")
    assert np.abs(found["study_tokens"] - published.numbers["echo_study_token"]).max() <= FEATURES
    assert np.abs(found["embeddings"] - published.numbers["echo_aligned_l2norm"]).max() <= UNIT
    assert found["pool_weights"].shape == (4, 128)
    assert np.array_equal(found["pool_weights"] > 0, present)
    assert np.allclose(found["pool_weights"].sum(axis=1), 1, atol=1e-5)


def test_prepared_clips_get_the_published_vectors(imported, published, command, tmp_path):
    np.save(tmp_path / "c.npy", published.clips[:1].numpy())
    arguments = ("--prepared", tmp_path / "c.npy", "--bundle", imported[0], "-o", tmp_path / "clips.npz")
    assert command("embed", "clips", *arguments, "--device", "cpu")[0] == 0
    found = loaded(tmp_path / "clips.npz")["clip_embeddings"]
    assert found.shape == (1, 512)
    assert np.abs(found - published.numbers["mvit_embedding"][:1]).max() <= CLIPS


def test_an_imported_bundle_says_where_it_is_from_and_under_which_licences(imported, published_components):
    out, report = imported
    card = (out / "README.md").read_text()
    assert "These weights were not made here" in card
    assert "Echo2ECG: MIT" in card
    assert "OTiS: MIT" in card
    assert "LICENSE file is academic and non-commercial" in card
    assert "ecg_multimodal.ckpt" in card
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["training_data"]["trained_here"] is False
    assert len(manifest["training_data"]["imported_files"]) == 7
    assert "retrieval: complete." in report
    assert str(published_components) not in card + " ".join(report)
    assert sorted(file.name for file in out.iterdir() if file.suffix not in (".md", ".json")) == [
        "ecg_tower.safetensors", "echo_encoder.safetensors", "echo_tower.safetensors", "self_test.safetensors",
    ]  # fmt: skip


def test_the_single_file_over_the_start_gives_a_features_only_bundle(single_file, otis, command, published, tmp_path):
    out = tmp_path / "bundle"
    code, said, _ = command("bundle", "import", "--otis", otis, "--echo2ecg", single_file, "--out", out)
    assert code == 0
    assert "otis.pth (OTiS) gave ecg_encoder" in said
    assert "decoder_embed.weight" in said
    assert "ecg_encoder of otis.pth gave way to that of echo2ecg.ckpt (other numbers)." in said
    assert "ECG features: complete." in said
    assert "ECG embeddings: missing ecg_alignment_global_token." in said
    assert "training start: missing echo_encoder." in said
    assert command("bundle", "verify", out)[0] == 0
    np.save(tmp_path / "x.npy", published.ecg_windows[:2].numpy())
    arguments = ("--prepared", tmp_path / "x.npy", "--bundle", out, "-o", tmp_path / "ecg.npz", "--device", "cpu")
    code, said, _ = command("embed", "ecg", *arguments)
    assert code == 0
    assert "embeddings are left out" in said
    found = loaded(tmp_path / "ecg.npz")
    assert list(found) == ["features"]
    assert np.abs(found["features"] - published.numbers["ecg_global_token"][:2]).max() <= FEATURES


def test_the_start_alone_loads_and_names_what_features_need(otis, command, published, tmp_path):
    assert command("bundle", "import", "--otis", otis, "--out", tmp_path / "bundle")[0] == 0
    assert Bundle.load(tmp_path / "bundle", device="cpu", parts=("ecg",)).manifest.absent == (
        "token_aggregator", "ecg_alignment_global_token",
    )  # fmt: skip
    np.save(tmp_path / "x.npy", published.ecg_windows[:1].numpy())
    arguments = ("--prepared", tmp_path / "x.npy", "--bundle", tmp_path / "bundle", "-o", tmp_path / "o.npz")
    code, _, sentence = command("embed", "ecg", *arguments)
    assert code == 1
    assert "token_aggregator" in sentence
    assert not (tmp_path / "o.npz").exists()


@pytest.fixture
def without_echo_encoder(published_components, tmp_path):
    folder = tmp_path / "components"
    folder.mkdir()
    for file in published_components.iterdir():
        if file.name != "echo_multimodal.ckpt":
            (folder / file.name).symlink_to(file)
    return folder


def test_without_an_echo_encoder_somebody_says_whose_view_vectors_are_taken(without_echo_encoder, command, tmp_path):
    given = ("bundle", "import", "--components", without_echo_encoder, "--out")
    code, said, _ = command(*given, tmp_path / "unsaid")
    assert code == 0
    assert "No echo encoder: import again with --echoprime FILE, or with --vectors-of NAME" in said
    code, said, _ = command(*given, tmp_path / "said", "--vectors-of", "EchoPrime")
    assert code == 0
    assert "View vectors of EchoPrime (512 numbers) are taken instead of clips." in said
    unsaid, named = (read_manifest(tmp_path / name)[0] for name in ("unsaid", "said"))
    assert (named.gives("retrieval"), unsaid.gives("retrieval")) == (True, False)
    cohort = SimpleNamespace(
        echos=pd.DataFrame(), given_views=pd.DataFrame({"a": [1]}), view_source=ViewSource(name="EchoPrime", width=512)
    )
    check_views(named, cohort)
    with pytest.raises(BundleError, match="does not say whose it takes") as refused:
        check_views(unsaid, cohort)
    assert "--vectors-of NAME" in refused.value.hint


def test_a_source_of_vectors_that_nothing_takes_is_refused(published_components, single_file, command, tmp_path):
    given = ("bundle", "import", "--out", tmp_path / "bundle", "--vectors-of", "EchoPrime")
    assert (
        "the files give an echo encoder, which makes them." in command(*given, "--components", published_components)[2]
    )
    assert "the files give nothing that takes any." in command(*given, "--echo2ecg", single_file)[2]
    assert not (tmp_path / "bundle").exists()


def test_nothing_is_written_when_a_file_is_refused(single_file, command, tmp_path):
    (tmp_path / "otis.pth").write_bytes(b"not a checkpoint")
    arguments = ("--otis", tmp_path / "otis.pth", "--echo2ecg", single_file, "--out", tmp_path / "bundle")
    code, _, sentence = command("bundle", "import", *arguments)
    assert code == 1
    assert sentence.startswith("otis.pth is not in torch's zip format")
    assert not (tmp_path / "bundle").exists()


def test_an_existing_folder_is_never_written_into(single_file, command, tmp_path):
    (tmp_path / "bundle").mkdir()
    code, _, sentence = command("bundle", "import", "--echo2ecg", single_file, "--out", tmp_path / "bundle")
    assert code == 1
    assert "exists already" in sentence
    assert list((tmp_path / "bundle").iterdir()) == []


def test_an_import_of_nothing_is_wrong_usage(command, tmp_path):
    code, said, _ = command("bundle", "import", "--out", tmp_path / "bundle")
    assert code == 2
    assert "--otis" in said
