"""What every format of clips owes: recognised by content, whole or refused, the right frames, nobody's identity.

Whoever adds a format to `inputs.echo.formats.FORMATS` adds its writer to SAMPLES, and runs through all of this. What
only one format does is tested in its own file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from echo_files import known_frames, refused, write_dicom, write_video
from numpy.typing import NDArray

from inputs.echo.formats import FORMATS, EchoFormat
from inputs.echo.formats.base import START_BYTES
from inputs.echo.read import read_echo
from inputs.errors import UnreadableFile
from inputs.guarded.messages import pack_clip
from inputs.records import EchoClip

SECRET = b"SECRET"
"""In the header of every sample: a patient's name, or what a video has for a title."""

Frames = NDArray[np.uint8]


def write_plain_dicom(path: Path, frames_THWC: Frames) -> Path:
    return write_dicom(path, frames_THWC, frames_THWC.tobytes(), FrameTime="20")


SAMPLES: dict[str, Callable[[Path, Frames], Path]] = {
    "dicom": write_plain_dicom,
    "avi": lambda path, frames_THWC: write_video(path, frames_THWC, "avi"),
    "mp4": lambda path, frames_THWC: write_video(path, frames_THWC, "mp4"),
}
"""By the name of the format: what writes these frames at 50 per second, with SECRET in the header. Add yours here."""

every_format = pytest.mark.parametrize("echo_format", FORMATS, ids=lambda echo_format: echo_format.name)


@pytest.fixture
def write(echo_format: EchoFormat) -> Callable[[Path, Frames], Path]:
    assert echo_format.name in SAMPLES, f"SAMPLES has nothing that writes the format {echo_format.name}"
    return SAMPLES[echo_format.name]


@pytest.fixture
def sample(write: Callable[[Path, Frames], Path], tmp_path: Path) -> Path:
    """Twelve known frames in a file whose name says nothing."""
    return write(tmp_path / "c.file", known_frames(12))


def start_of(path: Path) -> bytes:
    return path.read_bytes()[:START_BYTES]


def assert_same(found: EchoClip, expected: EchoClip) -> None:
    np.testing.assert_array_equal(found.frames_THWC, expected.frames_THWC)
    assert (found.frame_rate_hz, found.source_format) == (expected.frame_rate_hz, expected.source_format)


def test_every_format_has_one_name_and_one_sample():
    assert sorted(echo_format.name for echo_format in FORMATS) == sorted(SAMPLES)


@every_format
def test_a_whole_clip_is_read_as_the_frames_and_the_rate_that_were_recorded(echo_format: EchoFormat, sample: Path):
    clip = read_echo(sample)
    assert clip.source_format == echo_format.name
    assert (clip.frames_THWC.dtype, clip.frames_THWC.shape) == (np.uint8, (12, 48, 64, 3))
    assert np.abs(clip.frames_THWC.astype(int) - known_frames(12)).mean() < 6, "red, green and blue, in this order"
    assert clip.frame_rate_hz == pytest.approx(50.0)


@every_format
@pytest.mark.parametrize("name", ["clip", "clip.dcm", "clip.avi", "clip.mp4", "clip.txt"])
def test_a_clip_is_recognised_by_its_content_under_any_name(echo_format: EchoFormat, sample: Path, name: str):
    assert echo_format.recognises(start_of(sample))
    expected = read_echo(sample)
    assert_same(read_echo(sample.rename(sample.with_name(name))), expected)


@every_format
def test_clips_of_other_formats_are_not_recognised(echo_format: EchoFormat, tmp_path: Path):
    for name, write_other in SAMPLES.items():
        if name != echo_format.name:
            assert not echo_format.recognises(start_of(write_other(tmp_path / name, known_frames())))


@every_format
@pytest.mark.parametrize("start", [b"", b"\0", b"\xff" * START_BYTES, b"RIFF", bytes(range(START_BYTES))])
def test_recognising_takes_any_bytes_without_an_error(echo_format: EchoFormat, start: bytes):
    assert echo_format.recognises(start) is False


@every_format
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.98])
def test_a_truncated_clip_is_refused_with_a_sentence(echo_format: EchoFormat, sample: Path, share: float):
    data = sample.read_bytes()
    cut = sample.with_name("cut.file")
    cut.write_bytes(data[: int(share * len(data))])
    assert refused(cut).code
    assert refused(cut, max_frames=2).code, "even where all frames asked for are there"


@every_format
def test_a_clip_damaged_anywhere_is_read_or_refused_and_raises_nothing_else(echo_format: EchoFormat, sample: Path):
    random = np.random.default_rng(0)
    whole = sample.read_bytes()
    damaged = sample.with_name("damaged.file")
    n_refused = 0
    for _ in range(20):
        data = bytearray(whole[: random.integers(1, len(whole) + 1)])
        for at in random.integers(0, min(len(data), 2000), 4):
            data[at] = random.integers(0, 256)
        damaged.write_bytes(data)
        try:
            read_echo(damaged, max_frames=4)
        except UnreadableFile:
            refused(damaged, max_frames=4)
            n_refused += 1
    assert n_refused > 0


@every_format
@pytest.mark.parametrize("chosen", [{"max_frames": 5}, {"every": 3}, {"max_frames": 8, "every": 2}])
def test_the_first_frames_or_every_nth_are_those_of_the_whole_clip(
    echo_format: EchoFormat, sample: Path, chosen: dict[str, Any]
):
    whole, some = read_echo(sample), read_echo(sample, **chosen)
    step = chosen.get("every", 1)
    np.testing.assert_array_equal(some.frames_THWC, whole.frames_THWC[: chosen.get("max_frames") : step])
    assert (some.frame_step, some.frame_rate_hz) == (step, pytest.approx(50.0 / step))


@every_format
def test_a_single_frame_is_no_clip(echo_format: EchoFormat, write: Callable[[Path, Frames], Path], tmp_path: Path):
    assert refused(write(tmp_path / "still.file", known_frames(1))).code == "still_image"


@every_format
def test_nothing_that_names_a_patient_is_in_the_clip(echo_format: EchoFormat, sample: Path):
    assert SECRET in sample.read_bytes()
    clip = read_echo(sample)
    header, (pixels,) = pack_clip(clip)
    assert SECRET.decode() not in repr(clip) + repr(header)
    assert SECRET not in bytes(pixels)
    assert sample.name not in repr(header)
