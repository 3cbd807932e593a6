"""Clips are read in their true colours, only as far as asked, and nothing broken or hostile gets through."""

from __future__ import annotations

import logging
import os
import re
import struct
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pydicom.examples
import pytest
import simplejpeg
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from inputs.echo_formats import dicom_cine, opened
from inputs.echo_prepare import prepare_clip
from inputs.echo_read import read_echo
from inputs.errors import UnreadableFile
from inputs.specs import EchoSpec

REAL_CLIP = Path(str(pydicom.examples.get_path("ybr_color")))
COLOURS = [(200, 30, 40), (30, 180, 60), (40, 60, 210), (128, 128, 128)]


def known_frames(n_frames: int = 6, rows: int = 48, columns: int = 64) -> NDArray[np.uint8]:
    """Four fields of known colour; frame t has a brighter top row, so that the order of frames shows."""
    frames = np.empty((n_frames, rows, columns, 3), np.uint8)
    frames[:, : rows // 2, : columns // 2], frames[:, : rows // 2, columns // 2 :] = COLOURS[0], COLOURS[1]
    frames[:, rows // 2 :, : columns // 2], frames[:, rows // 2 :, columns // 2 :] = COLOURS[2], COLOURS[3]
    frames[:, :8] = 20 + 10 * np.arange(n_frames)[:, None, None, None]
    return frames


def write_dicom(
    path: Path,
    frames_THWC: NDArray[np.uint8],
    pixel_data: bytes | list[bytes],
    *,
    photometric: str = "RGB",
    syntax: str = ExplicitVRLittleEndian,
    **elements: Any,
) -> Path:
    """A minimal ultrasound cine; `pixel_data` is one block, or encoded frames to encapsulate."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = elements.pop("SOPClassUID", UltrasoundMultiFrameImageStorage)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = FileDataset(str(path), Dataset(), file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.PatientName, ds.PatientID, ds.Modality, ds.Manufacturer = "SECRET^NAME", "SECRET-ID", "US", "Test"
    ds.NumberOfFrames, ds.Rows, ds.Columns = frames_THWC.shape[:3]
    ds.SamplesPerPixel = 1 if photometric.startswith(("MONO", "PALETTE")) else 3
    ds.PhotometricInterpretation, ds.PlanarConfiguration = photometric, 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    if isinstance(pixel_data, list):
        ds.PixelData = encapsulate(pixel_data, has_bot=elements.pop("has_bot", True))
        ds["PixelData"].VR = "OB"
    else:
        ds.PixelData = pixel_data + b"\0" * (len(pixel_data) % 2)
        ds["PixelData"].VR = "OW" if syntax == ImplicitVRLittleEndian else "OB"
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ds.save_as(path, enforce_file_format=True)
    return path


def ycbcr(frames_THWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """ITU-R BT.601 full range, as DICOM's YBR_FULL."""
    red, green, blue = np.moveaxis(frames_THWC.astype(float), -1, 0)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = [y, 128 + 0.564 * (blue - y), 128 + 0.713 * (red - y)]
    return np.clip(np.rint(np.stack(planes, axis=-1)), 0, 255).astype(np.uint8)


def jpegs(frames_THWC: NDArray[np.uint8], subsampling: str = "422") -> list[bytes]:
    return [
        simplejpeg.encode_jpeg(np.ascontiguousarray(frame), quality=95, colorspace="RGB", colorsubsampling=subsampling)
        for frame in frames_THWC
    ]


def rgb_jpegs(frames_THWC: NDArray[np.uint8]) -> list[bytes]:
    """JPEGs whose components are R, G and B themselves, with nothing in the file that says so."""
    planes = [np.ascontiguousarray(frames_THWC[..., colour]) for colour in range(3)]
    return [
        simplejpeg.encode_jpeg_yuv_planes(planes[0][t], planes[1][t], planes[2][t], quality=95)
        for t in range(len(frames_THWC))
    ]


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


def test_the_jpeg_fast_path_is_taken_where_its_colours_are_right(monkeypatch: pytest.MonkeyPatch):
    read_echo(REAL_CLIP, max_frames=2)  # the one comparison of this process
    monkeypatch.setattr(dicom_cine, "iter_pixels", lambda *_a, **_k: pytest.fail("slow path taken"))
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


def write_video(path: Path, frames_THWC: NDArray[np.uint8], container: str) -> Path:
    with av.open(str(path), "w", format=container) as out:
        codec, pixel_format = ("mjpeg", "yuvj444p") if container == "avi" else ("mpeg4", "yuv420p")
        stream = out.add_stream(codec, rate=Fraction(50))
        stream.height, stream.width = frames_THWC.shape[1:3]
        stream.pix_fmt = pixel_format
        stream.bit_rate = 8_000_000
        for frame in frames_THWC:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())
    return path


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
    fast = dicom_cine._decode_fast
    monkeypatch.setattr(dicom_cine, "_decode_fast", lambda *a: decoded.append(1) or fast(*a))
    first = read_echo(REAL_CLIP, max_frames=7)
    np.testing.assert_array_equal(first.frames_THWC, whole.frames_THWC[:7])
    assert len(decoded) == 7


@pytest.mark.parametrize("kind", ["dicom", "avi", "mp4"])
def test_every_second_frame_is_the_same_as_dropping_the_others(tmp_path: Path, kind: str):
    path = REAL_CLIP if kind == "dicom" else write_video(tmp_path / "clip.file", known_frames(12), kind)
    whole, half = read_echo(path, max_frames=9), read_echo(path, max_frames=9, every=2)
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
    path = REAL_CLIP if kind == "dicom" else write_video(tmp_path / "clip.file", known_frames(12), kind)
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
    path = write_dicom(
        tmp_path / "c.file", frames, jpegs(frames), photometric="YBR_FULL_422", syntax=JPEGBaseline8Bit, has_bot=False
    )
    ds = pydicom.dcmread(path)
    ds.PixelData = encapsulate(jpegs(frames), fragments_per_frame=3, has_bot=False)
    ds["PixelData"].VR = "OB"
    ds.save_as(path)
    assert_same_colours(read_echo(path, max_frames=4).frames_THWC, frames[:4], 6)


def test_an_extended_offset_table_is_followed(tmp_path: Path):
    frames = known_frames(5)
    path = write_dicom(tmp_path / "c.file", frames, jpegs(frames), photometric="YBR_FULL", syntax=JPEGBaseline8Bit)
    ds = pydicom.dcmread(path)
    ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(jpegs(frames))
    ds["PixelData"].VR = "OB"
    ds.save_as(path)
    assert_same_colours(read_echo(path).frames_THWC, frames, 6)


def test_run_length_encoding_goes_through_pydicom(tmp_path: Path):
    frames = known_frames(3)
    path = write_dicom(tmp_path / "c.file", frames, frames.tobytes())
    ds = pydicom.dcmread(path)
    ds.compress(RLELossless)
    ds.save_as(path)
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


# ---- what is refused


def refused(path: Path, **options: Any) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_echo(path, **options)
    error = caught.value
    for secret in ("SECRET", str(path.parent), path.name):
        assert secret not in str(error)
        assert secret not in error.hint
    assert error.__cause__ is None
    assert str(error).endswith(".")
    return error


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
        ({"SamplesPerPixel": 7}, "file_truncated"),
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
    assert refused(path).code == "dicom_damaged"


def test_a_deflated_dicom_is_refused_without_inflating_it(tmp_path: Path):
    frames = known_frames()
    path = write_dicom(tmp_path / "c.file", frames, frames.tobytes(), syntax=DeflatedExplicitVRLittleEndian)
    assert refused(path).code == "dicom_deflated"


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
