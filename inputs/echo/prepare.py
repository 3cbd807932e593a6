"""A clip and a specification -> the array that the echo encoder eats, and small pictures for people.

Letters in array names: T frames, H rows, W columns, C colours (RGB). Knows nothing of files or encoders.
"""

from __future__ import annotations

from dataclasses import asdict, replace

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from inputs.echo.pages import without_pages
from inputs.echo.sector import sector_mask
from inputs.errors import UnusableRecording
from inputs.records import EchoClip, PreparedFor
from inputs.specs import EchoSpec

_STILL_GREY_LEVELS = 16
"""More than a pixel of a still image changes by when it is compressed as a video, but for a few of them."""
_MIN_MOVING_SHARE = 0.005


def prepare_clip(clip: EchoClip, spec: EchoSpec) -> NDArray[np.float32]:
    """Choose frames, crop to a square, zoom, resize and normalise: (3, spec.frames, spec.size, spec.size) float32.

    Every `spec.stride`-th frame from the start; a clip that is too short is padded at its end as `spec.padding` says.
    Where what lies outside the sector is to be masked, pages of text and black frames among them are left out first.
    Raises UnusableRecording when a frame is too small to crop, when no frame differs from another (a still image, or a
    black clip), and when what lies outside the sector is to be masked and there is none (M-mode, spectral Doppler).
    Follows EchoPrime's preparation (arXiv 2410.09704) as Echo2ECG uses it (arXiv 2603.08505): cubic resize on uint8,
    normalisation on the 0..255 scale.
    """
    kept_THWC = _cut_and_sized(clip, spec) if clip.prepared_for is None else _as_written(clip, clip.prepared_for, spec)
    _check_moves(kept_THWC)

    padded_THWC = np.zeros((spec.frames, spec.size, spec.size, 3), np.uint8)
    padded_THWC[: len(kept_THWC)] = kept_THWC
    prepared_CTHW = np.ascontiguousarray(padded_THWC.transpose(3, 0, 1, 2), dtype=np.float32)
    prepared_CTHW -= np.array(spec.mean, np.float32)[:, None, None, None]
    prepared_CTHW /= np.array(spec.std, np.float32)[:, None, None, None]
    if spec.padding == "zeros_after_normalising":
        prepared_CTHW[:, len(kept_THWC) :] = 0
    return prepared_CTHW


def _cut_and_sized(clip: EchoClip, spec: EchoSpec) -> NDArray[np.uint8]:
    """(T, H, W, C), at most `spec.frames` of them."""
    step, left_over = divmod(spec.stride, clip.frame_step)
    if left_over:
        raise ValueError(f"a clip read every {clip.frame_step} frames cannot be prepared with stride {spec.stride}")
    chosen_THWC = clip.frames_THWC[: spec.frames * step : step]
    if len(chosen_THWC) == 0:
        raise UnusableRecording("clip_empty", "The clip has no frames.")
    if spec.mask_outside_sector:
        chosen_THWC = without_pages(chosen_THWC)
    rows, columns = model_crop(*chosen_THWC.shape[1:3], zoom=spec.zoom)
    mask_HW = _sector(chosen_THWC, clip)[rows, columns] if spec.mask_outside_sector else None
    small_THWC = np.empty((len(chosen_THWC), spec.size, spec.size, 3), np.uint8)
    for index, frame_HWC in enumerate(chosen_THWC):
        square_HWC = _masked(frame_HWC[rows, columns], mask_HW)
        small_THWC[index] = cv2.resize(square_HWC, (spec.size, spec.size), interpolation=cv2.INTER_CUBIC)
    return small_THWC


def _as_written(clip: EchoClip, prepared_for: PreparedFor, spec: EchoSpec) -> NDArray[np.uint8]:
    """Frames that were prepared before they were written, (T, H, W, C), where that was for this preparation."""
    wanted = spec.prepared_for
    if prepared_for != wanted:
        theirs, ours = asdict(prepared_for), asdict(wanted)
        name = next(name for name in ours if theirs[name] != ours[name])
        raise UnusableRecording(
            "prepared_otherwise",
            f"This clip was prepared for {name} {theirs[name]:g}, and {ours[name]:g} is needed.",
            hint="Write it anew for this model, or give the clip itself.",
        )
    return clip.frames_THWC


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


def _masked(frame_HWC: NDArray[np.uint8], mask_HW: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    if mask_HW is None:
        return frame_HWC
    return np.asarray(cv2.bitwise_and(frame_HWC, frame_HWC, mask=mask_HW), np.uint8)


def _sector(frames_THWC: NDArray[np.uint8], clip: EchoClip) -> NDArray[np.uint8]:
    mask_HW = sector_mask(frames_THWC, clip.regions)
    if mask_HW is None:
        raise UnusableRecording(
            "no_sector", "No moving ultrasound sector is found in this clip.", hint="Send a two-dimensional cine loop."
        )
    return mask_HW


def _check_moves(frames_THWC: NDArray[np.uint8]) -> None:
    """Raises UnusableRecording where two frames or more are all alike, but for what compression does to them."""
    swing_HWC = frames_THWC.max(axis=0) - frames_THWC.min(axis=0)
    if len(frames_THWC) > 1 and (swing_HWC > _STILL_GREY_LEVELS).mean() < _MIN_MOVING_SHARE:
        raise UnusableRecording(
            "still_image", "Nothing moves in this clip: it is a still image.", hint="Send a cine loop."
        )


def small_clip(clip: EchoClip, *, side: int = 160) -> EchoClip:
    """The frames as the encoder sees them, black outside the moving sector, as small squares; without title pages.

    For people, moving or still. Machines burn names and dates into the margins. Black as a whole where no sector is
    found: what is text is then not known.
    """
    if clip.prepared_for is not None:
        sized = [cv2.resize(f, (side, side), interpolation=cv2.INTER_LINEAR) for f in clip.frames_THWC]
        return replace(clip, frames_THWC=np.stack(sized), prepared_for=None)
    frames_THWC = without_pages(clip.frames_THWC)
    n_rows, n_columns = frames_THWC.shape[1:3]
    rows, columns = model_crop(n_rows, n_columns, zoom=EchoSpec().zoom)
    mask_HW = sector_mask(frames_THWC, clip.regions)
    small_THWC = np.zeros((len(frames_THWC), side, side, 3), np.uint8)
    if mask_HW is not None:
        for small_HWC, frame_HWC in zip(small_THWC, frames_THWC, strict=True):
            square_HWC = _masked(frame_HWC[rows, columns], mask_HW[rows, columns])
            small_HWC[:] = cv2.resize(square_HWC, (side, side), interpolation=cv2.INTER_AREA)
    return replace(clip, frames_THWC=small_THWC, regions=())


def thumbnail_jpeg(clip: EchoClip, *, side: int = 160) -> bytes:
    """The middle frame of its `small_clip` as a JPEG."""
    return still_jpeg(small_clip(clip, side=side))


def still_jpeg(small: EchoClip) -> bytes:
    """The middle frame of what `small_clip` gave."""
    middle_HWC = small.frames_THWC[len(small.frames_THWC) // 2]
    return bytes(simplejpeg.encode_jpeg(middle_HWC, quality=80, colorspace="RGB"))
