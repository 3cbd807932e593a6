"""`echo2ecg embed echo` on what archives export: a tree of studies, or a zip of it."""

from __future__ import annotations

import shutil

import numpy as np
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
            found.append((written["ids"].tolist(), written["embeddings"]))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_what_is_neither_a_folder_nor_a_zip_is_no_study(command, small_bundle, tmp_path):
    arguments = (ECHO_FILE, "--bundle", small_bundle(), "-o", tmp_path / "out.npz", "--device", "cpu")
    code, said, _ = command("embed", "echo", *arguments)
    assert code == 1
    assert "no zip of a study" in " ".join(said.split())
