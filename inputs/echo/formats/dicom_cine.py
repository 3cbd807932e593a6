"""DICOM ultrasound multi-frame objects: header, frame rate, and frames as RGB.

JPEG baseline takes a fast path through libjpeg-turbo when it gives the colours that pydicom gives; every other
syntax, and a JPEG whose colours libjpeg would guess wrongly, is decoded by pydicom frame by frame.
Letters in array names: T frames, H rows, W columns, C colours (RGB).
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import math
import struct
import warnings
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames, parse_basic_offsets, parse_fragments
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import JPEG2000, UID, JPEG2000Lossless, JPEGBaseline8Bit, JPEGExtended12Bit

from ground.disk import sha256
from inputs.dicom_stream import Deflated, ReadBudget, watched
from inputs.echo.formats.base import EchoFormat, frames_to_read, sane_rate_hz
from inputs.errors import InputError, UnreadableFile
from inputs.limits import MAX_FRAMES
from inputs.opened import BoundedReader
from inputs.records import EchoClip

_ULTRASOUND = frozenset(f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("3.1", "3", "6.1", "6"))
_SECONDARY_CAPTURE = frozenset(f"1.2.840.10008.5.1.4.1.1.7.{n}" for n in ("2", "3", "4"))
_BY_PILLOW = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEG2000, JPEG2000Lossless)
_COLOUR_TOLERANCE = 8
"""Grey levels by which two right JPEG decoders may differ at a pixel; a wrong colour transform is off by tens."""

_TAGS: list[str] = [
    *("SOPClassUID", "Modality", "Manufacturer", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel"),
    *("PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation", "PlanarConfiguration"),
    *("FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *(
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
]

_DISCRETE, _LINEAR = 0, 1
"""Segments of a colour table. The third kind, which repeats others, is not read."""
_MAX_VALUE_BYTES = 256 * 1024

_REMEMBERED_KINDS = 1000
_fast_path_agrees: dict[tuple[object, ...], bool] = {}


def looks_like_dicom(start: bytes) -> bool:
    """Part 10 files, and those without preamble that start with group 0002."""
    return start[128:132] == b"DICM" or start[:4] == b"\x02\x00\x00\x00"


def read_dicom_cine(file: BoundedReader, max_frames: int | None, every: int) -> EchoClip:
    """Every `every`-th of the first `max_frames` frames (all when None) of the cine. Raises UnreadableFile."""
    try:
        with _quiet_pydicom():
            return _read(file, max_frames, every)
    except (InputError, MemoryError):  # no memory is no damage
        raise
    except Exception:
        # pydicom and its plugins raise nearly every kind of exception on damaged files, and their messages quote
        # the header, so neither the kind nor the chain is passed on.
        raise _damaged() from None


def _read(file: BoundedReader, max_frames: int | None, every: int) -> EchoClip:
    file.seek(0)
    try:
        stream = watched(file, ReadBudget())
        header = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=_TAGS)
    except Deflated:
        raise UnreadableFile(
            "dicom_deflated", "Deflated DICOM files are not read.", hint="Export it uncompressed."
        ) from None
    _check_sizes(header)
    syntax = UID(header.file_meta.TransferSyntaxUID)
    pixels_at = file.tell()
    _check_is_ultrasound(header, file, pixels_at)

    rows, columns = int(header.Rows), int(header.Columns)
    n_frames = int(header.get("NumberOfFrames") or 1)
    wanted = frames_to_read(n_frames, rows, columns, max_frames)
    indices = range(0, wanted, every)
    if syntax.is_compressed:
        start = _first_fragment(file, pixels_at)
    elif file.size - pixels_at < _uncompressed_bytes(header) * n_frames:
        raise UnreadableFile("file_truncated", "The file ends before its last frame.")

    if syntax in _BY_PILLOW:
        pictures = _pictures(header, file, start, wanted)
        is_jpeg = syntax == JPEGBaseline8Bit and int(header.BitsAllocated) == 8
        _check_pictures(header, [pictures[index] for index in indices], is_jpeg)
    if syntax in _BY_PILLOW and is_jpeg:
        frames_THWC = _decode_jpegs(header, file, {index: pictures[index] for index in indices})
    else:
        frames_THWC = _decode_slowly(header, file, indices)
    return EchoClip(frames_THWC, sane_rate_hz(_frame_rate_hz(header), every), "dicom", frame_step=every)


def _check_sizes(header: Dataset) -> None:
    """Refuse values that pydicom would make long lists of: the longest that is meant is a colour table."""
    for tag in header.keys():  # noqa: SIM118  (iterating a Dataset would decode every element)
        element: Any = header.get_item(tag)
        if isinstance(element, RawDataElement) and len(element.value or b"") > _MAX_VALUE_BYTES:
            raise _damaged()


def _damaged() -> UnreadableFile:
    return UnreadableFile("dicom_damaged", "The DICOM file is damaged or not as the standard asks.")


def _check_pictures(header: Dataset, pictures: list[bytes], is_jpeg: bool) -> None:
    """Refuse pictures of another size than the header's: decoders make room for what a picture says of itself."""
    for picture in pictures:
        if is_jpeg:
            rows, columns = simplejpeg.decode_jpeg_header(picture, strict=False)[:2]
        else:
            with Image.open(io.BytesIO(picture)) as opened:
                columns, rows = opened.size
        if (rows, columns) != (int(header.Rows), int(header.Columns)):
            raise UnreadableFile("frame_size", "A frame has another size than the header says.")


def _check_is_ultrasound(header: Dataset, file: BoundedReader, pixels_at: int) -> None:
    sop_class = str(header.get("SOPClassUID", ""))
    captured = sop_class in _SECONDARY_CAPTURE and header.get("Modality") == "US"
    if sop_class not in _ULTRASOUND and not captured:
        raise UnreadableFile("not_ultrasound", "This DICOM object is not an ultrasound clip.")
    if pixels_at + 12 > file.size or "Rows" not in header or "Columns" not in header:
        raise UnreadableFile("no_pixels", "This DICOM object holds no images.")


def _uncompressed_bytes(header: Dataset) -> int:
    """Of one frame. YBR_FULL_422 stores two chroma samples for two pixels: 16 instead of 24 bits each."""
    samples = 2 if header.PhotometricInterpretation == "YBR_FULL_422" else int(header.SamplesPerPixel)
    return math.ceil(int(header.Rows) * int(header.Columns) * samples * int(header.BitsAllocated) / 8)


def _first_fragment(file: BoundedReader, pixels_at: int) -> int:
    """Where the encapsulated pixel data begins. Raises UnreadableFile when its last fragment is cut short."""
    file.seek(pixels_at)
    group, element, _vr, length = struct.unpack("<HH4sL", file.read(12))
    if (group, element, length) != (0x7FE0, 0x0010, 0xFFFFFFFF):
        raise UnreadableFile("no_pixels", "This DICOM object holds no images.")
    start = file.tell()
    (length,) = struct.unpack("<4xL", file.read(8))
    if length > 4 * MAX_FRAMES:
        raise UnreadableFile("too_many_frames", f"The clip says it has more than {MAX_FRAMES} frames.")
    file.seek(start)
    parse_basic_offsets(file)
    budget = ReadBudget()
    _n, offsets = parse_fragments(watched(file, budget))
    budget.spend()  # pydicom takes an error for the end of the file
    if not offsets:
        raise UnreadableFile("no_pixels", "This DICOM object holds no images.")
    file.seek(offsets[-1] + 4)
    (last_length,) = struct.unpack("<L", file.read(4))
    if file.tell() + last_length > file.size:
        raise UnreadableFile("file_truncated", "The file ends before its last frame.")
    return start


def _pictures(header: Dataset, file: BoundedReader, start: int, wanted: int) -> list[bytes]:
    tables = None
    if "ExtendedOffsetTable" in header:
        tables = (header.ExtendedOffsetTable, header.ExtendedOffsetTableLengths)
    file.seek(start)
    frames = generate_frames(file, number_of_frames=int(header.NumberOfFrames), extended_offsets=tables)
    pictures = list(itertools.islice(frames, wanted))
    if len(pictures) < wanted:
        raise UnreadableFile("frames_missing", "The file holds fewer frames than it declares.")
    return pictures


def _decode_jpegs(header: Dataset, file: BoundedReader, jpegs: dict[int, bytes]) -> NDArray[np.uint8]:
    rows, columns, samples = int(header.Rows), int(header.Columns), int(header.SamplesPerPixel)
    frames_THWC = np.empty((len(jpegs), rows, columns, 3), np.uint8)
    fast = _fast_path_is_right(header, file, jpegs[0])
    for target_HWC, (index, jpeg) in zip(frames_THWC, jpegs.items(), strict=True):
        if not fast or not _decode_fast(jpeg, samples, target_HWC):
            target_HWC[:] = _decode_slowly(header, file, range(index, index + 1))[0]
    return frames_THWC


def _decode_fast(jpeg: bytes, samples: int, out_HWC: NDArray[np.uint8]) -> bool:
    try:
        if samples == 3:
            simplejpeg.decode_jpeg(jpeg, colorspace="RGB", buffer=out_HWC)
        else:
            out_HWC[:] = simplejpeg.decode_jpeg(jpeg, colorspace="GRAY")
    except ValueError:  # damaged, or only unusual: pydicom's decoder may judge
        return False
    return True


def _fast_path_is_right(header: Dataset, file: BoundedReader, jpeg: bytes) -> bool:
    """Whether libjpeg-turbo gives this kind of frame the colours that pydicom gives it.

    libjpeg guesses the colour transform from the JPEG's own markers, DICOM states it in PhotometricInterpretation. One
    comparison per process holds for all files with the same header, manufacturer, markers and sampling.
    """
    photometric = str(header.PhotometricInterpretation)
    if photometric not in ("RGB", "YBR_FULL", "YBR_FULL_422", "MONOCHROME2"):
        return False
    markers = jpeg[: max(2, jpeg.find(b"\xff\xdb", 0, 1 << 16))]  # all that comes before the quantisation tables
    _, _, colours, sampling = simplejpeg.decode_jpeg_header(jpeg, strict=False)
    digest = sha256(markers).digest()
    key = (header.get("Manufacturer"), photometric, int(header.SamplesPerPixel), colours, sampling, digest)
    if key not in _fast_path_agrees:
        if len(_fast_path_agrees) >= _REMEMBERED_KINDS:
            _fast_path_agrees.clear()
        reference_HWC = _decode_slowly(header, file, range(1))[0]
        fast_HWC = np.empty_like(reference_HWC)
        agrees = _decode_fast(jpeg, int(header.SamplesPerPixel), fast_HWC)
        worst = int(np.abs(fast_HWC.astype(np.int16) - reference_HWC).max())
        _fast_path_agrees[key] = agrees and worst <= _COLOUR_TOLERANCE
    return _fast_path_agrees[key]


def _decode_slowly(header: Dataset, file: BoundedReader, indices: range) -> NDArray[np.uint8]:
    # pydicom's iterator forgets after one frame that uncompressed YBR_FULL_422 is sub-sampled: one iterator per frame.
    calls = [indices]
    if header.PhotometricInterpretation == "YBR_FULL_422" and not header.file_meta.TransferSyntaxUID.is_compressed:
        calls = [range(index, index + 1) for index in indices]
    frames = itertools.chain.from_iterable(iter_pixels(file, indices=call) for call in calls)

    frames_THWC = np.empty((len(indices), int(header.Rows), int(header.Columns), 3), np.uint8)
    to_rgb = _to_rgb(header)
    for target_HWC, frame in zip(frames_THWC, frames, strict=True):
        target_HWC[:] = to_rgb(frame)
    return frames_THWC


def _to_rgb(header: Dataset) -> Callable[[NDArray[Any]], NDArray[np.uint8]]:
    """What turns pydicom's frame, already RGB where it was YBR, into 8-bit RGB or one grey channel to broadcast."""
    photometric = str(header.PhotometricInterpretation)
    if photometric == "PALETTE COLOR":
        _check_palette(header)
        table = apply_color_lut(np.arange(1 << int(header.BitsAllocated), dtype=np.uint32), header)
        table = (table >> 8 if table.max() > 255 else table).astype(np.uint8)
        return lambda frame: cast(NDArray[np.uint8], table[frame])
    if int(header.get("PixelRepresentation") or 0) != 0:
        raise UnreadableFile("pixels_signed", "Signed pixel values are not read.")
    shift = max(0, int(header.BitsStored) - 8)
    inverted = 255 if photometric == "MONOCHROME1" else 0

    def convert(frame: NDArray[Any]) -> NDArray[np.uint8]:
        frame = (frame >> shift).astype(np.uint8) ^ np.uint8(inverted)
        return frame[:, :, None] if frame.ndim == 2 else frame

    return convert


def _check_palette(header: Dataset) -> None:
    """Refuse a palette for pixels that have none, or one whose segments come to more than 16-bit pixels can name."""
    width = int(header.RedPaletteColorLookupTableDescriptor[2]) // 8
    segmented = [header.get(f"Segmented{colour}PaletteColorLookupTableData") for colour in ("Red", "Green", "Blue")]
    longest = max((_entries(segments, width) for segments in segmented if segments), default=0)
    if int(header.BitsAllocated) not in (8, 16) or longest > 2**16:
        raise _damaged()


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


def _frame_rate_hz(header: Dataset) -> float:
    """From FrameTime, FrameTimeVector, CineRate or RecommendedDisplayFrameRate, whichever is there first; 0 unknown."""
    with contextlib.suppress(ValueError, TypeError, ZeroDivisionError):
        if frame_ms := float(header.get("FrameTime") or 0):
            return 1000 / frame_ms
        # The first entry is the time before the first frame: 0 by the standard, not in every file.
        if steps_ms := [float(step) for step in list(header.get("FrameTimeVector") or [])[1:]]:
            return 1000 * len(steps_ms) / sum(steps_ms)
        return float(header.get("CineRate") or header.get("RecommendedDisplayFrameRate") or 0)
    return 0.0


@contextlib.contextmanager
def _quiet_pydicom() -> Iterator[None]:
    """pydicom warns and logs with values from the header in the text, which may be a patient's.

    Warning filters and loggers belong to the whole process, so read clips in processes, not in threads.
    """
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


DICOM = EchoFormat("dicom", looks_like_dicom, read_dicom_cine)
