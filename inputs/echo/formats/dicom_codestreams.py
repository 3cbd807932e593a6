"""What the header of one compressed picture says, before a decoder makes room for it: kind, size, colours.

JPEG and JPEG-LS after ITU-T T.81 and T.87 with the markers of JFIF and Adobe, JPEG 2000 after T.800.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["jpeg", "jpeg lossless", "jpeg-ls", "jpeg 2000"]

_MAX_MARKERS = 1000
_JPEG_KINDS: dict[int, Kind] = {
    0xC0: "jpeg",
    0xC1: "jpeg",
    0xC2: "jpeg",
    0xC3: "jpeg lossless",
    0xF7: "jpeg-ls",
}
_START_OF_SCAN, _END_OF_IMAGE, _APP0, _APP14 = 0xDA, 0xD9, 0xE0, 0xEE
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_JPEG_START = b"\xff\xd8\xff"
_ANOTHER = re.compile(rb"\xff\xd9\x00?\xff[\xd8\x4f]\xff")
_J2K_START = b"\xff\x4f\xff\x51"
_JP2_START = b"\0\0\0\x0cjP  \r\n\x87\n"
_MAX_TILES = 4096
START_BYTES = 12
"""How much of a fragment tells whether a picture begins with it."""


@dataclass(frozen=True)
class Codestream:
    """bits: of one sample. colours: what markers or ids of components say that three of them are, None: nothing.

    taken_for: what libjpeg takes them for, which believes JFIF before Adobe and knows no ids in small letters.
    subsampled: one component has fewer samples than another, as only the colours of YCbCr do. start: of the codestream,
    behind any boxes around it.
    """

    kind: Kind
    rows: int
    columns: int
    components: int
    bits: int
    signed: bool = False
    subsampled: bool = False
    colours: Literal["RGB", "YCbCr"] | None = None
    taken_for: Literal["RGB", "YCbCr"] = "YCbCr"
    start: int = 0


def read_codestream(data: bytes) -> Codestream:
    """Raises ValueError, IndexError or struct.error for what is no such picture, or one of a kind that is not known."""
    if data[:2] == b"\xff\xd8":
        return _read_jpeg(data)
    if data[:4] == _J2K_START:
        return _read_jpeg_2000(data, 0)
    if data[:12] == _JP2_START:
        return _read_jpeg_2000(data, _behind_boxes(data))
    raise ValueError("no picture that is known")


def starts_picture(data: bytes) -> bool:
    """Whether a fragment with this beginning starts a picture; the bytes of one that goes on never look so."""
    return data[:3] == _JPEG_START or data[:4] == _J2K_START or data[:12] == _JP2_START


def holds_another(data: bytes) -> bool:
    """Whether behind the end of a picture another one starts; within a picture no bytes look so."""
    return _ANOTHER.search(data) is not None


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment of a JPEG up to its first scan; they include marker and length."""
    at = 2
    for _ in range(_MAX_MARKERS):
        start = at
        if data[at] != 0xFF:
            raise ValueError("no marker where one must be")
        while data[at] == 0xFF:  # a marker may have any number of these before it
            at += 1
        marker = data[at]
        at += 1
        if marker in _STANDALONE:
            continue
        if marker == _END_OF_IMAGE:
            return
        (length,) = struct.unpack_from(">H", data, at)
        at += length
        yield marker, start, at
        if marker == _START_OF_SCAN:
            return
    raise ValueError("too many markers")


def _read_jpeg(data: bytes) -> Codestream:
    is_jfif, adobe, frame = False, None, None
    for marker, start, end in segments(data):
        body = data[start:end].lstrip(b"\xff")[3:]
        if marker == _APP0 and body[:5] == b"JFIF\0" and len(body) >= 14:
            is_jfif = True
        elif marker == _APP14 and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        elif marker in _JPEG_KINDS:
            frame = (_JPEG_KINDS[marker], body)
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            raise ValueError("hierarchical or arithmetic")
    if frame is None:
        raise ValueError("no frame")
    kind, body = frame
    bits, rows, columns, n = struct.unpack_from(">BHHB", body)
    ids = [body[6 + 3 * i] for i in range(n)]
    factors = {body[7 + 3 * i] for i in range(n)}
    colours: Literal["RGB", "YCbCr"] | None = None
    taken_for: Literal["RGB", "YCbCr"] = "YCbCr"
    if n == 3:
        if not is_jfif and (adobe == 0 or (adobe is None and bytes(ids) == b"RGB")):
            taken_for = "RGB"
        if adobe is not None:
            colours = "YCbCr" if adobe else "RGB"
        elif bytes(ids) in (b"RGB", b"rgb"):
            colours = "RGB"
        elif is_jfif:
            colours = "YCbCr"
    subsampled = len(factors) > 1
    return Codestream(kind, rows, columns, n, bits, subsampled=subsampled, colours=colours, taken_for=taken_for)


def _behind_boxes(data: bytes) -> int:
    at = 0
    for _ in range(_MAX_MARKERS):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"jp2c":
            return at + (16 if length == 1 else 8)
        if length < 8:
            break
        at += length
    raise ValueError("no codestream in the boxes")


def _read_jpeg_2000(data: bytes, start: int) -> Codestream:
    if data[start : start + 4] != _J2K_START:
        raise ValueError("no codestream")
    at = start + 4
    _length, _profile, *sizes, n = struct.unpack_from(">HH8IH", data, at)
    right, bottom, left, top, tile_columns, tile_rows, *_first_tile = sizes
    parts = [struct.unpack_from(">BBB", data, at + 38 + 3 * i) for i in range(n)]
    bits = {1 + (part[0] & 0x7F) for part in parts}
    if len(bits) != 1 or not tile_columns or not tile_rows:
        raise ValueError("components of different depths, or no tiles")
    if -(-right // tile_columns) * -(-bottom // tile_rows) > _MAX_TILES:
        raise ValueError("too many tiles")
    return Codestream(
        kind="jpeg 2000",
        rows=bottom - top,
        columns=right - left,
        components=n,
        bits=bits.pop(),
        signed=any(part[0] & 0x80 for part in parts),
        subsampled=len({part[1:] for part in parts}) > 1,
        start=start,
    )
