"""Which of a video's tracks is the clip, which way up it is, and when its frames are shown."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from echo_files import known_frames, refused, write_video
from numpy.typing import NDArray

from inputs.echo.read import read_echo

Frames = NDArray[np.uint8]

MATRICES = {
    "mirrored": ((-1, 0, 0, 1), lambda f: f[:, :, ::-1]),
    "upside down and mirrored": ((1, 0, 0, -1), lambda f: f[:, ::-1]),
    "turned by half": ((-1, 0, 0, -1), lambda f: f[:, ::-1, ::-1]),
    "turned to the right": ((0, 1, -1, 0), lambda f: np.rot90(f, -1, axes=(1, 2))),
    "turned to the left": ((0, -1, 1, 0), lambda f: np.rot90(f, 1, axes=(1, 2))),
    "transposed": ((0, 1, 1, 0), lambda f: f.transpose(0, 2, 1, 3)),
    "transposed over the other diagonal": ((0, -1, -1, 0), lambda f: f.transpose(0, 2, 1, 3)[:, ::-1, ::-1]),
    "of twice the size": ((2, 0, 0, 2), lambda f: f),
}
"""a, b, c and d of the display matrix, which puts (x, y) at (a x + c y, b x + d y); and what is to be seen."""


@pytest.mark.parametrize("name", MATRICES)
def test_a_video_is_turned_and_mirrored_as_players_show_it(tmp_path: Path, name: str):
    matrix, seen = MATRICES[name]
    path = write_video(tmp_path / "c.mp4", known_frames(), "mp4")
    stored_THWC = read_echo(path).frames_THWC
    data = bytearray(path.read_bytes())
    a, b, c, d = (65536 * number for number in matrix)
    struct.pack_into(">5i", data, data.index(b"tkhd") + 44, a, b, 0, c, d)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_echo(path).frames_THWC, seen(stored_THWC))


# ---- several tracks


def write_tracks(path: Path, container: str, tracks: list[Frames], *, cover: bool = False) -> Path:
    with av.open(str(path), "w", format=container) as out:
        streams = []
        for frames in tracks:
            stream = out.add_stream("mjpeg", rate=Fraction(30))
            stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuvj444p"
            streams.append(stream)
        if cover:
            streams[0].disposition = av.stream.Disposition.attached_pic
        for t in range(max(map(len, tracks))):
            for stream, frames in zip(streams, tracks, strict=True):
                if t < len(frames):
                    out.mux(stream.encode(av.VideoFrame.from_ndarray(frames[t], format="rgb24")))
        for stream in streams:
            out.mux(stream.encode())
    return path


THUMBNAIL = np.full((1, 32, 48, 3), 90, np.uint8)


@pytest.mark.parametrize("container", ["mp4", "avi"])
@pytest.mark.parametrize("thumbnail_first", [True, False])
def test_a_picture_beside_the_video_is_passed_over(tmp_path: Path, thumbnail_first: bool, container: str):
    frames = known_frames(12)
    tracks = [THUMBNAIL, frames] if thumbnail_first else [frames, THUMBNAIL]
    clip = read_echo(write_tracks(tmp_path / "c.file", container, tracks))
    assert clip.frames_THWC.shape == frames.shape
    assert np.abs(clip.frames_THWC.astype(int) - frames).mean() < 6


def test_a_cover_picture_is_passed_over(tmp_path: Path):
    frames = known_frames(12)
    path = write_tracks(tmp_path / "c.file", "mp4", [THUMBNAIL, frames], cover=True)
    assert read_echo(path).frames_THWC.shape == frames.shape


@pytest.mark.parametrize("container", ["mp4", "avi"])
def test_two_videos_are_refused_for_nothing_says_which_is_meant(tmp_path: Path, container: str):
    path = write_tracks(tmp_path / "c.file", container, [known_frames(5), known_frames(12)])
    error = refused(path)
    assert (error.code, error.hint != "") == ("several_videos", True)


@pytest.mark.parametrize("container", ["mp4", "avi"])
def test_one_picture_alone_is_a_still(tmp_path: Path, container: str):
    assert refused(write_tracks(tmp_path / "c.file", container, [THUMBNAIL])).code == "still_image"


# ---- dropped frames


def without(path: Path, dropped: set[int]) -> Path:
    """The AVI with empty chunks in place of these frames, as a recorder writes that could not keep up."""
    data = path.read_bytes()
    start = data.index(b"movi")
    out, index, at, number = bytearray(data[: start + 4]), b"", start + 4, 0
    while data[at : at + 4] == b"00dc":
        (length,) = struct.unpack_from("<L", data, at + 4)
        body = b"" if number in dropped else data[at + 8 : at + 8 + length]
        index += b"00dc" + struct.pack("<LLL", 0x10, len(out) - start, len(body))
        out += b"00dc" + struct.pack("<L", len(body)) + body + b"\0" * (len(body) % 2)
        at, number = at + 8 + length + length % 2, number + 1
    struct.pack_into("<L", out, start - 4, len(out) - start)
    out += b"idx1" + struct.pack("<L", len(index)) + index
    struct.pack_into("<L", out, 4, len(out) - 8)
    path.write_bytes(out)
    return path


@pytest.mark.parametrize(
    ("dropped", "rate_hz"),
    [({5}, 50.0), ({5, 11}, 50.0), ({5, 6, 11}, None), ({22, 23}, 50.0)],
)
def test_dropped_frames_are_left_out_and_the_others_read(tmp_path: Path, dropped: set[int], rate_hz: float | None):
    frames = known_frames(24)
    path = write_video(tmp_path / "c.file", frames, "avi")
    whole = read_echo(path).frames_THWC
    clip = read_echo(without(path, dropped))
    np.testing.assert_array_equal(clip.frames_THWC, np.delete(whole, sorted(dropped), axis=0))
    assert clip.frame_rate_hz == (rate_hz and pytest.approx(rate_hz))
    every_third = read_echo(path, every=3).frames_THWC
    np.testing.assert_array_equal(every_third, clip.frames_THWC[::3])


def test_frames_that_lack_at_the_end_are_missing(tmp_path: Path):
    path = without(write_video(tmp_path / "c.file", known_frames(24), "avi"), set(range(16, 24)))
    error = refused(path)
    assert (error.code, error.hint != "") == ("frames_missing", True)
