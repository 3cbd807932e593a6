"""Frames of pixel data that are not compressed. Letters: H rows, W columns, S samples (colours), P pairs of columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.echo.formats.dicom_colours import Samples, Space
from inputs.echo.formats.dicom_decoders import stored_bits
from inputs.echo.formats.dicom_header import PixelLayout
from inputs.errors import UnreadableFile

_SUBSAMPLED = ("YBR_FULL_422", "YBR_PARTIAL_422")


@dataclass(frozen=True)
class NativeFrames:
    """How the frames of one clip lie one behind the other: how many, how long, and whether colours are sub-sampled."""

    layout: PixelLayout
    n_frames: int
    frame_bytes: int
    subsampled: bool
    big_endian: bool

    def samples(self, data: bytes) -> Samples:
        """One frame of `frame_bytes` bytes."""
        layout = self.layout
        order = ">" if self.big_endian else "<"
        values = np.frombuffer(data, f"{order}u{layout.allocated // 8}")
        if self.subsampled:
            return Samples(_full_samples(values.reshape(layout.rows, layout.columns // 2, 4)), 8, _space(layout))
        if layout.planar and layout.samples == 3:
            values_HWS = values.reshape(3, layout.rows, layout.columns).transpose(1, 2, 0)
        else:
            values_HWS = values.reshape(layout.rows, layout.columns, layout.samples)
        values_HWS = values_HWS.astype(values.dtype.newbyteorder("="), copy=False)
        return Samples(stored_bits(values_HWS, layout), layout.stored)


def native_frames(layout: PixelLayout, n_bytes: int, *, big_endian: bool) -> NativeFrames:
    """Of `n_bytes` bytes of pixel data. Raises UnreadableFile where they hold fewer frames than the header says.

    YBR_FULL_422 keeps two bytes for a pixel, but what is written under this name often has three: the bytes that there
    are decide.
    """
    if layout.is_grey and layout.samples != 1:
        raise UnreadableFile("colours_disagree", "The header says grey, and three samples for every pixel.")
    n_pixels = layout.rows * layout.columns
    whole = n_pixels * layout.samples * (layout.allocated // 8)
    halved = 2 * n_pixels
    may_be_halved = layout.photometric in _SUBSAMPLED and layout.allocated == 8 and layout.columns % 2 == 0
    if layout.declared_frames is None:
        subsampled = may_be_halved and n_bytes % halved <= 1
    else:
        subsampled = may_be_halved and n_bytes < layout.declared_frames * whole
    frame_bytes = halved if subsampled else whole
    if layout.photometric == "YBR_PARTIAL_420" and n_bytes < (layout.declared_frames or 1) * whole:
        raise UnreadableFile("pixel_colours", "Pixels sub-sampled as YBR_PARTIAL_420 are read where a codec did it.")
    return NativeFrames(layout, layout.declared_frames or n_bytes // frame_bytes, frame_bytes, subsampled, big_endian)


def swapped(read: Callable[[int, int], bytes], at: int, length: int) -> bytes:
    """Bytes of 16-bit words in big-endian order, which hold 8-bit samples the other way round."""
    first = at - at % 2
    data = read(first, length + at % 2 + (length + at) % 2)
    return np.frombuffer(data, "<u2").byteswap().tobytes()[at - first :][:length]


def _space(layout: PixelLayout) -> Space:
    return "YCbCr" if layout.photometric == "YBR_FULL_422" else "YCbCr of partial range"


def _full_samples(quads_HP4: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two luminances and one pair of colours for two pixels -> all three for each."""
    n_rows, n_pairs = quads_HP4.shape[:2]
    values_HPWS = np.empty((n_rows, n_pairs, 2, 3), np.uint8)
    values_HPWS[..., 0] = quads_HP4[..., :2]
    values_HPWS[..., 1:] = quads_HP4[:, :, None, 2:]
    return values_HPWS.reshape(n_rows, 2 * n_pairs, 3)
