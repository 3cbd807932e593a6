"""What is no clip is named for what it is, with a way out, by its bytes or by its class, and never by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from echo_files import known_frames, refused, write_dicom, write_video
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from inputs.echo.kinds import not_two_dimensional, not_ultrasound
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
    ],
)
def test_a_file_of_another_kind_is_named_with_a_way_out(tmp_path: Path, start: bytes, name: str, way_out: str):
    path = tmp_path / "clip.avi"
    path.write_bytes(start + b"\0" * 300)
    error = refused(path)
    assert error.code == "not_an_echo_clip"
    assert str(error) == f"This file is {name}, which is not read."
    assert way_out in error.hint


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
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "a waveform, such as an ECG"),
    ],
)
def test_a_dicom_object_of_another_class_is_named(sop_class: str, name: str):
    error = not_ultrasound(sop_class)
    assert error.code == "not_ultrasound"
    assert str(error) == f"This DICOM object is {name}, not an ultrasound clip."


def test_a_class_that_is_not_known_is_not_quoted():
    assert "SECRET" not in str(not_ultrasound("SECRET"))


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
