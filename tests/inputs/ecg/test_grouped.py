"""Files of folders are grouped as the parts of an upload are: each ECG once, and every file in one of them."""

from __future__ import annotations

import os

import pytest

from inputs.ecg.grouped import files_below, first_files


def header(*named: str) -> bytes:
    lines = [f"r {len(named)} 500 100", *(f"{name} 16 1000/mV 16 0 0 0 0 I" for name in named)]
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture
def first(tmp_path):
    """Write files; the names of the first ones of each ECG."""

    def write(**files: bytes) -> list[str]:
        for name, data in files.items():
            path = tmp_path / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        found = first_files(files_below(tmp_path))
        return [path.relative_to(tmp_path).as_posix() for path in found]

    return write


def test_a_header_stands_for_the_files_that_it_names_in_its_own_folder(first):
    found = first(a__r_hea=header("r.dat"), a__r_dat=b"\0", b__r_dat=b"\0", b__x_csv=b"I,II\n")
    assert found == ["a/r.hea", "b/r.dat", "b/x.csv"]


def test_names_are_found_in_other_capitals_as_in_an_upload(first):
    assert first(r_hea=header("R.DAT"), r_dat=b"\0") == ["r.hea"]


def test_a_header_of_segments_stands_for_their_headers_and_samples(first):
    master = b"m/2 1 500 200\ns1 100\ns2 100\n"
    segments = {"s1_hea": header("s1.dat"), "s1_dat": b"\0", "s2_hea": header("s2.dat"), "s2_dat": b"\0"}
    assert first(m_hea=master, **segments) == ["m.hea"]


def test_of_headers_that_name_each_other_the_first_stands_for_both(first):
    assert first(a_hea=header("b.hea"), b_hea=header("a.hea"), c_csv=b"x") == ["a.hea", "c.csv"]


def test_a_damaged_header_keeps_the_samples_of_its_name(first):
    assert first(r_hea=b"r 1 500 9999999999999\nr.dat 16\n", r_dat=b"\0") == ["r.hea"]


def test_hidden_files_links_to_folders_and_what_is_left_out_are_no_input(tmp_path):
    for name in (".hidden", "._a.csv", "out.csv", "b.csv"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "out.csv").write_bytes(b"x")
    os.symlink(tmp_path / "sub", tmp_path / "linked")
    found = files_below(tmp_path, but=[(tmp_path / "out.csv").resolve()])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["b.csv", "sub/out.csv"]
