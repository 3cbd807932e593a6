import errno
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from embedding.ecgs import ecg_array, ecg_sha256, fill_store, hash_ecgs, prepared_ecgs
from embedding.local import Refused, attempt, in_order, reading
from embedding.prepared import clip_bytes, normalised_clip, read_clip
from embedding.sources import clip_sha256, hash_clips
from embedding.store import ArrayStore
from inputs.echo.prepare import prepare_clip
from inputs.errors import ReaderUnavailable, UnreadableFile
from inputs.specs import EcgSpec, EchoSpec
from models.device import Machine

CLIP_SPEC = EchoSpec(frames=4, size=16)
SPEC = EcgSpec(window_samples=480)
HERE = Machine(torch.device("cpu"), workers=0)


def test_a_clip_kept_as_bytes_is_bit_for_bit_what_preparation_gives(cohort_dir):
    with reading(0) as reader:
        for path in sorted((cohort_dir / "files").glob("val*.avi")):
            kept = normalised_clip(clip_bytes(path, CLIP_SPEC, reader), CLIP_SPEC)
            np.testing.assert_array_equal(kept, prepare_clip(read_clip(path, CLIP_SPEC, reader), CLIP_SPEC))


def test_guarded_children_give_what_this_process_gives(cohort_dir, tmp_path):
    paths = {path.stem: path for path in sorted((cohort_dir / "files").glob("val*.hea"))}
    here, _ = prepared_ecgs(paths, SPEC, tmp_path / "here", HERE)
    there, _ = prepared_ecgs(paths, SPEC, tmp_path / "there", Machine(torch.device("cpu"), workers=2))
    assert list(here) == list(there) == list(paths)
    for name in paths:
        np.testing.assert_array_equal(here[name], there[name])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order_and_few_are_made_ahead(workers):
    made = []

    def work(number):
        made.append(number)
        return number * number

    with in_order(work, range(20), workers=workers, ahead=4) as results:
        for number, square in results:
            assert square == number * number
            assert len(made) <= number + 1 + 4 + workers
    assert sorted(made) == list(range(20))


def test_when_whoever_takes_results_fails_no_thread_works_any_more():
    working = set()

    def work(number):
        working.add(number)
        time.sleep(0.05)
        working.discard(number)

    def take_one_and_fail():
        with in_order(work, range(20), workers=3, ahead=4) as results:
            next(results)
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        take_one_and_fail()
    assert not working


def test_an_ecgs_hash_covers_its_signal_file(cohort_dir, tmp_path):
    for suffix in ("hea", "dat"):
        (tmp_path / f"val0.{suffix}").write_bytes((cohort_dir / "files" / f"val0.{suffix}").read_bytes())
    path = {"e": tmp_path / "val0.hea"}
    before = hash_ecgs(path).files["e"].sha256
    (tmp_path / "val0.dat").write_bytes(bytes(24 * 1200))
    assert hash_ecgs(path).files["e"].sha256 != before


def filled(store, paths, prepare):
    return fill_store(store, hash_ecgs(paths), prepare, SPEC, HERE, stage="", hash_of=ecg_sha256)


def test_unusable_files_are_named_with_their_reason_and_not_tried_again(cohort_dir, tmp_path):
    (tmp_path / "bad.hea").write_text("not a header")
    paths = {"bad": tmp_path / "bad.hea", "good": cohort_dir / "files" / "val0.hea", "gone": Path("/nowhere/x.hea")}
    with ArrayStore(tmp_path / "store", np.float32) as store:
        usable = filled(store, paths, ecg_array)
        assert set(usable.files) == {"good"}
        assert set(usable.skipped) == {"bad", "gone"}
        assert all(usable.skipped.values())
        with reading(0) as reader:
            np.testing.assert_array_equal(store[usable.files["good"].sha256], ecg_array(paths["good"], SPEC, reader))
        calls = []
        again = fill_store(
            store, hash_ecgs(paths), lambda *a: calls.append(a), SPEC, HERE, stage="", hash_of=ecg_sha256
        )
        assert not calls
        assert again == usable


def test_a_file_that_is_exchanged_while_it_is_read_is_not_kept_under_its_hash(cohort_dir, tmp_path):
    ours, others = tmp_path / "a.avi", tmp_path / "b.avi"
    first, second = sorted((cohort_dir / "files").glob("val*.avi"))[:2]
    shutil.copy(first, ours)
    shutil.copy(second, others)

    def swapped(path, spec, reader):
        for _ in range(2):  # there and back again
            ours.rename(tmp_path / "c.avi")
            others.rename(ours)
            (tmp_path / "c.avi").rename(others)
            clip = clip_bytes(others, spec, reader)
        return clip

    with ArrayStore(tmp_path / "store", np.uint8) as store:
        sources = hash_clips({"a": ours})
        for prepare in (swapped, clip_bytes):
            usable = fill_store(store, sources, prepare, EchoSpec(size=32), HERE, stage="", hash_of=clip_sha256)
            assert (len(store), usable.skipped) == (
                (0, {"a": "The file changed while it was read."}) if prepare is swapped else (1, {})
            )


def test_a_child_that_died_is_no_lasting_word_about_a_file(cohort_dir, tmp_path):
    paths = {"e": cohort_dir / "files" / "val0.hea"}

    def child_dies(path, spec, reader):
        raise UnreadableFile("reading_failed", "Reading this file failed.")

    with ArrayStore(tmp_path / "store", np.float32) as store:
        skipped = filled(store, paths, child_dies).skipped
        assert skipped == {"e": "Reading this file failed."}
        assert set(filled(store, paths, ecg_array).files) == {"e"}


def test_when_no_child_can_be_started_the_run_ends_and_nothing_is_said_of_the_file(cohort_dir, tmp_path):
    paths = {"e": cohort_dir / "files" / "val0.hea"}

    def no_child(path, spec, reader):
        raise ReaderUnavailable

    with ArrayStore(tmp_path / "store", np.float32) as store:
        with pytest.raises(ReaderUnavailable):
            filled(store, paths, no_child)
        assert len(store) == 0
        assert set(filled(store, paths, ecg_array).files) == {"e"}


def test_a_defect_of_ours_is_no_refusal():
    with pytest.raises(ZeroDivisionError):
        attempt(lambda: 1 / 0)


def failing(number):
    raise OSError(number, "no")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENOMEM])
def test_what_the_machine_lacks_is_no_files_fault(number):
    with pytest.raises(OSError, match="no"):
        attempt(lambda: failing(number))


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOENT])
def test_a_file_that_cannot_be_opened_is_left_out_and_tried_again_by_the_next_run(number):
    assert attempt(lambda: failing(number)) == Refused("The file cannot be read.", lasting=False)
