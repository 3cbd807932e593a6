"""Videos come back upright and in their true colours, whatever their tags, sizes and other tracks."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from echo_files import known_frames, refused, write_video

from inputs.echo.formats import base, video
from inputs.echo.formats.base import GrowingClip
from inputs.echo.read import read_echo

TURNS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""a, b, c and d of the display matrix, by degrees clockwise."""


def turned(path: Path, matrix: tuple[float, float, float, float]) -> Path:
    """The MP4 with these numbers in the display matrix of its track header."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (round(65536 * number) for number in matrix)
    struct.pack_into(">5i", data, at, a, b, 0, c, d)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("degrees", TURNS)
def test_a_video_that_is_to_be_turned_is_turned(tmp_path: Path, degrees: int):
    path = write_video(tmp_path / "c.mp4", known_frames(), "mp4")
    upright_THWC = read_echo(path).frames_THWC
    read_THWC = read_echo(turned(path, TURNS[degrees])).frames_THWC  # type: ignore[arg-type]
    np.testing.assert_array_equal(read_THWC, np.rot90(upright_THWC, -degrees // 90, axes=(1, 2)))


def test_a_video_that_is_to_be_shown_askew_is_refused(tmp_path: Path):
    path = write_video(tmp_path / "c.mp4", known_frames(), "mp4")
    error = refused(turned(path, (0.866, 0.5, -0.5, 0.866)))
    assert error.code == "video_turned"


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("standard", [601, 709])
def test_colours_are_those_that_the_stream_says(tmp_path: Path, standard: int, full_range: bool):
    frames = known_frames(4)
    kr, kb = (0.2126, 0.0722) if standard == 709 else (0.299, 0.114)
    red, green, blue = np.moveaxis(frames.astype(float), -1, 0)
    y = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = [(blue - y) / (2 * (1 - kb)), (red - y) / (2 * (1 - kr))]
    planes = (
        [y, *(128 + c for c in chroma)] if full_range else [16 + y * 219 / 255, *(128 + c * 224 / 255 for c in chroma)]
    )
    yuv_TPHW = np.clip(np.rint(np.stack(planes, axis=1)), 0, 255).astype(np.uint8)
    path = tmp_path / "c.mp4"
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=Fraction(25), options={"qp": "1"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv444p"
        tags = {"colorspace": 1 if standard == 709 else 5, "color_range": 2 if full_range else 1}
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for planes_PHW in yuv_TPHW:
            frame = av.VideoFrame.from_ndarray(planes_PHW, format="yuv444p")
            for name, value in tags.items():
                setattr(frame, name, value)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    read = read_echo(path).frames_THWC.astype(int)
    for row, column in ((16, 10), (16, 54), (40, 10), (40, 54)):
        assert np.abs(read[:, row, column] - frames[:, row, column]).max() <= 4


def test_odd_sizes_and_an_alpha_channel_are_read(tmp_path: Path):
    frames = known_frames(4, 47, 61)
    path = tmp_path / "c.avi"
    with av.open(str(path), "w", format="avi") as out:
        stream = out.add_stream("png", rate=Fraction(25))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgba"
        for frame in frames:
            rgba = np.dstack([frame, np.full(frame.shape[:2], 99, np.uint8)])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba")))
        out.mux(stream.encode())
    np.testing.assert_array_equal(read_echo(path).frames_THWC, frames)


def test_a_sound_track_is_passed_over(tmp_path: Path):
    path = tmp_path / "c.mp4"
    with av.open(str(path), "w", format="mp4") as out:
        sound = out.add_stream("aac", rate=44100)
        picture = out.add_stream("mpeg4", rate=Fraction(25))
        picture.height, picture.width, picture.pix_fmt = 48, 64, "yuv420p"
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 44100
        out.mux(sound.encode(samples))
        for frame in known_frames():
            out.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(picture.encode())
        out.mux(sound.encode())
    clip = read_echo(path)
    assert clip.frames_THWC.shape == (6, 48, 64, 3)
    assert clip.frame_rate_hz == pytest.approx(25)


def shown_at(path: Path, times_ms: list[int]) -> Path:
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=Fraction(1000))
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time_ms, pixels in zip(times_ms, known_frames(len(times_ms)), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("times_ms", "rate_hz"),
    [
        ([0, 20, 40, 60, 80, 100], 50.0),
        ([0, 33, 66, 100, 133, 166, 200], 30.0),
        ([0, 20, 40, 60, 500, 520, 1000], None),
    ],
)
def test_the_rate_is_that_of_the_frames_and_unknown_where_no_one_rate_holds(
    tmp_path: Path, times_ms: list[int], rate_hz: float | None
):
    path = shown_at(tmp_path / "c.mp4", times_ms)
    assert read_echo(path).frame_rate_hz == (rate_hz and pytest.approx(rate_hz))
    if rate_hz == 50.0:
        assert read_echo(path, every=2).frame_rate_hz == pytest.approx(25)


def test_frames_are_added_one_by_one_and_held_once():
    frames_THWC = np.random.default_rng(0).integers(0, 256, (37, 5, 7, 3), np.uint8)
    clip = GrowingClip()
    for frame_HWC in frames_THWC:
        clip.append(frame_HWC)
    np.testing.assert_array_equal(clip.frames(), frames_THWC)
    assert clip.frames().flags.owndata


@pytest.mark.parametrize("streamed", [False, True])
def test_a_video_that_is_too_large_to_be_held_is_refused_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool
):
    path = tmp_path / "c.mp4"
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"} if streamed else {}) as out:
        track = out.add_stream("mpeg4", rate=25)
        track.height, track.width, track.pix_fmt = 48, 64, "yuv420p"
        for frame in known_frames(8):
            out.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(track.encode())
    for module in (base, video):
        monkeypatch.setattr(module, "MAX_DECODED_BYTES", 7 * 48 * 64 * 3)
    assert refused(path).code == "clip_too_large"
    assert len(read_echo(path, max_frames=7).frames_THWC) == 7
