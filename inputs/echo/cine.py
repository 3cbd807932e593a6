"""A clip as a small moving picture for people: a looping WebP at the speed at which the heart was recorded.

Letters in array names: T frames, H rows, W columns, C colours (RGB).
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inputs.records import EchoClip

MAX_CINE_BYTES = 80_000
CINE_FRAMES = 60
"""Of a file that are worth reading for its cine: one second at 60 frames a second, two at 30."""
LONGEST_S = 1.5
_SHOWN_HZ = 14.0
"""About as many frames are shown in a second: every n-th of those held, so that the steps between them are even."""
_USUAL_HZ = 30.0
"""Of a file that does not state its rate. It may then run too fast or too slow; most machines export with it."""
_TRIES = ((160, 30, 1), (160, 15, 1), (160, 15, 2), (112, 15, 2), (80, 5, 4), (40, 0, 8))
"""Side in pixels, quality, and every how many frames, until the picture is small enough. Noise fits at the last."""
_EFFORT = 2
"""Of WebP's 0 to 6: a fifth smaller than with none; with 4 it takes twice as long and is a tenth smaller still."""

_KEY_FRAMES = (2, 3)
"""A whole frame comes after so many, at least and at most: in others a block stays that differs little from the frame
before, and slow or dim motion never adds up. Of 39 made clips 0.69 of the motion is kept, with (4, 5) 0.61 in 6 % less,
with none 0.48 in 14 % less."""


def cine_webp(small: EchoClip) -> bytes:
    """What `inputs.echo.prepare.small_clip` gave, as a looping WebP of at most MAX_CINE_BYTES and LONGEST_S.

    At least two frames, however slow they are. Each is shown for as long as it lasted. Empty where nothing can move:
    there is one frame, or all are black since no sector was found.
    """
    held_hz = small.frame_rate_hz or _USUAL_HZ / small.frame_step
    step = max(1, min(round(held_hz / _SHOWN_HZ), len(small.frames_THWC) - 1))
    n_held = max(step + 1, min(len(small.frames_THWC), round(LONGEST_S * held_hz)))
    shown_THWC = small.frames_THWC[:n_held:step]
    if len(shown_THWC) < 2 or not shown_THWC.any():
        return b""
    for side, quality, every in _TRIES:
        chosen_THWC = shown_THWC[::every] if len(shown_THWC) > every else shown_THWC[:2]
        content = _encoded(chosen_THWC, side, quality, step * every / held_hz)
        if len(content) <= MAX_CINE_BYTES:
            return content
    return b""


def _encoded(frames_THWC: NDArray[np.uint8], side: int, quality: int, frame_s: float) -> bytes:
    pictures = [_picture(frame_HWC, side) for frame_HWC in frames_THWC]
    file = io.BytesIO()
    pictures[0].save(
        file,
        "WEBP",
        save_all=True,
        append_images=pictures[1:],
        duration=_milliseconds(len(pictures), frame_s),
        loop=0,
        quality=quality,
        method=_EFFORT,
        kmin=_KEY_FRAMES[0],
        kmax=_KEY_FRAMES[1],
    )
    return file.getvalue()


def _picture(frame_HWC: NDArray[np.uint8], side: int) -> Image.Image:
    if len(frame_HWC) > side:
        frame_HWC = np.asarray(cv2.resize(frame_HWC, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return Image.fromarray(np.ascontiguousarray(frame_HWC))


def _milliseconds(n_frames: int, frame_s: float) -> Sequence[int]:
    """Whole ones, and in all as long as the frames lasted: what is rounded off does not add up."""
    ends_ms = np.rint(1000 * frame_s * np.arange(n_frames + 1)).astype(int)
    return [max(1, int(ms)) for ms in np.diff(ends_ms)]
