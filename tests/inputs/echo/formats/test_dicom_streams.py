"""Videos in DICOM are what their first bytes are, at the rate that they state themselves."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from dicom_files import run_lengths
from echo_files import known_frames, refused, write_dicom
from pydicom.uid import (
    HEVCMP51,
    MPEG2MPML,
    MPEG4HP41,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from inputs.echo.read import read_echo

FRAMES = known_frames(8, rows=96, columns=128)
STREAMS = {"mpeg2video": "mpeg2video", "h264": "libx264", "hevc": "libx265", "m4v": "mpeg4"}
VIDEOS = (MPEG2MPML, MPEG4HP41, HEVCMP51)


def stream(container: str, rate_hz: int = 50, options: str = "") -> bytes:
    made = io.BytesIO()
    with av.open(made, "w", format=container) as out:
        track = out.add_stream(STREAMS[container], rate=Fraction(rate_hz))
        track.height, track.width = FRAMES.shape[1:3]
        track.pix_fmt, track.bit_rate = "yuv420p", 8_000_000
        if container == "hevc":
            track.options = {"x265-params": f"log-level=none{options}"}
        for frame in FRAMES:
            out.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(track.encode())
    return made.getvalue()


def called(path: Path, data: bytes | list[bytes], syntax: str, **elements: int) -> Path:
    """Fragments under any transfer syntax, also one that knows none."""
    fragments = data if isinstance(data, list) else [data]
    write_dicom(path, FRAMES, fragments, photometric="RGB", syntax=RLELossless, **elements)
    uids = [uid.encode() + b"\0" * (len(uid) % 2) for uid in (str(RLELossless), str(syntax))]
    before, after = (b"\x02\x00\x10\x00UI" + len(uid).to_bytes(2, "little") + uid for uid in uids)
    longer = len(after) - len(before)
    content = path.read_bytes().replace(before, after)
    length = int.from_bytes(content[140:144], "little") + longer
    path.write_bytes(content[:140] + length.to_bytes(4, "little") + content[144:])
    return path


@pytest.mark.parametrize("rate_hz", [24, 30, 50])
@pytest.mark.parametrize("container", ["mpeg2video", "h264", "hevc"])
def test_a_bare_stream_has_the_rate_of_its_own_header(tmp_path: Path, container: str, rate_hz: int):
    path = called(tmp_path / "c.file", stream(container, rate_hz), MPEG4HP41)
    assert read_echo(path).frame_rate_hz == pytest.approx(rate_hz)


def test_a_bare_stream_that_states_no_rate_has_none(tmp_path: Path):
    path = called(tmp_path / "c.file", stream("hevc", options=":vui-timing-info=0"), HEVCMP51)
    assert read_echo(path).frame_rate_hz is None


@pytest.mark.parametrize("syntax", [*VIDEOS, ExplicitVRLittleEndian])
@pytest.mark.parametrize("container", STREAMS)
def test_a_stream_is_read_as_what_it_is_whatever_it_is_called(tmp_path: Path, container: str, syntax: str):
    for start, n_frames in ((b"", 8), (b"\0\0\0\0", 8), (b"", 1)):  # it says itself how many frames it has
        if n_frames == 1 and syntax == ExplicitVRLittleEndian:
            continue
        path = called(tmp_path / "c.file", start + stream(container), syntax, NumberOfFrames=n_frames)
        frames_THWC = read_echo(path).frames_THWC
        assert frames_THWC.shape == FRAMES.shape
        assert np.abs(frames_THWC.astype(int) - FRAMES).mean() < 8


def test_a_stream_among_pictures_is_refused_as_that(tmp_path: Path):
    error = refused(called(tmp_path / "c.file", stream("h264"), JPEGBaseline8Bit))
    assert (error.code, "JPEG baseline" in str(error)) == ("frames_not_decoded", True)


def test_run_lengths_that_are_said_not_to_be_compressed_are_read(tmp_path: Path):
    path = called(tmp_path / "c.file", [run_lengths(frame) for frame in FRAMES], ExplicitVRLittleEndian)
    np.testing.assert_array_equal(read_echo(path).frames_THWC, FRAMES)


def test_jpeg_xl_that_is_said_not_to_be_compressed_is_refused_by_its_name(tmp_path: Path):
    error = refused(called(tmp_path / "c.file", [b"\xff\x0a" + bytes(100)] * 8, ExplicitVRLittleEndian))
    assert (error.code, "JPEG XL" in str(error)) == ("dicom_compression", True)


def test_a_video_that_is_said_to_be_grey_is_grey(tmp_path: Path):
    data = [stream("h264")]
    seen_THWC = read_echo(called(tmp_path / "c.file", data, MPEG4HP41)).frames_THWC
    path = write_dicom(tmp_path / "g.file", FRAMES, data, photometric="MONOCHROME2", syntax=MPEG4HP41)
    grey_THWC = read_echo(path).frames_THWC
    assert not np.ptp(grey_THWC, axis=-1).any()
    assert np.abs(grey_THWC[..., 0] - seen_THWC @ [0.299, 0.587, 0.114]).max() <= 1
