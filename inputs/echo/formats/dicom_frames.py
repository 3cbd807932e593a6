"""Where the frames of a DICOM clip lie in its pixel data, compressed or not. Nothing is decoded here.

Layout: PS3.5 annex A.4. Offset tables are believed only where each of their entries is the start of a fragment.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from inputs.echo.formats.base import COPY_AGAIN
from inputs.echo.formats.dicom_codestreams import START_BYTES, starts_picture
from inputs.errors import UnreadableFile
from inputs.limits import MAX_FRAMES

_MAX_FRAGMENTS = 4 * MAX_FRAMES
_UNDEFINED = 0xFFFFFFFF
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_EXPLICIT = (b"OB", b"OW", b"UN")

Span = tuple[int, int]
"""Where in the file something starts, and how many bytes it has."""


@dataclass(frozen=True)
class PixelData:
    """The value of the pixel data element: one span of bytes, or fragments."""

    span: Span | None
    fragments: tuple[Span, ...] = ()
    offsets: tuple[int, ...] = ()
    """Of the basic offset table, from the start of the first fragment's item."""
    in_words: bool = False
    """Whether the element is of 16-bit words, in the order of the file."""
    pictures: tuple[int, ...] = ()
    """The numbers of the fragments that begin a picture."""


def find_pixel_data(file: BinaryIO, size: int, at: int) -> PixelData:
    """The element that starts at `at`. Raises UnreadableFile where there is none, or it is cut short."""
    file.seek(at)
    start = file.read(12)
    big_endian = start[:4] == b"\x7f\xe0\x00\x10"
    if start[:4] != b"\xe0\x7f\x10\x00" and not big_endian:
        raise no_pixels()
    order = ">" if big_endian else "<"
    if start[4:6] in _EXPLICIT:
        (length,), value = struct.unpack_from(f"{order}L", start, 8), at + 12
    else:
        (length,), value = struct.unpack_from(f"{order}L", start, 4), at + 8
    if length == _UNDEFINED:
        return _fragments(file, size, value)
    if length == 0:
        raise no_pixels()
    if value + length > size:
        raise cut_short()
    return PixelData((value, length), in_words=start[4:6] == b"OW")


def no_pixels() -> UnreadableFile:
    return UnreadableFile("no_pixels", "This DICOM object holds no images.")


def cut_short() -> UnreadableFile:
    return UnreadableFile("file_truncated", "The file ends before its last frame.", hint=COPY_AGAIN)


def frames_missing() -> UnreadableFile:
    return UnreadableFile("frames_missing", "The file holds fewer frames than it declares.", hint=COPY_AGAIN)


def _fragments(file: BinaryIO, size: int, at: int) -> PixelData:
    spans: list[Span] = []
    pictures: list[int] = []
    while True:
        file.seek(at)
        start = file.read(9 + START_BYTES)
        if spans and spans[-1][1] % 2 and start[:4] not in (_ITEM, _END):  # an odd length, and a padded value
            start, at = start[1:], at + 1
        if not start:  # some end without saying so
            break
        if len(start) < 8:
            raise cut_short()
        tag, length = struct.unpack_from("<4sL", start)
        if tag == _END:
            break
        if tag != _ITEM or length == _UNDEFINED:
            raise UnreadableFile("dicom_damaged", "The DICOM file is damaged or not as the standard asks.")
        if not spans and length > 4 * MAX_FRAMES:
            raise UnreadableFile("too_many_frames", f"The clip says it has more than {MAX_FRAMES} frames.")
        if at + 8 + length > size:
            raise cut_short()
        if spans and starts_picture(start[8 : 8 + min(START_BYTES, length)]):
            pictures.append(len(spans) - 1)  # the first item is the table
        spans.append((at + 8, length))
        if len(spans) > _MAX_FRAGMENTS:
            raise UnreadableFile("too_many_fragments", f"The clip is in more than {_MAX_FRAGMENTS} fragments.")
        at += 8 + length
    if len(spans) < 2:
        raise no_pixels()
    file.seek(spans[0][0])
    table = file.read(spans[0][1])
    offsets = struct.unpack(f"<{len(table) // 4}L", table[: len(table) // 4 * 4])
    return PixelData(None, tuple(spans[1:]), offsets, pictures=tuple(pictures))


def frames_in_fragments(pixels: PixelData, declared: int | None, extended: bytes | None) -> list[tuple[Span, ...]]:
    """The fragments of each frame, of which there are `declared`; where that is None the pictures are counted.

    By the extended offset table or the basic one where it fits, else by the fragments themselves: one for each frame,
    or those that begin as a picture does. A table that puts two pictures into a frame does not fit. Raises
    UnreadableFile where there are fewer frames than declared.
    """
    pictures = _by_pictures(pixels)
    if declared is None and pictures:
        return pictures
    for offsets in (_extended_offsets(extended), pixels.offsets):
        grouped = _by_offsets(pixels.fragments, offsets)
        fits = len(grouped) == (declared or len(grouped)) and len(pictures) in (0, len(grouped))
        if grouped and fits:
            return grouped
    one_each: list[tuple[Span, ...]] = [(fragment,) for fragment in pixels.fragments]
    if declared is None or declared == len(one_each):
        return one_each
    if declared == 1:
        return [pixels.fragments]
    grouped = pictures or one_each
    if len(grouped) < declared:
        raise frames_missing()
    return grouped[:declared]


def _extended_offsets(table: bytes | None) -> Sequence[int]:
    if table is None or len(table) % 8 or len(table) > 8 * MAX_FRAMES:
        return ()
    return struct.unpack(f"<{len(table) // 8}Q", table)


def _by_offsets(fragments: Sequence[Span], offsets: Sequence[int]) -> list[tuple[Span, ...]]:
    """Empty where the offsets are not those of fragments in their order, the first of which begins the first frame."""
    zero = fragments[0][0]
    number_of = {start - zero: number for number, (start, _length) in enumerate(fragments)}
    numbers = [number_of.get(offset, -1) for offset in offsets]
    if not numbers or numbers[0] != 0 or any(b <= a for a, b in pairwise(numbers)):
        return []
    ends = [*numbers[1:], len(fragments)]
    return [tuple(fragments[a:b]) for a, b in zip(numbers, ends, strict=True)]


def _by_pictures(pixels: PixelData) -> list[tuple[Span, ...]]:
    """A frame begins with each fragment that begins a picture; empty where the first does not."""
    starts, fragments = pixels.pictures, pixels.fragments
    if not starts or starts[0] != 0:
        return []
    return [tuple(fragments[a:b]) for a, b in zip(starts, [*starts[1:], len(fragments)], strict=True)]


def joined(file: BinaryIO, frame: Sequence[Span], at_most: int) -> bytes:
    """The bytes of one frame. Raises UnreadableFile where they are more than a frame of its size can need."""
    if sum(length for _start, length in frame) > at_most:
        raise UnreadableFile("frame_too_large", "A compressed frame is far larger than its pixels are.")
    parts = []
    for start, length in frame:
        file.seek(start)
        parts.append(file.read(length))
    return b"".join(parts)
