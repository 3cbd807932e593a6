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
_STEADY = 1.6
"""Times of frames rise by so much at most in a step, of what they do in another; steps so alike are no such times."""


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
            stated_hz.append(way(header))
    return _likeliest(stated_hz)


def _likeliest(rates_hz: list[float]) -> float | None:
    sane_hz = [rate_hz for rate_hz in rates_hz if sane_rate_hz(rate_hz, every=1)]
    likely_hz = [rate_hz for rate_hz in sane_hz if _LIKELY_HZ[0] <= rate_hz <= _LIKELY_HZ[1]]
    return next(iter(likely_hz or sane_hz), None)


def _points_to_vector(header: Dataset) -> bool:
    pointer = header.get("FrameIncrementPointer")
    first = pointer[0] if isinstance(pointer, list | MultiValue) and pointer else pointer
    return isinstance(first, int) and int(first) == _FRAME_TIME_VECTOR


def _by_frame_time(header: Dataset) -> float:
    return 1000 / float(header.get("FrameTime") or 0)


def _by_vector(header: Dataset) -> float:
    """The first entry is the time before the first frame, and often not 0; one alone is the time before each.

    They may be the times of the frames instead: where they rise steadily from 0, or as steps they are not likely.
    """
    said = header.get("FrameTimeVector") or []
    times_s = np.array([float(time) for time in ([said] if isinstance(said, float) else said)]) / 1000
    rises_s = np.diff(times_s)
    ways_hz = [even_rate_hz(times_s[1:] if len(times_s) > 1 else times_s), even_rate_hz(rises_s)]
    if len(rises_s) > 1 and times_s[0] == 0 and 0 < rises_s.max() <= _STEADY * rises_s.min():
        ways_hz.reverse()
    return _likeliest(ways_hz) or 0.0


def _by_cine_rate(header: Dataset) -> float:
    return float(header.get("CineRate") or 0)


def _by_display_rate(header: Dataset) -> float:
    return float(header.get("RecommendedDisplayFrameRate") or 0)
