"""Frames that show no ultrasound in a clip that does: title pages, black ones.

Letters in array names: T frames, H rows, W columns, C colours (RGB), N numbers.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE_PX = 24
_ENOUGH_PX = 96
"""Every so manieth row and column is looked at that frames are no larger than this."""
_ALIKE = 0.8
_PAGE = 0.4
"""Correlation with the usual picture: frames of one loop have 0.9 and more with it, pages of text 0.2 and less."""


def without_pages(frames_THWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frames that look like most others do, coarsely; all of them where most do not look alike.

    What exporting programs put before a loop, with a name on it, is no part of it.
    """
    step = 1 + max(frames_THWC.shape[1:3]) // _ENOUGH_PX
    greens = (np.ascontiguousarray(frame_HWC[::step, ::step, 1]) for frame_HWC in frames_THWC)
    small = [cv2.resize(green_HW, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA) for green_HW in greens]
    small_TN = np.stack(small).reshape(len(small), -1).astype(np.float32)
    alike_T = _correlation(small_TN, np.median(small_TN, axis=0))
    page_T = alike_T < _PAGE
    if not page_T.any() or np.median(alike_T) < _ALIKE or 2 * page_T.sum() >= len(page_T):
        return frames_THWC
    return frames_THWC[~page_T]


def _correlation(small_TN: NDArray[np.float32], usual_N: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each frame with the usual one, (T,); none where a frame is of one grey."""
    small_TN = small_TN - small_TN.mean(axis=1, keepdims=True)
    usual_N = usual_N - usual_N.mean()
    lengths_T = np.linalg.norm(small_TN, axis=1) * np.linalg.norm(usual_N)
    return np.asarray(small_TN @ usual_N / np.maximum(lengths_T, 1e-6), np.float32)
