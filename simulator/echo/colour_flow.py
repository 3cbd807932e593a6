"""Colour flow over the grey picture: jets and inflow, the bloom of a beam too wide, noise of blood hardly moving.

Letters in array names: T frames, R depths, B beams, C colours (RGB).
"""

from __future__ import annotations

import cv2
import numpy as np

from simulator.echo.look import Look, level_code
from simulator.echo.machine import BEAMS, DEPTHS, ColourBox, Integers, Picture, Sector
from simulator.echo.scene import Flow

SHIFT = 4
"""Outlines are filled with 1/16 cell precision."""
_BLOOD_BELOW_DB = -46.0
_COLOUR_FROM = 0.10
_BLOOM = np.ones((5, 3), np.uint8)
_NOISE_FROM = 1.15
_BOX_GREY = (190, 190, 190)


def paint_flow(
    picture_RBC: Picture,
    level_RB: Picture,
    flows: list[tuple[Flow, Integers]],
    at: tuple[int, int],
    look: Look,
    box_RB: tuple[slice, slice],
    colour_noise: float,
) -> None:
    """Paints moving blood into the box, hardly over tissue. at: index in the scene, and number in the clip, of a frame.

    colour_noise: 0 none, 1 a good part of the still blood is speckled with low velocities.
    """
    index, number = at
    mosaic_RB = look.mosaic(number)[box_RB]
    velocity_RB = np.zeros(mosaic_RB.shape, np.float32)
    for flow, outline_TN2 in flows:
        strength = float(flow.strength_T[index])
        if strength < 0.05:
            continue
        mask_RB = np.zeros((DEPTHS, BEAMS), np.uint8)
        cv2.fillPoly(mask_RB, [outline_TN2[index]], 255, cv2.LINE_8, SHIFT)
        soft_RB = cv2.GaussianBlur(mask_RB[box_RB], (0, 0), 1.2, sigmaY=2.0)
        inside_RB = soft_RB * np.float32(strength / 255.0)
        speed_RB = flow.velocity + np.float32(0.75 * flow.turbulence) * mosaic_RB
        velocity_RB += inside_RB * (speed_RB - velocity_RB) if flow.turbulence > 0.15 else inside_RB * speed_RB
    shown_RB = np.abs(velocity_RB) > _COLOUR_FROM
    if colour_noise > 0.0:
        stray_RB = (np.abs(mosaic_RB) > 2.0 - (2.0 - _NOISE_FROM) * colour_noise) & ~shown_RB
        velocity_RB[stray_RB] = 0.09 * mosaic_RB[stray_RB]
        shown_RB |= stray_RB
    # The beam is wider than a thin wall: colour bleeds over its edge.
    shown_RB &= cv2.erode(level_RB[box_RB], _BLOOM) < level_code(_BLOOD_BELOW_DB)
    # Velocities beyond the scale wrap around: aliasing.
    wrapped_N = np.mod(velocity_RB[shown_RB] + 1.0, 2.0)
    picture_RBC[box_RB][shown_RB] = _COLOUR_MAP[(wrapped_N * 127.5).astype(np.uint8)]
    rows, columns = box_RB
    cv2.rectangle(picture_RBC, (columns.start, rows.start), (columns.stop, rows.stop), _BOX_GREY, 1)


def box_on_grid(box: ColourBox, sector: Sector) -> tuple[slice, slice]:
    """Depths and beams of a colour box, inside the grid."""
    top, bottom = (round(d / sector.depth_cm * (DEPTHS - 1)) for d in box.depth_cm)
    left, right = (round((np.deg2rad(a) / sector.half_angle + 1.0) / 2.0 * (BEAMS - 1)) for a in box.angle_deg)
    return slice(max(top, 2), min(bottom, DEPTHS - 3)), slice(max(left, 2), min(right, BEAMS - 3))


def _colour_map() -> Picture:
    """Blue away from the probe, red towards it, lighter with speed. (256, 3) RGB."""
    speed = np.linspace(-1.0, 1.0, 256)
    fast, towards = np.abs(speed), speed >= 0.0
    main, light = 90.0 + 165.0 * np.sqrt(fast), 235.0 * fast**1.6
    zero = np.zeros(256)
    return np.stack([np.where(towards, main, zero), light, np.where(towards, zero, main)], axis=-1).astype(np.uint8)


_COLOUR_MAP = _colour_map()
