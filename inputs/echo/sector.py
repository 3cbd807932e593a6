"""Where the ultrasound sector of a clip lies, so that what machines burn in around it can be left out.

Letters in array names: T frames, H rows, W columns, C colours (RGB).
"""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]

_MOVED_GREY_LEVELS = 8
"""Less than this between a pixel's darkest and brightest moment is compression noise, not motion."""
_STEP_GREY_LEVELS = 4
_MIN_STEPS = 3
"""A pixel of an ECG trace, a clock or a sweep changes as it passes, once or twice; one of a beating heart goes on."""
_LIT_GREY_LEVELS = 16
"""The black around a sector stays darker, compressed or not."""
_FLAT_GREY_LEVELS = 3
"""Between neighbours: menus, buttons and bars are painted, what a beam gives is grainy."""
_NEXT = np.ones((3, 3), np.uint8)
_ENOUGH_PX = 500
"""On the shorter side: larger frames are looked at in half their size and less."""
_MIN_MOVING_SHARE = 0.02
_MIN_SECTOR_SHARE = 0.05
_MIN_PART_SHARE = 0.1
"""Of the largest moving area: the halves of a biplane picture are alike, and so are the walls around a dark cavity."""


def sector_mask(frames_THWC: NDArray[np.uint8]) -> Mask | None:
    """1 inside the ultrasound sector, 0 outside, (H, W) uint8; None where nothing moves as a sector does.

    A pixel moves when it changes by more than compression noise, in three steps or more, and is lit half of the time:
    a trace that is drawn or runs through, a clock and the columns of a sweep are not or do not. Thin things that
    move all the same are removed by an opening. Large moving areas are the sector's, and so is what is lit beside them
    without a gap, neither thin nor flat, such as still walls. The convex hull of both keeps dark cavities and what
    moves in them; what is lit in it but hangs together with no such area goes, as text between two sectors. EchoPrime
    masks with the same idea, motion against still overlays, by other steps: the masks are alike, not equal.
    """
    n_rows, n_columns = frames_THWC.shape[1:3]
    greys = _greys(frames_THWC, 1 + min(n_rows, n_columns) // _ENOUGH_PX)
    reach = 1 + min(greys[0].shape) // 100
    close, open_ = (np.ones((k * reach + 1, k * reach + 1), np.uint8) for k in (2, 4))
    brightest_HW = np.maximum.reduce(greys)
    lit_HW = (brightest_HW > _LIT_GREY_LEVELS).astype(np.uint8)
    whole_HW = cv2.morphologyEx(_moving(greys, brightest_HW), cv2.MORPH_CLOSE, close)
    moving_HW = _large_areas(_opened(whole_HW, open_))
    grainy_HW = cv2.morphologyEx(brightest_HW, cv2.MORPH_GRADIENT, _NEXT) > _FLAT_GREY_LEVELS
    thick_HW = cv2.morphologyEx(lit_HW & grainy_HW, cv2.MORPH_CLOSE, _NEXT)
    thick_HW = _opened(thick_HW, open_)
    sector_HW = moving_HW | _touching(thick_HW, moving_HW)
    if not moving_HW.any() or sector_HW.mean() < _MIN_SECTOR_SHARE:
        return None
    hull_HW = np.zeros_like(sector_HW)
    cv2.fillConvexPoly(hull_HW, cv2.convexHull(cv2.findNonZero(sector_HW)), 1)
    apart_HW = (lit_HW & hull_HW) ^ _touching(lit_HW & hull_HW, sector_HW)
    mask_HW = np.asarray(hull_HW & (1 - cv2.dilate(apart_HW, _NEXT)), np.uint8)
    if mask_HW.shape == (n_rows, n_columns):
        return mask_HW
    return np.asarray(cv2.resize(mask_HW, (n_columns, n_rows), interpolation=cv2.INTER_NEAREST), np.uint8)


def _opened(areas_HW: NDArray[Any], kernel: Mask) -> NDArray[Any]:
    """Without what is thin, a line along the edge of the frame included."""
    return cv2.morphologyEx(areas_HW, cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)


def _greys(frames_THWC: NDArray[np.uint8], step: int) -> list[NDArray[np.uint8]]:
    """Each frame in grey, (H, W), smaller by `step`."""
    greys = [np.asarray(cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY), np.uint8) for frame_HWC in frames_THWC]
    if step == 1:
        return greys
    size = (greys[0].shape[1] // step, greys[0].shape[0] // step)
    return [np.asarray(cv2.resize(grey_HW, size, interpolation=cv2.INTER_AREA), np.uint8) for grey_HW in greys]


def _moving(greys: list[NDArray[np.uint8]], brightest_HW: NDArray[np.uint8]) -> Mask:
    """1 where a pixel goes on changing and is lit half of the time, (H, W)."""
    steps_HW, lit_HW = np.zeros((2, *brightest_HW.shape), np.uint16)
    for before_HW, after_HW in itertools.pairwise(greys):
        steps_HW += cv2.absdiff(before_HW, after_HW) > _STEP_GREY_LEVELS
    for grey_HW in greys:
        lit_HW += grey_HW > _LIT_GREY_LEVELS
    moved_HW = brightest_HW - np.minimum.reduce(greys) > _MOVED_GREY_LEVELS
    goes_on_HW = steps_HW >= min(_MIN_STEPS, len(greys) - 1)
    return np.asarray(moved_HW & goes_on_HW & (2 * lit_HW >= len(greys)), np.uint8)


def _large_areas(moving_HW: NDArray[Any]) -> Mask:
    """The moving areas that are large enough to be a sector or a part of one; nothing where no sector is there."""
    _n, labels_HW, stats, _centres = cv2.connectedComponentsWithStats(moving_HW)
    sizes = stats[:, cv2.CC_STAT_AREA]
    sizes[0] = 0
    if sizes.max() < _MIN_MOVING_SHARE * moving_HW.size:
        return np.zeros_like(moving_HW)
    return np.asarray((sizes >= _MIN_PART_SHARE * sizes.max())[labels_HW], np.uint8)


def _touching(areas_HW: NDArray[Any], seeds_HW: Mask) -> Mask:
    """The connected areas that hold a pixel of the seeds."""
    n, labels_HW = cv2.connectedComponents(areas_HW)
    touched = np.zeros(n, np.uint8)
    touched[labels_HW[seeds_HW > 0]] = 1
    touched[0] = 0
    return np.asarray(touched[labels_HW], np.uint8)
