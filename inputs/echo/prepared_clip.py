"""Clips that were prepared before they were written: the frames that an encoder gets, and what they were prepared for.

The light path of the simulator writes them, which draws no frame and no pixel that training would throw away. A file is
a safetensors file with one tensor, `frames`, and what it was prepared for as its metadata, so that nobody takes it for
another preparation. Letters in array names: T frames, H rows, W columns, C colours (RGB).
"""

from __future__ import annotations

import json

import numpy as np

from inputs.echo.formats.base import frames_to_read
from inputs.errors import UnreadableFile
from inputs.opened import BoundedReader
from inputs.records import EchoClip, PreparedFor

_START = b'{"__metadata__":{"prepared_for":'
_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 2048


def is_prepared(start: bytes) -> bool:
    """Whether the first bytes of a file are those of a prepared clip."""
    return start[_LENGTH_BYTES:].startswith(_START)


def read_prepared(file: BoundedReader) -> EchoClip:
    """All frames that there are: they were chosen already. Raises UnreadableFile."""
    file.seek(0)
    header_bytes = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    try:
        header = json.loads(file.read(header_bytes)) if header_bytes <= _MOST_HEADER_BYTES else {}
        prepared_for = PreparedFor(**json.loads(header["__metadata__"]["prepared_for"]))
        kind, (n_frames, *picture) = header["frames"]["dtype"], header["frames"]["shape"]
        frames_to_read(n_frames, prepared_for.size, prepared_for.size, None)
        pixels = np.frombuffer(file.read(), np.uint8)
        frames_THWC = pixels.reshape(n_frames, prepared_for.size, prepared_for.size, 3)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise _damaged() from None
    if kind != "U8" or picture != [*frames_THWC.shape[1:]] or n_frames > prepared_for.frames:
        raise _damaged()
    return EchoClip(frames_THWC, None, "prepared", prepared_for=prepared_for)


def _damaged() -> UnreadableFile:
    return UnreadableFile("clip_damaged", "The prepared clip is damaged.", hint="Write it again.")
