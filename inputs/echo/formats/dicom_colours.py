"""Stored samples to 8-bit RGB, as header and stored bytes say. Letters: H rows, W columns, S samples, C colours (RGB).

Where the header and the bytes disagree about colours, the bytes decide (`dicom_judged`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from inputs.echo.formats.dicom_header import PixelLayout
from inputs.echo.formats.dicom_judged import judged_ycbcr, zeros
from inputs.echo.formats.dicom_palette import palette
from inputs.errors import UnreadableFile

Space = Literal["RGB", "YCbCr", "YCbCr of partial range"]
_UNDONE_BY_DECODERS = ("RGB", "YBR_ICT", "YBR_RCT")
"""Under these labels decoders give RGB: the last two name what JPEG 2000 does to it and undoes."""


@dataclass(frozen=True)
class Samples:
    """One frame as its decoder gives it. values_HWS: one or three samples of `bits` bits each, in 8 or 16.

    space: of three samples where the decoder knows it; None: the header and the bytes must say.
    """

    values_HWS: NDArray[Any]
    bits: int
    space: Space | None = None


class Colours:
    """Turns the frames of one file into RGB. What its first frame that is not blank shows of its colours holds for all.

    Raises UnreadableFile where header and frames cannot both be believed.
    """

    def __init__(self, header: Dataset, layout: PixelLayout) -> None:
        self._layout = layout
        self._space: Space | None = None
        self._grey: NDArray[np.uint8] | None = None
        self._table: NDArray[np.uint8] | None = None
        self._header = header

    def rgb(self, samples: Samples) -> NDArray[np.uint8]:
        """(H, W, 3), or (H, W, 1) where all three would be the same."""
        n = samples.values_HWS.shape[2]
        if self._layout.photometric == "PALETTE COLOR":
            if n != 1:
                raise _disagree()
            if self._table is None:
                self._table = palette(self._header, 1 << (8 * samples.values_HWS.dtype.itemsize))
            return cast(NDArray[np.uint8], self._table[samples.values_HWS[..., 0]])
        if n == 1:
            return self._grey_levels(samples)
        values_HWS = _eight_bits(samples)
        space = samples.space or self._space_of(values_HWS)
        rgb_HWC = values_HWS
        if space != "RGB":
            rgb_HWC = ycbcr_to_rgb(values_HWS, partial=space != "YCbCr")
            if (is_zero_HW := zeros(values_HWS)).any():  # blackened as if it were RGB, of which YCbCr makes green
                rgb_HWC = np.where(is_zero_HW[..., None], np.uint8(0), rgb_HWC)
        if self._layout.is_grey:
            grey_HW = np.asarray(Image.fromarray(np.ascontiguousarray(rgb_HWC)).convert("L"), np.uint8)
            return self._grey_levels(Samples(grey_HW[..., None], 8))
        return rgb_HWC

    def _space_of(self, values_HWS: NDArray[np.uint8]) -> Space:
        """What the header says, where the bytes can be that."""
        if self._space is not None:
            return self._space
        photometric = self._layout.photometric
        ycbcr: Space = "YCbCr of partial range" if photometric.startswith("YBR_PARTIAL") else "YCbCr"
        said_ycbcr = photometric not in _UNDONE_BY_DECODERS
        judged = judged_ycbcr(values_HWS, said_ycbcr=said_ycbcr)
        if judged is None:  # blank: the next frame may tell
            return ycbcr if said_ycbcr else "RGB"
        self._space = ycbcr if judged else "RGB"
        return self._space

    def _grey_levels(self, samples: Samples) -> NDArray[np.uint8]:
        if self._grey is None or len(self._grey) != 1 << samples.bits:
            self._grey = grey_table(self._header, self._layout, samples.bits)
        return cast(NDArray[np.uint8], self._grey[samples.values_HWS & ((1 << samples.bits) - 1)])


def _disagree() -> UnreadableFile:
    return UnreadableFile(
        "colours_disagree",
        "The header says that pixels are numbers of a colour table, and the frames hold colours.",
        hint="Export the clip again, or uncompressed.",
    )


def _eight_bits(samples: Samples) -> NDArray[np.uint8]:
    if samples.bits == 8 and samples.values_HWS.dtype == np.uint8:
        return cast(NDArray[np.uint8], samples.values_HWS)
    return cast(NDArray[np.uint8], _scale(samples.bits)[samples.values_HWS & ((1 << samples.bits) - 1)])


def _scale(bits: int) -> NDArray[np.uint8]:
    """A grey level for every value that so many bits have."""
    return np.asarray(np.rint(np.arange(1 << bits) * (255 / ((1 << bits) - 1))), np.uint8)


def grey_table(header: Dataset, layout: PixelLayout, bits: int) -> NDArray[np.uint8]:
    """A grey level for every value: through the window where more than 8 bits have one, else the whole range."""
    table = _scale(bits)
    if bits > 8:
        with_window = _windowed(header, bits)
        table = table if with_window is None else with_window
    return np.subtract(255, table, dtype=np.uint8) if layout.photometric == "MONOCHROME1" else table


def _windowed(header: Dataset, bits: int) -> NDArray[np.uint8] | None:
    """The first linear window of the header (PS3.3 C.11.2.1.2.1) on rescaled values; None where there is none."""
    centre, width = (_first_number(header, keyword) for keyword in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width <= 1:
        return None
    slope, intercept = _first_number(header, "RescaleSlope"), _first_number(header, "RescaleIntercept")
    values = np.arange(1 << bits) * (1.0 if slope is None else slope) + (intercept or 0.0)
    levels = np.rint(255 * np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1))
    return np.asarray(levels, np.uint8)


def _first_number(header: Dataset, keyword: str) -> float | None:
    try:
        value = header.get(keyword)
        number = float(value if isinstance(value, int | float | str) else value[0])
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None


def ycbcr_to_rgb(values_HWS: NDArray[np.uint8], *, partial: bool = False) -> NDArray[np.uint8]:
    """Of BT.601: full range, or (partial) luminance of 16 to 235 and colours of 16 to 240."""
    if partial:
        levels = np.arange(256)
        luminance = np.clip(np.rint((levels - 16) * (255 / 219)), 0, 255).astype(np.uint8)
        chroma = np.clip(np.rint((levels - 128) * (255 / 224) + 128), 0, 255).astype(np.uint8)
        values_HWS = np.dstack([luminance[values_HWS[..., 0]], chroma[values_HWS[..., 1:]]])
    rows, columns = values_HWS.shape[:2]
    picture = Image.frombytes("YCbCr", (columns, rows), np.ascontiguousarray(values_HWS).tobytes())
    return np.asarray(picture.convert("RGB"), np.uint8)
