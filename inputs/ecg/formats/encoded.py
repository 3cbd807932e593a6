"""Samples that XML files carry as base64 of 16-bit little-endian counts: to bytes and to numbers, within limits."""

from __future__ import annotations

import base64
import binascii

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import check_size
from inputs.errors import UnreadableFile

SAMPLE_BYTES = 2
_SPACE = b" \t\r\n"
_NOT_CONNECTED = np.iinfo(np.int16).min
"""The most negative count is how electrocardiographs mark a missing sample; as a voltage it is absurd."""


def bytes_from_base64(text: str, whose: str, channels: int) -> bytes:
    """What a text of base64 stands for, line ends aside. whose: "Lead V1 of the GE MUSE file".

    Raises UnreadableFile for other letters, for a text that ends within a group of four or within a sample, and,
    before anything is decoded, for more samples than `channels` such leads may have.
    """
    try:
        letters = text.encode("ascii").translate(None, _SPACE)
    except UnicodeEncodeError as error:
        raise _damaged(whose) from error
    check_size(channels, len(letters) // 4 * 3 // SAMPLE_BYTES)
    try:
        data = base64.b64decode(letters, validate=True)
    except binascii.Error as error:
        raise _damaged(whose) from error
    if len(data) % SAMPLE_BYTES:
        raise UnreadableFile("truncated", f"{whose} ends within a sample.")
    return data


def samples_of(data: bytes) -> NDArray[np.float64]:
    """Counts (N,) as float64, NaN where the mark of a missing sample stands."""
    counts = np.frombuffer(data, "<i2")
    return np.where(counts == _NOT_CONNECTED, np.nan, counts.astype(np.float64))


def _damaged(whose: str) -> UnreadableFile:
    return UnreadableFile("unreadable_file", f"{whose} is damaged: its samples are not in base64.")
