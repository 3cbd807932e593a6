"""The header of a DICOM clip, read by pydicom within a budget, and what it says of the pixels.

Files without preamble, without file meta information or deflated are read too: the last are inflated within a limit.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from inputs.dicom_stream import Deflated, ReadBudget, watched
from inputs.echo.formats.dicom_frames import no_pixels
from inputs.echo.formats.dicom_syntaxes import (
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    EXPORT,
    IMPLICIT_LITTLE_ENDIAN,
)
from inputs.errors import UnreadableFile
from inputs.opened import BoundedReader

MAX_INFLATED_BYTES = 128 * 2**20
"""Of a deflated file: more than a hundred colour frames of 800 x 500."""
_INFLATE_AT_ONCE = 2**20

_OVERLAY_BIT_POSITIONS = [(group << 16) | 0x0102 for group in range(0x6000, 0x6020, 2)]
"""Of overlays that lie in bits of the pixels beside the sample (PS3.5 chapter 8, retired)."""
_TAGS: Any = [
    *(
        "SOPClassUID",
        "Modality",
        "SequenceOfUltrasoundRegions",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "PhotometricInterpretation",
    ),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration"),
    *("FrameTime", "FrameTimeVector", "FrameIncrementPointer", "CineRate", "RecommendedDisplayFrameRate"),
    *("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *(
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *_OVERLAY_BIT_POSITIONS,
]
_MAX_VALUE_BYTES = 256 * 1024

_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")
PHOTOMETRICS = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", *_COLOURS)
_NOT_READ = ("HSV", "ARGB", "CMYK", "XYB")


@dataclass(frozen=True)
class OpenedHeader:
    """A header and the stream that its pixels lie in: the file, or what it inflates to.

    syntax_uid: empty where the file does not say how its pixels are encoded, and they are not plain.
    """

    dataset: Dataset
    stream: BinaryIO
    size: int
    pixels_at: int
    syntax_uid: str


@dataclass(frozen=True)
class PixelLayout:
    """What the header says of the pixels, checked. stored, allocated, high_bit: bits of a sample, and its highest.

    overlaid: overlays lie in other bits of the pixels.
    """

    rows: int
    columns: int
    samples: int
    photometric: str
    allocated: int
    stored: int
    high_bit: int
    planar: bool
    overlaid: bool
    declared_frames: int | None

    @property
    def frame_bytes(self) -> int:
        """Of one frame as the header says it."""
        return self.rows * self.columns * self.samples * self.allocated // 8

    @property
    def is_grey(self) -> bool:
        return self.photometric.startswith("MONOCHROME")

    @property
    def says_colours(self) -> bool:
        """Whether its label is one of three samples for a pixel."""
        return self.photometric in _COLOURS


def open_header(file: BoundedReader) -> OpenedHeader:
    """Raises UnreadableFile, and whatever pydicom raises on a damaged header."""
    file.seek(0)
    budget = ReadBudget()
    stream: BinaryIO = file
    size = file.size
    inflated = False
    try:
        dataset = dcmread(watched(file, budget), stop_before_pixels=True, force=True, specific_tags=_TAGS)
    except Deflated:
        stream, inflated = _inflate(file), True
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        dataset = dcmread(watched(stream, budget), stop_before_pixels=True, force=True, specific_tags=_TAGS)
    pixels_at = stream.tell()
    _check_sizes(dataset)
    uid = EXPLICIT_LITTLE_ENDIAN if inflated else str(dataset.file_meta.get("TransferSyntaxUID") or "")
    return OpenedHeader(dataset, stream, size, pixels_at, uid or _plain_syntax(dataset, stream, pixels_at))


def _plain_syntax(dataset: Dataset, stream: BinaryIO, pixels_at: int) -> str:
    """How a file without file meta information is encoded, as its elements show; empty where frames are compressed."""
    stream.seek(pixels_at)
    if b"\xff\xff\xff\xff" in stream.read(12):
        return ""
    implicit, little_endian = dataset.original_encoding
    if not little_endian:
        return EXPLICIT_BIG_ENDIAN
    return IMPLICIT_LITTLE_ENDIAN if implicit else EXPLICIT_LITTLE_ENDIAN


def _inflate(file: BoundedReader) -> io.BytesIO:
    """What follows in the file, which is deflated. Raises UnreadableFile where it is cut short, damaged or too much."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = io.BytesIO()
    while not inflater.eof:
        chunk = inflater.unconsumed_tail or file.read(_INFLATE_AT_ONCE)
        if not chunk:
            raise UnreadableFile("file_truncated", "The file ends before its deflated data do.")
        data.write(inflater.decompress(chunk, _INFLATE_AT_ONCE))
        if data.tell() > MAX_INFLATED_BYTES:
            raise UnreadableFile(
                "dicom_deflated",
                f"The deflated DICOM file comes to more than {MAX_INFLATED_BYTES >> 20} MiB.",
                hint="Export it in another transfer syntax.",
            )
    return data


def _check_sizes(header: Dataset) -> None:
    """Refuse values that pydicom would make long lists of: the longest that is meant is a colour table."""
    for tag in header.keys():  # noqa: SIM118  (iterating a Dataset would decode every element)
        element: Any = header.get_item(tag)
        if isinstance(element, RawDataElement) and len(element.value or b"") > _MAX_VALUE_BYTES:
            raise damaged()


def damaged() -> UnreadableFile:
    return UnreadableFile("dicom_damaged", "The DICOM file is damaged or not as the standard asks.")


def pixel_layout(header: Dataset) -> PixelLayout:
    """What the header says of its pixels. Raises UnreadableFile where that is nothing that is read here."""
    if "Rows" not in header or "Columns" not in header:
        raise no_pixels()
    allocated = int(header.get("BitsAllocated") or 8)
    stored = int(header.get("BitsStored") or allocated)
    if allocated not in (8, 16) or not 0 < stored <= allocated:
        raise UnreadableFile(
            "pixel_bits", "Pixels are read that have 8 or 16 bits for a sample, and these have others.", hint=EXPORT
        )
    if int(header.get("PixelRepresentation") or 0) != 0:
        raise UnreadableFile("pixels_signed", "Signed pixel values are not read.", hint=EXPORT)
    photometric = str(header.get("PhotometricInterpretation") or "").strip().upper()
    samples = int(header.get("SamplesPerPixel") or (3 if photometric in _COLOURS else 1))
    if photometric in _NOT_READ:
        raise UnreadableFile("pixel_colours", f"Pixels whose colours are stored as {photometric} are not read.")
    if not photometric:
        photometric = "RGB" if samples == 3 else "MONOCHROME2"
    if photometric not in PHOTOMETRICS or samples not in (1, 3):
        raise UnreadableFile("pixel_colours", "The header names no kind of colours that is read.")
    high_bit = int(header.get("HighBit") or 0)
    if not stored <= high_bit + 1 <= allocated:  # one that leaves no room for the bits stored says nothing
        high_bit = stored - 1
    return PixelLayout(
        rows=int(header.Rows),
        columns=int(header.Columns),
        samples=samples,
        photometric=photometric,
        allocated=allocated,
        stored=stored,
        high_bit=high_bit,
        planar=int(header.get("PlanarConfiguration") or 0) == 1,
        overlaid=any(tag in header and header[tag].value for tag in _OVERLAY_BIT_POSITIONS),
        declared_frames=_declared_frames(header),
    )


def _declared_frames(header: Dataset) -> int | None:
    """None where the header does not say it, or says something that is no number of frames."""
    try:
        declared = int(header.get("NumberOfFrames") or 0)
    except (TypeError, ValueError):
        return None
    return declared if declared > 0 else None
