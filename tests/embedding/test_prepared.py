from pathlib import Path

import numpy as np
import pytest
import torch

from embedding.clips import cache_view_vectors
from embedding.prepared import (
    clip_array,
    clip_bytes,
    ecg_array,
    fill_store,
    hash_clips,
    hash_ecgs,
    normalised_clip,
    prepared,
)
from embedding.store import ArrayStore
from ground.findings import SHD_FLAGS
from ground.progress import silent
from inputs.specs import EcgSpec, EchoSpec
from models.bundle import Bundle, read_manifest, write_bundle
from models.echo_encoder import EchoEncoder
from models.labels import LabelDefinitions

SPEC = EchoSpec(frames=4, size=16)


@pytest.fixture
def clips(cohort_dir):
    return {path.stem: path for path in sorted((cohort_dir / "files").glob("val*.avi"))}


def echo_bundle(folder, recipe, *, seed=0):
    torch.manual_seed(seed)
    encoder = EchoEncoder(recipe.architecture.echo, recipe.architecture.view_dim)
    fields = {
        "id": "echo", "created": "2026-01-01T00:00:00Z", "code_version": "0", "seeds": {},
        "architecture": recipe.architecture, "ecg": recipe.ecg, "echo": recipe.echo,
        "labels": LabelDefinitions(shd_flags=SHD_FLAGS), "metrics": {}, "training_data": {},
    }  # fmt: skip
    write_bundle(
        folder, manifest_fields=fields, ecg_tower=None, echo_encoder=encoder, echo_tower=None, probes=None, card=""
    )
    return Bundle.load(folder, device="cpu", parts=("echo",))


def test_a_clip_kept_as_bytes_is_bit_for_bit_what_preparation_gives(clips):
    for path in clips.values():
        np.testing.assert_array_equal(normalised_clip(clip_bytes(path, SPEC), SPEC), clip_array(path, SPEC))


def test_spawned_workers_give_what_this_process_gives_in_the_same_order(clips):
    here = list(prepared(clips, clip_array, SPEC, workers=0))
    there = list(prepared(clips, clip_array, SPEC, workers=2))
    assert [key for key, _ in there] == list(clips)
    for (_, a), (_, b) in zip(here, there, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_ecgs_hash_covers_its_signal_file(cohort_dir, tmp_path):
    for suffix in ("hea", "dat"):
        (tmp_path / f"val0.{suffix}").write_bytes((cohort_dir / "files" / f"val0.{suffix}").read_bytes())
    path = {"e": tmp_path / "val0.hea"}
    before = hash_ecgs(path).files["e"].sha256
    (tmp_path / "val0.dat").write_bytes(bytes(24 * 1200))
    assert hash_ecgs(path).files["e"].sha256 != before


def test_unusable_files_are_named_with_their_reason_and_not_tried_again(cohort_dir, tmp_path):
    (tmp_path / "bad.hea").write_text("not a header")
    paths = {"bad": tmp_path / "bad.hea", "good": cohort_dir / "files" / "val0.hea", "gone": Path("/nowhere/x.hea")}
    spec = EcgSpec(window_samples=480)
    with ArrayStore(tmp_path / "store", np.float32) as store:
        usable = fill_store(store, hash_ecgs(paths), ecg_array, spec, workers=0, stage="", progress=silent)
        assert set(usable.files) == {"good"}
        assert set(usable.skipped) == {"bad", "gone"}
        assert all(usable.skipped.values())
        np.testing.assert_array_equal(store[usable.files["good"].sha256], ecg_array(paths["good"], spec))
        calls = []
        again = fill_store(
            store, hash_ecgs(paths), lambda *a: calls.append(a), spec, workers=0, stage="", progress=silent
        )
        assert not calls
        assert again == usable


def test_view_vectors_are_the_encoders_and_cached_per_encoder(clips, micro_recipe, tmp_path):
    first = echo_bundle(tmp_path / "one", micro_recipe)
    vectors, skipped = cache_view_vectors(first, hash_clips(clips), tmp_path, workers=0, progress=silent)
    assert not skipped
    for name, path in clips.items():
        expected = first.embed_clips(clip_array(path, SPEC)[None])[0]
        np.testing.assert_allclose(vectors[name], expected, atol=1e-5)

    messages = []
    again, _ = cache_view_vectors(first, hash_clips(clips), tmp_path, workers=0, progress=lambda *a: messages.append(a))
    assert not messages
    other = echo_bundle(tmp_path / "two", micro_recipe, seed=1)
    others, _ = cache_view_vectors(other, hash_clips(clips), tmp_path, workers=0, progress=silent)
    for name in clips:
        np.testing.assert_array_equal(again[name], vectors[name])
        assert not np.allclose(others[name], vectors[name])
    assert read_manifest(tmp_path / "one")[0].files != read_manifest(tmp_path / "two")[0].files


def test_view_vectors_from_decoded_clips_equal_those_from_files(clips, micro_recipe, tmp_path):
    bundle = echo_bundle(tmp_path / "one", micro_recipe)
    sources = hash_clips(clips)
    with ArrayStore(tmp_path / "clips", np.uint8) as decoded:
        fill_store(decoded, sources, clip_bytes, SPEC, workers=0, stage="", progress=silent)
        a, _ = cache_view_vectors(bundle, sources, tmp_path / "a", workers=0, progress=silent, decoded=decoded)
    b, _ = cache_view_vectors(bundle, sources, tmp_path / "b", workers=0, progress=silent)
    for name in clips:
        np.testing.assert_array_equal(a[name], b[name])
