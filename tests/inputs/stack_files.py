"""Grey sequences written as NIfTI and MetaImage, field by field."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np


def greys(seed: int, n_frames: int = 5, rows: int = 40, columns: int = 30) -> np.ndarray:
    """(T, H, W) uint8: a disc that shrinks, of a size of its own for each seed; no two pictures alike."""
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    radii = (0.3 + 0.02 * seed) * np.linspace(1, 0.6, n_frames)
    frames = np.stack([np.where(np.hypot(x, y) < radius, 200, 20) for radius in radii])
    return (frames + np.arange(n_frames)[:, None, None]).astype(np.uint8)


def nifti_bytes(frames_THW: np.ndarray) -> bytes:
    """A NIfTI-1 file, x fastest."""
    codes = {"uint8": (2, 8), "int16": (4, 16), "float32": (16, 32)}
    code, bits = codes[frames_THW.dtype.name]
    n_frames, rows, columns = frames_THW.shape
    header = bytearray(352)
    header[0:4] = (348).to_bytes(4, "little")
    header[40:56] = np.array([3, columns, rows, n_frames, 1, 1, 1, 1], "<i2").tobytes()
    header[70:74] = np.array([code, bits], "<i2").tobytes()
    header[76:108] = np.array([1, 0.3, 0.15, 1, 0, 0, 0, 0], "<f4").tobytes()
    header[108:112] = np.array([352], "<f4").tobytes()
    header[344:348] = b"n+1\0"
    return bytes(header) + np.ascontiguousarray(frames_THW).tobytes()


def write_metaimage(folder: Path, name: str, frames_THW: np.ndarray, *, compressed: bool = False) -> Path:
    """`name.mhd` with its pixels in `name.raw`."""
    n_frames, rows, columns = frames_THW.shape
    content = frames_THW.tobytes()
    (folder / f"{name}.raw").write_bytes(zlib.compress(content) if compressed else content)
    header = folder / f"{name}.mhd"
    header.write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"CompressedData = {compressed}\nElementSpacing = 0.308 0.154 1\nDimSize = {columns} {rows} {n_frames}\n"
        f"ElementType = MET_UCHAR\nElementDataFile = {name}.raw\n"
    )
    return header
