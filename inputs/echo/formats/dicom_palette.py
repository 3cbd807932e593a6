"""The colour table of a DICOM file as 8-bit RGB, with its size bounded. Letters: N numbers, C colours."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from inputs.echo.formats.dicom_syntaxes import EXPORT
from inputs.errors import UnreadableFile

_COLOURS = ("Red", "Green", "Blue")
_DISCRETE, _LINEAR = 0, 1
"""Segments of a colour table. The third kind, which repeats others, is not read."""


def palette(header: Dataset, n_numbers: int) -> NDArray[np.uint8]:
    """The colour of every number below `n_numbers`, (N, 3): those beyond the table have its last entry.

    Entries of 16 bits are scaled to 8; a table of 16 bits that is dark all over holds entries of 8. Raises
    UnreadableFile for a table that is missing, damaged or longer than 16-bit pixels can name.
    """
    _check(header)
    try:
        table_NC = apply_color_lut(np.arange(n_numbers, dtype=np.uint32), _in_little_endian(header))
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError):  # of missing, short data
        raise _damaged() from None
    return np.asarray(table_NC >> 8 if table_NC.max() > 255 else table_NC, np.uint8)


def _in_little_endian(header: Dataset) -> Dataset:
    """The colour table alone where its words are in big-endian order, which pydicom leaves as they are."""
    if header.original_encoding[1] is not False or "RedPaletteColorLookupTableData" not in header:
        return header
    table = Dataset()
    for colour in _COLOURS:
        descriptor, data = (header[f"{colour}PaletteColorLookupTable{part}"] for part in ("Descriptor", "Data"))
        table.add(descriptor)
        words = np.frombuffer(data.value, ">u2" if data.VR == "OW" else "<u2")
        table.add_new(data.tag, "OW", words.astype("<u2").tobytes())
    return table


def _check(header: Dataset) -> None:
    descriptor = header.get("RedPaletteColorLookupTableDescriptor")
    if descriptor is None:
        raise UnreadableFile(
            "colour_table",
            "The DICOM file lacks the colour table that its pixels are numbers of.",
            hint=EXPORT,
        )
    if len(descriptor) != 3:
        raise _damaged()
    bits = int(descriptor[2])
    if bits not in (8, 16):
        raise UnreadableFile("colour_table", f"Colour tables of {bits} bits are not read.", hint=EXPORT)
    segmented = [header.get(f"Segmented{colour}PaletteColorLookupTableData") for colour in _COLOURS]
    longest = max((_entries(segments, bits // 8) for segments in segmented if segments), default=0)
    if longest > 2**16:
        raise _damaged()


def _damaged() -> UnreadableFile:
    return UnreadableFile("colour_table", "The colour table of the DICOM file is damaged or too large.", hint=EXPORT)


def _entries(segments: bytes, width: int) -> float:
    """How many colours a segmented table comes to (PS3.3 C.7.9.2); none is infinite but one that repeats itself."""
    numbers = np.frombuffer(segments, f"u{width}", len(segments) // width).tolist()
    at = entries = 0
    while at + 1 < len(numbers):
        kind, length = numbers[at : at + 2]
        if kind not in (_DISCRETE, _LINEAR):
            return math.inf
        entries += length
        at += 2 + (length if kind == _DISCRETE else 1)
    return entries
