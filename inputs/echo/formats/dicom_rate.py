"""The frame rate of a DICOM clip, from whichever of its elements makes sense."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from inputs.echo.formats.base import even_rate_hz, sane_rate_hz

_LIKELY_HZ = (5.0, 400.0)
"""What ultrasound machines have; what lies beyond it is believed where nothing else is stated."""
_FRAME_TIME_VECTOR = 0x00181065


def frame_rate_hz(header: Dataset) -> float | None:
    """Frames per second: FrameTime, FrameTimeVector, CineRate or RecommendedDisplayFrameRate, the first that is likely.

    The vector comes first where FrameIncrementPointer names it. Where none is likely the first that is sane counts, and
    None where none is: a frame time of 0.0333 ms is seconds in the wrong place, and no machine.
    """
    ways: list[Callable[[Dataset], float]] = [_by_frame_time, _by_vector, _by_cine_rate, _by_display_rate]
    if _points_to_vector(header):
        ways[:2] = [_by_vector, _by_frame_time]
    stated_hz = []
    for way in ways:
        with contextlib.suppress(ValueError, TypeError, ZeroDivisionError, OverflowError):
            if rate_hz := sane_rate_hz(way(header), every=1):
                stated_hz.append(rate_hz)
    likely_hz = [rate_hz for rate_hz in stated_hz if _LIKELY_HZ[0] <= rate_hz <= _LIKELY_HZ[1]]
    return next(iter(likely_hz or stated_hz), None)


def _points_to_vector(header: Dataset) -> bool:
    pointer = header.get("FrameIncrementPointer")
    first = pointer[0] if isinstance(pointer, list | MultiValue) and pointer else pointer
    return isinstance(first, int) and int(first) == _FRAME_TIME_VECTOR


def _by_frame_time(header: Dataset) -> float:
    return 1000 / float(header.get("FrameTime") or 0)


def _by_vector(header: Dataset) -> float:
    """The first entry is the time before the first frame, and often not 0; one alone is the time before each.

    Where they are no even steps they may be the times of the frames.
    """
    said = header.get("FrameTimeVector") or []
    times_s = np.array([float(time) for time in ([said] if isinstance(said, float) else said)]) / 1000
    return even_rate_hz(times_s[1:] if len(times_s) > 1 else times_s) or even_rate_hz(np.diff(times_s))


def _by_cine_rate(header: Dataset) -> float:
    return float(header.get("CineRate") or 0)


def _by_display_rate(header: Dataset) -> float:
    return float(header.get("RecommendedDisplayFrameRate") or 0)
