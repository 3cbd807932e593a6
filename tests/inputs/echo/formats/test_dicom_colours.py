"""Colours come back whatever the header calls them, as long as header, markers or stored bytes tell the truth."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import ADOBE, LOSSLESS, flat_jpeg, jpeg_2000, jpeg_ls_picture, lossless_jpeg, run_lengths
from echo_files import jpegs, known_frames, refused, write_dicom, ycbcr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from openjpeg.utils import encode_array
from pydicom.pixels import pixel_array
from pydicom.uid import (
    JPEG2000,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from inputs.echo.read import read_echo
from inputs.errors import UnreadableFile

Frames = NDArray[Any]
OVERLAY_BIT_POSITION = 0x6000_0102
YBR = ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420")


def assert_right(path: Path, frames_THWC: Frames, within: int = 2) -> None:
    difference = read_echo(path).frames_THWC.astype(int) - frames_THWC
    assert np.abs(difference).max() <= within


def echo_frames() -> Frames:
    """As an echo is: black, with a grey sector, some flow in colours and text that is yellow. In blocks of 8 x 8."""
    frames = np.zeros((3, 64, 80, 3), np.uint8)
    frames[:, 16:56, 16:64] = np.array([40, 90, 150], np.uint8)[:, None, None, None]
    frames[:, 24:32, 24:40], frames[:, 32:40, 40:48] = (220, 40, 20), (20, 60, 230)
    frames[:, 56:, 72:] = (240, 240, 0)
    return frames


def partial(frames_THWC: Frames) -> Frames:
    """YCbCr of BT.601 in its partial range."""
    full = ycbcr(frames_THWC).astype(float)
    return np.rint((full - [0, 128, 128]) * [219 / 255, 224 / 255, 224 / 255] + [16, 128, 128]).astype(np.uint8)


def subsampled(planes_THWS: Frames) -> bytes:
    pairs = planes_THWS.reshape(*planes_THWS.shape[:2], -1, 2, 3)
    return np.stack([pairs[..., 0, 0], pairs[..., 1, 0], pairs[..., 0, 1], pairs[..., 0, 2]], axis=-1).tobytes()


# ---- not compressed


@pytest.mark.parametrize(
    ("photometric", "stored", "within"),
    [
        ("RGB", lambda f: f, 0),
        ("YBR_FULL", ycbcr, 2),
        ("YBR_FULL", lambda f: f, 0),
        ("YBR_FULL_422", ycbcr, 2),
        ("YBR_FULL_422", lambda f: f, 0),
        ("YBR_PARTIAL_422", partial, 3),
        ("YBR_PARTIAL_420", partial, 3),
        ("YBR_PARTIAL_420", lambda f: f, 0),
        ("YBR_ICT", lambda f: f, 0),
        ("YBR_RCT", lambda f: f, 0),
    ],
)
@pytest.mark.parametrize("planar", [0, 1, None])
def test_three_bytes_for_a_pixel_are_what_they_are(
    tmp_path: Path, photometric: str, stored: Any, within: int, planar: int | None
):
    frames = echo_frames()
    values = stored(frames)
    data = values.transpose(0, 3, 1, 2).tobytes() if planar else values.tobytes()
    path = write_dicom(tmp_path / "c.file", frames, data, photometric=photometric, PlanarConfiguration=planar)
    assert_right(path, frames, within)


@pytest.mark.parametrize(("photometric", "stored"), [("YBR_FULL_422", ycbcr), ("YBR_PARTIAL_422", partial)])
@pytest.mark.parametrize("n_frames", [3, None])
def test_two_bytes_for_a_pixel_are_two_luminances_and_a_pair_of_colours(
    tmp_path: Path, photometric: str, stored: Any, n_frames: int | None
):
    frames = echo_frames()
    data = subsampled(stored(frames))
    path = write_dicom(tmp_path / "c.file", frames, data, photometric=photometric, NumberOfFrames=n_frames)
    assert_right(path, frames, 3)


def test_blackened_text_of_zeros_leaves_the_rest_ycbcr(tmp_path: Path):
    frames = known_frames()
    stored = ycbcr(frames)
    stored[:, 30:] = 0
    path = write_dicom(tmp_path / "c.file", frames, stored.tobytes(), photometric="YBR_FULL")
    assert np.abs(read_echo(path).frames_THWC[:, :30].astype(int) - frames[:, :30]).max() <= 2


@pytest.mark.parametrize("photometric", ["ARGB", "CMYK", "HSV", "NONSENSE"])
def test_colours_of_other_kinds_are_refused(tmp_path: Path, photometric: str):
    frames = known_frames()
    error = refused(write_dicom(tmp_path / "c.file", frames, frames.tobytes(), photometric=photometric))
    assert error.code == "pixel_colours"


# ---- JPEG


def as_jpegs(values_THWS: Frames, marker: str | None, ids: bytes | None = None) -> list[bytes]:
    pictures = [flat_jpeg(frame, 8, ADOBE[marker] if marker else b"") for frame in values_THWS]
    if ids is None:
        return pictures
    for n in range(3):  # in the header of the frame, and in that of the scan
        pictures = [p.replace(bytes([n + 1, 0x11, 0]), bytes([ids[n], 0x11, 0])) for p in pictures]
    before = b"\xff\xda\x00\x0c\x03"
    renamed = before + bytes([ids[0], 0, ids[1], 0, ids[2], 0])
    return [p.replace(before + b"\1\0\2\0\3\0", renamed) for p in pictures]


@pytest.mark.parametrize(
    ("photometric", "marker", "stored"),
    [
        (photometric, marker, stored)
        for photometric in ("RGB", *YBR)
        for marker in (None, "RGB", "YCbCr")
        for stored in ("RGB", "YCbCr")
        if stored in ("RGB" if photometric == "RGB" else "YCbCr", marker)
    ],
)
def test_jpeg_colours_are_those_that_one_of_header_marker_and_bytes_gives(
    tmp_path: Path, photometric: str, marker: str | None, stored: str
):
    frames = echo_frames()
    values = np.stack([block_wise(frame) for frame in (frames if stored == "RGB" else ycbcr(frames))])
    data = as_jpegs(values, marker)
    path = write_dicom(tmp_path / "c.file", frames, data, photometric=photometric, syntax=JPEGBaseline8Bit)
    assert_right(path, frames)


def block_wise(frame_HWS: Frames) -> Frames:
    return np.kron(frame_HWS[::8, ::8], np.ones((8, 8, 1), frame_HWS.dtype))


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
def test_components_named_r_g_and_b_are_that(tmp_path: Path, photometric: str):
    frames = echo_frames()
    data = as_jpegs(frames, None, b"RGB")
    path = write_dicom(tmp_path / "c.file", frames, data, photometric=photometric, syntax=JPEGBaseline8Bit)
    assert_right(path, frames)


@pytest.mark.parametrize("sampling", ["420", "422", "444"])
@pytest.mark.parametrize("photometric", ["RGB", *YBR])
def test_a_jpeg_that_is_ycbcr_as_most_are_is_that_under_every_label(tmp_path: Path, photometric: str, sampling: str):
    frames = np.kron(echo_frames(), np.ones((1, 2, 2, 1), np.uint8))
    data = jpegs(frames, sampling)
    path = write_dicom(tmp_path / "c.file", frames, data, photometric=photometric, syntax=JPEGBaseline8Bit)
    read = read_echo(path).frames_THWC.astype(int)
    inner = np.s_[:, 4::16, 4::16]  # away from the edges of blocks, where colours bleed
    assert np.abs(read[inner] - frames[inner]).max() <= 6


@pytest.mark.parametrize("photometric", ["RGB", *YBR])
def test_a_grey_picture_under_a_label_of_colours_is_grey(tmp_path: Path, photometric: str):
    frames = echo_frames()[..., :1]
    for name, encode, syntax in (
        ("jpeg", lambda frame: flat_jpeg(frame, 8), JPEGBaseline8Bit),
        ("rle", run_lengths, RLELossless),
        ("ls", jpeg_ls_picture, JPEGLSLossless),
        ("j2k", jpeg_2000, JPEG2000Lossless),
    ):
        data = [encode(frame) for frame in frames]
        path = write_dicom(tmp_path / f"{name}.file", frames, data, photometric=photometric, syntax=syntax)
        assert_right(path, frames, 1)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless, JPEGLSLossless])
def test_colours_under_a_label_of_grey_are_read_as_their_luminance(tmp_path: Path, photometric: str, syntax: str):
    frames = echo_frames()
    if syntax == JPEGBaseline8Bit:
        data = as_jpegs(np.stack([block_wise(frame) for frame in ycbcr(frames)]), "YCbCr")
    else:
        data = [LOSSLESS[syntax](frame, 8) for frame in frames]
    path = write_dicom(tmp_path / "c.file", frames, data, photometric=photometric, syntax=syntax)
    grey = ycbcr(frames)[..., :1].astype(int)
    if photometric == "MONOCHROME1":
        grey = 255 - grey
    difference = read_echo(path).frames_THWC - grey
    assert np.abs(difference).max() <= 2


def test_colours_for_numbers_of_a_table_are_refused_as_a_contradiction(tmp_path: Path):
    frames = known_frames()
    path = write_dicom(tmp_path / "c.file", frames, jpegs(frames), photometric="PALETTE COLOR", syntax=JPEGBaseline8Bit)
    assert refused(path).code == "colours_disagree"


@pytest.mark.parametrize("sampling", ["420", "422", "444"])
def test_jpeg_pixels_are_those_that_pydicom_with_pillow_gives(tmp_path: Path, sampling: str):
    """On speckle under a slow change of colours, which an echo is and which no decoder can smooth away."""
    speckle = np.random.default_rng(7).normal(90, 40, (2, 120, 160, 1))
    tint = 1 + 0.4 * np.sin(np.arange(160) / 25)[:, None] * np.array([1, 0, -1])
    frames = np.clip(speckle * tint, 0, 255).astype(np.uint8)
    frames[:, :, :30] = 0
    path = write_dicom(
        tmp_path / "c.file", frames, jpegs(frames, sampling), photometric="YBR_FULL_422", syntax=JPEGBaseline8Bit
    )
    assert_right(path, pixel_array(path, decoding_plugin="pillow"))


# ---- JPEG 2000


@pytest.mark.parametrize(
    ("photometric", "transform", "stored"),
    [
        ("RGB", False, "RGB"),
        ("RGB", True, "RGB"),
        ("YBR_RCT", True, "RGB"),
        ("YBR_RCT", False, "RGB"),
        ("YBR_FULL", False, "YCbCr"),
        ("YBR_FULL", True, "YCbCr"),
        ("YBR_FULL", True, "RGB"),
        ("YBR_FULL_422", False, "YCbCr"),
        ("YBR_FULL_422", True, "RGB"),
    ],
)
def test_jpeg_2000_undoes_its_own_transform_and_no_other(
    tmp_path: Path, photometric: str, transform: bool, stored: str
):
    frames = echo_frames()
    data = [jpeg_2000(frame, transform=transform) for frame in (frames if stored == "RGB" else ycbcr(frames))]
    path = write_dicom(tmp_path / "c.file", frames, data, photometric=photometric, syntax=JPEG2000Lossless)
    assert_right(path, frames)


# ---- bits


@pytest.mark.parametrize("high_bit", [11, 13, 15])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEGLosslessSV1])
def test_bits_above_and_below_the_sample_are_left_out(tmp_path: Path, syntax: str, high_bit: int):
    values = np.linspace(0, 4095, 2 * 32 * 40).round().reshape(2, 32, 40, 1).astype(np.uint16)
    below = high_bit - 11
    overlays = np.random.default_rng(0).integers(0, 1 << 16, values.shape).astype(np.uint16)
    used = np.uint16(0xFFF << below)
    words = (values << below) | (overlays & ~used)
    encode = {
        RLELossless: run_lengths,
        JPEGLSLossless: jpeg_ls_picture,
        JPEGLosslessSV1: lambda frame: lossless_jpeg(frame, 16),
    }.get(syntax)
    data = words.tobytes() if encode is None else [encode(frame) for frame in words]
    options = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": high_bit}
    path = write_dicom(tmp_path / "c.file", values, data, photometric="MONOCHROME2", syntax=syntax, **options)
    if high_bit < 15:
        with pytest.raises(UnreadableFile, match="12 bits for a sample, and they have more"):
            read_echo(path)
    header = pydicom.dcmread(path)
    header.add_new(OVERLAY_BIT_POSITION, "US", (high_bit + 1) % 16)
    header.save_as(path)
    assert_right(path, np.rint(values * (255 / 4095)), 0)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless])
def test_bytes_that_are_larger_than_the_header_says_are_used_whole(tmp_path: Path, syntax: str):
    frames = echo_frames()
    data = [LOSSLESS[syntax](frame, 8) for frame in frames] if syntax in LOSSLESS else frames.tobytes()
    path = write_dicom(tmp_path / "c.file", frames, data, syntax=syntax, BitsStored=7, HighBit=6)
    assert_right(path, frames, 0)


@pytest.mark.parametrize(("allocated", "stored"), [(8, 7), (16, 12)])
def test_a_stray_sample_that_is_too_large_says_nothing_of_the_others(tmp_path: Path, allocated: int, stored: int):
    values = np.full((3, 40, 40, 1), (1 << stored) // 2, f"<u{allocated // 8}")
    stray = values.copy()
    stray[1, 5, 5] = (1 << stored) + 70
    bits = {"BitsAllocated": allocated, "BitsStored": stored, "HighBit": stored - 1, "photometric": "MONOCHROME2"}
    clean = read_echo(write_dicom(tmp_path / "a.file", values, values.tobytes(), **bits)).frames_THWC
    read = read_echo(write_dicom(tmp_path / "b.file", stray, stray.tobytes(), **bits)).frames_THWC
    assert read[1, 5, 5].tolist() == [255] * 3
    assert (read != clean).any(axis=3).sum() == 1


@pytest.mark.parametrize("ratio", [5, 10])
def test_what_lossy_compression_makes_a_little_too_large_is_white(tmp_path: Path, ratio: int):
    halved = (echo_frames()[..., :1] // 2).clip(0, 127)
    halved[:, :6, :60] = np.arange(60)[:, None] % 8 // 4 * 127
    data = [bytes(encode_array(frame[..., 0], bits_stored=8, compression_ratios=[ratio])) for frame in halved]
    path = write_dicom(
        tmp_path / "c.file", halved, data, photometric="MONOCHROME2", syntax=JPEG2000, BitsStored=7, HighBit=6
    )
    assert np.abs(read_echo(path).frames_THWC.astype(int) - np.rint(halved * (255 / 127))).mean() < 8


def test_a_clip_is_held_once_where_its_last_frame_shows_that_its_bits_are_miscounted(tmp_path: Path):
    frames = np.full((60, 200, 200, 3), 100, np.uint8)
    frames[-1, :100] = 250
    path = write_dicom(tmp_path / "c.file", frames, frames.tobytes(), BitsStored=7, HighBit=6)
    tracemalloc.start()
    read_echo(path)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1.5 * frames.nbytes


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_grey_of_more_than_eight_bits_goes_through_its_window(tmp_path: Path, photometric: str):
    values = np.tile(np.array([0, 900, 1000, 1500, 1999, 2100, 65535], np.uint16), (2, 4, 2))[..., None]
    path = write_dicom(
        tmp_path / "c.file",
        values,
        values.tobytes(),
        photometric=photometric,
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        WindowCenter=["1500", "3000"],
        WindowWidth=["1000", "10"],
    )
    levels = np.tile(np.array([0, 0, 0, 128, 255, 255, 255]), 2)
    if photometric == "MONOCHROME1":
        levels = 255 - levels
    assert np.abs(read_echo(path).frames_THWC[0, 0, :, 0].astype(int) - levels).max() <= 1


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_colour_table_is_followed_in_every_encoding(tmp_path: Path, syntax: str, bits: int):
    draw = np.random.default_rng(3)
    numbers = draw.integers(0, 300 if bits == 16 else 256, (2, 64, 64, 1)).astype(f"u{bits // 8}")
    table_NC = draw.integers(0, 256, (300, 3)).astype(np.uint16)
    n = 300 if bits == 16 else 256
    elements: dict[str, Any] = {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1}
    for channel, colour in enumerate(("Red", "Green", "Blue")):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [n, 0, 16]
        elements[f"{colour}PaletteColorLookupTableData"] = (table_NC[:n, channel] * 257).astype("<u2").tobytes()
    data: Any = numbers.tobytes()
    if syntax in LOSSLESS:
        data = [LOSSLESS[syntax](frame, bits) for frame in numbers]
    path = write_dicom(tmp_path / "c.file", numbers, data, photometric="PALETTE COLOR", syntax=syntax, **elements)
    assert_right(path, table_NC[numbers[..., 0]], 0)


# ---- all at once


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422"]),
    syntax=st.sampled_from([ExplicitVRLittleEndian, *LOSSLESS]),
    planar=st.sampled_from([0, 1, None]),
    bits=st.sampled_from([8, 12, 16]),
    seed=st.integers(0, 1000),
)
def test_any_picture_comes_back(
    tmp_path: Path, photometric: str, syntax: str, planar: int | None, bits: int, seed: int
):
    draw = np.random.default_rng(seed)
    is_grey = photometric.startswith("MONO")
    bits = bits if is_grey else 8
    n_frames, samples = int(draw.integers(2, 4)), 1 if is_grey else 3
    frames = draw.integers(0, 1 << bits, (n_frames, 32, 40, samples)).astype(np.uint8 if bits == 8 else np.uint16)
    stored = ycbcr(frames) if photometric.startswith("YBR") else frames
    if syntax in LOSSLESS:
        data: Any = [LOSSLESS[syntax](frame, bits) for frame in stored]
    elif photometric == "YBR_FULL_422":
        frames = np.repeat(frames[:, :, ::2], 2, axis=2)
        data, planar = subsampled(ycbcr(frames)), 0
    else:
        data = (stored.transpose(0, 3, 1, 2) if planar else stored).tobytes()
    words = {"BitsAllocated": 8 if bits == 8 else 16, "BitsStored": bits, "HighBit": bits - 1}
    options = {"photometric": photometric, "syntax": syntax, "PlanarConfiguration": planar, **words}
    expected = np.rint(frames * (255 / ((1 << bits) - 1)))
    if photometric == "MONOCHROME1":
        expected = 255 - expected
    assert_right(write_dicom(tmp_path / "c.file", frames, data, **options), expected)
