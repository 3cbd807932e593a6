"""Checked recordings, free of identity: what readers return and preparation takes.

Letters in array names: L leads, N samples, T frames, H rows, W columns, C colours (RGB).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

STANDARD_LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@dataclass(frozen=True)
class UploadedFile:
    """One part of an upload: the name it came with (headers refer to their signal files by it) and its bytes."""

    name: str
    data: bytes


MAX_EXAM_LETTERS = 100
MAX_STRETCH_S = 300.0
"""What is asked for of a file: how an exam may be named, and how long a stretch may be."""


@dataclass(frozen=True)
class ReadHints:
    """What a person says about an ECG file that may not say it itself, as NPY and CSV files do not.

    unit: of all samples, such as `uV`. leads: a name for each lead, in the file's order. exam: which one of a file that
    holds many, by its id or, where they have none, its place from 0. start_s, length_s: which stretch of a long one.
    """

    rate_hz: float | None = None
    unit: str | None = None
    leads: tuple[str, ...] | None = None
    exam: str | None = None
    start_s: float | None = None
    length_s: float | None = None


NO_HINTS = ReadHints()


Severity = Literal["note", "warning", "withheld"]
"""Of a warning: good to know; may make the answer wrong; must not be answered from."""


@dataclass(frozen=True)
class InputWarning:
    """Something a person should know although the recording is usable. `code` is stable."""

    code: str
    message: str
    leads: tuple[str, ...] = ()
    severity: Severity = "warning"
    stretch_s: tuple[float, float] | None = None
    """Where in the recording it holds, in seconds; None: in all of it, or what was looked at first."""


@dataclass(frozen=True)
class DeviceSaid:
    """What an electrocardiograph wrote beside the signal. Made by `inputs.ecg.said.device_said`, which bounds it.

    Never names, ids or birth dates; never an input of a model, never logged, and shown only where it is asked for.
    recorded_at: as the file says it, ISO 8601, with a zone only where the file has one. measures: of MEASURES, in
    beats per minute, milliseconds and degrees. statements: of the interpretation, as they stand. paced: None: unknown.
    """

    vendor: str | None = None
    model: str | None = None
    recorded_at: str | None = None
    filters: tuple[str, ...] = ()
    measures: tuple[tuple[str, float], ...] = ()
    statements: tuple[str, ...] = ()
    paced: bool | None = None


@dataclass(frozen=True)
class EcgRecording:
    """One ECG as it was recorded, in the file's own lead order. No patient data.

    signal_mv: (L, N) float32 millivolt, NaN where the file says a sample is missing.
    rate_hz: samples per second and lead, read from the file or given by the caller, never assumed.
    lead_names: L names in the spelling of STANDARD_LEADS where they are standard leads.
    said: what the electrocardiograph wrote beside it, None where the format has no place for it.
    """

    signal_mv: NDArray[np.float32]
    rate_hz: float
    lead_names: tuple[str, ...]
    source_format: str
    warnings: tuple[InputWarning, ...] = field(default=())
    said: DeviceSaid | None = None

    def __post_init__(self) -> None:
        if self.signal_mv.ndim != 2 or self.signal_mv.shape[0] != len(self.lead_names):
            raise ValueError("signal_mv must be (leads, samples) with one row per lead name")
        if not self.rate_hz > 0:
            raise ValueError("rate_hz must be positive")

    @property
    def duration_s(self) -> float:
        return float(self.signal_mv.shape[1] / self.rate_hz)


Region = tuple[int, int, int, int]
"""Rows and columns of a picture: top, left, bottom, right, the last two not included; it may exceed the picture."""
MAX_REGIONS = 16


@dataclass(frozen=True)
class PreparedFor:
    """Which frames and pixels of a clip were kept: every `stride`-th frame, at most `frames`, `zoom` of each side cut.

    size: rows and columns of what is left. ValueError for numbers that no preparation has.
    """

    frames: int
    stride: int
    size: int
    zoom: float

    def __post_init__(self) -> None:
        counts = (self.frames, self.stride, self.size)
        if not all(type(count) is int and 0 < count <= 4096 for count in counts):
            raise ValueError("no preparation has such frames")
        if type(self.zoom) is not float or not 0 <= self.zoom < 0.5:
            raise ValueError("no preparation has such a zoom")


@dataclass(frozen=True)
class EchoClip:
    """One cine loop, or its first frames. frames_THWC: uint8 RGB. frame_rate_hz is None when the file does not say.

    frame_step: every how many of the file's frames one is held; frame_rate_hz is the rate of those held.
    regions: where the file says that it shows two-dimensional pictures; none where it does not say.
    prepared_for: what the frames were chosen, cut and sized for before they were written; None for any camera's file.
    """

    frames_THWC: NDArray[np.uint8]
    frame_rate_hz: float | None
    source_format: str
    warnings: tuple[InputWarning, ...] = field(default=())
    frame_step: int = 1
    regions: tuple[Region, ...] = ()
    prepared_for: PreparedFor | None = None

    def __post_init__(self) -> None:
        if self.frames_THWC.ndim != 4 or self.frames_THWC.shape[3] != 3:
            raise ValueError("frames_THWC must be (frames, rows, columns, 3)")
