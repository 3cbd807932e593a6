"""What is no clip is named for what it is, with a way out, by its bytes or by its class, and never by its name."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from echo_files import known_frames, refused, write_dicom, write_video
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian

from inputs.echo.formats.base import START_BYTES
from inputs.echo.kinds import (
    NO_CLIPS,
    lies_beside_clips,
    may_hold_a_clip,
    no_clip,
    not_two_dimensional,
    not_ultrasound,
    two_dimensional_regions,
)
from inputs.echo.read import read_echo


@pytest.mark.parametrize(
    ("start", "name", "way_out"),
    [
        (b"GIF89a", "a GIF", "AVI or MP4"),
        (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video", "AVI or MP4"),
        (bytes.fromhex("3026b2758e66cf11"), "a Windows Media video", "AVI or MP4"),
        (b"\0\0\1\xba", "an MPEG video", "AVI or MP4"),
        (b"\0\0\1\xb3", "an MPEG video", "AVI or MP4"),
        (b"\x47\x40\x00\x10", "an MPEG transport stream", "AVI or MP4"),
        (b"\xff\xd8\xff\xe0", "a JPEG image", "cine loop"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image", "cine loop"),
        (b"II\x2a\0", "a TIFF image", "cine loop"),
        (b"\0\0\0\x18ftypheic", "a HEIF or AVIF image", "cine loop"),
        (b"\x5c\x01\0\0", "a NIfTI file", "AVI or MP4"),
        (b"\x93NUMPY\x01\0", "a NumPy array", "AVI or MP4"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "AVI or MP4"),
        (b"ObjectType = Image\nNDims = 3", "a MetaImage file", "AVI or MP4"),
        (b"%PDF-1.7", "a PDF document", "cine loop"),
        (b"PK\x03\x04", "a zip", "Unpack"),
        (b"\x1f\x8b\x08", "a gzip file", "Unpack"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack"),
        (b"Rar!\x1a\x07\x01\0", "a RAR archive", "Unpack"),
        (b"\xfd7zXZ\0", "an xz file", "Unpack"),
        (b"BZh91AY&SY", "a bzip2 file", "Unpack"),
        (b"\x28\xb5\x2f\xfd", "a Zstandard file", "Unpack"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer", "git lfs pull"),
        (b"/annex/objects/SHA256E-s1--0.dcm\n", "a git-annex pointer", "git annex get"),
        (b"\n<!DOCTYPE html><html>", "an HTML page", "signing in"),
        (b"NRRD0005\n", "an NRRD file", "AVI or MP4"),
        (b"MATLAB 5.0 MAT-file, Platform", "a MATLAB file", "AVI or MP4"),
        (b"KRETZFILE 1.0   ", "a KRETZ volume", "two-dimensional"),
        (b"\0\0\0\1\x67\x42", "a bare H.264 stream", "AVI or MP4"),
        (b"YUV4MPEG2 W10 H10\n", "a YUV4MPEG2 video", "AVI or MP4"),
        (b"\0\0\0\0\x47\x40\0\x10", "an MPEG transport stream", "AVI or MP4"),
        (b"\x47\x41\0\x30", "an MPEG transport stream", "AVI or MP4"),
        (b"\x47\x1f\xff\x10", "an MPEG transport stream", "AVI or MP4"),
        (b"\0\0\0\1\x40\1\x0c", "a bare HEVC stream", "AVI or MP4"),
        (b"\x12\0\x0a\x0b", "a bare AV1 stream", "AVI or MP4"),
        (bytes.fromhex("060e2b34020501010d010201"), "an MXF video", "AVI or MP4"),
        (b"DKIF\0\0\x20\0", "an IVF video", "AVI or MP4"),
        (b".RMF\0\0", "a RealMedia video", "AVI or MP4"),
        (b"nut/multimedia container\0", "a NUT video", "AVI or MP4"),
        (b"CWS\x09", "a Flash file", "AVI or MP4"),
        (b"\x1f\x07\0\x3f", "a DV video", "AVI or MP4"),
        (b"\r\n--part\r\nContent-type: image/jpeg\r\n", "a Motion JPEG stream", "AVI or MP4"),
        (b"\xff\x0a", "a JPEG XL image", "cine loop"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image", "cine loop"),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypmjp2", "a Motion JPEG 2000 video", "AVI or MP4"),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "a JPEG 2000 image", "cine loop"),
    ],
)
def test_a_file_of_another_kind_is_named_with_a_way_out(tmp_path: Path, start: bytes, name: str, way_out: str):
    path = tmp_path / "clip.avi"
    path.write_bytes(start + b"\0" * 300)
    error = refused(path)
    assert error.code == "not_an_echo_clip"
    assert str(error) == f"This file is {name}, which is not read."
    assert way_out in error.hint


def test_a_tar_archive_is_named_and_a_table_of_zeros_is_not(tmp_path: Path):
    clip = tmp_path / "IM_1"
    clip.write_bytes(bytes(1000))
    with tarfile.open(tmp_path / "a.avi", "w") as archive:
        archive.add(clip, "IM_1")
    assert str(refused(tmp_path / "a.avi")) == "This file is a tar archive, which is not read."
    assert "not a DICOM, AVI or MP4 clip" in str(refused(clip))


@pytest.mark.parametrize("start", [b"\0\0\0\x1cftyphevc", b"\0\0\0\x1cftypmsf1", b"\0\0\0\x1cftypavis"])
def test_other_brands_of_heif_are_named(start: bytes):
    said = no_clip(start)
    assert said is not None
    assert "a HEIF or AVIF image" in str(said)


@pytest.mark.parametrize("container", ["matroska", "asf", "mpegts"])
def test_videos_that_are_not_read_are_named_as_they_are_written(tmp_path: Path, container: str):
    error = refused(write_video(tmp_path / "clip.mp4", known_frames(12), container))
    assert error.code == "not_an_echo_clip"
    assert "AVI or MP4" in error.hint


@pytest.mark.parametrize(
    ("sop_class", "name"),
    [
        ("1.2.840.10008.1.3.10", "a DICOMDIR"),
        ("1.2.840.10008.5.1.4.1.1.2", "a CT image"),
        ("1.2.840.10008.5.1.4.1.1.4", "an MR image"),
        ("1.2.840.10008.5.1.4.1.1.88.33", "a structured report"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "a PDF document in DICOM"),
        ("1.2.840.10008.5.1.4.1.1.104.3", "a document in DICOM"),
        ("1.2.840.10008.5.1.4.1.1.2.1", "a CT image"),
        ("1.2.840.10008.5.1.4.1.1.481.2", "a radiotherapy object"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "a segmentation or registration"),
        ("1.2.840.10008.5.1.4.1.1.77.1.1.1", "a photograph, endoscopy or microscopy"),
        ("1.2.840.10008.5.1.4.1.1.14.1", "an intravascular optical tomography"),
        ("1.2.840.10008.5.1.4.1.1.7.1", "a captured screen"),
        ("1.3.46.670589.2.4.1.1", "an object of its maker's own kind"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "a waveform, such as an ECG"),
    ],
)
def test_a_dicom_object_of_another_class_is_named(sop_class: str, name: str):
    error = not_ultrasound(sop_class)
    assert error.code == "not_ultrasound"
    assert str(error) == f"This DICOM object is {name}, not an ultrasound clip."


def test_an_object_of_an_unknown_class_is_named_by_its_modality():
    assert "a CT image" in str(not_ultrasound("1.2.3.4", "CT"))
    assert "an intravascular ultrasound" in str(not_ultrasound("", "IVUS"))


def test_a_class_or_modality_that_is_not_known_is_not_quoted():
    assert "SECRET" not in str(not_ultrasound("SECRET", "SECRET"))
    assert str(not_ultrasound("")) == "This DICOM object is not an ultrasound clip."


def region(spatial_format: int, *edges: int) -> Dataset:
    made = Dataset()
    made.RegionSpatialFormat = spatial_format
    names = ("MinX0", "MinY0", "MaxX1", "MaxY1")
    for name, edge in zip(names, edges, strict=False):
        setattr(made, f"RegionLocation{name}", edge)
    return made


def test_two_dimensional_regions_are_rows_and_columns_and_others_are_passed_over():
    duplex = [region(1, 10, 20, 99, 199), region(3, 0, 200, 99, 299)]
    assert two_dimensional_regions(duplex) == ((20, 10, 200, 100),)
    assert two_dimensional_regions([region(3, 0, 0, 9, 9)]) == ()


def test_a_two_dimensional_region_that_does_not_say_where_it_lies_could_lie_anywhere():
    assert two_dimensional_regions([region(1, 10, 20, 99, 199), region(1, 5)]) == ()
    assert two_dimensional_regions([region(1, 0, 0, 9, 9)] * 17) == ()


@pytest.mark.parametrize(
    ("spatial_formats", "code"),
    [
        ((2,), "m_mode"),
        ((3,), "spectral_doppler"),
        ((3, 4), "spectral_doppler"),
        ((2, 5), "m_mode"),
        ((1,), None),
        ((1, 2), None),
        ((1, 3, 4), None),
        ((4,), None),
        ((0,), None),
        ((), None),
    ],
)
def test_regions_that_are_all_drawn_over_time_are_named_and_any_other_clip_is_read(
    spatial_formats: tuple[int, ...], code: str | None
):
    refusal = not_two_dimensional(spatial_formats)
    assert (refusal.code if refusal else None) == code


def test_a_dicom_clip_whose_preamble_is_a_tiff_header_is_a_dicom_clip(tmp_path: Path):
    frames = known_frames()
    path = write_dicom(tmp_path / "c.file", frames, frames.tobytes())
    path.write_bytes(b"II\x2a\0" + path.read_bytes()[4:])
    np.testing.assert_array_equal(read_echo(path).frames_THWC, frames)


@pytest.mark.parametrize(("spatial_format", "code"), [(2, "m_mode"), (3, "spectral_doppler"), (1, None)])
def test_a_dicom_clip_says_by_its_regions_that_it_is_drawn_over_time(
    tmp_path: Path, spatial_format: int, code: str | None
):
    region = Dataset()
    region.RegionSpatialFormat = spatial_format
    frames = known_frames()
    path = write_dicom(
        tmp_path / "c.file", frames, frames.tobytes(), SequenceOfUltrasoundRegions=DicomSequence([region])
    )
    if code is None:
        np.testing.assert_array_equal(read_echo(path).frames_THWC, frames)
    else:
        assert refused(path).code == code


def test_a_dicom_file_of_another_class_is_refused_by_its_name(tmp_path: Path):
    frames = known_frames()
    path = write_dicom(tmp_path / "c.file", frames, frames.tobytes(), SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    assert str(refused(path)) == "This DICOM object is a CT image, not an ultrasound clip."


@pytest.mark.parametrize("sop_class", ["1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.4"])
@pytest.mark.parametrize("modality", ["US", "us"])
def test_a_captured_clip_of_an_ultrasound_is_read(tmp_path: Path, sop_class: str, modality: str):
    frames = known_frames(2)
    path = write_dicom(tmp_path / "c.file", frames, frames.tobytes(), SOPClassUID=sop_class)
    path.write_bytes(path.read_bytes().replace(b"CS\x02\0US", b"CS\x02\0" + modality.encode()))
    np.testing.assert_array_equal(read_echo(path).frames_THWC, frames)


@pytest.mark.parametrize("n_frames", [1, None])
@pytest.mark.parametrize(
    ("syntax", "elements"),
    [
        (ExplicitVRLittleEndian, {"Rows": None}),
        (ExplicitVRLittleEndian, {"PhotometricInterpretation": "HSV"}),
        (ExplicitVRLittleEndian, {"BitsAllocated": 32, "BitsStored": 32}),
        (ExplicitVRLittleEndian, {"BitsAllocated": 1, "BitsStored": 1}),
        ("1.2.840.10008.1.2.4.92", {}),
        ("1.2.3.4.5", {}),
    ],
    ids=["no rows", "hsv", "32 bits", "1 bit", "another compression", "a compression of its maker"],
)
def test_a_captured_screen_of_one_frame_lies_beside_clips_whatever_its_pixels(
    tmp_path: Path, syntax: str, elements: dict[str, Any], n_frames: int | None
):
    frame = known_frames(1)
    data = frame.tobytes() if syntax == ExplicitVRLittleEndian else [bytes(60)]
    screen = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "NumberOfFrames": n_frames, **elements}
    error = refused(write_dicom(tmp_path / "c.file", frame, data, syntax=syntax, **screen))
    assert (error.code, error.code in NO_CLIPS) == ("still_image", True)


def test_a_captured_clip_that_is_not_read_is_no_still_image(tmp_path: Path):
    frames = known_frames(3)
    screen = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.4", "PhotometricInterpretation": "HSV"}
    assert refused(write_dicom(tmp_path / "c.file", frames, frames.tobytes(), **screen)).code == "pixel_colours"


@pytest.mark.parametrize(
    "start",
    [
        b"GE\n==\nVivid",
        b"CFLAGS\n------\n",
        b"CWS 2024 report of the echo",
        b"FWS\n---\nto do",
        "<!DOCTYPE TS><TS>\xe4</TS>".encode("latin-1"),
        "<!DOCTYPE TS>\xe4".encode("utf-16"),
        b"FWS\x06" + bytes(300),
    ],
)
def test_texts_and_flash_lie_beside_clips(start: bytes):
    assert lies_beside_clips(start[:START_BYTES])
    assert not may_hold_a_clip(start[:START_BYTES])


@pytest.mark.parametrize(
    "start", [b"\x47\x41\0\x30" + bytes(128), bytes(200), bytes(range(128, 256)), b"\xff\xfe\0\xd8"]
)
def test_bytes_that_are_no_letters_are_no_text(start: bytes):
    assert not lies_beside_clips(start[:START_BYTES])
