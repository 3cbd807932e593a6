"""A zip of studies is unpacked below one folder, within limits, or refused."""

from __future__ import annotations

import errno
import stat
import warnings
import zipfile
from pathlib import Path

import pytest

from inputs.echo.zips import is_zip, unpack_studies
from inputs.errors import UnreadableFile


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


def unpacked(tmp_path: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    into = tmp_path / "into"
    into.mkdir()
    unpack_studies(zipped(tmp_path / "a.zip", files), into)
    return {path.relative_to(into).as_posix(): path.read_bytes() for path in sorted(into.rglob("*")) if path.is_file()}


def refused(tmp_path: Path, files: dict[str, bytes]) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        unpacked(tmp_path, files)
    return caught.value


def test_files_keep_their_folders_and_what_file_managers_add_is_left_out(tmp_path):
    files = {"PAT1/STU1/IM_0001": b"one", "PAT1\\STU2\\IM_0001": b"two"}
    added = {"__MACOSX/PAT1/._IM_0001": b"x", "PAT1/.DS_Store": b"y"}
    assert unpacked(tmp_path, files | added) == {"PAT1/STU1/IM_0001": b"one", "PAT1/STU2/IM_0001": b"two"}


@pytest.mark.parametrize(
    "name",
    ["../out", "/etc/x", "a/../../b", "C:/x", "..\\out", ".", "a\x00b", "/".join("a" * 20), "a" * 300, "ä" * 120],
)
def test_a_name_that_leads_elsewhere_or_is_too_long_is_refused_and_nothing_is_written_beside(tmp_path, name):
    if "\x00" in name:  # zipfile ends a name there
        assert list(unpacked(tmp_path, {name: b"x"})) == ["a"]
        return
    error = refused(tmp_path, {name: b"x"})
    assert error.code == "file_not_in_upload"
    assert "Unpack it" in error.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "into"]


def test_letters_that_nobody_sees_or_that_file_systems_refuse_become_underscores(tmp_path):
    files = {"Jane\u00a0Doe/10:42.dcm": b"1", "a\nb": b"2", "Eva\u00adx": b"3"}
    assert unpacked(tmp_path, files) == {"Jane_Doe/10_42.dcm": b"1", "a_b": b"2", "Eva_x": b"3"}


@pytest.mark.parametrize(
    "names",
    [("a/x", "a/x"), ("a", "a/x"), ("a/x", "a"), ("a/x", "a\\x"), ("aa:x", "aa_x")],
    ids=lambda names: str(names),
)
def test_a_zip_with_two_files_of_one_name_or_a_file_that_is_a_folder_is_refused(tmp_path, names):
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        warnings.simplefilter("ignore")
        for name in names:
            archive.writestr(name, b"x")
    (tmp_path / "into").mkdir()
    with pytest.raises(UnreadableFile) as caught:
        unpack_studies(tmp_path / "a.zip", tmp_path / "into")
    assert caught.value.code == "unreadable_file"
    assert str(tmp_path) not in caught.value.in_full


def test_a_zip_whose_list_points_before_its_start_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {"IM_1": b"one" * 100})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02") + 42
    data[at : at + 4] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(data)
    (tmp_path / "into").mkdir()
    with pytest.raises(UnreadableFile):
        unpack_studies(path, tmp_path / "into")


def test_a_disk_without_room_is_no_fault_of_the_zip(tmp_path, monkeypatch):
    def full(packed, file, allowed):
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr("inputs.echo.zips._copy", full)
    with pytest.raises(OSError, match="no room"):
        unpacked(tmp_path, {"IM_1": b"x"})


def test_a_link_is_not_unpacked(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("IM_1", b"x")
    (tmp_path / "into").mkdir()
    unpack_studies(tmp_path / "a.zip", tmp_path / "into")
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["IM_1"]


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_is_written(tmp_path):
    assert refused(tmp_path, {"bomb": bytes(40 * 2**20)}).code == "too_long"
    assert sum(path.stat().st_size for path in (tmp_path / "into").rglob("*") if path.is_file()) <= 12 * 2**20


def test_all_files_together_have_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("inputs.echo.zips.MAX_UNZIPPED_STUDY_BYTES", 250)
    assert refused(tmp_path, {f"IM_{number}": bytes(100) for number in range(3)}).code == "too_long"
    monkeypatch.setattr("inputs.echo.zips.MAX_STUDY_FILES", 2)
    (tmp_path / "into").rename(tmp_path / "before")
    assert refused(tmp_path, {f"IM_{number}": b"x" for number in range(3)}).code == "too_many_files"


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: data.replace(b"IM_1", b"IM_2", 1)])
def test_a_damaged_zip_is_refused(tmp_path, damage):
    path = zipped(tmp_path / "a.zip", {"IM_1": b"one" * 1000})
    path.write_bytes(damage(path.read_bytes()))
    (tmp_path / "into").mkdir()
    with pytest.raises(UnreadableFile, match="damaged"):
        unpack_studies(path, tmp_path / "into")


def test_a_zip_is_known_by_its_first_bytes(tmp_path):
    assert is_zip(zipped(tmp_path / "a.dcm", {"a": b"x"}))
    assert is_zip(zipped(tmp_path / "b", {}))
    (tmp_path / "c.zip").write_bytes(b"no zip")
    assert not is_zip(tmp_path / "c.zip")
