"""XLI, the compression of Philips ECG files: LZW of 10-bit codes over differences of differences.

Source: the wiki of sixlettervariables/sierra-ecg-tools, and Philips files themselves. One chunk a lead: its size (4
bytes), 1 (2 bytes), a first difference (2 bytes, signed), all little-endian, and the compressed bytes. These are the
high bytes of all differences and then the low ones; the first two are samples, and from the third on a sample is
`2 * before - before that - difference`, with the difference stored 64 too high and one place too early.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from inputs.errors import UnreadableFile
from inputs.limits import MAX_CHANNELS

_HEADER = struct.Struct("<IHh")
_BITS = 10
_END = 2**_BITS - 1
_RAISED = 64


def unpack_xli(data: bytes, leads: int, samples: int) -> NDArray[np.int64]:
    """(L, N) counts of the first `leads` chunks, `samples` each. The caller has held both to `check_size`.

    Devices write further chunks for channels that they do not use. Raises UnreadableFile for a chunk that is cut off or
    unpacks to any other length, before more than that length is unpacked.
    """
    chunks = list(_chunks(data))
    if len(chunks) < leads:
        raise UnreadableFile("truncated", "The compressed signal of the Philips ECG file has too few leads.")
    counts_LN = np.empty((leads, samples), np.int64)
    for row, (first, packed) in zip(counts_LN, chunks, strict=False):
        row[:] = _summed(_unpack_lzw(packed, 2 * samples), first)
    return counts_LN


def _chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    for _ in range(MAX_CHANNELS):
        if place == len(data):
            return
        if place + _HEADER.size > len(data):
            break
        size, _, first = _HEADER.unpack_from(data, place)
        place += _HEADER.size
        if not 0 < size <= len(data) - place:
            break
        yield first, data[place : place + size]
        place += size
    if place != len(data):
        raise UnreadableFile("truncated", "The compressed signal of the Philips ECG file is damaged or cut off.")


def _unpack_lzw(packed: bytes, size: int) -> bytearray:
    """What codes stand for, exactly `size` bytes of it: counted while they come out, for a code may be 700 of them."""
    if len(packed) * 8 > _BITS * (size + 8):  # each code is a byte at least
        raise _wrong_length()
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    codes = bits[: len(bits) // _BITS * _BITS].reshape(-1, _BITS) @ (1 << np.arange(_BITS - 1, -1, -1, dtype=np.uint16))
    known = [bytes([value]) for value in range(256)]
    before = b""
    out = bytearray()
    for code in codes.tolist():
        if code == _END:
            break
        if code < len(known):
            word = known[code]
        elif code == len(known) and before:
            word = before + before[:1]
        else:
            raise UnreadableFile("unreadable_file", "The compressed signal of the Philips ECG file is damaged.")
        if before and len(known) < _END:
            known.append(before + word[:1])
        out += word
        if len(out) > size:
            break
        before = word
    if len(out) != size:
        raise _wrong_length()
    return out


def _summed(unpacked: bytearray, first: int) -> NDArray[np.int64]:
    high, low = np.frombuffer(unpacked, np.uint8).reshape(2, -1)
    stored = np.frombuffer((high.astype(np.uint16) << 8 | low).tobytes(), np.int16).astype(np.int64)
    steps = stored.copy()
    steps[1:2] -= stored[:1]
    steps[2:3] = -first
    steps[3:] = _RAISED - stored[2:-1]
    steps[1:] = np.cumsum(steps[1:])
    counts = np.cumsum(steps)
    if len(counts) and (counts.min() < -(2**15) or counts.max() >= 2**15):
        raise UnreadableFile(
            "unreadable_file", "The compressed signal of the Philips ECG file leaves 16 bits: damaged."
        )
    return counts


def _wrong_length() -> UnreadableFile:
    return UnreadableFile("truncated", "A lead of the Philips ECG file has not the length that the file states.")
