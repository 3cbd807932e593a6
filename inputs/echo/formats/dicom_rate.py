"""The frame rate of a DICOM clip, from whichever of its elements makes sense."""

from __future__ import annotations

import contextlib

from pydicom.dataset import Dataset

from inputs.echo.formats.base import sane_rate_hz


def frame_rate_hz(header: Dataset) -> float | None:
    """Frames per second: FrameTime, FrameTimeVector, CineRate or RecommendedDisplayFrameRate, the first that is sane.

    None where none is: a frame time of 0.0333 ms is seconds in the wrong place, and no machine.
    """
    for stated in (_by_frame_time, _by_vector, _by_cine_rate, _by_display_rate):
        with contextlib.suppress(ValueError, TypeError, ZeroDivisionError, OverflowError):
            if rate_hz := sane_rate_hz(stated(header), every=1):
                return rate_hz
    return None


def _by_frame_time(header: Dataset) -> float:
    return 1000 / float(header.get("FrameTime") or 0)


def _by_vector(header: Dataset) -> float:
    """The mean, whatever single steps are; the first entry is the time before the first frame, and often not 0."""
    steps_ms = [float(step) for step in list(header.get("FrameTimeVector") or [])[1:]]
    return 1000 * len(steps_ms) / sum(steps_ms)


def _by_cine_rate(header: Dataset) -> float:
    return float(header.get("CineRate") or 0)


def _by_display_rate(header: Dataset) -> float:
    return float(header.get("RecommendedDisplayFrameRate") or 0)
