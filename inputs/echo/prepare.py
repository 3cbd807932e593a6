"""A clip and a specification -> the array that the echo encoder eats, and a thumbnail for people.

Letters in array names: T frames, H rows, W columns, C colours (RGB). Knows nothing of files or encoders.
"""

from __future__ import annotations

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from inputs.errors import UnusableRecording
from inputs.records import EchoClip
from inputs.specs import EchoSpec

_MOVED_GREY_LEVELS = 8
"""Less than this between a pixel's darkest and brightest moment is compression noise, not motion."""
_MIN_SECTOR_SHARE = 0.05


def prepare_clip(clip: EchoClip, spec: EchoSpec) -> NDArray[np.float32]:
    """Choose frames, crop to a square, zoom, resize and normalise: (3, spec.frames, spec.size, spec.size) float32.

    Every `spec.stride`-th frame from the start; a clip that is too short is padded at its end as `spec.padding` says.
    Raises UnusableRecording when a frame is too small to crop. Follows EchoPrime's preparation (arXiv 2410.09704) as
    Echo2ECG uses it (arXiv 2603.08505): cubic resize on uint8, normalisation on the 0..255 scale.
    """
    step, left_over = divmod(spec.stride, clip.frame_step)
    if left_over:
        raise ValueError(f"a clip read every {clip.frame_step} frames cannot be prepared with stride {spec.stride}")
    chosen_THWC = clip.frames_THWC[: spec.frames * step : step]
    if len(chosen_THWC) == 0:
        raise UnusableRecording("clip_empty", "The clip has no frames.")
    rows, columns = model_crop(*chosen_THWC.shape[1:3], zoom=spec.zoom)
    mask_HW = sector_mask(chosen_THWC)[rows, columns] if spec.mask_outside_sector else None

    small_THWC = np.zeros((spec.frames, spec.size, spec.size, 3), np.uint8)
    for index, frame_HWC in enumerate(chosen_THWC):
        square_HWC = _masked(frame_HWC[rows, columns], mask_HW)
        small_THWC[index] = cv2.resize(square_HWC, (spec.size, spec.size), interpolation=cv2.INTER_CUBIC)

    prepared_CTHW = np.ascontiguousarray(small_THWC.transpose(3, 0, 1, 2), dtype=np.float32)
    prepared_CTHW -= np.array(spec.mean, np.float32)[:, None, None, None]
    prepared_CTHW /= np.array(spec.std, np.float32)[:, None, None, None]
    if spec.padding == "zeros_after_normalising":
        prepared_CTHW[:, len(chosen_THWC) :] = 0
    return prepared_CTHW


def model_crop(n_rows: int, n_columns: int, *, zoom: float) -> tuple[slice, slice]:
    """Rows and columns that the encoder sees: the longer side cut to a square, then `zoom` of each side at each end.

    Raises UnusableRecording when nothing would be left.
    """
    longer_by = abs(n_rows - n_columns)
    cut = round(longer_by / 2)  # Python's rounding, halves to even, as published
    cut_rows, cut_columns = (cut, 0) if n_rows > n_columns else (0, cut)
    cut_rows += int((n_rows - 2 * cut_rows) * zoom)
    cut_columns += int((n_columns - 2 * cut_columns) * zoom)
    if n_rows <= 2 * cut_rows or n_columns <= 2 * cut_columns:
        raise UnusableRecording("frames_too_small", "The frames are too small to crop.")
    return slice(cut_rows, n_rows - cut_rows), slice(cut_columns, n_columns - cut_columns)


def sector_mask(frames_THWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 inside the ultrasound sector, 0 outside, (H, W): the convex hull of what moves.

    A pixel moves when it changes by more than compression noise between its darkest and brightest moment. Thin moving
    things (the ECG trace, a clock) are removed by an opening, the largest moving area is taken to be the sector, and
    its convex hull keeps dark, still cavities inside. EchoPrime masks with the same idea, motion against still
    overlays, by other steps: the masks are alike, not equal. All ones when nothing large enough moves.
    """
    n_rows, n_columns = frames_THWC.shape[1:3]
    swing_HWC = frames_THWC.max(axis=0) - frames_THWC.min(axis=0)
    moving_HW = np.maximum.reduce(cv2.split(swing_HWC)) > _MOVED_GREY_LEVELS
    reach = 1 + min(n_rows, n_columns) // 100
    speckle, trace = (np.ones((k * reach + 1, k * reach + 1), np.uint8) for k in (2, 4))
    whole_HW = cv2.morphologyEx(moving_HW.astype(np.uint8), cv2.MORPH_CLOSE, speckle)
    whole_HW = cv2.morphologyEx(whole_HW, cv2.MORPH_OPEN, trace)
    _n, labels_HW, stats, _centres = cv2.connectedComponentsWithStats(whole_HW)
    areas = stats[1:, cv2.CC_STAT_AREA]
    mask_HW = np.zeros((n_rows, n_columns), np.uint8)
    if len(areas) == 0 or areas.max() < _MIN_SECTOR_SHARE * n_rows * n_columns:
        mask_HW[:] = 1
        return mask_HW
    sector_HW = (labels_HW == 1 + int(areas.argmax())).astype(np.uint8)
    outlines, _hierarchy = cv2.findContours(sector_HW, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.fillConvexPoly(mask_HW, cv2.convexHull(outlines[0]), 1)
    return mask_HW


def _masked(frame_HWC: NDArray[np.uint8], mask_HW: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    if mask_HW is None:
        return frame_HWC
    return np.asarray(cv2.bitwise_and(frame_HWC, frame_HWC, mask=mask_HW), np.uint8)


def thumbnail_jpeg(clip: EchoClip, *, side: int = 160) -> bytes:
    """The middle frame as the encoder sees it, without what lies outside the moving sector, as a small square JPEG.

    Machines burn names and dates into the margins; the crop and the mask leave them out as far as motion tells.
    """
    middle_HWC = clip.frames_THWC[len(clip.frames_THWC) // 2]
    rows, columns = model_crop(*middle_HWC.shape[:2], zoom=EchoSpec().zoom)
    square_HWC = _masked(middle_HWC[rows, columns], sector_mask(clip.frames_THWC)[rows, columns])
    small_HWC = cv2.resize(square_HWC, (side, side), interpolation=cv2.INTER_AREA)
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(small_HWC), quality=80, colorspace="RGB"))
