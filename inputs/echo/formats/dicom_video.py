"""MPEG-2, MPEG-4 and HEVC inside DICOM: the fragments are one stream, which FFmpeg decodes.

Letters: T frames, H rows, W columns, C colours (RGB).
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from inputs.echo.formats.base import GrowingClip, frames_to_read, sane_rate_hz
from inputs.echo.formats.dicom_frames import frames_missing
from inputs.echo.formats.dicom_header import PixelLayout
from inputs.echo.formats.dicom_syntaxes import Syntax, not_decoded
from inputs.errors import InputError, UnreadableFile
from inputs.limits import MAX_DECODED_BYTES, MAX_FRAMES

MAX_VIDEO_BYTES = 256 * 2**20
_TRANSPORT_PACKET = 188
_BARE = {"MPEG-2": "mpegvideo", "MPEG-4": "h264", "HEVC": "hevc"}
"""FFmpeg's name of each stream without a container."""
_ANY_START = re.compile(rb"\0\0+\x01", re.DOTALL)
_STARTS = tuple(
    (re.compile(_ANY_START.pattern + first, re.DOTALL), name)
    for first, name in (
        (rb"\xba", "mpeg"),
        (rb"\xb3", "mpegvideo"),
        (rb"[\xb0\xb5]", "m4v"),
        (rb"[\x06\x07\x09\x27\x47\x67]", "h264"),
        (rb"[\x40\x42\x44\x46\x4e]\x01", "hevc"),
    )
)
"""What streams begin with: a pack, a sequence header, a parameter set, a delimiter or what is told besides."""
_MAX_MISSING = 2
"""Frames by which a header counts too many."""


@dataclass(frozen=True)
class DecodedVideo:
    """rate_hz: of the stream itself, None where it states none, or none that a machine has."""

    frames_THWC: NDArray[np.uint8]
    rate_hz: float | None


def decode_video(data: bytes, syntax: Syntax, layout: PixelLayout, max_frames: int | None, every: int) -> DecodedVideo:
    """Every `every`-th of the first `max_frames` frames (all when None). Raises UnreadableFile.

    The stream says how many frames it has: the header is often off by one or two, and the fragments are whole.
    """
    container = container_of(data) or (_BARE.get(syntax.name) if _ANY_START.match(data) else None)
    if container is None:
        raise not_decoded(syntax.name)
    try:
        return _decode(data, container, layout, max_frames, every)
    except InputError:
        raise
    except av.error.MemoryError:  # FFmpeg's own, over a count that makes no sense
        raise not_decoded(syntax.name) from None
    except MemoryError:
        raise
    except Exception:  # FFmpeg's other errors, whatever its binding raises, and damage
        raise not_decoded(syntax.name) from None


def container_of(data: bytes) -> str | None:
    """FFmpeg's name of what lies in the fragments: it is named, never guessed, so that no playlist opens a file."""
    if data[4:8] == b"ftyp":
        return "mov"
    if data[:1] == b"\x47" and data[_TRANSPORT_PACKET : _TRANSPORT_PACKET + 1] == b"\x47":
        return "mpegts"
    return next((name for start, name in _STARTS if start.match(data)), None)


def _decode(data: bytes, container: str, layout: PixelLayout, max_frames: int | None, every: int) -> DecodedVideo:
    rows, columns = layout.rows, layout.columns
    most = min(MAX_FRAMES, MAX_DECODED_BYTES // (rows * columns * 3)) if max_frames is None else max_frames
    n_found, frames = 0, GrowingClip()
    with av.open(io.BytesIO(data), "r", format=container) as opened:
        stream = opened.streams.video[0]
        stream.thread_type = "NONE"  # worker processes are the parallelism
        if (stream.height, stream.width) != (rows, columns):
            raise UnreadableFile("frame_size", "A frame has another size than the header says.")
        for frame in opened.decode(stream):
            if n_found == most and max_frames is not None:
                break
            if (frame.height, frame.width) != (rows, columns):
                raise UnreadableFile("frame_size", "A frame has another size than the header says.")
            if frame.is_corrupt:  # FFmpeg paints over what it cannot decode
                raise ValueError("damaged")
            if n_found % every == 0 and n_found < most:
                frames.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
            n_found += 1
            if n_found > most:
                break
        stated = stream.average_rate or stream.guessed_rate
        if container not in ("mov", "mpegts", "mpeg"):  # a bare stream, of which FFmpeg says 25 whatever they are
            stated = stream.codec_context.framerate
        rate_hz = sane_rate_hz(float(stated or 0), every=1)
    if n_found < min(layout.declared_frames or 0, most) - _MAX_MISSING:
        raise frames_missing()
    frames_to_read(n_found, rows, columns, max_frames)
    return DecodedVideo(frames.frames(), rate_hz)
