"""CAMUS as a cohort: both releases, pixels as they were, and an import that is broken off and goes on."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from echo_trees import camus, camus_of_old
from round_trip import indexed, nearest, opened_and_read, tiny_bundle
from stack_files import greys, nifti_bytes

from cohorts.adapters import Source, import_cohort
from cohorts.adapters.camus import CAMUS
from ground.errors import Refusal
from inputs.echo.read import read_echo

pytest.importorskip("nibabel")
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def download(tmp_path) -> Path:
    return camus(tmp_path / "CAMUS_public")


def refusal(folder: Path, out: Path) -> Refusal:
    with pytest.raises(Refusal) as caught:
        import_cohort(CAMUS, Source(folder), out)
    assert not out.exists()
    return caught.value


def sequence(download: Path, patient: int = 1, view: str = "2CH") -> Path:
    name = f"patient{patient:04d}"
    return download / "database_nifti" / name / f"{name}_{view}_half_sequence.nii.gz"


def test_two_views_of_each_patient_have_every_pixel_and_the_rate_of_the_cfg(download, tmp_path):
    check = import_cohort(CAMUS, Source(download), tmp_path / "cohort").check
    assert (check.n_patients, check.n_studies, check.n_views) == (6, 6, 12)
    echos = pd.read_parquet(tmp_path / "cohort" / "echos.parquet")
    assert echos.loc[:1, ["view_id", "view", "image_quality"]].to_numpy().tolist() == [
        ["4CH", "A4C", "good"],
        ["2CH", "A2C", "good"],
    ]
    clip = read_echo(tmp_path / "cohort" / echos["path"][1])
    np.testing.assert_array_equal(clip.frames_THWC, np.repeat(greys(0)[..., None], 3, axis=-1))
    assert clip.frame_rate_hz == pytest.approx(51.25)


def test_labels_are_of_the_cfg_and_splits_of_the_subgroups(download, tmp_path):
    import_cohort(CAMUS, Source(download), tmp_path / "cohort")
    study = pd.read_parquet(tmp_path / "cohort" / "studies.parquet").iloc[1]
    assert (study["lvef_percent"], study["sex"], study["age"], study["lvedv_ml"]) == ("41.0", "male", "61.0", "")
    splits = pd.read_parquet(tmp_path / "cohort" / "splits.parquet")
    assert dict(splits.to_numpy().tolist()) == {
        **dict.fromkeys(["patient0001", "patient0004"], "train"),
        **dict.fromkeys(["patient0002", "patient0005"], "val"),
        **dict.fromkeys(["patient0003", "patient0006"], "test"),
    }


def test_without_subgroups_a_hash_decides_and_a_patient_in_none_of_them_is_left_out(tmp_path):
    download = camus(tmp_path / "download", subgroups=False)
    imported = import_cohort(CAMUS, Source(download), tmp_path / "cohort")
    assert "by a hash" in imported.about["splits"]
    camus(tmp_path / "other")
    (tmp_path / "other" / "database_split" / "subgroup_testing.txt").write_text("patient0003\n")
    imported = import_cohort(CAMUS, Source(tmp_path / "other"), tmp_path / "cohort2")
    assert [(skipped.reason, skipped.count) for skipped in imported.skipped] == [("no subgroup_*.txt names it", 1)]
    assert imported.check.n_studies == 5


@pytest.mark.parametrize("stated", ["-30", "0", "1e30"])
def test_a_rate_that_no_machine_has_is_unknown(download, tmp_path, stated):
    cfg = download / "database_nifti" / "patient0001" / "Info_2CH.cfg"
    cfg.write_text(cfg.read_text().replace("FrameRate: 51.25", f"FrameRate: {stated}"))
    about = import_cohort(CAMUS, Source(download), tmp_path / "cohort").about
    assert "unknown of 1 clips" in about["frame_rate"]
    assert read_echo(next((tmp_path / "cohort" / "made").glob("patient0001_2CH*"))).frame_rate_hz is None


@pytest.mark.parametrize("compressed", [False, True])
def test_the_older_release_is_metaimage_with_volumes_and_no_rate(tmp_path, compressed):
    camus_of_old(tmp_path / "old", compressed=compressed)
    import_cohort(CAMUS, Source(tmp_path / "old"), tmp_path / "cohort")
    study = pd.read_parquet(tmp_path / "cohort" / "studies.parquet").iloc[0]
    assert (study["lvef_percent"], study["lvedv_ml"], study["lvesv_ml"]) == ("55.0", "110.0", "49.5")
    clip = read_echo(next((tmp_path / "cohort" / "made").glob("*4CH*")))
    np.testing.assert_array_equal(clip.frames_THWC[..., 1], greys(3))
    assert clip.frame_rate_hz is None


def test_the_cohort_is_read_indexed_and_asked(download, tmp_path, micro_recipe):
    import_cohort(CAMUS, Source(download), tmp_path / "cohort")
    cohort = opened_and_read(tmp_path / "cohort")
    bundle = tiny_bundle(tmp_path / "bundle", micro_recipe)
    store = indexed(cohort, bundle, tmp_path / "index")
    assert len(set(nearest(store, bundle))) == 3


def test_sequences_that_cannot_be_read_are_counted_by_reason_and_hurt_nobody(download, tmp_path):
    content = sequence(download).read_bytes()
    whole = gzip.decompress(content)
    endless = bytearray(whole)
    endless[42:48] = np.array([32000, 32000, 32000], "<i2").tobytes()
    bad = {
        (1, "2CH"): gzip.compress(whole[:-100]),
        (2, "2CH"): gzip.compress(bytes(endless)),
        (3, "2CH"): b"no picture at all",
        (4, "2CH"): gzip.compress(nifti_bytes(greys(0).astype(np.float32) + 0.5)),
        (5, "2CH"): gzip.compress(nifti_bytes(greys(0)[:1])),
        (6, "2CH"): content[: len(content) // 2],
    }
    for (patient, view), damaged in bad.items():
        sequence(download, patient, view).write_bytes(damaged)
    imported = import_cohort(CAMUS, Source(download), tmp_path / "cohort")
    assert imported.check.n_views == 6
    assert [skipped.count for skipped in imported.skipped] == [1] * 6
    assert all(skipped.reason.startswith("cannot be read: ") for skipped in imported.skipped)
    assert len([*(tmp_path / "cohort" / "made").iterdir()]) == 6


def test_greys_in_another_type_are_taken_where_they_are_greys(download, tmp_path):
    sequence(download).write_bytes(gzip.compress(nifti_bytes(greys(0).astype(np.int16))))
    import_cohort(CAMUS, Source(download), tmp_path / "cohort")
    clip = read_echo(next((tmp_path / "cohort" / "made").glob("patient0001_2CH-*")))
    np.testing.assert_array_equal(clip.frames_THWC[..., 0], greys(0))


def test_what_is_no_camus_or_contradicts_itself_is_refused(download, tmp_path):
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty", tmp_path / "cohort").code == "data_set_not_found"
    cfg = sequence(download).parent / "Info_4CH.cfg"
    cfg.write_text(cfg.read_text().replace("EF: 40", "EF: normal"))
    assert refusal(download, tmp_path / "cohort").sentence == "ef in Info_4CH.cfg of patient0001 is not a number."
    for file in (download / "database_nifti").glob("*/*.nii.gz"):
        file.write_bytes(b"no picture at all")
    cfg.unlink()
    assert refusal(download, tmp_path / "cohort").sentence == "None of the 12 sequences can be read."
    assert not (tmp_path / "cohort.importing").exists()


def test_a_metaimage_that_names_a_file_elsewhere_is_not_followed(tmp_path):
    camus_of_old(tmp_path / "old")
    (tmp_path / "secret.raw").write_bytes(bytes(30 * 40 * 5))
    header = tmp_path / "old" / "training" / "patient0007" / "patient0007_4CH_sequence.mhd"
    header.write_text(header.read_text().replace("patient0007_4CH_sequence.raw", "../../../secret.raw"))
    (header.parent / "patient0007_2CH_sequence.raw").unlink()
    (header.parent / "patient0007_2CH_sequence.raw").symlink_to(tmp_path / "secret.raw")
    assert refusal(tmp_path / "old", tmp_path / "cohort").code == "data_set_unreadable"


def test_an_import_that_was_killed_goes_on_and_makes_no_clip_twice(download, tmp_path):
    begun = _killed_after(3, download, tmp_path / "cohort")
    made = begun / "made"
    before = {file.name: file.stat().st_mtime_ns for file in made.glob("*.avi")}
    assert len(before) >= 3
    assert not (tmp_path / "cohort").exists()
    (made / "of_another_time.avi").write_bytes(b"x")
    check = import_cohort(CAMUS, Source(download), tmp_path / "cohort").check
    assert check.n_views == 12
    after = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "cohort" / "made").iterdir()}
    assert len(after) == 12
    assert before.items() <= after.items()
    assert not begun.exists()
    assert json.loads((tmp_path / "cohort" / "cohort.json").read_text())["data_set"] == "camus"


def _killed_after(clips: int, download: Path, out: Path) -> Path:
    """The folder of an import whose process was killed once it had written so many clips."""
    program = (
        "import sys, time; from pathlib import Path\n"
        "from cohorts.adapters import Source, import_cohort\nfrom cohorts.adapters.camus import CAMUS\n"
        "def slowly(done, total, message): time.sleep(0.2)\n"
        "import_cohort(CAMUS, Source(Path(sys.argv[1]), progress=slowly), Path(sys.argv[2]))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", program, str(download), str(out)], env=environment)
    begun = out.with_name(f"{out.name}.importing")
    try:
        end = time.monotonic() + 60
        while len([*begun.glob("made/*.avi")]) < clips:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return begun
