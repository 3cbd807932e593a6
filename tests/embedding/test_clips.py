import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import draft_of

from embedding.clips import ClipRow, cine_made_by, embed_clips, open_view_cache
from embedding.ecgs import fill_store
from embedding.local import _ThisProcess, reading
from embedding.prepared import clip_bytes, read_clip
from embedding.sources import clip_sha256, hash_clips
from embedding.store import ArrayStore
from inputs.echo.prepare import prepare_clip
from inputs.errors import UnreadableFile
from inputs.specs import EchoSpec
from models.bundle import Bundle, write_bundle
from models.device import Machine
from models.echo_encoder import EchoEncoder

SPEC = EchoSpec(frames=4, size=16)
HERE = Machine(torch.device("cpu"), workers=0)


@pytest.fixture
def clips(cohort_dir):
    return {path.stem: path for path in sorted((cohort_dir / "files").glob("val*.avi"))}


def echo_bundle(folder, recipe, *, seed=0):
    torch.manual_seed(seed)
    encoder = EchoEncoder(recipe.architecture.echo, recipe.architecture.view_dim)
    write_bundle(folder, draft_of(recipe, id="echo"), echo_encoder=encoder, card="")
    return Bundle.load(folder, device="cpu", parts=("echo",))


def view_vectors(bundle, clips, folder, *, machine=HERE, decoded=None, **kinds):
    """Vectors and thumbnails by clip, and what was done for them."""
    rows = [ClipRow(name, path) for name, path in clips.items()]
    with open_view_cache(folder, bundle) as cache, reading(machine.workers) as reader:
        embedded = embed_clips(bundle, rows, cache, reader, machine, decoded=decoded, **kinds)
        return {name: cache.get(sha256) for name, sha256 in embedded.sha256_of.items()}, embedded


def test_view_vectors_are_the_encoders_and_kept_per_encoder(clips, micro_recipe, tmp_path):
    first = echo_bundle(tmp_path / "one", micro_recipe)
    views, embedded = view_vectors(first, clips, tmp_path)
    assert (embedded.embedded, embedded.reused, embedded.skipped) == (len(clips), 0, {})
    with reading(0) as reader:
        for name, path in clips.items():
            expected = first.embed_clips(prepare_clip(read_clip(path, SPEC, reader), SPEC)[None])[0]
            np.testing.assert_allclose(views[name].vector_V, expected, atol=1e-5)
            assert views[name].thumbnail_jpeg.startswith(b"\xff\xd8")

    again, reused = view_vectors(first, clips, tmp_path)
    assert (reused.embedded, reused.reused) == (0, len(clips))
    others, embedded = view_vectors(echo_bundle(tmp_path / "two", micro_recipe, seed=1), clips, tmp_path)
    assert embedded.embedded == len(clips)
    for name in clips:
        np.testing.assert_array_equal(again[name].vector_V, views[name].vector_V)
        assert not np.allclose(others[name].vector_V, views[name].vector_V)


def test_guarded_children_give_what_this_process_gives(clips, micro_recipe, tmp_path):
    bundle = echo_bundle(tmp_path / "one", micro_recipe)
    here, _ = view_vectors(bundle, clips, tmp_path / "here")
    there, _ = view_vectors(bundle, clips, tmp_path / "there", machine=Machine(torch.device("cpu"), workers=2))
    for name in clips:
        np.testing.assert_array_equal(here[name].vector_V, there[name].vector_V)
        assert here[name].thumbnail_jpeg == there[name].thumbnail_jpeg


def test_view_vectors_from_decoded_clips_equal_those_from_files(clips, micro_recipe, tmp_path):
    bundle = echo_bundle(tmp_path / "one", micro_recipe)
    with ArrayStore(tmp_path / "clips", np.uint8) as decoded:
        fill_store(decoded, hash_clips(clips), clip_bytes, SPEC, HERE, stage="", hash_of=clip_sha256)
        a, _ = view_vectors(bundle, clips, tmp_path / "a", decoded=decoded)
    b, _ = view_vectors(bundle, clips, tmp_path / "b")
    for name in clips:
        np.testing.assert_array_equal(a[name].vector_V, b[name].vector_V)


def cines(bundle, clips, folder):
    with open_view_cache(folder, bundle) as cache:
        return {name: cache.cine(clip_sha256(path), cine_made_by(SPEC)) for name, path in clips.items()}


def test_a_cine_that_a_kept_view_lacks_is_made_and_nothing_is_embedded_or_read_again(
    clips, micro_recipe, tmp_path, monkeypatch
):
    bundle = echo_bundle(tmp_path / "one", micro_recipe)
    before, _ = view_vectors(bundle, clips, tmp_path)
    assert set(cines(bundle, clips, tmp_path).values()) == {None}
    after, embedded = view_vectors(bundle, clips, tmp_path, pictures=True)
    assert (embedded.embedded, embedded.reused) == (0, len(clips))
    made = cines(bundle, clips, tmp_path)
    assert {cine[:4] for cine in made.values()} <= {b"RIFF", b""}, "none of a clip in which no sector is found"
    assert any(made.values())
    for name in clips:
        np.testing.assert_array_equal(after[name].vector_V, before[name].vector_V)

    monkeypatch.setattr("embedding.local._ThisProcess.read_echo", None)
    _, again = view_vectors(bundle, clips, tmp_path, pictures=True)
    assert again.reused == len(clips)
    assert cines(bundle, clips, tmp_path) == made


def test_another_encoder_finds_the_cines_again(clips, micro_recipe, tmp_path, monkeypatch):
    one = echo_bundle(tmp_path / "one", micro_recipe)
    view_vectors(one, clips, tmp_path, pictures=True)
    made = cines(one, clips, tmp_path)
    monkeypatch.setattr("embedding.clips.cine_webp", None)
    other = echo_bundle(tmp_path / "two", micro_recipe, seed=1)
    _, embedded = view_vectors(other, clips, tmp_path, pictures=True)
    assert embedded.embedded == len(clips)
    assert cines(other, clips, tmp_path) == made
    assert any(made.values())


def test_a_view_is_the_same_with_and_without_pictures(clips, micro_recipe, tmp_path):
    bundle = echo_bundle(tmp_path / "one", micro_recipe)
    with_pictures, _ = view_vectors(bundle, clips, tmp_path / "a", pictures=True)
    without, _ = view_vectors(bundle, clips, tmp_path / "b")
    for name in clips:
        np.testing.assert_array_equal(with_pictures[name].vector_V, without[name].vector_V)


def test_damage_that_the_encoder_does_not_see_costs_frames_of_the_cine_and_no_view(
    clips, micro_recipe, tmp_path, monkeypatch
):
    bundle = echo_bundle(tmp_path / "one", micro_recipe)
    read_echo, name = _ThisProcess.read_echo, next(iter(clips))

    def damaged_further_on(self, path, *, max_frames=None, every=1):
        if max_frames > SPEC.frames_needed:
            raise UnreadableFile("video_damaged", "Frames of the video are damaged.")
        return read_echo(self, path, max_frames=max_frames, every=every)

    monkeypatch.setattr(_ThisProcess, "read_echo", damaged_further_on)
    views, embedded = view_vectors(bundle, {name: clips[name]}, tmp_path, pictures=True)
    assert (list(views), embedded.skipped) == ([name], {})
    (cine,) = cines(bundle, {name: clips[name]}, tmp_path).values()
    assert cine.startswith(b"RIFF")


def test_a_kept_view_whose_file_cannot_be_read_now_stays_without_its_cine(clips, micro_recipe, tmp_path, monkeypatch):
    bundle = echo_bundle(tmp_path / "one", micro_recipe)
    before, _ = view_vectors(bundle, clips, tmp_path)

    def fails(*_, **__):
        raise UnreadableFile("reading_failed", "The file could not be read in time.")

    monkeypatch.setattr(_ThisProcess, "read_echo", fails)
    after, embedded = view_vectors(bundle, clips, tmp_path, pictures=True)
    assert (embedded.reused, embedded.skipped, list(after)) == (len(clips), {}, list(before))
    assert set(cines(bundle, clips, tmp_path).values()) == {None}


def test_who_wants_pictures_does_not_take_a_view_without_a_thumbnail(clips, micro_recipe, tmp_path):
    bundle = echo_bundle(tmp_path / "one", micro_recipe)
    with ArrayStore(tmp_path / "clips", np.uint8) as decoded:
        fill_store(decoded, hash_clips(clips), clip_bytes, SPEC, HERE, stage="", hash_of=clip_sha256)
        bare, _ = view_vectors(bundle, clips, tmp_path, decoded=decoded)
    assert not any(view.thumbnail_jpeg for view in bare.values())
    full, embedded = view_vectors(bundle, clips, tmp_path, pictures=True)
    assert embedded.embedded == len(clips)
    assert all(view.thumbnail_jpeg for view in full.values())


def test_a_file_that_is_no_clip_is_listed_and_stops_nothing(clips, micro_recipe, tmp_path):
    (tmp_path / "bad.avi").write_bytes(b"not a clip")
    files = {"bad": tmp_path / "bad.avi", "gone": tmp_path / "gone.avi", **clips}
    views, embedded = view_vectors(echo_bundle(tmp_path / "one", micro_recipe), files, tmp_path)
    assert set(views) == set(clips)
    assert embedded.skipped == {
        "bad": "This file is not a DICOM, AVI or MP4 clip.",
        "gone": "The file does not exist.",
    }


def test_a_clip_that_changes_while_it_is_read_gets_no_vector(clips, micro_recipe, tmp_path, monkeypatch):
    name, path = next(iter(clips.items()))
    mine = Path(shutil.copy(path, tmp_path / "mine.avi"))
    other = next(other for other in clips.values() if other.read_bytes() != path.read_bytes())
    bundle = echo_bundle(tmp_path / "one", micro_recipe)

    def exchanged(path, spec, reader):
        path.write_bytes(other.read_bytes())
        return read_clip(path, spec, reader)

    with monkeypatch.context() as patched:
        patched.setattr("embedding.clips.read_clip", exchanged)
        views, embedded = view_vectors(bundle, {name: mine}, tmp_path)
    assert (views, embedded.skipped) == ({}, {name: "The file changed while it was read."})
    views, embedded = view_vectors(bundle, {name: mine, "other": other}, tmp_path)
    np.testing.assert_array_equal(views[name].vector_V, views["other"].vector_V)


@pytest.mark.parametrize("workers", [0, 2])
def test_progress_counts_what_is_kept_and_nothing_that_still_waits(clips, micro_recipe, tmp_path, workers):
    """`bad` is settled when it is refused, a clip when the cache has it, as another process sees it."""
    (tmp_path / "bad.avi").write_bytes(b"not a clip")
    bundle, said = echo_bundle(tmp_path / "one", micro_recipe), []
    names = list(clips)
    view_vectors(bundle, {name: clips[name] for name in names[1::5]}, tmp_path)
    rows = {"bad": tmp_path / "bad.avi", **clips, "again": clips[names[0]]}

    def tell(done, total, message):
        with open_view_cache(tmp_path, bundle) as another:
            kept = sum(clip_sha256(path) in another for path in rows.values())
        said.append((done, total, message))
        assert done <= kept + 1

    machine = Machine(torch.device("cpu"), workers).telling(tell)
    view_vectors(bundle, rows, tmp_path, machine=machine)
    numbers = [done for done, *_ in said]
    assert numbers == sorted(set(numbers)), "nothing is said twice"
    assert said[-1] == (len(rows), len(rows), "embed views")


def test_without_a_folder_views_are_kept_for_the_run_alone(clips, micro_recipe, tmp_path):
    bundle = echo_bundle(tmp_path / "one", micro_recipe)
    for _ in range(2):
        _, embedded = view_vectors(bundle, clips, None)
        assert embedded.embedded == len(clips)


def test_views_come_in_the_order_of_the_rows_whatever_the_cache_holds_already(clips, micro_recipe, tmp_path):
    bundle, names = echo_bundle(tmp_path / "one", micro_recipe), list(clips)
    view_vectors(bundle, {name: clips[name] for name in names[1::2]}, tmp_path)
    (tmp_path / "bad.avi").write_bytes(b"not a clip")
    views, embedded = view_vectors(
        bundle, {"bad": tmp_path / "bad.avi", **clips, "worse": tmp_path / "bad.avi"}, tmp_path
    )
    assert list(views) == names
    assert list(embedded.skipped) == ["bad", "worse"]
    assert embedded.reused == len(names) // 2


@pytest.mark.parametrize("hashes_are_known", [False, True])
def test_one_clip_under_many_names_is_embedded_once(clips, micro_recipe, tmp_path, hashes_are_known, monkeypatch):
    bundle, path = echo_bundle(tmp_path / "one", micro_recipe), next(iter(clips.values()))
    given, embed = [], bundle.embed_clips
    monkeypatch.setattr(bundle, "embed_clips", lambda batch: given.append(len(batch)) or embed(batch))
    known = clip_sha256(path) if hashes_are_known else ""
    rows = [ClipRow(number, path, known) for number in range(20)]
    with open_view_cache(tmp_path, bundle) as cache, reading(0) as reader:
        embedded = embed_clips(bundle, rows, cache, reader, HERE)
    assert given == [1]
    assert (embedded.embedded, embedded.reused, list(embedded.sha256_of)) == (1, 19, list(range(20)))


def test_a_clip_without_a_finite_vector_is_left_out_under_all_its_names(clips, micro_recipe, tmp_path, monkeypatch):
    bundle, path = echo_bundle(tmp_path / "one", micro_recipe), next(iter(clips.values()))
    monkeypatch.setattr(bundle, "embed_clips", lambda batch: np.full((len(batch), 12), np.nan, np.float32))
    rows = [ClipRow(number, path) for number in range(3)]
    with open_view_cache(tmp_path, bundle) as cache, reading(0) as reader:
        embedded = embed_clips(bundle, rows, cache, reader, HERE)
    assert embedded.skipped == dict.fromkeys(range(3), "The encoder gave no finite vector.")
    assert not embedded.sha256_of
