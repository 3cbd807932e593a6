"""Clips are read in their true colours, and only as far as asked."""

from __future__ import annotations

import os
import re
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.examples
import pytest
import simplejpeg
from echo_files import REAL_CLIP, jpegs, known_frames, refused, rgb_jpegs, write_dicom, write_video, ycbcr
from echo_scenes import fan
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels import pixel_array
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from inputs.echo.formats import dicom_decoders
from inputs.echo.prepare import prepare_clip
from inputs.echo.read import read_echo
from inputs.specs import EchoSpec


def assert_same_colours(read_THWC: NDArray[np.uint8], true_THWC: NDArray[np.uint8], within: int) -> None:
    """Away from edges, where sub-sampled chroma bleeds."""
    rows, columns = true_THWC.shape[1:3]
    for row, column in ((14, 10), (14, columns - 10), (rows - 10, 10), (rows - 10, columns - 10), (3, 20)):
        difference = read_THWC[:, row, column].astype(int) - true_THWC[:, row, column]
        assert np.abs(difference).max() <= within, (row, column, difference)


# ---- true colours


@pytest.mark.parametrize(
    ("photometric", "encode", "within"),
    [
        ("RGB", lambda f: f.tobytes(), 0),
        ("YBR_FULL", lambda f: ycbcr(f).tobytes(), 2),
        ("YBR_FULL_422", lambda f: ycbcr_422(f), 2),
    ],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_uncompressed_colour_comes_back_as_rgb(tmp_path: Path, photometric: str, encode: Any, within: int, syntax: str):
    frames = known_frames()
    path = write_dicom(tmp_path / "c.file", frames, encode(frames), photometric=photometric, syntax=syntax)
    clip = read_echo(path)
    assert clip.source_format == "dicom"
    assert_same_colours(clip.frames_THWC, frames, within)


def ycbcr_422(frames_THWC: NDArray[np.uint8]) -> bytes:
    """Two luminances, then one pair of chroma values for both."""
    planes = ycbcr(frames_THWC)
    packed = np.empty((*planes.shape[:2], planes.shape[2] // 2, 4), np.uint8)
    packed[..., 0], packed[..., 1] = planes[:, :, ::2, 0], planes[:, :, 1::2, 0]
    packed[..., 2], packed[..., 3] = planes[:, :, ::2, 1], planes[:, :, ::2, 2]
    return packed.tobytes()


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_grey_comes_back_on_all_three_channels_the_right_way_round(tmp_path: Path, photometric: str):
    grey = known_frames()[..., 1]
    stored = grey if photometric == "MONOCHROME2" else 255 - grey
    path = write_dicom(tmp_path / "c.file", grey[..., None], stored.tobytes(), photometric=photometric)
    np.testing.assert_array_equal(read_echo(path).frames_THWC, np.repeat(grey[..., None], 3, axis=-1))


@pytest.mark.parametrize("bits", [8, 16])
def test_palette_entries_become_their_colours(tmp_path: Path, bits: int):
    indices = np.random.default_rng(0).integers(0, 256, (3, 20, 24), dtype=np.uint8)
    palette = np.random.default_rng(1).integers(0, 256, (256, 3), dtype=np.uint8)
    wide = palette.astype(np.uint16) * (257 if bits == 16 else 1)
    tables: dict[str, Any] = {}
    for channel, colour in enumerate(("Red", "Green", "Blue")):
        tables[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        tables[f"{colour}PaletteColorLookupTableData"] = wide[:, channel].astype(f"<u{bits // 8}").tobytes()
    path = write_dicom(
        tmp_path / "c.file", indices[..., None], indices.tobytes(), photometric="PALETTE COLOR", **tables
    )
    np.testing.assert_array_equal(read_echo(path).frames_THWC, palette[indices])


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL"])
@pytest.mark.parametrize("subsampling", ["422", "420", "444"])
def test_jpeg_colours_come_back(tmp_path: Path, photometric: str, subsampling: str):
    frames = known_frames()
    path = write_dicom(
        tmp_path / "c.file", frames, jpegs(frames, subsampling), photometric=photometric, syntax=JPEGBaseline8Bit
    )
    assert_same_colours(read_echo(path).frames_THWC, frames, 6)


def test_jpeg_that_is_labelled_rgb_and_is_rgb_is_not_transformed_a_second_time(tmp_path: Path):
    frames = known_frames()
    without_jfif = [drop_jfif(jpeg) for jpeg in rgb_jpegs(frames)]
    path = write_dicom(tmp_path / "c.file", frames, without_jfif, photometric="RGB", syntax=JPEGBaseline8Bit)
    assert_same_colours(read_echo(path).frames_THWC, frames, 6)


def drop_jfif(jpeg: bytes) -> bytes:
    assert jpeg[2:4] == b"\xff\xe0"
    (length,) = struct.unpack(">H", jpeg[4:6])
    return jpeg[:2] + jpeg[4 + length :]


def test_grey_jpeg_comes_back(tmp_path: Path):
    grey = np.ascontiguousarray(known_frames()[..., :1])
    encoded = [simplejpeg.encode_jpeg(f, quality=98, colorspace="GRAY", colorsubsampling="Gray") for f in grey]
    path = write_dicom(tmp_path / "c.file", grey, encoded, photometric="MONOCHROME2", syntax=JPEGBaseline8Bit)
    read = read_echo(path).frames_THWC
    assert np.abs(read.astype(int) - grey).max() <= 3


def test_an_ordinary_jpeg_is_decoded_by_libjpeg_turbo_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dicom_decoders.Image, "open", lambda *_a, **_k: pytest.fail("slow path taken"))
    assert read_echo(REAL_CLIP, max_frames=4).frames_THWC.shape == (4, 240, 320, 3)


@pytest.mark.parametrize("container", ["avi", "mp4"])
def test_video_colours_order_and_rate_come_back(tmp_path: Path, container: str):
    frames = known_frames(12)
    path = write_video(tmp_path / "clip.bin", frames, container)
    clip = read_echo(path)
    assert clip.source_format == container
    assert clip.frame_rate_hz == pytest.approx(50)
    assert clip.frames_THWC.shape == frames.shape
    assert_same_colours(clip.frames_THWC, frames, 12)
    np.testing.assert_array_equal(read_echo(path, max_frames=5).frames_THWC, clip.frames_THWC[:5])


# ---- the real clip


def test_the_real_apical_clip_equals_pydicoms_own_decoding():
    clip = read_echo(REAL_CLIP)
    assert clip.frames_THWC.shape == (30, 240, 320, 3)
    assert clip.frame_rate_hz == pytest.approx(30.0, abs=0.01)
    difference = np.abs(clip.frames_THWC.astype(int) - pixel_array(REAL_CLIP))
    assert difference.max() <= 4
    assert difference.mean() < 0.1


def test_only_the_frames_asked_for_are_decoded(monkeypatch: pytest.MonkeyPatch):
    whole = read_echo(REAL_CLIP)
    decoded = []
    decode = simplejpeg.decode_jpeg
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *a, **k: decoded.append(1) or decode(*a, **k))
    first = read_echo(REAL_CLIP, max_frames=7)
    np.testing.assert_array_equal(first.frames_THWC, whole.frames_THWC[:7])
    assert len(decoded) == 7


def in_fragments(path: Path, frames: NDArray[np.uint8]) -> Path:
    options = {"photometric": "YBR_FULL_422", "syntax": JPEGBaseline8Bit, "has_bot": False, "FrameTime": "20"}
    write_dicom(path, frames, jpegs(frames), **options)
    ds = pydicom.dcmread(path)
    ds.PixelData = encapsulate(jpegs(frames), fragments_per_frame=3, has_bot=False)
    ds["PixelData"].VR = "OB"
    ds.save_as(path)
    return path


def with_extended_offsets(path: Path, frames: NDArray[np.uint8]) -> Path:
    write_dicom(path, frames, jpegs(frames), photometric="YBR_FULL", syntax=JPEGBaseline8Bit, FrameTime="20")
    ds = pydicom.dcmread(path)
    ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(jpegs(frames))
    ds["PixelData"].VR = "OB"
    ds.save_as(path)
    return path


def run_length_encoded(path: Path, frames: NDArray[np.uint8]) -> Path:
    write_dicom(path, frames, frames.tobytes(), FrameTime="20")
    ds = pydicom.dcmread(path)
    ds.compress(RLELossless)
    ds.save_as(path)
    return path


def uncompressed_422(path: Path, frames: NDArray[np.uint8]) -> Path:
    return write_dicom(path, frames, ycbcr_422(frames), photometric="YBR_FULL_422", FrameTime="20")


def cut_between_frames(path: Path, frames: NDArray[np.uint8]) -> Path:
    """An MP4 of single images that shows frames 0 to 2, then goes on in the middle of frame 4, which it leaves out."""
    data = bytearray(write_video(path, frames, "mp4", intra_only=True).read_bytes())
    ticks_per_s = struct.unpack_from(">L", data, data.find(b"mdhd") + 16)[0]
    movie_ticks_per_s = struct.unpack_from(">L", data, data.find(b"mvhd") + 16)[0]
    edits = [(3 / 50, 0.0), ((len(frames) - 4.5) / 50, 4.5 / 50)]  # seconds shown, and where they start
    entries = [(round(s * movie_ticks_per_s), round(start * ticks_per_s), 1 << 16) for s, start in edits]
    at = data.find(b"elst") + 8  # behind version and flags: the number of entries, of which there was one
    data[at : at + 16] = struct.pack(">L", len(entries)) + b"".join(struct.pack(">LlL", *entry) for entry in entries)
    for box in (b"moov", b"trak", b"edts", b"elst"):
        (length,) = struct.unpack_from(">L", data, data.find(box) - 4)
        struct.pack_into(">L", data, data.find(box) - 4, length + 12)
    path.write_bytes(data)
    return path


WRITERS = {
    "fragments": in_fragments,
    "extended offset table": with_extended_offsets,
    "run-length": run_length_encoded,
    "uncompressed 422": uncompressed_422,
    "avi": lambda path, frames: write_video(path, frames, "avi"),
    "mp4": lambda path, frames: write_video(path, frames, "mp4"),
    "mp4 cut between frames": cut_between_frames,
}


@pytest.mark.parametrize("kind", ["real dicom", *WRITERS])
def test_every_second_frame_is_the_same_as_dropping_the_others(tmp_path: Path, kind: str):
    path = REAL_CLIP if kind == "real dicom" else WRITERS[kind](tmp_path / "clip.file", known_frames(14))
    whole, half = read_echo(path, max_frames=9), read_echo(path, max_frames=9, every=2)
    assert len(whole.frames_THWC) == 9
    np.testing.assert_array_equal(half.frames_THWC, whole.frames_THWC[::2])
    assert half.frame_rate_hz == pytest.approx(whole.frame_rate_hz / 2)
    assert half.frame_step == 2


@pytest.mark.parametrize("kind", ["dicom", "avi", "mp4"])
@pytest.mark.parametrize(
    "spec",
    [
        EchoSpec(frames=4, size=24),
        EchoSpec(frames=3, stride=3, size=24, mask_outside_sector=True),
        EchoSpec(frames=16, size=24, padding="zeros_after_normalising"),
    ],
)
def test_frames_left_out_by_the_reader_change_nothing_in_what_is_prepared(tmp_path: Path, kind: str, spec: EchoSpec):
    path = REAL_CLIP if kind == "dicom" else write_video(tmp_path / "clip.file", fan(96, 128, 12).frames_THWC, kind)
    whole = read_echo(path, max_frames=spec.frames_needed)
    chosen = read_echo(path, max_frames=spec.frames_needed, every=spec.stride)
    assert len(chosen.frames_THWC) < len(whole.frames_THWC)
    np.testing.assert_array_equal(prepare_clip(chosen, spec), prepare_clip(whole, spec))


def test_avi_frames_that_are_left_out_are_not_decoded(tmp_path: Path):
    path = write_video(tmp_path / "clip.file", known_frames(6), "avi")
    half = read_echo(path, every=2)
    data = bytearray(path.read_bytes())
    starts = [found.start() for found in re.finditer(rb"00dc....\xff\xd8", bytes(data), re.DOTALL)]
    assert len(starts) == 6
    for start in starts[1::2]:
        (length,) = struct.unpack_from("<L", data, start + 4)
        data[start + 8 : start + 8 + length] = bytes(length)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_echo(path, every=2).frames_THWC, half.frames_THWC)
    assert refused(path).code == "video_damaged"


# ---- encapsulation


def test_frames_in_several_fragments_without_an_offset_table_are_put_together(tmp_path: Path):
    frames = known_frames(5)
    path = in_fragments(tmp_path / "c.file", frames)
    assert_same_colours(read_echo(path, max_frames=4).frames_THWC, frames[:4], 6)


def test_an_extended_offset_table_is_followed(tmp_path: Path):
    frames = known_frames(5)
    path = with_extended_offsets(tmp_path / "c.file", frames)
    assert_same_colours(read_echo(path).frames_THWC, frames, 6)


def test_run_length_encoding_is_read(tmp_path: Path):
    frames = known_frames(3)
    path = run_length_encoded(tmp_path / "c.file", frames)
    np.testing.assert_array_equal(read_echo(path, max_frames=2).frames_THWC, frames[:2])


# ---- frame rate


@pytest.mark.parametrize(
    ("elements", "rate_hz"),
    [
        ({"FrameTime": "20"}, 50.0),
        ({"FrameTimeVector": ["0", "20", "30", "20", "30", "25"]}, 40.0),
        ({"FrameTimeVector": ["33", "20", "30", "20", "30", "25"]}, 40.0),
        ({"CineRate": "61"}, 61.0),
        ({"RecommendedDisplayFrameRate": "25"}, 25.0),
        ({"FrameTime": "20", "CineRate": "30"}, 50.0),
        ({"FrameTime": "0"}, None),
        ({"CineRate": "0"}, None),
        ({}, None),
    ],
)
def test_the_frame_rate_is_what_the_file_says_or_unknown(
    tmp_path: Path, elements: dict[str, Any], rate_hz: float | None
):
    frames = known_frames()
    path = write_dicom(tmp_path / "c.file", frames, frames.tobytes(), **elements)
    assert read_echo(path).frame_rate_hz == (None if rate_hz is None else pytest.approx(rate_hz))


# ---- real files


@pytest.mark.realdata
def test_public_echo_files_are_read_or_refused_for_what_they_are():
    folder = os.environ.get("ECHO2ECG_REALDATA")
    if not folder:
        pytest.skip("ECHO2ECG_REALDATA names no folder of public sample files")
    dicom = Path(folder) / "echo" / "dicom"
    clip = read_echo(dicom / "dicomparser_IM00001_jpegbaseline_frag_nobot.dcm")
    assert clip.frames_THWC.shape == (8, 240, 320, 3)
    assert clip.frame_rate_hz == pytest.approx(22.6, abs=0.5)
    with warnings.catch_warnings(action="ignore"):
        reference = pixel_array(dicom / "dicomparser_IM00001_jpegbaseline_frag_nobot.dcm")
    assert np.abs(clip.frames_THWC.astype(int) - reference).max() <= 8
    for name in ("cornerstone_US-YBR_FULL_422-EVRLE", "pydicomdata_US1_J2KI", "pydicomdata_gdcm-US-ALOKA-16"):
        assert refused(dicom / f"{name}.dcm").code == "still_image"
