"""`echo2ecg embed echo` on what archives export: a tree of studies, or a zip of it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

ECHO_FILE = str(get_testdata_file("examples_ybr_color.dcm", download=False))


def test_the_studies_of_an_exported_tree_are_embedded_one_by_one_from_a_folder_or_a_zip(
    command, small_bundle, tmp_path
):
    for path, uid in (("P/S0/SER0/IM_0001", "1.2.3"), ("P/S0/SER1/IM_0001", "1.2.3"), ("P/S1/SER0/IM.1", "1.2.4")):
        (tmp_path / "disc" / path).parent.mkdir(parents=True)
        clip = dcmread(ECHO_FILE)
        clip.StudyInstanceUID = uid
        clip.save_as(tmp_path / "disc" / path)
    shutil.make_archive(str(tmp_path / "disc"), "zip", tmp_path / "disc")
    bundle, found = small_bundle(), []
    for given in ("disc", "disc.zip"):
        out = tmp_path / f"{given}.npz"
        code, _, _ = command("embed", "echo", tmp_path / given, "--bundle", bundle, "-o", out, "--device", "cpu")
        assert code == 0
        with np.load(out) as written:
            assert written["pool_weights"].astype(bool).tolist() == [[True, True], [True, False]]
            assert all(name.startswith("disc-") for name in written["ids"])
            assert written["study_uids"].tolist() == ["1.2.3", "1.2.4"]
            assert written["folders"].tolist() == ["disc/P/S0", "disc/P/S1/SER0"]
            found.append((written["ids"].tolist(), written["embeddings"]))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("broken", [False, True])
def test_what_is_no_clip_is_told_and_only_a_clip_that_cannot_be_read_makes_a_failure(
    command, small_bundle, tmp_path, broken
):
    study, out = tmp_path / "disc", tmp_path / "out.npz"
    (study / "other").mkdir(parents=True)
    shutil.copyfile(ECHO_FILE, study / "clip.dcm")
    (study / "report.pdf").write_bytes(b"%PDF-1.4" + bytes(200))
    (study / "README").write_text("Viewer")
    shutil.copyfile(get_testdata_file("waveform_ecg.dcm", download=False), study / "other" / "ecg.dcm")
    if broken:
        (study / "broken.avi").write_bytes(b"not a clip")
    code, said, _ = command("embed", "echo", study, "--bundle", small_bundle(), "-o", out, "--device", "cpu")
    said = " ".join(said.split())
    assert "passed over disc: 2 files that are no clips (.pdf 1, no ending 1)." in said
    assert "a waveform, such as an ECG, not an ultrasound clip." in said
    assert (code, "skipped disc/broken.avi" in said) == (int(broken), broken)
    with np.load(out) as written:
        assert (written["folders"].tolist(), len(written["study_uids"][0]) > 5) == (["disc"], True)


def test_a_study_without_any_clip_is_a_failure_where_nothing_else_was_asked(command, small_bundle, tmp_path):
    (tmp_path / "disc").mkdir()
    shutil.copyfile(get_testdata_file("waveform_ecg.dcm", download=False), tmp_path / "disc" / "ecg.dcm")
    arguments = (tmp_path / "disc", "--bundle", small_bundle(), "-o", tmp_path / "out.npz", "--device", "cpu")
    code, said, _ = command("embed", "echo", *arguments)
    assert (code, "nothing was written" in said) == (1, True)


@pytest.mark.parametrize("kind", ["echo", "ecg", "clips"])
def test_vectors_are_written_as_npz_alone(command, small_bundle, tmp_path, kind):
    given = ("--prepared", ECHO_FILE) if kind == "clips" else (tmp_path,) if kind == "echo" else (ECHO_FILE,)
    code, _, sentence = command("embed", kind, *given, "--bundle", small_bundle(), "-o", tmp_path / "out.csv")
    assert (code, sentence) == (1, "Vectors are written as .npz, not as out.csv.")


def test_what_is_neither_a_folder_nor_a_zip_is_no_study(command, small_bundle, tmp_path):
    arguments = (ECHO_FILE, "--bundle", small_bundle(), "-o", tmp_path / "out.npz", "--device", "cpu")
    code, said, _ = command("embed", "echo", *arguments)
    assert code == 1
    assert "no zip of a study" in " ".join(said.split())
