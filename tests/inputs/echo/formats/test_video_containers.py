"""Containers as they are met: lengths that are a little wrong, boxes in front, bytes behind, no colour table."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from echo_files import known_frames, refused, write_video

from inputs.echo.read import read_echo

FRAMES = known_frames()


def box(kind: bytes, content: bytes = bytes(16)) -> bytes:
    return struct.pack(">L4s", 8 + len(content), kind) + content


def streamed(path: Path) -> Path:
    """An MP4 whose parts do not say where in the file they lie."""
    with av.open(
        str(path), "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    ) as out:
        track = out.add_stream("mpeg4", rate=Fraction(50))
        track.height, track.width, track.pix_fmt, track.bit_rate = 48, 64, "yuv420p", 8_000_000
        for frame in FRAMES:
            out.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(track.encode())
    return path


@pytest.mark.parametrize("more", [1, 2, 8])
def test_an_avi_that_counts_a_few_bytes_too_many_is_whole(tmp_path: Path, more: int):
    path = write_video(tmp_path / "c.file", FRAMES, "avi")
    expected = read_echo(path).frames_THWC
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, 4, len(data) - 8 + more)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_echo(path).frames_THWC, expected)
    path.write_bytes(data[:-40])
    assert refused(path).code == "file_truncated"


@pytest.mark.parametrize("behind", [b"written by a recorder", b"TAG" + b" " * 125, b"\xff" * 64, b"abc", bytes(99)])
def test_bytes_behind_the_last_box_are_passed_over(tmp_path: Path, behind: bytes):
    path = write_video(tmp_path / "c.file", FRAMES, "mp4")
    expected = read_echo(path).frames_THWC
    path.write_bytes(path.read_bytes() + behind)
    np.testing.assert_array_equal(read_echo(path).frames_THWC, expected)


@pytest.mark.parametrize("kind", [b"uuid", b"styp", b"pnot", b"PICT", b"free"])
def test_a_video_may_begin_with_other_boxes(tmp_path: Path, kind: bytes):
    path = streamed(tmp_path / "c.file")
    expected = read_echo(path).frames_THWC
    whole = box(kind) + path.read_bytes()
    path.write_bytes(whole)
    np.testing.assert_array_equal(read_echo(path).frames_THWC, expected)
    path.write_bytes(whole[: len(whole) // 2])
    assert refused(path).code == "file_truncated"


def avi_of_numbers(greys_THW: np.ndarray, table: bytes) -> bytes:
    """Frames that are not compressed, each pixel the number of a colour."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack("<L", len(content)) + content

    n_frames, rows, columns = greys_THW.shape
    about = struct.pack("<14L", 20_000, 0, 0, 16, n_frames, 0, 1, 0, columns, rows, 0, 0, 0, 0)
    stream = b"vidsDIB " + struct.pack("<LHHLLLLLLLL4H", 0, 0, 0, 0, 1, 50, 0, n_frames, 0, 0, 0, 0, 0, columns, rows)
    picture = struct.pack("<LlLHHLLLLLL", 40, columns, rows, 1, 8, 0, 0, 0, 0, len(table) // 4, 0) + table
    head = chunk(b"avih", about) + chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", picture))
    frames = b"".join(chunk(b"00db", grey_HW[::-1].tobytes()) for grey_HW in greys_THW)
    return chunk(b"RIFF", b"AVI " + chunk(b"LIST", b"hdrl" + head) + chunk(b"LIST", b"movi" + frames))


@pytest.mark.parametrize("table", [b"", b"".join(bytes([n, n, n, 0]) for n in range(256))], ids=["none", "greys"])
def test_numbers_of_a_colour_table_that_lacks_are_greys(tmp_path: Path, table: bytes):
    greys_THW = np.ascontiguousarray(FRAMES[..., 0])
    (tmp_path / "c.file").write_bytes(avi_of_numbers(greys_THW, table))
    clip = read_echo(tmp_path / "c.file")
    np.testing.assert_array_equal(clip.frames_THWC, greys_THW[..., None].repeat(3, axis=-1))
    assert clip.frame_rate_hz == pytest.approx(50)
