"""What is damaged is refused: no decoder's own idea of the missing pixels is read as an echo."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from dicom_files import VIDEOS, flat_jpeg, video
from echo_files import jpegs, known_frames, refused, write_dicom, write_video
from echo_scenes import fan
from numpy.typing import NDArray
from pydicom.uid import HEVCMP51, MPEG2MPML, MPEG4HP41, JPEGBaseline8Bit

from inputs.echo.formats.dicom_codestreams import holds_another
from inputs.echo.read import read_echo

FRAMES = fan(96, 128, 5).frames_THWC
JPEGS = jpegs(FRAMES)
CLIP = fan(144, 192, 24).frames_THWC


def nothing_in(data: bytes, at: int, length: int) -> bytes:
    return data[:at] + bytes(length) + data[at + length :]


def as_dicom(path: Path, pictures: list[bytes]) -> Path:
    return write_dicom(path, FRAMES, pictures, photometric="YBR_FULL_422", syntax=JPEGBaseline8Bit)


# ---- pictures

DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda jpeg: jpeg[: len(jpeg) // 3],
    "cut, with an end": lambda jpeg: jpeg[: len(jpeg) // 3] + b"\xff\xd9",
    "a part left out": lambda jpeg: jpeg[: len(jpeg) // 2] + jpeg[len(jpeg) // 2 + 100 :],
    "without scan": lambda jpeg: jpeg[: jpeg.index(b"\xff\xda")] + b"\xff\xd9",
}
WHOLE: dict[str, Callable[[bytes], bytes]] = {
    "without end": lambda jpeg: jpeg[:-2],
    "zeros before the end": lambda jpeg: jpeg[:-2] + bytes(6) + jpeg[-2:],
    "zeros in place of the end": lambda jpeg: jpeg[:-2] + bytes(8),
    "zeros behind the end": lambda jpeg: jpeg + bytes(200),
    "ones before the end": lambda jpeg: jpeg[:-2] + b"\xff\xff\xff" + jpeg[-2:],
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_jpeg_is_refused(tmp_path: Path, damage: str):
    pictures = [*JPEGS[:3], DAMAGED[damage](JPEGS[3]), JPEGS[4]]
    assert refused(as_dicom(tmp_path / "c.file", pictures)).code == "frames_not_decoded"


@pytest.mark.parametrize("unusual", WHOLE)
def test_a_jpeg_that_is_whole_is_read_whatever_lies_around_its_end(tmp_path: Path, unusual: str):
    expected = read_echo(as_dicom(tmp_path / "c.file", JPEGS)).frames_THWC
    path = as_dicom(tmp_path / "d.file", [WHOLE[unusual](jpeg) for jpeg in JPEGS])
    np.testing.assert_array_equal(read_echo(path).frames_THWC, expected)


def test_a_sampling_that_libjpeg_turbos_interface_does_not_know_is_read(tmp_path: Path):
    """Three by one for the luminance of a grey field: nothing changes but the size of a unit."""
    frames = np.full((2, 8, 24, 3), 90, np.uint8)
    values = np.broadcast_to(np.array([90, 128, 128], np.uint8), (8, 8, 3))
    unit = flat_jpeg(values, 8)
    head, scan = unit[: unit.index(b"\xff\xda") + 14], unit[unit.index(b"\xff\xda") + 14 : -2]
    bits = "".join(f"{byte:08b}" for byte in scan)
    # Two more blocks of luminance, without a difference to the first, before those of the colours.
    (n_bits,) = (len(f"{abs(8 * (90 - 128)):b}") + 5 + 1,)
    whole = bits[:n_bits] + "000000" * 2 + bits[n_bits : n_bits + 12]
    whole += "1" * (-len(whole) % 8)
    data = bytes(int(whole[at : at + 8], 2) for at in range(0, len(whole), 8)).replace(b"\xff", b"\xff\x00")
    frame_at = head.index(b"\xff\xc1")
    wide = bytearray(head)
    wide[frame_at + 7 : frame_at + 9] = (24).to_bytes(2, "big")
    wide[frame_at + 11] = 0x31
    picture = bytes(wide) + data + b"\xff\xd9"
    path = write_dicom(tmp_path / "c.file", frames, [picture] * 2, photometric="YBR_FULL", syntax=JPEGBaseline8Bit)
    assert np.abs(read_echo(path).frames_THWC.astype(int) - 90).max() <= 2


# ---- two pictures in one fragment


@pytest.mark.parametrize("pad", [b"", b"\0"])
@pytest.mark.parametrize("declared", [2, None])
def test_fragments_of_two_pictures_are_refused_and_never_read_as_every_second(
    tmp_path: Path, declared: int | None, pad: bytes
):
    pairs = [JPEGS[0] + pad + JPEGS[1], JPEGS[2] + pad + JPEGS[3]]
    path = write_dicom(
        tmp_path / "c.file",
        FRAMES,
        pairs,
        photometric="YBR_FULL_422",
        syntax=JPEGBaseline8Bit,
        NumberOfFrames=declared,
    )
    assert refused(path).code == "frames_missing"


def test_a_picture_within_a_segment_is_no_second_one():
    thumbnail = b"\xff\xe1\x00\x0a" + b"\xff\xd8\xff\xd9\xff\xdb\0\0"
    assert not holds_another(JPEGS[0][:2] + thumbnail + JPEGS[0][2:])


# ---- videos


def written(path: Path, data: bytes, syntax: str, n_frames: int = len(CLIP)) -> Path:
    padded = data + b"\0" * (len(data) % 2)
    options = {"photometric": "YBR_PARTIAL_420", "syntax": syntax, "NumberOfFrames": n_frames}
    return write_dicom(path, CLIP, [padded], **options)


@pytest.mark.parametrize("syntax", [MPEG2MPML, MPEG4HP41])
def test_a_video_in_dicom_with_holes_is_refused(tmp_path: Path, syntax: str):
    data = video(CLIP, *VIDEOS[syntax])
    for eighths in (3, 4, 5):
        data = nothing_in(data, eighths * len(data) // 8, 300)
    assert refused(written(tmp_path / "c.file", data, syntax)).code == "frames_not_decoded"


@pytest.mark.parametrize("syntax", [MPEG2MPML, HEVCMP51])
def test_half_a_video_in_dicom_is_refused(tmp_path: Path, syntax: str):
    data = video(CLIP, *VIDEOS[syntax])
    path = written(tmp_path / "c.file", data[: len(data) // 2], syntax)
    assert refused(path).code in ("frames_missing", "frames_not_decoded")


@pytest.mark.parametrize("declared", [23, 26])
def test_a_header_may_count_a_frame_or_two_amiss(tmp_path: Path, declared: int):
    path = written(tmp_path / "c.file", video(CLIP, *VIDEOS[MPEG2MPML]), MPEG2MPML, declared)
    assert read_echo(path).frames_THWC.shape == CLIP.shape


def test_a_header_that_counts_more_is_refused_and_a_few_frames_are_read_of_any(tmp_path: Path):
    path = written(tmp_path / "c.file", video(CLIP, *VIDEOS[MPEG2MPML]), MPEG2MPML, 30)
    assert refused(path).code == "frames_missing"
    assert len(read_echo(path, max_frames=10).frames_THWC) == 10


def encoded(path: Path, codec: str, pixel_format: str, container: str) -> bytes:
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=Fraction(30))
        stream.height, stream.width = CLIP.shape[1:3]
        stream.pix_fmt, stream.bit_rate = pixel_format, 8_000_000
        for frame in CLIP:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())
    return path.read_bytes()


@pytest.mark.parametrize(
    ("codec", "pixel_format", "container", "mark"),
    [
        ("libx264", "yuv420p", "mp4", b"mdat"),
        ("mpeg4", "yuv420p", "avi", b"movi"),
        ("mjpeg", "yuvj420p", "avi", b"movi"),
        ("mjpeg", "yuvj420p", "mp4", b"mdat"),
    ],
)
def test_a_video_with_holes_is_refused(tmp_path: Path, codec: str, pixel_format: str, container: str, mark: bytes):
    path = tmp_path / "c.file"
    data = encoded(path, codec, pixel_format, container)
    assert read_echo(path).frames_THWC.shape == CLIP.shape
    start, length = data.index(mark) + 4, len(data) - data.index(mark)
    for tenth in (3, 4, 5, 6):
        data = nothing_in(data, start + tenth * length // 10, 200)
    path.write_bytes(data)
    assert refused(path).code == "video_damaged"


def as_avi(path: Path, pictures: list[bytes], frames: NDArray[np.uint8]) -> Path:
    with av.open(str(path), "w", format="avi") as out:
        stream = out.add_stream("mjpeg", rate=Fraction(30))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuvj422p"
        out.start_encoding()
        for number, picture in enumerate(pictures):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base, packet.is_keyframe = Fraction(1, 30), True
            out.mux(packet)
    return path


@pytest.mark.parametrize("unusual", WHOLE)
def test_a_motion_jpeg_of_whole_pictures_is_read_whatever_lies_around_their_ends(tmp_path: Path, unusual: str):
    expected = read_echo(as_avi(tmp_path / "c.file", JPEGS, FRAMES)).frames_THWC
    path = as_avi(tmp_path / "d.file", [WHOLE[unusual](jpeg) for jpeg in JPEGS], FRAMES)
    np.testing.assert_array_equal(read_echo(path).frames_THWC, expected)


@pytest.mark.parametrize("damage", ["cut", "cut, with an end"])
def test_a_motion_jpeg_with_a_damaged_picture_is_refused(tmp_path: Path, damage: str):
    pictures = [*JPEGS[:3], DAMAGED[damage](JPEGS[3]), JPEGS[4]]
    assert refused(as_avi(tmp_path / "c.file", pictures, FRAMES)).code == "video_damaged"


# ---- FFmpeg's own errors


@pytest.mark.parametrize("kind", ["avi", "mp4", "dicom"])
def test_an_absurd_count_over_which_ffmpeg_has_no_memory_is_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    if kind == "dicom":
        path = written(tmp_path / "c.file", video(CLIP, *VIDEOS[MPEG2MPML]), MPEG2MPML)
    else:
        path = write_video(tmp_path / "c.file", known_frames(), kind)

    def out_of_memory(*_args: object, **_options: object) -> None:
        raise av.error.MemoryError(12, "Cannot allocate memory")

    monkeypatch.setattr(av, "open", out_of_memory)
    assert refused(path).code in ("video_damaged", "frames_not_decoded")


def test_memory_that_is_really_gone_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_video(tmp_path / "c.file", known_frames(), "mp4")

    def out_of_memory(*_args: object, **_options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(av, "open", out_of_memory)
    with pytest.raises(MemoryError):
        read_echo(path)
