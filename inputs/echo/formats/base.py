"""What a format of echo clips is, and what all their readers ask of a clip.

A new format is one file beside this one that ends with its `EchoFormat`, a place in `inputs.echo.formats.FORMATS`, and
a sample in the test that every format runs through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.errors import UnreadableFile
from inputs.limits import MAX_DECODED_BYTES, MAX_FRAMES, MAX_SIDE_PX
from inputs.opened import BoundedReader
from inputs.records import EchoClip

START_BYTES = 132
"""How many bytes from its start tell what a clip is: DICOM's preamble and mark."""

COPY_AGAIN = "Copy or export the clip again."
_MORE_FRAMES = 16
_MAX_UNEVEN = 2.5
"""A frame left out now and then doubles a step; steps beyond that have no rate in common."""
_UNEVEN, _MAX_UNEVEN_SHARE = 1.6, 0.25
"""Nor have they where so many steps differ by so much from the middle one: the rate changes within the clip."""


@dataclass(frozen=True)
class EchoFormat:
    """One format of clips: how its files are told from others, and who reads them. It knows nothing of names.

    name: what `EchoClip.source_format` says of a file read with it.
    recognises: whether the first START_BYTES bytes of a file are of this format.
    read: every n-th of the first so many frames (all when None) of an opened file. Raises UnreadableFile.
    """

    name: str
    recognises: Callable[[bytes], bool]
    read: Callable[[BoundedReader, int | None, int], EchoClip]


def still_image() -> UnreadableFile:
    return UnreadableFile("still_image", "This is a still image, not a clip.", hint="Send a cine loop.")


def frames_to_read(n_frames: int, rows: int, columns: int, max_frames: int | None) -> int:
    """How many frames to decode. Raises UnreadableFile when there is no clip in the file, or far too much of one."""
    if n_frames < 2:
        raise still_image()
    if n_frames > MAX_FRAMES:
        raise UnreadableFile("too_many_frames", f"The clip says it has more than {MAX_FRAMES} frames.")
    if not (0 < rows <= MAX_SIDE_PX and 0 < columns <= MAX_SIDE_PX):
        raise UnreadableFile("frame_size", f"Frames must be between 1 and {MAX_SIDE_PX} pixels high and wide.")
    wanted = n_frames if max_frames is None else min(n_frames, max_frames)
    if wanted * rows * columns * 3 > MAX_DECODED_BYTES:
        raise UnreadableFile(
            "clip_too_large", f"The decoded clip would be larger than {MAX_DECODED_BYTES / 2**30} GiB."
        )
    return wanted


class GrowingClip:
    """Frames (H, W, C) of one size, of which nobody knows how many will come; never held twice."""

    def __init__(self) -> None:
        self._frames_THWC = np.empty((0, 0, 0, 3), np.uint8)
        self._n = 0

    def append(self, frame_HWC: NDArray[np.uint8]) -> None:
        if self._n == len(self._frames_THWC):
            self._frames_THWC.resize((self._n + _MORE_FRAMES, *frame_HWC.shape), refcheck=False)
        self._frames_THWC[self._n] = frame_HWC
        self._n += 1

    def frames(self) -> NDArray[np.uint8]:
        """(T, H, W, C), after which none can be added."""
        self._frames_THWC.resize((self._n, *self._frames_THWC.shape[1:]), refcheck=False)
        return self._frames_THWC


def sane_rate_hz(rate_hz: float, every: int) -> float | None:
    """Rate of every `every`-th frame, or None when the file's own rate is one that no machine has."""
    return rate_hz / every if 0.1 <= rate_hz <= 2000 else None


def even_rate_hz(steps_s: NDArray[np.float64]) -> float:
    """Frames per second by the times between frames; 0 where no one rate holds for them, and where there are none.

    The mean of those that are no gaps: times are rounded to what a file counts in. A short step follows a late frame,
    whose step was too long, and makes up for it.
    """
    if len(steps_s) == 0 or not steps_s.min() > 0:
        return 0.0
    middle_s = float(np.median(steps_s))
    ratios = np.maximum(steps_s / middle_s, middle_s / steps_s)
    if ratios.max() > _MAX_UNEVEN or (ratios > _UNEVEN).mean() > _MAX_UNEVEN_SHARE:
        return 0.0
    return float(1 / steps_s[steps_s <= _UNEVEN * middle_s].mean())
