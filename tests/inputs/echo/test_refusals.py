"""Nothing broken or hostile is read as a clip, and no refusal says more than it should."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.examples
import pytest
from echo_files import REAL_CLIP, jpegs, known_frames, refused, write_dicom, write_video
from pydicom.uid import JPEGBaseline8Bit, UltrasoundImageStorage

from inputs import opened
from inputs.echo.read import read_echo
from inputs.errors import UnreadableFile


def test_a_single_frame_is_a_still_and_not_a_clip(tmp_path: Path):
    frames = known_frames(1)
    path = write_dicom(tmp_path / "c.file", frames, frames.tobytes(), SOPClassUID=UltrasoundImageStorage)
    assert refused(path).code == "still_image"
    assert "still image, not a clip" in str(refused(path))


def test_a_dicom_ecg_is_not_an_ultrasound_clip():
    assert refused(Path(str(pydicom.examples.get_path("waveform")))).code == "not_ultrasound"


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95, 0.999])
def test_a_truncated_dicom_is_refused_compressed_or_not(tmp_path: Path, keep: float):
    frames = known_frames(20)
    plain = write_dicom(tmp_path / "plain.file", frames, frames.tobytes())
    for whole in (plain, REAL_CLIP):
        data = whole.read_bytes()
        cut = tmp_path / "cut.file"
        cut.write_bytes(data[: int(len(data) * keep)])
        assert refused(cut, max_frames=4).code in ("file_truncated", "dicom_damaged", "frames_missing", "no_pixels")


@pytest.mark.parametrize("container", ["avi", "mp4"])
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_a_truncated_video_is_refused(tmp_path: Path, container: str, keep: float):
    data = write_video(tmp_path / "whole.file", known_frames(20), container).read_bytes()
    cut = tmp_path / "cut.file"
    cut.write_bytes(data[: int(len(data) * keep)])
    assert refused(cut).code in ("file_truncated", "video_damaged", "not_an_echo_clip")


def test_a_jpeg_frame_of_another_size_than_the_header_says_is_refused(tmp_path: Path):
    frames = known_frames(3)
    others = jpegs(known_frames(3, rows=480, columns=640))
    path = write_dicom(tmp_path / "c.file", frames, others, photometric="YBR_FULL_422", syntax=JPEGBaseline8Bit)
    assert refused(path).code == "frame_size"


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"Rows": 65535, "Columns": 65535}, "frame_size"),
        ({"NumberOfFrames": 2_000_000_000}, "too_many_frames"),
        ({"NumberOfFrames": 9000}, "file_truncated"),
        ({"NumberOfFrames": 9000, "Rows": 4096, "Columns": 4096}, "clip_too_large"),
        ({"Rows": 0}, "frame_size"),
        ({"PixelRepresentation": 1}, "pixels_signed"),
        ({"SamplesPerPixel": 7}, "pixel_colours"),
    ],
)
def test_a_header_that_promises_more_than_there_is_is_refused_before_allocation(
    tmp_path: Path, elements: dict[str, Any], code: str
):
    frames = known_frames()
    path = write_dicom(tmp_path / "c.file", frames, frames.tobytes(), **elements)
    assert refused(path).code == code


def test_more_frames_declared_than_encapsulated_is_refused_even_if_few_are_asked_for(tmp_path: Path):
    frames = known_frames(4)
    path = write_dicom(
        tmp_path / "c.file",
        frames,
        jpegs(frames),
        photometric="YBR_FULL",
        syntax=JPEGBaseline8Bit,
        NumberOfFrames=5,
        has_bot=False,
    )
    assert refused(path, max_frames=2).code == "frames_missing"


def test_damage_anywhere_is_refused_or_read_but_never_escapes_as_another_error(tmp_path: Path):
    generator = np.random.default_rng(5)
    outcomes = set()
    wholes = [REAL_CLIP.read_bytes()]
    wholes += [write_video(tmp_path / f"w.{c}", known_frames(8), c).read_bytes() for c in ("avi", "mp4")]
    for whole in wholes:
        for _ in range(25):
            data = bytearray(whole)
            for position in generator.integers(0, min(len(data), 4000), 12):
                data[position] = generator.integers(0, 256)
            path = tmp_path / "damaged.file"
            path.write_bytes(data)
            try:
                outcomes.add(read_echo(path, max_frames=4).source_format)
            except UnreadableFile as error:
                outcomes.add(error.code)
    assert len(outcomes) > 3


def test_a_pipe_does_not_hang_and_links_folders_and_devices_are_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.file")
    os.symlink(REAL_CLIP, tmp_path / "link.file")
    (tmp_path / "folder.file").mkdir()
    for name in ("pipe.file", "link.file", "folder.file"):
        assert refused(tmp_path / name).code == "not_a_regular_file"
    with pytest.raises(UnreadableFile, match="not a regular file"):
        read_echo(Path("/dev/zero"))
    assert refused(tmp_path / "absent.file").code == "file_missing"


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 200, b"RIFF\0\0\0\0WAVEfmt "])
def test_files_of_other_kinds_are_refused_with_what_would_help(tmp_path: Path, data: bytes):
    path = tmp_path / "other.file"
    path.write_bytes(data)
    assert refused(path).code == ("file_empty" if not data else "not_an_echo_clip")


def test_a_playlist_in_a_videos_clothes_opens_no_other_file(tmp_path: Path):
    secret = tmp_path / "secret.ts"
    write_video(secret, known_frames(), "avi")
    path = tmp_path / "list.file"
    path.write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + f"#EXTM3U\n#EXTINF:1,\n{secret}\n".encode())
    assert refused(path).code in ("video_damaged", "file_truncated")


def test_a_length_of_gigabytes_reads_no_more_than_the_file_holds(tmp_path: Path):
    path = tmp_path / "small.file"
    path.write_bytes(b"abc")
    with opened.open_regular_file(path) as file:
        assert file.read(1 << 40) == b"abc"
        assert file.read() == b""


def test_nothing_about_the_patient_is_logged_when_a_damaged_file_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    frames = known_frames(3)
    path = write_dicom(
        tmp_path / "c.file",
        frames,
        [b"\xff\xd8SECRET"] * 3,
        photometric="YBR_FULL",
        syntax=JPEGBaseline8Bit,
    )
    with caplog.at_level(logging.DEBUG):
        refused(path)
    assert caplog.text == ""
    assert "SECRET" not in capfd.readouterr().err
    assert not logging.getLogger("pydicom").disabled


def test_fewer_than_two_frames_is_a_callers_mistake():
    with pytest.raises(ValueError, match="at least 2"):
        read_echo(REAL_CLIP, max_frames=1)


@pytest.mark.parametrize("vr", [b"??", b"  "])
def test_an_element_that_hides_the_rest_of_the_header_is_damage_and_no_lack_of_pixels(tmp_path: Path, vr: bytes):
    path = write_dicom(tmp_path / "c.file", known_frames(), known_frames().tobytes())
    odd = b"\x09\x00\x01\x10" + vr + b"\x04\x00abcd"
    path.write_bytes(path.read_bytes().replace(b"\x10\0\x10\0PN", odd + b"\x10\0\x10\0PN"))
    assert refused(path).code == "dicom_damaged"
