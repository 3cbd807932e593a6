"""What was set on the machine: its picture, the sector it shows, and the box in which it measures flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats32 = NDArray[np.float32]
Integers = NDArray[np.int32]
Picture = NDArray[np.uint8]

DEPTHS, BEAMS = 192, 96
"""The grid on which a picture is made before it is converted to a sector: rows are depths, columns are beams."""
MOST_FRAMES = 48
_TOP, _BOTTOM = 0.06, 0.90
"""Rows of the nearest and of the farthest depth shown, as fractions of the picture."""


@dataclass(frozen=True)
class EchoMachine:
    """One machine as set for one study. None of it depends on the patient's disease.

    speckle: its contrast, 1 fully developed, 0 smooth tissue.
    blur_beams, blur_depths: width of the point spread on the grid. shadow_db: the deepest rib or lung shadow.
    rim_loss_db: lost at the edges of the sector. haze_db: level of reverberation. tint: RGB gains of the grey map.
    """

    frame_height: int
    frame_width: int
    frame_rate_hz: float
    sector_deg: float
    gain_db: float
    dynamic_range_db: float
    attenuation_db_per_cm: float
    speckle: float
    blur_beams: float
    blur_depths: float
    shadow_db: float
    rim_loss_db: float
    haze_db: float
    tint: tuple[float, float, float]
    ecg_trace: bool
    jpeg_quality: int


@dataclass(frozen=True)
class Sector:
    """Geometry of the picture: where depth 0 lies, how large a cm is, which rectangle the sector fills.

    near_cm: what is nearer is not shown; above 0 where the picture is a zoom. apex_px then lies above the picture.
    """

    apex_px: tuple[float, float]
    px_per_cm: float
    near_cm: float
    depth_cm: float
    half_angle: float
    region_px: tuple[int, int, int, int]
    """x0, y0, x1, y1, inclusive, inside the picture."""


@dataclass(frozen=True)
class ColourBox:
    """The part of the sector in which the machine measures flow."""

    depth_cm: tuple[float, float]
    angle_deg: tuple[float, float]


def sector_of(machine: EchoMachine, depth_cm: float, near_cm: float = 0.0) -> Sector:
    """The sector from `near_cm` to `depth_cm`, as large as the picture's height allows."""
    height, width = machine.frame_height, machine.frame_width
    half_angle = float(np.deg2rad(machine.sector_deg / 2.0))
    px_per_cm = (_BOTTOM - _TOP) * height / (depth_cm - near_cm)
    apex = (width / 2.0, _TOP * height - near_cm * px_per_cm)
    half_px = depth_cm * px_per_cm * np.sin(half_angle)
    left, right = max(int(apex[0] - half_px), 0), min(int(np.ceil(apex[0] + half_px)), width - 1)
    top = max(
        int(apex[1] + near_cm * px_per_cm * np.cos(half_angle)), 0
    )  # of a zoom the rim lies higher than its middle
    region_px = (left, top, right, int(_BOTTOM * height))
    return Sector(apex, px_per_cm, near_cm, depth_cm, half_angle, region_px)
