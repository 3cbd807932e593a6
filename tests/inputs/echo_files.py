"""Clips whose every pixel is known, written as DICOM and video files."""

from __future__ import annotations

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
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from inputs.echo.read import read_echo
from inputs.errors import UnreadableFile

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
    """A minimal ultrasound cine; `pixel_data` is one block, or encoded frames to encapsulate. None: no such element."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = elements.pop("SOPClassUID", UltrasoundMultiFrameImageStorage)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = FileDataset(
        str(path),
        Dataset(),
        file_meta=meta,
        preamble=b"\0" * 128,
        is_implicit_VR=syntax == ImplicitVRLittleEndian,
        is_little_endian=syntax != ExplicitVRBigEndian,
    )
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
        if value is None:
            delattr(ds, keyword)
        else:
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


def write_video(path: Path, frames_THWC: NDArray[np.uint8], container: str, *, intra_only: bool = False) -> Path:
    with av.open(str(path), "w", format=container) as out:
        out.metadata["title"] = "SECRET^NAME"
        codec, pixel_format = ("mjpeg", "yuvj444p") if container == "avi" or intra_only else ("mpeg4", "yuv420p")
        stream = out.add_stream(codec, rate=Fraction(50))
        stream.height, stream.width = frames_THWC.shape[1:3]
        stream.pix_fmt = pixel_format
        stream.bit_rate = 8_000_000
        for frame in frames_THWC:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())
    return path


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
