"""Where label, markers and bytes disagree about colours, an echo's own pixels settle it; else the label is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import ADOBE, jpeg_2000, jpeg_ls_picture, run_lengths
from echo_files import jpegs, known_frames, rgb_jpegs, write_dicom, ycbcr
from echo_scenes import colour_flow, fan
from numpy.typing import NDArray
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from inputs.echo.formats.dicom_codestreams import segments
from inputs.echo.formats.dicom_judged import judged_ycbcr
from inputs.echo.read import read_echo

Frames = NDArray[Any]
GREY = fan(96, 128, 4).frames_THWC
FLOW = colour_flow(fan(96, 128, 4), 0.5).frames_THWC
SEPIA = (GREY * np.array([1.0, 0.8, 0.6])).astype(np.uint8)
ENCODERS: dict[str, Any] = {
    ExplicitVRLittleEndian: None,
    RLELossless: run_lengths,
    JPEGLSLossless: jpeg_ls_picture,
    JPEG2000Lossless: jpeg_2000,
}
every_encoding = pytest.mark.parametrize("syntax", ENCODERS)


def written(path: Path, values_THWS: Frames, photometric: str, syntax: str) -> Path:
    encode = ENCODERS[syntax]
    data = values_THWS.tobytes() if encode is None else [encode(frame) for frame in values_THWS]
    return write_dicom(path, values_THWS, data, photometric=photometric, syntax=syntax)


def assert_right(path: Path, frames_THWC: Frames, within: int = 2) -> None:
    assert np.abs(read_echo(path).frames_THWC.astype(int) - frames_THWC).max() <= within


@every_encoding
@pytest.mark.parametrize("photometric", ["RGB", "YBR_RCT", "YBR_ICT"])
@pytest.mark.parametrize("frames", [GREY, FLOW], ids=["grey", "flow"])
def test_ycbcr_under_a_label_of_rgb_is_ycbcr(tmp_path: Path, frames: Frames, photometric: str, syntax: str):
    assert_right(written(tmp_path / "c.file", ycbcr(frames), photometric, syntax), frames)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_RCT", "YBR_ICT"])
def test_ycbcr_is_that_also_below_a_transform_that_jpeg_2000_undoes(tmp_path: Path, photometric: str):
    data = [jpeg_2000(frame, transform=True) for frame in ycbcr(FLOW)]
    path = write_dicom(tmp_path / "c.file", FLOW, data, photometric=photometric, syntax=JPEG2000Lossless)
    assert_right(path, FLOW)


@every_encoding
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420"])
@pytest.mark.parametrize("frames", [GREY, FLOW, SEPIA], ids=["grey", "flow", "sepia"])
def test_rgb_under_any_label_is_rgb(tmp_path: Path, frames: Frames, photometric: str, syntax: str):
    assert_right(written(tmp_path / "c.file", frames, photometric, syntax), frames, 0)


@every_encoding
@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("share", [0.15, 0.5])
def test_text_blackened_with_zeros_is_black_and_leaves_the_rest_ycbcr(
    tmp_path: Path, share: float, photometric: str, syntax: str
):
    stored, frames = ycbcr(FLOW), FLOW.copy()
    rows = round(share * frames.shape[1])
    stored[:, :rows], frames[:, :rows] = 0, 0
    assert_right(written(tmp_path / "c.file", stored, photometric, syntax), frames)


@every_encoding
@pytest.mark.parametrize(("photometric", "store"), [("YBR_FULL", ycbcr), ("YBR_FULL", np.copy), ("RGB", ycbcr)])
def test_a_blank_first_frame_says_nothing_of_the_next_ones(tmp_path: Path, photometric: str, store: Any, syntax: str):
    stored, frames = store(FLOW), FLOW.copy()
    stored[:2], frames[:2] = 0, 0
    assert_right(written(tmp_path / "c.file", stored, photometric, syntax), frames)


# ---- JPEG


def marked(jpeg: bytes, marker: str | None) -> bytes:
    """The same picture with no marker that says what its colours are, or with Adobe's."""
    kept = [jpeg[start:end] for name, start, end in segments(jpeg) if name not in (0xE0, 0xEE)]
    rest = max(end for _name, _start, end in segments(jpeg))
    return b"".join([jpeg[:2], ADOBE[marker] if marker else b"", *kept, jpeg[rest:]])


def named(jpeg: bytes, ids: bytes) -> bytes:
    """The same picture with other ids of its components, in the headers of frame and scan."""
    data = bytearray(jpeg)
    for name, start, _end in segments(jpeg):
        at, step = {0xC0: (start + 10, 3), 0xDA: (start + 5, 2)}.get(name, (0, 0))
        if at:
            data[at : at + 3 * step : step] = ids
    return bytes(data)


@pytest.mark.parametrize("marker", [None, "RGB", "YCbCr"])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420"])
@pytest.mark.parametrize("frames", [GREY, FLOW], ids=["grey", "flow"])
@pytest.mark.parametrize("stored", ["RGB", "YCbCr"])
def test_the_components_of_a_jpeg_are_what_they_are_whatever_label_and_marker_agree_on(
    tmp_path: Path, stored: str, frames: Frames, photometric: str, marker: str | None
):
    data = [marked(jpeg, marker) for jpeg in (rgb_jpegs(frames) if stored == "RGB" else jpegs(frames, "444"))]
    path = write_dicom(tmp_path / "c.file", frames, data, photometric=photometric, syntax=JPEGBaseline8Bit)
    assert np.abs(read_echo(path).frames_THWC.astype(int) - frames).mean() < 2


JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
@pytest.mark.parametrize("ids", [b"\1\2\3", b"RGB", b"rgb"])
@pytest.mark.parametrize("marker", [None, "RGB"])
@pytest.mark.parametrize("jfif", [JFIF, b""])
def test_rgb_is_rgb_also_where_libjpeg_would_take_it_for_ycbcr(
    tmp_path: Path, jfif: bytes, marker: str | None, ids: bytes, photometric: str
):
    data = [named(jpeg[:2] + jfif + marked(jpeg, marker)[2:], ids) for jpeg in rgb_jpegs(FLOW)]
    path = write_dicom(tmp_path / "c.file", FLOW, data, photometric=photometric, syntax=JPEGBaseline8Bit)
    assert np.abs(read_echo(path).frames_THWC.astype(int) - FLOW).mean() < 2


def test_pictures_that_leave_doubt_are_what_label_and_marker_say(tmp_path: Path):
    """Fields of full colours are possible as both."""
    frames = known_frames(3)
    for photometric, data in (
        ("YBR_FULL", jpegs(frames, "444")),
        ("RGB", [marked(j, "RGB") for j in rgb_jpegs(frames)]),
    ):
        path = write_dicom(tmp_path / "c.file", frames, data, photometric=photometric, syntax=JPEGBaseline8Bit)
        assert np.abs(read_echo(path).frames_THWC.astype(int) - frames).mean() < 2


# ---- what is asked


@pytest.mark.parametrize(
    "colour", [(0, 128, 128), (128, 128, 128), (200, 128, 128), (255, 255, 255), (90, 90, 90), (255, 0, 0)]
)
def test_rgb_with_large_fields_of_any_colour_beside_an_echo_stays_rgb(colour: tuple[int, int, int]):
    """(0, 128, 128) is a teal window, and black as YCbCr."""
    frame = GREY[0].copy()
    frame[:48] = colour
    assert judged_ycbcr(frame, said_ycbcr=False) is False


@pytest.mark.parametrize("level", [16, 90, 128, 200])
def test_a_plain_picture_is_what_the_header_says_where_it_can_be(level: int):
    assert judged_ycbcr(np.full((40, 40, 3), (level, 128, 128), np.uint8), said_ycbcr=True) is True
    assert judged_ycbcr(np.full((40, 40, 3), level, np.uint8), said_ycbcr=False) is False


def test_zeros_alone_say_nothing():
    assert judged_ycbcr(np.zeros((40, 40, 3), np.uint8), said_ycbcr=True) is None
    assert judged_ycbcr(np.zeros((40, 40, 3), np.uint8), said_ycbcr=False) is None
