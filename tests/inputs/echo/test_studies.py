"""Clips of a folder are one study, and a tree as archives export it is as many as it has."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pydicom
import pytest
from echo_files import known_frames, write_dicom, write_video
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from inputs.echo import studies
from inputs.echo.studies import passed_over, studies_in
from inputs.errors import UnreadableFile

FRAMES = known_frames(2)


def clip(path: Path, uid: str, syntax: str = ExplicitVRLittleEndian) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_dicom(path, FRAMES, FRAMES.tobytes(), syntax=syntax, StudyInstanceUID=uid)


def exported(folder: Path) -> Path:
    """Two studies of two patients and a third one, in series, names without endings or that look like endings."""
    clip(folder / "DICOM/PAT0/STU0/SER0/IM_0001", "1.2.3")
    clip(folder / "DICOM/PAT0/STU0/SER1/IM_0001", "1.2.3", ImplicitVRLittleEndian)
    clip(folder / "DICOM/PAT0/STU1/SER0/1.2.840.77", "1.2.4")
    clip(folder / "DICOM/PAT1/STU0/SER0/IM_0001", "1.2.5")
    clip(folder / "DICOMDIR", "1.2.3")
    (folder / "README.TXT").write_text("Viewer")
    return folder


def named(found: list[studies.StudyFiles], folder: Path) -> list[list[str]]:
    return [[path.relative_to(folder).as_posix() for path in study.files] for study in found]


def test_a_tree_is_split_by_study_and_joins_the_series_of_one(tmp_path: Path):
    folder = exported(tmp_path / "disc")
    found = studies_in(folder)
    assert named(found, folder) == [
        ["DICOM/PAT0/STU0/SER0/IM_0001", "DICOM/PAT0/STU0/SER1/IM_0001"],
        ["DICOM/PAT0/STU1/SER0/1.2.840.77"],
        ["DICOM/PAT1/STU0/SER0/IM_0001"],
    ]
    assert len({study.name for study in found}) == 3


def test_names_are_the_same_wherever_the_tree_lies_and_tell_nothing_of_it(tmp_path: Path):
    first, second = exported(tmp_path / "disc"), tmp_path / "elsewhere" / "disc"
    shutil.copytree(first, second)
    names = [study.name for study in studies_in(first)]
    assert [study.uid for study in studies_in(first)] == ["1.2.3", "1.2.4", "1.2.5"], "for whoever has the files"
    assert names == [study.name for study in studies_in(second)]
    assert all(name.startswith("disc-") for name in names)
    assert not any(secret in name for name in names for secret in ("1.2.", "PAT", "STU"))


def test_a_folder_of_clips_of_one_study_keeps_its_name_and_one_of_two_is_split(tmp_path: Path):
    clip(tmp_path / "s1" / "b.dcm", "1.2.3")
    clip(tmp_path / "s1" / "a", "1.2.3")
    write_video(tmp_path / "s1" / "c.avi", FRAMES, "avi")
    (found,) = studies_in(tmp_path / "s1")
    assert found.name == "s1"
    assert [path.name for path in found.files] == ["a", "b.dcm", "c.avi"]
    clip(tmp_path / "s1" / "d", "1.2.4")
    assert named(studies_in(tmp_path / "s1"), tmp_path / "s1") == [["a", "b.dcm"], ["c.avi"], ["d"]]


def referring(uid: str) -> DicomSequence:
    item = Dataset()
    item.StudyInstanceUID = uid
    return DicomSequence([item])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("undefined_length", [False, True])
def test_a_study_that_another_refers_to_is_not_its_own(tmp_path: Path, syntax: str, undefined_length: bool):
    for place, uid in (("x/1", "1.2.3"), ("y/1", "1.2.4"), ("y/2", "1.2.4")):
        (path := tmp_path / "s" / place).parent.mkdir(parents=True, exist_ok=True)
        refers = referring("1.9.9")
        refers.is_undefined_length = undefined_length
        write_dicom(
            path,
            FRAMES,
            FRAMES.tobytes(),
            syntax=syntax,
            StudyInstanceUID=uid,
            RelatedSeriesSequence=refers,
            StudiesContainingOtherReferencedInstancesSequence=referring("1.9.8"),
        )
    assert named(studies_in(tmp_path / "s"), tmp_path / "s") == [["x/1"], ["y/1", "y/2"]]


def test_the_study_is_found_behind_elements_of_megabytes_and_in_a_file_without_preamble(tmp_path: Path):
    for place, uid in (("x/1", "1.2.3"), ("y/1", "1.2.4"), ("z/1", "1.2.3")):
        path = clip(tmp_path / "s" / place, uid)
        made = pydicom.dcmread(path)
        made.private_block(0x0009, "MAKER", create=True).add_new(1, "OB", bytes(3 * 2**20))
        made.save_as(path)
    path.write_bytes(path.read_bytes()[132:])
    assert named(studies_in(tmp_path / "s"), tmp_path / "s") == [["x/1", "z/1"], ["y/1"]]


@pytest.mark.parametrize("length", [0x4142, 0x4144, 0x5A58])
def test_a_length_that_looks_like_a_type_in_a_file_without_types_hides_no_study(tmp_path: Path, length: int):
    for folder in ("a", "b"):
        path = clip(tmp_path / folder / "clip", "1.2.3", ImplicitVRLittleEndian)
        dataset = pydicom.dcmread(path)
        dataset.add_new(0x0009_1001, "UN", bytes(length))
        dataset.save_as(path)
    assert len(studies_in(tmp_path)) == 1


def test_many_small_elements_hide_no_study(tmp_path: Path):
    path = clip(tmp_path / "a/clip", "1.2.3")
    many = b"".join(struct.pack("<HH2sH", 9, 0x1001 + number, b"SH", 2) + b"ab" for number in range(12_000))
    path.write_bytes(path.read_bytes().replace(b"\x10\0\x10\0PN", many + b"\x10\0\x10\0PN"))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert len(studies_in(tmp_path)) == 1


def test_a_file_that_ends_within_its_header_has_no_study_and_makes_no_failure(tmp_path: Path):
    whole = clip(tmp_path / "whole", "1.2.3").read_bytes()
    (tmp_path / "s").mkdir()
    for length in range(132, 900, 7):
        (tmp_path / "s" / f"{length}").write_bytes(whole[:length])
    assert sum(len(study.files) for study in studies_in(tmp_path / "s")) == len(range(132, 900, 7))


def test_a_clip_whose_elements_are_in_disorder_is_put_with_no_other_patients(tmp_path: Path):
    for name, uid in (("a", "1.2.3"), ("b", "1.2.4"), ("c", "1.2.3")):
        clip(tmp_path / "s" / name, uid)
    item = b"\xfe\xff\0\xe0\x0c\0\0\0\x08\0\x55\x11UI\x04\x009.9 "
    ends = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    stray = b"\x08\0\x10\x11SQ\0\0\xff\xff\xff\xff" + item + ends
    path = tmp_path / "s" / "c"
    path.write_bytes(path.read_bytes().replace(b"\x10\0\x10\0PN", stray + b"\x10\0\x10\0PN"))
    assert named(studies_in(tmp_path / "s"), tmp_path / "s") == [["a"], ["b"], ["c"]]
    assert [study.uid for study in studies_in(tmp_path / "s")] == ["1.2.3", "1.2.4", ""]


def elements(data: bytes, tag: bytes) -> tuple[int, int]:
    """Where a short element of a file with types starts and ends."""
    at = data.index(tag)
    return at, at + 8 + struct.unpack_from("<H", data, at + 6)[0]


META, MODALITY, NAME, UID = b"\x02\0\x10\0UI", b"\x08\0\x60\0CS", b"\x10\0\x10\0PN", b"\x20\0\x0d\0UI"


def moved(data: bytes, tag: bytes, before: bytes, *, twice: bool = False) -> bytes:
    start, end = elements(data, tag)
    rest = data if twice else data[:start] + data[end:]
    at = rest.index(before)
    return rest[:at] + data[start:end] + rest[at:]


@pytest.mark.parametrize(
    ("tag", "before", "twice"),
    [(META, b"\x02\0\x02\0UI", False), (MODALITY, NAME, False), (NAME, NAME, True), (UID, NAME, False)],
    ids=["file meta information", "modality", "name twice", "the study itself"],
)
def test_elements_in_another_order_leave_a_clip_in_its_study(tmp_path: Path, tag: bytes, before: bytes, twice: bool):
    whole = clip(tmp_path / "s" / "a", "1.2.3").read_bytes()
    (tmp_path / "s" / "b").write_bytes(moved(whole, tag, before, twice=twice))
    (found,) = studies_in(tmp_path / "s")
    assert (found.name, found.uid, len(found.files)) == ("s", "1.2.3", 2)


@pytest.mark.parametrize("uids", [["1.2.3", "1.2.4"], []])
def test_a_clip_in_disorder_of_two_studies_or_of_none_is_put_with_no_other(tmp_path: Path, uids: list[str]):
    whole = moved(clip(tmp_path / "s" / "a", "1.2.3").read_bytes(), NAME, NAME, twice=True)
    start, end = elements(whole, UID)
    said = [whole[start:end].replace(b"1.2.3", uid.encode()) for uid in uids]
    (tmp_path / "s" / "b").write_bytes(whole[:start] + b"".join(said) + whole[end:])
    assert named(studies_in(tmp_path / "s"), tmp_path / "s") == [["a"], ["b"]]


@pytest.mark.parametrize("zeros", [0, 1, 3000, 3001, 2_000_000])
def test_a_file_cut_or_zeroed_behind_its_first_bytes_makes_no_study_and_changes_no_name(tmp_path: Path, zeros: int):
    whole = clip(tmp_path / "s" / "a", "1.2.3").read_bytes()
    (tmp_path / "s" / "b").write_bytes(whole[:132] + bytes(zeros))
    (found,) = studies_in(tmp_path / "s")
    assert (found.name, found.uid, len(found.files)) == ("s", "1.2.3", 2)


@pytest.mark.parametrize("undefined_length", [False, True])
def test_a_listing_under_another_name_makes_no_study_and_changes_no_name(tmp_path: Path, undefined_length: bool):
    clip(tmp_path / "s" / "a", "1.2.3")
    listing = pydicom.dcmread(tmp_path / "s" / "a")
    listing.clear()
    listing.DirectoryRecordSequence = referring("1.2.9")
    listing["DirectoryRecordSequence"].is_undefined_length = undefined_length
    listing.save_as(tmp_path / "s" / "DICOMDIR.1")
    (found,) = studies_in(tmp_path / "s")
    assert (found.name, found.uid, len(found.files)) == ("s", "1.2.3", 2)


def test_a_video_that_its_first_bytes_do_not_tell_is_named_by_its_ending(tmp_path: Path):
    clip(tmp_path / "a.dcm", "1.2.3")
    (tmp_path / "b.MTS").write_bytes(bytes(200))
    (tmp_path / "c.ts").write_text("export const viewer = 1\n")
    for name in ("d.ts", "e.mpg"):
        (tmp_path / name).write_bytes(b"")
    assert named(studies_in(tmp_path), tmp_path) == [["a.dcm", "b.MTS"]]
    assert [path.name for path in passed_over(tmp_path)] == ["c.ts", "d.ts", "e.mpg"]


def test_a_file_that_is_no_clip_makes_no_study_and_changes_no_name(tmp_path: Path):
    folder = tmp_path / "s"
    clip(folder / "DICOM" / "IM1", "1.2.3")
    (folder / "README").write_bytes(b"\0Viewer")
    assert [(study.name, len(study.files)) for study in studies_in(folder)] == [("s", 2)]
    clip(folder / "DICOM2" / "IM1", "1.2.4")
    before = {study.name for study in studies_in(folder)}
    (folder / "README").unlink()
    assert {study.name for study in studies_in(folder)} == before


def test_videos_that_are_not_read_are_named_and_pictures_and_pages_beside_clips_are_not(tmp_path: Path):
    clip(tmp_path / "a.dcm", "1.2.3")
    (tmp_path / "b.gif").write_bytes(b"GIF89a" + bytes(200))
    (tmp_path / "c.nii.gz").write_bytes(b"\x1f\x8b" + bytes(200))
    (tmp_path / "d.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(200))
    (tmp_path / "e.html").write_text("<html>viewer</html>")
    (tmp_path / "REPORT").write_bytes(b"%PDF-1.4" + bytes(200))
    (tmp_path / "README").write_text("Größe\n" * 500)
    (tmp_path / "POINTER").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert named(studies_in(tmp_path), tmp_path) == [["POINTER", "a.dcm", "b.gif", "c.nii.gz"]]
    assert [path.name for path in passed_over(tmp_path)] == ["README", "REPORT", "d.jpg", "e.html"]


def test_a_tree_of_one_study_keeps_the_folders_name(tmp_path: Path):
    clip(tmp_path / "s1" / "ser0" / "a", "1.2.3")
    clip(tmp_path / "s1" / "ser1" / "a", "1.2.3")
    assert [study.name for study in studies_in(tmp_path / "s1")] == ["s1"]


def test_videos_of_a_tree_are_studies_by_folder_or_belong_to_the_one_that_lies_there(tmp_path: Path):
    clip(tmp_path / "x" / "a" / "1.dcm", "1.2.3")
    write_video(tmp_path / "x" / "a" / "2.avi", FRAMES, "avi")
    (tmp_path / "x" / "b").mkdir()
    write_video(tmp_path / "x" / "b" / "3.mp4", FRAMES, "mp4")
    assert named(studies_in(tmp_path / "x"), tmp_path / "x") == [["a/1.dcm", "a/2.avi"], ["b/3.mp4"]]


def test_links_lead_nowhere_and_what_file_managers_add_is_passed_over(tmp_path: Path):
    other = clip(tmp_path / "other" / "secret.dcm", "1.2.9").parent
    clip(tmp_path / "s" / "a" / "1.dcm", "1.2.3")
    (tmp_path / "s" / "link").symlink_to(other, target_is_directory=True)
    (tmp_path / "s" / "loop").symlink_to(tmp_path / "s", target_is_directory=True)
    clip(tmp_path / "s" / "__MACOSX" / "1.dcm", "1.2.3")
    (tmp_path / "s" / "a" / "._1.dcm").write_bytes(b"\0\5\x16\7")
    assert named(studies_in(tmp_path / "s"), tmp_path / "s") == [["a/1.dcm"]]


def test_a_folder_without_clips_is_a_study_without_files(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("none")
    assert studies_in(tmp_path) == [studies.StudyFiles(tmp_path.name, ())]


def test_a_tree_that_is_too_large_or_too_deep_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    exported(tmp_path / "disc")
    for limit, said in (("MAX_STUDY_DEPTH", "2 folders deep"), ("MAX_STUDY_FILES", "more than 2 files")):
        with monkeypatch.context() as patched:
            patched.setattr(studies, limit, 2)
            with pytest.raises(UnreadableFile, match=said):
                studies_in(tmp_path / "disc")
