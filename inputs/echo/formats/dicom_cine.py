"""DICOM ultrasound multi-frame objects: header, frame rate, and frames as RGB.

This file tells the order: the header (`dicom_header`), how pixels are encoded (`dicom_syntaxes`), where frames lie
(`dicom_frames`, `dicom_native`), who decodes them (`dicom_decoders`, `dicom_video`), their colours (`dicom_colours`)
and their rate (`dicom_rate`).
Letters in array names: T frames, H rows, W columns, S samples, C colours (RGB).
"""

from __future__ import annotations

import contextlib
import logging
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from inputs.echo.formats.base import EchoFormat, frames_to_read, still_image
from inputs.echo.formats.dicom_codestreams import read_codestream
from inputs.echo.formats.dicom_colours import Colours, Samples
from inputs.echo.formats.dicom_decoders import MoreBits, Pictures, is_run_lengths
from inputs.echo.formats.dicom_frames import (
    PixelData,
    Span,
    cut_short,
    find_pixel_data,
    frames_in_fragments,
    joined,
)
from inputs.echo.formats.dicom_header import OpenedHeader, PixelLayout, damaged, open_header, pixel_layout
from inputs.echo.formats.dicom_native import NativeFrames, native_frames, swapped
from inputs.echo.formats.dicom_rate import frame_rate_hz
from inputs.echo.formats.dicom_syntaxes import (
    EXPLICIT_BIG_ENDIAN,
    Decoder,
    Syntax,
    not_decoded,
    not_read,
    syntax_of,
    syntax_of_frames,
)
from inputs.echo.formats.dicom_video import MAX_VIDEO_BYTES, container_of, decode_video
from inputs.echo.kinds import not_two_dimensional, not_ultrasound, two_dimensional_regions
from inputs.errors import InputError, UnreadableFile
from inputs.opened import BoundedReader
from inputs.records import EchoClip

_ULTRASOUND = frozenset(f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("3.1", "3", "6.1", "6"))
_CAPTURED_FRAME = "1.2.840.10008.5.1.4.1.1.7"
_SECONDARY_CAPTURE = frozenset((_CAPTURED_FRAME, *(f"{_CAPTURED_FRAME}.{n}" for n in (2, 3, 4))))
_BARE_START = re.compile(rb"\x08\x00[\x00-\x3f]\x00(?:[A-Z]{2}|..\0\0)", re.DOTALL)
_JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
Decode = Callable[[int, NDArray[np.uint8]], Samples]
"""Gives a frame by its number, (H, W, S); what is RGB may lie in the array (H, W, C) that is passed."""
_SEARCHED_BYTES = 2**20
_MAX_BESIDE_PIXELS = 2**20
"""Bytes of a compressed frame beyond twice its pixels: tables, and whatever a machine adds."""


def looks_like_dicom(start: bytes) -> bool:
    """Part 10 files, and those without preamble that start with group 0002 or, without file meta information, 0008."""
    return start[128:132] == b"DICM" or start[:4] == b"\x02\0\0\0" or _BARE_START.match(start) is not None


def read_dicom_cine(file: BoundedReader, max_frames: int | None, every: int) -> EchoClip:
    """Every `every`-th of the first `max_frames` frames (all when None) of the cine. Raises UnreadableFile."""
    try:
        with _quiet_pydicom():
            return _read(file, max_frames, every)
    except (InputError, MemoryError):  # no memory is no damage
        raise
    except Exception:
        # pydicom raises nearly every kind of exception on damaged files, and its messages quote the header, so neither
        # the kind nor the chain is passed on.
        raise damaged() from None


def _read(file: BoundedReader, max_frames: int | None, every: int) -> EchoClip:
    opened = open_header(file)
    sop_class = _ultrasound_class(opened.dataset)
    try:
        return _read_frames(opened, max_frames, every)
    except UnreadableFile:
        frames = opened.dataset.get("NumberOfFrames") or (1 if sop_class == _CAPTURED_FRAME else 2)
        if sop_class in _SECONDARY_CAPTURE and frames == 1:  # whatever its pixels are
            raise still_image() from None
        raise


def _read_frames(opened: OpenedHeader, max_frames: int | None, every: int) -> EchoClip:
    header = opened.dataset
    if "Rows" not in header and _mentions_pixels(opened):
        raise damaged()
    layout = pixel_layout(header)
    syntax = syntax_of(opened.syntax_uid) if opened.syntax_uid else None
    is_video = syntax is not None and syntax.decoder == "video"  # which says itself how many frames it has
    frames_to_read((not is_video and layout.declared_frames) or 2, layout.rows, layout.columns, max_frames)
    pixels = find_pixel_data(opened.stream, opened.size, opened.pixels_at)
    syntax = _syntax_by_frames(opened, pixels, syntax, layout)
    if syntax.decoder == "video":
        return _read_video(opened, pixels, syntax, layout, max_frames, every)

    frames_THWC = None
    try:
        frames_THWC = _pictures(opened, pixels, syntax, layout, max_frames, every)
    except MoreBits:
        if layout.allocated != 8:  # of 16 nothing tells how many are used
            raise
    if frames_THWC is None:  # the error, which holds the frames so far, is gone
        whole = replace(layout, stored=8, high_bit=7)
        frames_THWC = _pictures(opened, pixels, syntax, whole, max_frames, every)
    return _clip(frames_THWC, frame_rate_hz(header), every, header)


def _pictures(
    opened: OpenedHeader, pixels: PixelData, syntax: Syntax, layout: PixelLayout, max_frames: int | None, every: int
) -> NDArray[np.uint8]:
    n_frames, samples_of = _frames(opened, pixels, syntax, layout)
    wanted = frames_to_read(n_frames, layout.rows, layout.columns, max_frames)
    indices = range(0, wanted, every)
    colours = Colours(opened.dataset, layout)
    frames_THWC = np.empty((len(indices), layout.rows, layout.columns, 3), np.uint8)
    for target_HWC, index in zip(frames_THWC, indices, strict=True):
        rgb_HWC = colours.rgb(samples_of(index, target_HWC))
        if rgb_HWC is not target_HWC:
            target_HWC[:] = rgb_HWC
    return frames_THWC


def _mentions_pixels(opened: OpenedHeader) -> bool:
    """Whether there are pixels behind what could be made of the header: an odd element may have stopped it early."""
    opened.stream.seek(0)
    start = opened.stream.read(_SEARCHED_BYTES)
    return any(tag in start for tag in (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10"))


def _clip(frames_THWC: NDArray[np.uint8], rate_hz: float | None, every: int, header: Dataset) -> EchoClip:
    said = header.get("SequenceOfUltrasoundRegions")
    regions = two_dimensional_regions(said) if isinstance(said, Sequence) else ()
    held_hz = None if rate_hz is None else rate_hz / every
    return EchoClip(frames_THWC, held_hz, "dicom", frame_step=every, regions=regions)


def _ultrasound_class(header: Dataset) -> str:
    """Raises UnreadableFile where it is no ultrasound, or not in two dimensions."""
    sop_class = str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or "")
    modality = str(header.get("Modality") or "").strip().upper()
    captured = sop_class in _SECONDARY_CAPTURE and modality == "US"
    if sop_class not in _ULTRASOUND and not captured:
        raise not_ultrasound(sop_class, modality)
    regions = header.get("SequenceOfUltrasoundRegions")
    formats = [region.get("RegionSpatialFormat") for region in regions] if isinstance(regions, Sequence) else []
    refusal = not_two_dimensional(tuple(number if isinstance(number, int) else 0 for number in formats))
    if refusal is not None:
        raise refusal
    return sop_class


def _syntax_by_frames(opened: OpenedHeader, pixels: PixelData, said: Syntax | None, layout: PixelLayout) -> Syntax:
    """What is said; what frames are of which nothing is said, or no compression and whose length is another.

    Pictures of another compression than is said are refused by its name: nothing is known of what was done to them.
    Raises UnreadableFile where neither header nor frames say it.
    """
    if said is not None and (said.decoder == "video" or pixels.span is not None):
        return said
    first = joined(opened.stream, pixels.fragments[:1], opened.size)
    found = _decoder_of(first)
    if said is not None and said.decoder != "native":
        if found == "video":
            raise not_decoded(said.name)
        return said
    left_over = sum(length for _start, length in pixels.fragments) - (layout.declared_frames or 1) * layout.frame_bytes
    if said is not None and 0 not in pixels.pictures and 0 <= left_over <= len(pixels.fragments):
        return said
    if first.startswith(_JPEG_XL):
        raise not_read("JPEG XL")
    if found is not None:  # copied, and the header written anew
        return syntax_of_frames(found)
    if said is not None:
        return said
    raise UnreadableFile(
        "dicom_compression",
        "The DICOM file does not say how its pictures are compressed.",
        hint="Export it with its file header (a Part 10 file).",
    )


def _decoder_of(first: bytes) -> Decoder | None:
    """Which decoder the first fragment is for."""
    with contextlib.suppress(ValueError, IndexError, struct.error):
        return read_codestream(first).kind
    if container_of(first) is not None:
        return "video"
    return "rle" if is_run_lengths(first) else None


def _frames(opened: OpenedHeader, pixels: PixelData, syntax: Syntax, layout: PixelLayout) -> tuple[int, Decode]:
    """How many frames there are, and what decodes each of them."""
    if pixels.span is not None:
        if syntax.decoder != "native":
            raise not_decoded(syntax.name)
        return _plain_frames(opened, pixels.span, pixels.in_words, layout)
    spans = frames_in_fragments(pixels, layout.declared_frames, _extended_offsets(opened.dataset))
    most = 2 * layout.frame_bytes + _MAX_BESIDE_PIXELS
    if syntax.decoder == "native":
        first = joined(opened.stream, spans[0], most)
        one = native_frames(replace(layout, declared_frames=1), len(first), lambda n: first[:n], big_endian=False)
        return len(spans), lambda index, _into: one.samples(_exactly(joined(opened.stream, spans[index], most), one))
    pictures = Pictures(syntax, layout)
    return len(spans), lambda index, into: pictures.decode(joined(opened.stream, spans[index], most), into)


def _plain_frames(opened: OpenedHeader, span: Span, in_words: bool, layout: PixelLayout) -> tuple[int, Decode]:
    big_endian = opened.syntax_uid == EXPLICIT_BIG_ENDIAN

    def read_as_stored(at: int, length: int) -> bytes:
        opened.stream.seek(span[0] + at)
        return opened.stream.read(length)

    swaps = big_endian and in_words and layout.allocated == 8
    read = partial(swapped, read_as_stored) if swaps else read_as_stored
    native = native_frames(layout, span[1], partial(read, 0), big_endian=big_endian)
    if span[1] < native.n_frames * native.frame_bytes:
        raise cut_short()

    def samples(index: int, _into: NDArray[np.uint8]) -> Samples:
        return native.samples(read(index * native.frame_bytes, native.frame_bytes))

    return native.n_frames, samples


def _exactly(data: bytes, native: NativeFrames) -> bytes:
    if len(data) < native.frame_bytes:
        raise cut_short()
    return data[: native.frame_bytes]


def _extended_offsets(header: Dataset) -> bytes | None:
    table = header.get("ExtendedOffsetTable")
    return table if isinstance(table, bytes) else None


def _read_video(
    opened: OpenedHeader, pixels: PixelData, syntax: Syntax, layout: PixelLayout, max_frames: int | None, every: int
) -> EchoClip:
    if not pixels.fragments:
        raise not_decoded(syntax.name)
    data = joined(opened.stream, pixels.fragments, MAX_VIDEO_BYTES)
    decoded = decode_video(data, syntax, layout, max_frames, every)
    if layout.is_grey:
        colours = Colours(opened.dataset, layout)
        for frame_HWC in decoded.frames_THWC:
            frame_HWC[:] = colours.rgb(Samples(frame_HWC, 8, "RGB"))
    return _clip(decoded.frames_THWC, frame_rate_hz(opened.dataset) or decoded.rate_hz, every, opened.dataset)


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
