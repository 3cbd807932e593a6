"""AVI and MP4 clips through FFmpeg. Letters in array names: T frames, H rows, W columns, C colours (RGB)."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal, cast

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from inputs.echo.formats.base import COPY_AGAIN, EchoFormat, GrowingClip, even_rate_hz, frames_to_read, sane_rate_hz
from inputs.errors import InputError, UnreadableFile
from inputs.limits import MAX_DECODED_BYTES, MAX_FRAMES
from inputs.opened import BoundedReader
from inputs.records import EchoClip

Container = Literal["avi", "mp4"]
_STILL_BRANDS = (
    b"heic",
    b"heix",
    b"hevc",
    b"hevx",
    b"heim",
    b"heis",
    b"mif1",
    b"msf1",
    b"avif",
    b"avis",
    b"M4A ",
    b"M4B ",
)
_DROPPED_AT_END = 2
"""How many frames an AVI may have been left without at its end, where no later frame shows that they were dropped."""
_AS_DECLARED = 0.01
"""By what share of a step times are rounded at most."""
_MAX_SKEW = 0.01
"""Of a display matrix: about half a degree."""
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"uuid", b"styp", b"pnot", b"PICT")
_BOXES = frozenset((*_FIRST_BOXES, b"moof", b"mfra", b"meta", b"sidx", b"udta"))
"""Of the outermost level; what is none of them and does not fit into the file is no box."""
_MISCOUNTED_BYTES = 8
"""By which the length of an AVI is too large where it counts itself, or a byte that fills up."""
_MAX_BOXES = 100_000
"""On the outermost level of an MP4: a streamed one has two for each of its fragments."""


def looks_like_avi(start: bytes) -> bool:
    return start[:4] == b"RIFF" and start[8:12] == b"AVI "


def looks_like_mp4(start: bytes) -> bool:
    """MP4 and its older brother QuickTime, by the kind of their first box; not HEIF images, which are written alike."""
    return start[4:8] in _FIRST_BOXES and start[8:12] not in _STILL_BRANDS


def read_video(container: Container, file: BoundedReader, max_frames: int | None, every: int) -> EchoClip:
    """Every `every`-th of the first `max_frames` frames (all when None) of the video. Raises UnreadableFile."""
    if _declared_bytes(file, container) > file.size:
        raise UnreadableFile("file_truncated", "The file ends before its container says.", hint=COPY_AGAIN)
    file.seek(0)
    try:
        return _read(file, container, max_frames, every)
    except InputError:
        raise
    except av.error.MemoryError:  # FFmpeg's own, over a count that makes no sense
        raise UnreadableFile(
            "video_damaged", "The video asks for far more memory than a clip needs.", hint=COPY_AGAIN
        ) from None
    except MemoryError:  # no memory is no damage
        raise
    except Exception:  # FFmpeg's other errors, and whatever its binding raises on headers that make no sense
        raise _damaged() from None


def _damaged() -> UnreadableFile:
    return UnreadableFile(
        "video_damaged",
        "The video is damaged or in a codec that is not read.",
        hint="Copy it again, or export it as MP4 with H.264 or AVI with Motion JPEG.",
    )


def _read(file: BoundedReader, container: Container, max_frames: int | None, every: int) -> EchoClip:
    # The demuxer is named, never guessed: playlist formats, which open other files, cannot be chosen by content.
    with av.open(file, "r", format="mov" if container == "mp4" else "avi") as opened:
        if not opened.streams.video:
            raise UnreadableFile("no_video", "The file holds no video.")
        stream = _one_video(opened)
        stream.thread_type = "NONE"  # worker processes are the parallelism; frame threads decode more than is used
        if stream.codec_context.name == "mjpeg":  # which says of no frame that it is damaged
            stream.codec_context.options = {"err_detect": "explode"}
        rows, columns, declared = int(stream.height), int(stream.width), int(stream.frames)
        wanted = frames_to_read(declared or MAX_FRAMES, rows, columns, max_frames if declared else max_frames or 2)
        if not declared and max_frames is None:  # a streamed file does not say how long it is
            wanted = min(MAX_FRAMES, MAX_DECODED_BYTES // (rows * columns * 3)) + 1
        n_found, frames, times_s, turn = 0, GrowingClip(), [], None
        for frame in itertools.islice(_every(opened, stream, every), wanted):
            n_found += 1
            if frame is None:
                continue
            if (frame.height, frame.width) != (rows, columns):
                raise UnreadableFile("frame_size", "The frames of the video differ in size.")
            if frame.is_corrupt:  # FFmpeg paints over what it cannot decode
                raise UnreadableFile("video_damaged", "Frames of the video are damaged.", hint=COPY_AGAIN)
            turn = _turn(frame) if turn is None else turn
            frames.append(turn(_rgb(frame)))
            times_s.append(frame.time)
        declared_hz = float(stream.average_rate or stream.guessed_rate or 0)
    if declared and n_found < wanted and container == "avi":  # an MP4's edit list may leave frames out
        # A frame that was dropped is an empty chunk, which FFmpeg passes over: the times of the others count it.
        shown = round((times_s[-1] or 0) * declared_hz) + every if times_s else 0
        if shown + _DROPPED_AT_END < declared:
            raise UnreadableFile("frames_missing", "The file holds fewer frames than it declares.", hint=COPY_AGAIN)
    frames_to_read(n_found, rows, columns, None)
    rate_hz = _rate_hz(times_s, declared_hz / every)
    return EchoClip(frames.frames(), sane_rate_hz(rate_hz, every=1), container, frame_step=every)


def _rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """(H, W, C). Numbers of a colour table that the file lacks are greys."""
    if frame.format.name == "pal8":
        numbers_HW, table = frame.to_ndarray()
        if not table[:, 1:].any():
            return np.repeat(numbers_HW[..., None], 3, axis=-1)
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _rate_hz(times_s: Sequence[float | None], declared_hz: float) -> float:
    """Of the frames held, from the times at which they are shown; 0 where no one rate holds for them.

    What the container declares is a mean over the whole file, in which the last frame may last for no time or long. It
    counts where the steps but for the first, which a decoder's delay may have made longer, are as it says.
    """
    known_s = [time_s for time_s in times_s if time_s is not None]
    steps_s = np.diff(known_s)
    if len(known_s) < len(times_s) or len(steps_s) == 0 or steps_s.min() <= 0:
        return declared_hz
    if len(steps_s) > 1 and np.abs(steps_s[1:] * declared_hz - 1).max() < _AS_DECLARED:
        return declared_hz
    return even_rate_hz(steps_s)


def _one_video(opened: InputContainer) -> VideoStream:
    """The video that is no cover picture. Raises UnreadableFile where there are several."""
    videos = opened.streams.video
    clips = [one for one in videos if one.frames != 1 and not one.disposition & Disposition.attached_pic]
    if len(clips) > 1:
        raise UnreadableFile(
            "several_videos", "The file holds several videos.", hint="Export each as a file of its own."
        )
    return (clips or videos)[0]


def _turn(frame: VideoFrame) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """What makes (H, W, C) of a file as players show it: turned and mirrored as an MP4's display matrix says.

    The matrix puts the pixel (x, y) at (a x + c y, b x + d y).
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return lambda frame_HWC: frame_HWC
    a, b, _u, c, d, *_rest = struct.unpack("=9i", bytes(cast(SideData, matrix))[:36])
    straight, crossed = max(abs(a), abs(d)), max(abs(b), abs(c))
    if min(straight, crossed) > _MAX_SKEW * max(straight, crossed):
        raise UnreadableFile(
            "video_turned", "The video is to be shown turned by an odd angle.", hint="Export it without rotation."
        )
    is_crossed = crossed > straight
    to_right, to_bottom = (c, b) if is_crossed else (a, d)
    rows, columns = slice(None, None, -1 if to_bottom < 0 else 1), slice(None, None, -1 if to_right < 0 else 1)
    return lambda frame_HWC: (frame_HWC.transpose(1, 0, 2) if is_crossed else frame_HWC)[rows, columns]


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
        return 0 if length == 0xFFFFFFFF else 8 + int(length) - _MISCOUNTED_BYTES
    end = boxes = 0
    while end + 8 <= file.size:
        boxes += 1
        if boxes > _MAX_BOXES:
            raise _damaged()
        file.seek(end)
        length, kind = struct.unpack(">L4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if length < 8:  # 0: to the end of the file
            return 0
        if end + length > file.size and kind not in _BOXES:
            break
        end += length
    return end


AVI = EchoFormat("avi", looks_like_avi, partial(read_video, "avi"))
MP4 = EchoFormat("mp4", looks_like_mp4, partial(read_video, "mp4"))
