"""Every way in which DICOM encodes pixels is read by the decoder that is named for it, or refused by its own name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import (
    HTJ2K_COLOUR,
    HTJ2K_GREY,
    HTJ2K_SYNTAXES,
    LOSSLESS,
    LOSSY,
    VIDEOS,
    flat_jpeg,
    htj2k_values,
    lossless_jpeg,
    run_lengths,
    video,
)
from echo_files import jpegs, known_frames, refused, write_dicom
from numpy.typing import NDArray
from pydicom.pixels import decoders
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from inputs.echo.formats.dicom_syntaxes import _SYNTAXES
from inputs.echo.read import read_echo

NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
NOT_DECODED = sorted(uid for uid, syntax in _SYNTAXES.items() if syntax.decoder is None)
COMPRESSED = sorted(uid for uid, syntax in _SYNTAXES.items() if syntax.decoder not in (None, "native"))


def grey_frames(bits: int, n_frames: int = 3) -> NDArray[Any]:
    """(T, H, W, 1): every value where there are 8 bits, and the ends and the middle where there are more."""
    values = np.add.outer(np.arange(n_frames), np.linspace(0, (1 << bits) - n_frames, 48 * 64)).round()
    return values.reshape(n_frames, 48, 64, 1).astype(np.uint8 if bits == 8 else np.uint16)


def words(bits: int) -> dict[str, int]:
    allocated = 8 if bits == 8 else 16
    return {"BitsAllocated": allocated, "BitsStored": bits, "HighBit": bits - 1}


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS])
def test_grey_of_any_depth_comes_back_exactly(tmp_path: Path, syntax: str, bits: int):
    frames = grey_frames(bits)
    if syntax in LOSSLESS:
        data: Any = [LOSSLESS[syntax](frame, bits) for frame in frames]
    else:
        data = frames.astype(frames.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes()
    path = write_dicom(tmp_path / "c.file", frames, data, photometric="MONOCHROME2", syntax=syntax, **words(bits))
    expected = np.rint(frames * (255 / ((1 << bits) - 1))).astype(np.uint8)
    np.testing.assert_array_equal(read_echo(path).frames_THWC, np.repeat(expected, 3, axis=-1))


@pytest.mark.parametrize("planar", [0, 1, None])
@pytest.mark.parametrize("syntax", NATIVE)
def test_colours_that_are_not_compressed_come_back_exactly(tmp_path: Path, syntax: str, planar: int | None):
    frames = known_frames()
    data = frames.transpose(0, 3, 1, 2).tobytes() if planar else frames.tobytes()
    path = write_dicom(tmp_path / "c.file", frames, data, syntax=syntax, PlanarConfiguration=planar)
    np.testing.assert_array_equal(read_echo(path).frames_THWC, frames)


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_colours_compressed_without_loss_come_back_exactly(tmp_path: Path, syntax: str):
    frames = known_frames()
    path = write_dicom(tmp_path / "c.file", frames, [LOSSLESS[syntax](frame, 8) for frame in frames], syntax=syntax)
    np.testing.assert_array_equal(read_echo(path).frames_THWC, frames)


@pytest.mark.parametrize("syntax", LOSSY)
def test_colours_compressed_with_loss_come_back_nearly(tmp_path: Path, syntax: str):
    frames = known_frames()
    path = write_dicom(tmp_path / "c.file", frames, [LOSSY[syntax](frame) for frame in frames], syntax=syntax)
    assert np.abs(read_echo(path).frames_THWC.astype(int) - frames).max() <= 2


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("syntax", HTJ2K_SYNTAXES)
def test_high_throughput_jpeg_2000_is_read(tmp_path: Path, syntax: str, samples: int):
    frames = np.stack([htj2k_values(samples)] * 2)
    data = [HTJ2K_GREY if samples == 1 else HTJ2K_COLOUR] * 2
    photometric = "MONOCHROME2" if samples == 1 else "YBR_RCT"
    path = write_dicom(tmp_path / "c.file", frames, data, photometric=photometric, syntax=syntax)
    np.testing.assert_array_equal(read_echo(path).frames_THWC, np.broadcast_to(frames, (2, 16, 16, 3)))


def test_jpeg_of_twelve_bits_is_read(tmp_path: Path):
    frames = np.zeros((2, 16, 24, 1), np.uint16)
    frames[0, :8], frames[1, :, 8:] = 4095, 2048
    data = [flat_jpeg(frame, 12) for frame in frames]
    path = write_dicom(
        tmp_path / "c.file", frames, data, photometric="MONOCHROME2", syntax=JPEGExtended12Bit, **words(12)
    )
    assert np.abs(read_echo(path).frames_THWC.astype(float) - frames * (255 / 4095)).max() <= 1


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("syntax", VIDEOS)
def test_a_video_in_dicom_is_read_with_its_own_rate(tmp_path: Path, syntax: str, in_pieces: bool):
    frames = known_frames(12, rows=96, columns=128)
    data = video(frames, *VIDEOS[syntax])
    pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)] if in_pieces else [data]
    path = write_dicom(tmp_path / "c.file", frames, pieces, photometric="YBR_PARTIAL_420", syntax=syntax)
    clip = read_echo(path)
    assert clip.frames_THWC.shape == frames.shape
    assert clip.frame_rate_hz == pytest.approx(25.0)
    for row, column in ((30, 20), (30, 100), (80, 20), (80, 100), (3, 40)):
        difference = clip.frames_THWC[:, row, column].astype(int) - frames[:, row, column]
        assert np.abs(difference).max() <= 12, (row, column)
    np.testing.assert_array_equal(read_echo(path, max_frames=7, every=3).frames_THWC, clip.frames_THWC[:7:3])


# ---- refused by name


@pytest.mark.parametrize("uid", NOT_DECODED)
def test_what_no_decoder_reads_is_refused_by_its_name(tmp_path: Path, uid: str):
    written = MPEG2MPML if "4.11" in uid else uid  # pydicom does not know JPEG XL
    path = write_dicom(tmp_path / "c.file", known_frames(2), [b"\1" * 100] * 2, syntax=written)
    path.write_bytes(path.read_bytes().replace(written.encode(), uid.encode()))
    error = refused(path)
    assert error.code == "dicom_compression"
    assert _SYNTAXES[uid].name in str(error)
    assert "Export" in error.hint


def test_the_makers_own_compression_is_refused_as_that(tmp_path: Path):
    error = refused(write_dicom(tmp_path / "c.file", known_frames(2), [b"\1" * 100] * 2, syntax="1.2.840.113619.5.2"))
    assert error.code == "dicom_compression"


@pytest.mark.parametrize(
    "placeholder", [b"\1" * 100, b"\0" * 100, jpegs(known_frames(1))[0][:300]], ids=["ones", "zeros", "cut"]
)
@pytest.mark.parametrize("uid", COMPRESSED)
def test_frames_that_are_not_what_the_header_says_are_refused_with_its_name(
    tmp_path: Path, uid: str, placeholder: bytes
):
    error = refused(write_dicom(tmp_path / "c.file", known_frames(2), [placeholder] * 2, syntax=uid))
    assert (error.code, _SYNTAXES[uid].name in str(error)) == ("frames_not_decoded", True)


@pytest.mark.parametrize(
    ("syntax", "picture", "says"),
    [(JPEGLosslessSV1, lossless_jpeg, "JPEG lossless"), (JPEGExtended12Bit, flat_jpeg, "JPEG of 12 bits")],
)
def test_without_the_extra_its_clips_are_refused_by_name_with_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str, picture: Any, says: str
):
    monkeypatch.setitem(sys.modules, "gdcm", None)
    frames = np.full((2, 16, 24, 1), 2000, np.uint16)
    data = [picture(frame, 12) for frame in frames]
    error = refused(
        write_dicom(tmp_path / "c.file", frames, data, photometric="MONOCHROME2", syntax=syntax, **words(12))
    )
    assert (error.code, says in str(error)) == ("dicom_compression", True)
    assert "echo2ecg[gdcm]" in error.hint


# ---- nobody else decodes


def test_what_else_is_installed_changes_no_pixel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Neither a plugin that pydicom would prefer, nor pydicom's own choice, is asked."""
    frames = known_frames()
    written = [
        write_dicom(tmp_path / "jpeg", frames, jpegs(frames), photometric="YBR_FULL_422", syntax=JPEGBaseline8Bit),
        write_dicom(tmp_path / "rle", frames, [run_lengths(frame) for frame in frames], syntax=RLELossless),
        write_dicom(tmp_path / "lossless", frames, [lossless_jpeg(f) for f in frames], syntax=JPEGLosslessSV1),
    ]
    before = [read_echo(path).frames_THWC for path in written]

    def black(src: bytes, runner: Any) -> bytearray:
        return bytearray(runner.frame_length(unit="bytes"))

    for decoder in (decoders.JPEGBaseline8BitDecoder, decoders.RLELosslessDecoder, decoders.JPEGLosslessSV1Decoder):
        monkeypatch.setattr(decoder, "_available", {"a_plugin": black})
    assert np.ptp(pydicom.dcmread(written[0]).pixel_array, axis=(0, 1, 2)).max() == 0, "pydicom asks the plugin"
    for path, expected in zip(written, before, strict=True):
        np.testing.assert_array_equal(read_echo(path).frames_THWC, expected)
