"""Pixels that are not compressed: the bytes that there are say what a pixel has, where the header disagrees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from echo_files import known_frames, refused, write_dicom, ycbcr
from echo_scenes import colour_flow, fan
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRBigEndian

from inputs.echo.read import read_echo

Frames = NDArray[Any]
ECHO = colour_flow(fan(96, 128, 8), 0.5).frames_THWC
GREY = np.ascontiguousarray(fan(96, 128, 8).frames_THWC[..., :1])


def halved(frames_THWC: Frames) -> bytes:
    """Two luminances and a pair of colours for two pixels; a row of odd length is filled up."""
    values = ycbcr(frames_THWC)
    if values.shape[2] % 2:
        values = np.concatenate([values, values[:, :, -1:]], axis=2)
    pairs = values.reshape(*values.shape[:2], -1, 2, 3)
    return np.stack([pairs[..., 0, 0], pairs[..., 1, 0], pairs[..., 0, 1], pairs[..., 0, 2]], axis=-1).tobytes()


def assert_alike(path: Path, frames_THWC: Frames) -> None:
    """But at edges of colours, which are shared by two pixels."""
    read = read_echo(path).frames_THWC
    assert read.shape == (*frames_THWC.shape[:3], 3)
    assert np.abs(read.astype(int) - frames_THWC).mean() < 1


# ---- two or three bytes for a pixel


@pytest.mark.parametrize("declared", [8, 5, 3, None])
@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_PARTIAL_422"])
def test_three_bytes_under_the_name_of_two_are_read_whatever_number_of_frames_is_declared(
    tmp_path: Path, photometric: str, declared: int | None
):
    path = write_dicom(tmp_path / "c.file", ECHO, ECHO.tobytes(), photometric=photometric, NumberOfFrames=declared)
    assert_alike(path, ECHO[:declared])


@pytest.mark.parametrize("declared", [8, 5, 3, None])
def test_two_bytes_are_read_whatever_number_of_frames_is_declared(tmp_path: Path, declared: int | None):
    path = write_dicom(tmp_path / "c.file", ECHO, halved(ECHO), photometric="YBR_FULL_422", NumberOfFrames=declared)
    assert_alike(path, ECHO[:declared])


@pytest.mark.parametrize("declared", [9, 12])
@pytest.mark.parametrize("store", [np.ndarray.tobytes, halved])
def test_more_frames_declared_than_there_are_is_refused_and_not_read_in_another_form(
    tmp_path: Path, store: Any, declared: int
):
    """Twelve frames of two bytes are as long as eight of three."""
    path = write_dicom(tmp_path / "c.file", ECHO, store(ECHO), photometric="YBR_FULL_422", NumberOfFrames=declared)
    assert refused(path).code == "file_truncated"


@pytest.mark.parametrize("photometric", ["YBR_FULL", "RGB"])
def test_two_bytes_under_the_name_of_three_are_read(tmp_path: Path, photometric: str):
    path = write_dicom(tmp_path / "c.file", ECHO, halved(ECHO), photometric=photometric)
    assert_alike(path, ECHO)


def test_rows_of_odd_length_are_filled_up(tmp_path: Path):
    frames = ECHO[:, :, :127]
    path = write_dicom(tmp_path / "c.file", frames, halved(frames), photometric="YBR_FULL_422")
    assert_alike(path, frames)


def test_a_file_that_is_cut_is_no_other_form(tmp_path: Path):
    """Two thirds of it are as long as two bytes a pixel."""
    path = write_dicom(tmp_path / "c.file", ECHO[:6], ECHO[:4].tobytes(), photometric="RGB")
    assert refused(path).code == "file_truncated"


def test_length_that_no_header_means_and_pixels_that_show_nothing_are_refused(tmp_path: Path):
    black = np.zeros_like(ECHO)
    path = write_dicom(tmp_path / "c.file", black, black.tobytes(), photometric="YBR_FULL_422", NumberOfFrames=7)
    assert refused(path).code == "colours_disagree"


# ---- one or three samples, 8 or 16 bits


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("declared", [8, None])
def test_one_sample_under_a_label_of_colours_means_three(tmp_path: Path, photometric: str, declared: int | None):
    options = {"photometric": photometric, "SamplesPerPixel": 1, "NumberOfFrames": declared}
    assert_alike(write_dicom(tmp_path / "c.file", ECHO, ECHO.tobytes(), **options), ECHO)


@pytest.mark.parametrize("declared", [8, 6, None])
def test_one_sample_under_a_label_of_colours_is_one_where_there_is_one(tmp_path: Path, declared: int | None):
    options = {"photometric": "RGB", "SamplesPerPixel": 1, "NumberOfFrames": declared}
    path = write_dicom(tmp_path / "c.file", GREY, GREY.tobytes(), **options)
    assert_alike(path, GREY[:declared])


def test_three_samples_under_a_label_of_grey_are_refused(tmp_path: Path):
    path = write_dicom(tmp_path / "c.file", ECHO, ECHO.tobytes(), photometric="MONOCHROME2")
    error = refused(path)
    assert (error.code, "three" in str(error)) == ("colours_disagree", True)


@pytest.mark.parametrize("factor", [1, 257])
@pytest.mark.parametrize("frames", [GREY, ECHO], ids=["grey", "colours"])
def test_sixteen_bits_that_are_called_eight_are_refused(tmp_path: Path, frames: Frames, factor: int):
    photometric = "RGB" if frames.shape[3] == 3 else "MONOCHROME2"
    data = (frames.astype("<u2") * factor).tobytes()
    error = refused(write_dicom(tmp_path / "c.file", frames, data, photometric=photometric))
    assert (error.code, "16" in str(error)) == ("pixel_bits", True)


def test_eight_bits_that_are_called_sixteen_are_refused(tmp_path: Path):
    bits = {"BitsAllocated": 16, "BitsStored": 8, "HighBit": 7}
    path = write_dicom(tmp_path / "c.file", GREY, GREY.tobytes(), photometric="MONOCHROME2", **bits)
    assert refused(path).code == "pixel_bits"


@pytest.mark.parametrize("declared", [4, 3, 2])
@pytest.mark.parametrize("frames", [GREY, ECHO], ids=["grey", "colours"])
def test_half_as_many_frames_declared_as_there_are_is_no_other_form(tmp_path: Path, frames: Frames, declared: int):
    photometric = "RGB" if frames.shape[3] == 3 else "MONOCHROME2"
    path = write_dicom(tmp_path / "c.file", frames, frames.tobytes(), photometric=photometric, NumberOfFrames=declared)
    assert_alike(path, frames[:declared])


# ---- planes


@pytest.mark.parametrize("stored_in_planes", [False, True])
@pytest.mark.parametrize("said", [0, 1, None])
@pytest.mark.parametrize("rgb", [ECHO, np.repeat(GREY, 3, axis=3), ECHO[:, 1:, 1:]], ids=["flow", "grey", "odd"])
def test_samples_lie_in_planes_where_they_do_whatever_the_header_says(
    tmp_path: Path, rgb: Frames, said: int | None, stored_in_planes: bool
):
    data = rgb.transpose(0, 3, 1, 2).tobytes() if stored_in_planes else rgb.tobytes()
    path = write_dicom(tmp_path / "c.file", rgb, data, PlanarConfiguration=said)
    np.testing.assert_array_equal(read_echo(path).frames_THWC, rgb)


@pytest.mark.parametrize("said", [0, 1])
def test_a_picture_that_shows_nothing_lies_as_the_header_says(tmp_path: Path, said: int):
    noise = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    noise[0] = 0
    data = noise.transpose(0, 3, 1, 2).tobytes() if said else noise.tobytes()
    path = write_dicom(tmp_path / "c.file", noise, data, PlanarConfiguration=said)
    np.testing.assert_array_equal(read_echo(path).frames_THWC, noise)


# ---- a way out


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"NumberOfFrames": 9}, "file_truncated"),
        ({"PixelRepresentation": 1}, "pixels_signed"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "pixel_bits"),
    ],
)
def test_refusals_of_pixels_say_what_helps(tmp_path: Path, elements: dict[str, Any], code: str):
    frames = known_frames()
    error = refused(write_dicom(tmp_path / "c.file", frames, frames.tobytes(), **elements))
    assert (error.code, error.hint != "") == (code, True)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("said", [0, 1])
@pytest.mark.parametrize("rgb", [ECHO, ECHO[:, 1:, 1:]], ids=["even", "odd"])
def test_bytes_in_words_of_a_big_endian_file_are_put_right_before_they_are_judged(
    tmp_path: Path, rgb: Frames, said: int, planar: int
):
    data = (rgb.transpose(0, 3, 1, 2) if planar else rgb).tobytes()
    words = np.frombuffer(data + b"\0" * (len(data) % 2), "<u2").byteswap().tobytes()
    path = write_dicom(tmp_path / "c.file", rgb, words, syntax=ExplicitVRBigEndian, PlanarConfiguration=said)
    start = b"\x7f\xe0\x00\x10O"
    path.write_bytes(path.read_bytes().replace(start + b"B", start + b"W"))
    np.testing.assert_array_equal(read_echo(path).frames_THWC, rgb)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("said", [0, 1])
@pytest.mark.parametrize("bits", [12, 16])
def test_samples_of_sixteen_bits_lie_in_planes_where_they_do(tmp_path: Path, bits: int, said: int, planar: int):
    words = ECHO.astype("<u2") * ((2**bits - 1) // 255)
    data = (words.transpose(0, 3, 1, 2) if planar else words).tobytes()
    of_16 = {"BitsAllocated": 16, "BitsStored": bits, "HighBit": bits - 1}
    path = write_dicom(tmp_path / "c.file", ECHO, data, PlanarConfiguration=said, **of_16)
    assert np.abs(read_echo(path).frames_THWC.astype(int) - ECHO).max() <= 1
