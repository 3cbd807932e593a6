"""Rows of arrays as ECGs of a cohort: read as they are meant, kept by what the row holds."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from array_cohorts import PADDED, code15_like, echonext_like

from cohorts import open_cohort
from embedding.ecgs import ecg_array, ecg_sha256, prepared_ecgs, read_source
from embedding.every_file import unreadable_files
from embedding.local import reading
from inputs.ecg.prepare import prepare_ecg
from inputs.ecg.source import EcgSource
from inputs.errors import UnusableRecording
from inputs.specs import EcgSpec
from models.device import Machine

SPEC = EcgSpec(window_samples=480)
HERE = Machine(torch.device("cpu"), workers=0)
GUARDED = Machine(torch.device("cpu"), workers=2)


def sources(root):
    return open_cohort(root).tables.ecg_sources()


def test_rows_are_prepared_as_the_same_ecgs_in_files_of_their_own_would_be(tmp_path):
    root = echonext_like(tmp_path / "cohort")
    kept, usable = prepared_ecgs(sources(root), SPEC, tmp_path / "work", GUARDED)
    assert usable.skipped == {}
    waveforms = np.load(root / "waveforms.npy")
    with reading(0) as reader:
        for row, name in list(enumerate(kept))[::7]:
            recording = read_source(sources(root)[name], reader)
            np.testing.assert_allclose(recording.signal_mv, waveforms[row, 0].T.astype(np.float32))
            np.testing.assert_array_equal(kept[name], prepare_ecg(recording, SPEC).signal_LN)


def test_a_lead_scale_gives_the_millivolts_that_the_scores_were_made_of(tmp_path):
    root = echonext_like(tmp_path / "cohort")
    scale = json.loads((root / "scale.json").read_text())
    (root / "cohort.json").write_text(json.dumps({"amplitude": "relative", "lead_scale": scale}))
    cohort = open_cohort(root)
    assert cohort.tables.amplitude == "millivolt"
    in_millivolt = np.load(root / "mv.npy")
    with reading(0) as reader:
        for row, source in enumerate(cohort.tables.ecg_sources().values()):
            np.testing.assert_allclose(read_source(source, reader).signal_mv, in_millivolt[row, 0].T, atol=1e-5)


def test_what_another_row_holds_decides_nothing_and_what_the_row_holds_everything(tmp_path):
    root = echonext_like(tmp_path / "cohort")
    with reading(0) as reader:
        before = {name: ecg_sha256(source, reader) for name, source in sources(root).items()}
        array = np.load(root / "waveforms.npy", mmap_mode="r+")
        array[3] += 1
        array.flush()
        after = {name: ecg_sha256(source, reader) for name, source in sources(root).items()}
    assert len(set(before.values())) == len(before)
    assert [name for name in before if before[name] != after[name]] == [list(before)[3]]


def test_what_is_said_beside_a_row_decides_what_it_is_kept_as(tmp_path):
    root = echonext_like(tmp_path / "cohort")
    source = next(iter(sources(root).values()))
    with reading(0) as reader:
        hashes = {
            ecg_sha256(each, reader)
            for each in (
                source,
                EcgSource(source.path, source.under, row=0, hints=source.hints),
                EcgSource(source.path, source.under, row=0),
            )
        }
    assert len(hashes) == 3


def test_a_second_run_prepares_no_row_again(tmp_path, monkeypatch):
    root = echonext_like(tmp_path / "cohort")
    first, _ = prepared_ecgs(sources(root), SPEC, tmp_path / "work", HERE)
    monkeypatch.setattr("embedding.ecgs.prepare_ecg", None)
    again, _ = prepared_ecgs(sources(root), SPEC, tmp_path / "work", HERE)
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_padding_with_zeros_at_both_ends_is_cut_from_rows(tmp_path):
    """As CODE-15 pads its tracings."""
    cohort = open_cohort(code15_like(tmp_path / "cohort"))
    with reading(1) as reader:
        for source in list(cohort.tables.ecg_sources().values())[::10]:
            recording = read_source(source, reader)
            assert (recording.rate_hz, recording.signal_mv.shape) == (400.0, (12, 4096))
            prepared = prepare_ecg(recording, SPEC)
            assert prepared.signal_LN.shape == (12, PADDED.stop - PADDED.start)
            assert [w.code for w in prepared.warnings if "padding" in w.code] == ["padding_cut"]


def test_a_row_of_nothing_but_zeros_is_refused_as_no_ecg(tmp_path):
    source = next(iter(sources(code15_like(tmp_path / "cohort")).values()))
    with reading(0) as reader:
        last = EcgSource(source.path, source.under, source.hints, row=40, dataset="tracings")
        with pytest.raises(UnusableRecording) as refused:
            ecg_array(last, SPEC, reader)
    assert refused.value.code == "signal_flat"


def test_rows_that_cannot_be_read_are_left_out_with_their_reason_and_others_are_not(tmp_path):
    root = echonext_like(tmp_path / "cohort")
    ecgs = (root / "ecgs.csv").read_text().replace(",39,", ",39000,")
    (root / "ecgs.csv").write_text(ecgs)
    kept, usable = prepared_ecgs(sources(root), SPEC, tmp_path / "work", HERE)
    assert len(kept) == 39
    assert list(usable.skipped.values()) == ["The NumPy file holds 40 ECGs, and none in row 39000, counted from 0."]


def test_reading_every_file_names_rows_and_reasons_and_is_done_by_children(cohort_dir, tmp_path):
    root = tmp_path / "cohort"
    shutil.copytree(cohort_dir, root)
    assert unreadable_files(open_cohort(root).tables, GUARDED) == ()
    (root / "files/train1.dat").write_bytes(b"short")
    (root / "files/train2.hea").write_bytes(b"\0" * 100)
    (root / "files/train0-1.avi").write_bytes(b"no clip")
    told = []
    machine = GUARDED.telling(lambda done, total, message: told.append((done, total)))
    found = {(f.table, f.code): f.rows for f in unreadable_files(open_cohort(root).tables, machine)}
    assert found == {
        ("ecgs", "truncated"): (2,),
        ("ecgs", "unreadable_file"): (3,),
        ("echos", "not_an_echo_clip"): (2,),
    }
    assert told[-1] == (120, 120)


def test_a_file_that_went_meanwhile_is_listed_too(tmp_path):
    cohort = open_cohort(echonext_like(tmp_path / "cohort")).tables
    (cohort.root / "waveforms.npy").unlink()
    (found,) = unreadable_files(cohort, HERE)
    assert (found.table, found.code, found.count) == ("ecgs", "file_missing", 40)


def test_rows_need_somebody_who_cuts_them_out(tmp_path):
    source = next(iter(sources(echonext_like(tmp_path / "cohort")).values()))
    with pytest.raises(ValueError, match="reader"):
        ecg_sha256(source)
