"""AVI and MP4 clips through FFmpeg. Letters in array names: T frames, H rows, W columns, C colours (RGB)."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from inputs.echo.formats.base import EchoFormat, frames_to_read, sane_rate_hz
from inputs.errors import InputError, UnreadableFile
from inputs.limits import MAX_DECODED_BYTES, MAX_FRAMES
from inputs.opened import BoundedReader
from inputs.records import EchoClip

Container = Literal["avi", "mp4"]
_STILL_BRANDS = (b"heic", b"heix", b"mif1", b"avif")
_MAX_UNEVEN = 2.5
"""A frame left out now and then doubles a step; steps beyond that have no rate in common."""
_MAX_BOXES = 100_000
"""On the outermost level of an MP4: a streamed one has two for each of its fragments."""


def looks_like_avi(start: bytes) -> bool:
    return start[:4] == b"RIFF" and start[8:12] == b"AVI "


def looks_like_mp4(start: bytes) -> bool:
    """MP4 and its older brother QuickTime, by the kind of their first box; not HEIF images, which are written alike."""
    return start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip") and start[8:12] not in _STILL_BRANDS


def read_video(container: Container, file: BoundedReader, max_frames: int | None, every: int) -> EchoClip:
    """Every `every`-th of the first `max_frames` frames (all when None) of the video. Raises UnreadableFile."""
    if _declared_bytes(file, container) > file.size:
        raise UnreadableFile("file_truncated", "The file ends before its container says.")
    file.seek(0)
    try:
        return _read(file, container, max_frames, every)
    except (InputError, MemoryError):  # no memory is no damage
        raise
    except Exception:  # FFmpeg's own errors, and whatever its binding raises on headers that make no sense
        raise UnreadableFile("video_damaged", "The video is damaged or in a codec that is not read.") from None


def _read(file: BoundedReader, container: Container, max_frames: int | None, every: int) -> EchoClip:
    # The demuxer is named, never guessed: playlist formats, which open other files, cannot be chosen by content.
    with av.open(file, "r", format="mov" if container == "mp4" else "avi") as opened:
        if not opened.streams.video:
            raise UnreadableFile("no_video", "The file holds no video.")
        stream = opened.streams.video[0]
        stream.thread_type = "NONE"  # worker processes are the parallelism; frame threads decode more than is used
        rows, columns, declared = int(stream.height), int(stream.width), int(stream.frames)
        wanted = frames_to_read(declared or MAX_FRAMES, rows, columns, max_frames if declared else max_frames or 2)
        if not declared and max_frames is None:  # a streamed file does not say how long it is
            wanted = min(MAX_FRAMES, MAX_DECODED_BYTES // (rows * columns * 3)) + 1
        n_found, frames, times_s = 0, [], []
        for frame in itertools.islice(_every(opened, stream, every), wanted):
            n_found += 1
            if frame is None:
                continue
            if (frame.height, frame.width) != (rows, columns):
                raise UnreadableFile("frame_size", "The frames of the video differ in size.")
            frames.append(_upright(frame))
            times_s.append(frame.time)
        declared_hz = float(stream.average_rate or stream.guessed_rate or 0)
    if declared and n_found < wanted and container == "avi":  # an MP4's edit list may leave frames out
        raise UnreadableFile("frames_missing", "The file holds fewer frames than it declares.")
    frames_to_read(n_found, rows, columns, None)
    rate_hz = _rate_hz(times_s, declared_hz / every)
    return EchoClip(np.stack(frames), sane_rate_hz(rate_hz, every=1), container, frame_step=every)


def _rate_hz(times_s: Sequence[float | None], declared_hz: float) -> float:
    """Of the frames held, from the times at which they are shown; 0 where no one rate holds for them.

    What the container declares is a mean over the whole file, in which the last frame may last for no time or long.
    """
    known_s = [time_s for time_s in times_s if time_s is not None]
    steps_s = np.diff(known_s)
    if len(known_s) < len(times_s) or len(steps_s) == 0 or steps_s.min() <= 0:
        return declared_hz
    middle_s = float(np.median(steps_s))
    if steps_s.max() > _MAX_UNEVEN * middle_s or steps_s.min() * _MAX_UNEVEN < middle_s:
        return 0.0
    return float(1 / steps_s.mean())


def _upright(frame: VideoFrame) -> NDArray[np.uint8]:
    """A frame as players show it, (H, W, C): turned by the quarters that an MP4's display matrix says."""
    quarters, between = divmod(round(frame.rotation), 90)
    if between:
        raise UnreadableFile(
            "video_turned", "The video is to be shown turned by an odd angle.", hint="Export it without rotation."
        )
    return np.rot90(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), quarters)


def _every(opened: InputContainer, stream: VideoStream, every: int) -> Iterator[VideoFrame | None]:
    """Every `every`-th frame, None for those between: they are not decoded where each packet is a frame on its own."""
    codec = stream.codec_context.codec
    if every == 1 or not codec.intra_only or codec.delay:
        for number, frame in enumerate(opened.decode(stream)):
            yield frame if number % every == 0 else None
        return
    number = 0
    for packet in opened.demux(stream):
        if packet.size == 0 or packet.is_discard:  # a frame dropped or cut off, or the end of the stream
            continue
        frames: list[VideoFrame | None] = [None] if number % every else [*packet.decode()]
        yield from frames
        number += len(frames)


def _declared_bytes(file: BoundedReader, container: Container) -> int:
    """Where the container says that it ends; 0 when it does not say, as in a streamed file."""
    if container == "avi":
        file.seek(4)
        (length,) = struct.unpack("<L", file.read(4))
        return 0 if length == 0xFFFFFFFF else 8 + int(length)
    end = boxes = 0
    while end + 8 <= file.size:
        boxes += 1
        if boxes > _MAX_BOXES:
            raise UnreadableFile("video_damaged", "The video is damaged or in a codec that is not read.")
        file.seek(end)
        length, _kind = struct.unpack(">L4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if length < 8:  # 0: to the end of the file
            return 0
        end += length
    return end


AVI = EchoFormat("avi", looks_like_avi, partial(read_video, "avi"))
MP4 = EchoFormat("mp4", looks_like_mp4, partial(read_video, "mp4"))
