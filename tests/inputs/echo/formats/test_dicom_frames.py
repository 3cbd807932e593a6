"""Frames are found wherever they lie, the rate wherever it stands, and nothing is looked for at any price."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import ADOBE, flat_jpeg, jpeg_2000, jpeg_ls_picture, lossless_jpeg, run_lengths, video
from echo_files import jpegs, known_frames, refused, write_dicom
from pydicom.uid import (
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from inputs.echo.read import read_echo
from inputs.guarded.reader import GuardedReader

ITEM, END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"


def item(data: bytes) -> bytes:
    return ITEM + struct.pack("<L", len(data)) + data


def encapsulated(path: Path, frames: np.ndarray, items: list[bytes], *, end: bytes = END, **options: Any) -> Path:
    """A clip whose pixel data is these items as they are."""
    options = {"photometric": "YBR_FULL", "syntax": JPEGBaseline8Bit, **options}
    write_dicom(path, frames, [b"\1\1\1\1"], has_bot=False, **options)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(item(b"")) if item(b"") in data else None] + b"".join(items) + end)
    return path


def assert_read(path: Path, frames: np.ndarray) -> None:
    read = read_echo(path).frames_THWC
    assert read.shape == frames.shape
    for row, column in ((3, 40), (16, 20), (16, 50), (40, 20), (40, 50)):
        assert np.abs(read[:, row, column].astype(int) - frames[:, row, column]).max() <= 6


def even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


FRAMES = known_frames(5)
JPEGS = jpegs(FRAMES)
PIECES = [even(jpeg[at : at + 500]) for jpeg in map(even, JPEGS) for at in range(0, len(jpeg), 500)]
STARTS = np.cumsum([0, *[8 + len(even(jpeg)) for jpeg in JPEGS]])
LAYOUTS = {
    "no table": [b"", *map(even, JPEGS)],
    "right table": [struct.pack("<5L", *STARTS[:5]), *map(even, JPEGS)],
    "table of zeros": [bytes(20), *map(even, JPEGS)],
    "table of nonsense": [struct.pack("<5L", 0, 7, 9, 2**31, 5), *map(even, JPEGS)],
    "table too short": [struct.pack("<2L", 0, STARTS[1]), *map(even, JPEGS)],
    "table that is off by the items": [struct.pack("<5L", *STARTS[:5] + 8), *map(even, JPEGS)],
    "pieces without a table": [b"", *PIECES],
    "pieces with a table of zeros": [bytes(20), *PIECES],
    "odd lengths": [b"", *JPEGS],
}


@pytest.mark.parametrize("n_frames", [5, None])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_frames_are_found_with_any_table_or_none(tmp_path: Path, layout: str, n_frames: int | None):
    items = [item(data) for data in LAYOUTS[layout]]
    assert_read(encapsulated(tmp_path / "c.file", FRAMES, items, NumberOfFrames=n_frames), FRAMES)


def test_a_fragment_of_odd_length_may_be_followed_by_a_byte_that_is_not_counted(tmp_path: Path):
    assert any(len(jpeg) % 2 for jpeg in JPEGS)
    items = [item(b""), *[even(item(jpeg)) for jpeg in JPEGS]]
    assert_read(encapsulated(tmp_path / "c.file", FRAMES, items), FRAMES)


def test_a_file_may_end_behind_its_last_frame_without_saying_so(tmp_path: Path):
    items = [item(even(data)) for data in (b"", *JPEGS)]
    assert_read(encapsulated(tmp_path / "c.file", FRAMES, items, end=b""), FRAMES)
    assert refused(encapsulated(tmp_path / "d.file", FRAMES, items[:-1], end=b"")).code == "frames_missing"


@pytest.mark.parametrize(("declared", "read"), [("3", 3), ("0", 5), ("5", 5)])
def test_as_many_frames_are_read_as_the_header_says_or_else_as_there_are(tmp_path: Path, declared: str, read: int):
    items = [item(even(data)) for data in (b"", *JPEGS)]
    encapsulated(tmp_path / "jpeg.file", FRAMES, items, NumberOfFrames=declared)
    write_dicom(tmp_path / "plain.file", FRAMES, FRAMES.tobytes(), NumberOfFrames=declared)
    for name in ("jpeg.file", "plain.file"):
        assert_read(tmp_path / name, FRAMES[:read])


def test_one_frame_is_a_still_whether_or_not_the_header_says_so(tmp_path: Path):
    for declared in ("1", None):
        items = [item(b""), item(even(JPEGS[0]))]
        path = encapsulated(tmp_path / "c.file", FRAMES[:1], items, NumberOfFrames=declared)
        assert refused(path).code == "still_image"


def test_frames_in_pieces_are_put_together_in_other_encodings_too(tmp_path: Path):
    for syntax, encode in ((JPEGLSLossless, jpeg_ls_picture), (JPEG2000Lossless, jpeg_2000)):
        pictures = [even(encode(frame)) for frame in FRAMES]
        pieces = [even(picture[at : at + 100]) for picture in pictures for at in range(0, len(picture), 100)]
        items = [item(data) for data in (b"", *pieces)]
        path = encapsulated(tmp_path / "c.file", FRAMES, items, syntax=syntax, photometric="RGB")
        assert_read(path, FRAMES)


def test_frames_in_fragments_may_be_not_compressed_at_all(tmp_path: Path):
    syntax = "1.2.840.10008.1.2.1.98"
    items = [item(data) for data in (b"", *[frame.tobytes() for frame in FRAMES])]
    assert_read(encapsulated(tmp_path / "c.file", FRAMES, items, syntax=syntax, photometric="RGB"), FRAMES)


def test_pictures_under_a_header_that_says_not_compressed_are_read_as_what_they_are(tmp_path: Path):
    items = [item(even(data)) for data in (b"", *JPEGS)]
    path = encapsulated(tmp_path / "c.file", FRAMES, items)
    plain = ExplicitVRLittleEndian.encode().ljust(len(JPEGBaseline8Bit), b"\0")
    path.write_bytes(path.read_bytes().replace(JPEGBaseline8Bit.encode(), plain))
    assert_read(path, FRAMES)


def test_a_table_that_leaves_out_a_picture_is_not_followed(tmp_path: Path):
    """It has as many entries as frames are declared, and would put two pictures into one of them."""
    table = struct.pack("<4L", *STARTS[[0, 1, 3, 4]])
    items = [item(data) for data in (table, *map(even, JPEGS))]
    assert_read(encapsulated(tmp_path / "c.file", FRAMES, items, NumberOfFrames="4"), FRAMES[:4])


# ---- without a beginning


def bare(path: Path) -> bytes:
    """What follows the file meta information."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<L", data, 140)
    return data[144 + length :]


@pytest.mark.parametrize("kept", ["no preamble", "only preamble", "nothing"])
@pytest.mark.parametrize("kind", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit])
def test_preamble_and_file_meta_information_may_be_missing(tmp_path: Path, kept: str, kind: str):
    data: Any = JPEGS if kind == JPEGBaseline8Bit else FRAMES.tobytes()
    photometric = "YBR_FULL" if kind == JPEGBaseline8Bit else "RGB"
    path = write_dicom(tmp_path / "c.file", FRAMES, data, photometric=photometric, syntax=kind)
    whole = path.read_bytes()
    start = {"no preamble": whole[132 : -len(bare(path))], "only preamble": whole[:132], "nothing": b""}[kept]
    path.write_bytes(start + bare(path))
    assert_read(path, FRAMES)


def test_a_deflated_clip_is_read_and_one_cut_short_is_refused(tmp_path: Path):
    path = write_dicom(tmp_path / "c.file", FRAMES, FRAMES.tobytes(), syntax=DeflatedExplicitVRLittleEndian)
    assert_read(path, FRAMES)
    path.write_bytes(path.read_bytes()[:-30])
    assert refused(path).code == "file_truncated"


# ---- the rate


@pytest.mark.parametrize(
    ("elements", "rate_hz"),
    [
        ({"FrameTime": "0.0333", "CineRate": "30"}, 30.0),
        ({"FrameTime": "0.0333", "RecommendedDisplayFrameRate": "30"}, 30.0),
        ({"FrameTime": "0.0333"}, None),
        ({"FrameTime": "0", "FrameTimeVector": ["0", "20", "20"]}, 50.0),
        ({"FrameTimeVector": ["0", "0.02", "0.02"], "CineRate": "50"}, 50.0),
        ({"FrameTimeVector": ["0", "0", "0"], "CineRate": "50"}, 50.0),
        ({"FrameTimeVector": ["0"], "CineRate": "50"}, 50.0),
        ({"FrameTimeVector": ["0", "16", "17", "17", "16", "18"]}, 5000 / 84),
        ({"FrameTime": "-20", "CineRate": "0", "RecommendedDisplayFrameRate": "25"}, 25.0),
        ({"CineRate": "100000"}, None),
    ],
)
def test_the_rate_is_the_first_that_a_machine_can_have(tmp_path: Path, elements: Any, rate_hz: float | None):
    path = write_dicom(tmp_path / "c.file", FRAMES, FRAMES.tobytes(), **elements)
    assert read_echo(path).frame_rate_hz == (None if rate_hz is None else pytest.approx(rate_hz))


# ---- at no price


def giant(picture: bytes, marker: bytes, at: int, size: bytes) -> bytes:
    """The picture with another size in its own header."""
    where = picture.index(marker) + at
    return picture[:where] + size + picture[where + len(size) :]


SMALL = np.zeros((16, 16, 1), np.uint8)
SIDE, LONG_SIDE = struct.pack(">HH", 65_000, 65_000), struct.pack(">LL", 65_000, 65_000)
GIANTS = {
    JPEGBaseline8Bit: giant(flat_jpeg(SMALL, 8), b"\xff\xc1", 5, SIDE),
    JPEGLosslessSV1: giant(lossless_jpeg(SMALL), b"\xff\xc3", 5, SIDE),
    JPEGLSLossless: giant(jpeg_ls_picture(SMALL), b"\xff\xf7", 5, SIDE),
    JPEG2000Lossless: giant(jpeg_2000(np.zeros((64, 64, 1), np.uint8)), b"\xff\x51", 6, LONG_SIDE),
}


@pytest.mark.parametrize("syntax", GIANTS)
def test_a_picture_far_larger_than_the_header_says_is_refused_before_it_is_decoded(tmp_path: Path, syntax: str):
    frames = np.zeros((2, 16, 16, 1), np.uint8)
    path = write_dicom(tmp_path / "c.file", frames, [GIANTS[syntax]] * 2, photometric="MONOCHROME2", syntax=syntax)
    of_too_many_tiles = ("frames_not_decoded",) if syntax == JPEG2000Lossless else ()
    assert refused(path).code in ("frame_size", *of_too_many_tiles)


def test_a_frame_of_far_more_bytes_than_its_pixels_need_is_not_put_together(tmp_path: Path):
    path = write_dicom(tmp_path / "c.file", FRAMES[:2], [bytes(5_000_000)] * 2, syntax=RLELossless)
    assert refused(path).code == "frame_too_large"


def test_a_jpeg_of_markers_without_end_is_refused(tmp_path: Path):
    endless = b"\xff\xd8" + ADOBE["RGB"] * 20_000
    path = write_dicom(tmp_path / "c.file", FRAMES[:2], [endless] * 2, syntax=JPEGBaseline8Bit)
    assert refused(path).code == "frames_not_decoded"


@pytest.mark.parametrize("depth", [10, 3000])
def test_sequences_within_sequences_are_passed_over_or_refused(tmp_path: Path, depth: int):
    path = write_dicom(tmp_path / "c.file", FRAMES, FRAMES.tobytes())
    data = path.read_bytes()
    at = data.index(b"\x08\x00\x60\x00")  # the modality, which what is nested comes before
    start = struct.pack("<HH2sHL", 0x0008, 0x0051, b"SQ", 0, 0xFFFFFFFF) + ITEM + b"\xff" * 4
    end = b"\xfe\xff\x0d\xe0\0\0\0\0" + END
    path.write_bytes(data[:at] + start * depth + end * depth + data[at:])
    if depth == 10:
        assert_read(path, FRAMES)
    else:
        assert refused(path).code in ("dicom_damaged", "unreadable_file")


def test_every_decoder_works_within_the_limits_of_a_guarded_child(tmp_path: Path):
    frames = known_frames(4, rows=96, columns=128)
    encoded = {
        JPEGBaseline8Bit: jpegs(frames, "444"),
        RLELossless: [run_lengths(frame) for frame in frames],
        JPEGLSLossless: [jpeg_ls_picture(frame) for frame in frames],
        JPEG2000Lossless: [jpeg_2000(frame) for frame in frames],
        JPEGLosslessSV1: [lossless_jpeg(frame) for frame in frames],
        MPEG4HP41: [video(frames, "libx264", "mp4")],
    }
    with GuardedReader() as reader:
        for number, (syntax, data) in enumerate(encoded.items()):
            path = write_dicom(tmp_path / f"{number}.file", frames, data, syntax=syntax)
            read = reader.read_echo(path).frames_THWC
            assert np.abs(read.astype(int) - frames).mean() < 4, syntax


def test_an_extended_table_that_fits_is_followed_before_an_empty_basic_one(tmp_path: Path):
    path = write_dicom(tmp_path / "c.file", FRAMES, JPEGS, photometric="YBR_FULL", syntax=JPEGBaseline8Bit)
    ds = pydicom.dcmread(path)
    pieces = [item(piece) for piece in PIECES]
    counts = [-(-len(even(jpeg)) // 500) for jpeg in JPEGS]
    lengths = [sum(map(len, pieces[a : a + n])) for a, n in zip(np.cumsum([0, *counts[:-1]]), counts, strict=True)]
    ds.ExtendedOffsetTable = struct.pack("<5Q", *np.cumsum([0, *lengths[:-1]]))
    ds.ExtendedOffsetTableLengths = struct.pack("<5Q", *map(len, JPEGS))
    ds.PixelData = item(b"") + b"".join(pieces) + END
    stream = io.BytesIO()
    ds.save_as(stream)
    path.write_bytes(stream.getvalue())
    assert_read(path, FRAMES)
