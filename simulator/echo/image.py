"""From a scene to pictures as an ultrasound machine makes them: painted levels, beams and speckle, scan conversion.

Everything up to scan conversion lives on a grid of depths and beams, where speckle and blur keep their real shape.
Letters in array names: T frames, R depths, B beams, H rows, W columns, C colours (RGB).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simulator.echo.colour_flow import SHIFT, box_on_grid, paint_flow
from simulator.echo.cycle import Cycle
from simulator.echo.look import Look, level_code
from simulator.echo.machine import (
    BEAMS,
    DEPTHS,
    MOST_FRAMES,
    ColourBox,
    EchoMachine,
    Floats32,
    Integers,
    Picture,
    Sector,
    sector_of,
)
from simulator.echo.marks import Marks
from simulator.echo.quality import FLAWLESS, Quality
from simulator.echo.scene import Scene
from simulator.echo.ventricle import Floats

__all__ = [
    "MOST_FRAMES",
    "ColourBox",
    "EchoMachine",
    "Picture",
    "Screen",
    "Sector",
    "draw_frames",
    "paint_frames",
    "screen_of",
    "sector_of",
]


@dataclass(frozen=True)
class Screen:
    """For each pixel of a picture the cell of the grid that it shows, as `cv2.convertMaps` gives it."""

    whole_HW2: NDArray[np.int16]
    fraction_HW: NDArray[np.uint16]


def draw_frames(
    scene: Scene,
    cycle: Cycle,
    machine: EchoMachine,
    sector: Sector,
    rng: Generator,
    colour_box: ColourBox | None,
    quality: Quality = FLAWLESS,
) -> Picture:
    """Scene -> (T, H, W, 3) uint8 RGB. Draws the same random numbers whatever the scene shows."""
    columns_W = np.arange(machine.frame_width, dtype=np.float32)
    rows_H = np.arange(machine.frame_height, dtype=np.float32)
    screen = screen_of(columns_W, rows_H, sector)
    numbers_T = np.arange(len(cycle.time_s_T))
    frames_THWC = paint_frames(scene, numbers_T, machine, sector, rng, colour_box, quality, screen)
    marks = Marks(machine, sector, cycle)
    for frame_HWC, time_s in zip(frames_THWC, cycle.time_s_T, strict=True):
        marks.draw(frame_HWC, time_s)
    return frames_THWC


def paint_frames(
    scene: Scene,
    numbers_T: NDArray[np.int_],
    machine: EchoMachine,
    sector: Sector,
    rng: Generator,
    colour_box: ColourBox | None,
    quality: Quality,
    screen: Screen,
) -> Picture:
    """What is inside the sector, black around it, (T, H, W, 3) uint8 RGB as large as the screen.

    numbers_T: of the scene's frames in their clip, below MOST_FRAMES: a frame's look does not hang on the others.
    """
    look = Look(machine, quality, sector, rng, colour=colour_box is not None)
    outlines = [(_to_grid(layer.outline_TNX, sector), level_code(layer.level_db)) for layer in scene.layers]
    flows = [(flow, _to_grid(flow.outline_TNX, sector)) for flow in scene.flows] if colour_box else []
    box_RB = box_on_grid(colour_box, sector) if colour_box else None
    drift_R, drift_B = _tissue_drift(scene, sector)
    columns_RB, rows_RB = np.meshgrid(np.arange(BEAMS, dtype=np.float32), np.arange(DEPTHS, dtype=np.float32))
    grey_map = _grey_map(machine)
    frames_THWC = np.empty((len(numbers_T), *screen.fraction_HW.shape, 3), np.uint8)
    level_RB = np.empty((DEPTHS, BEAMS), np.uint8)
    for t, number in enumerate(numbers_T.tolist()):
        level_RB[:] = look.neighbours_RB
        for outline_TN2, code in outlines:
            cv2.fillPoly(level_RB, [outline_TN2[t]], code, cv2.LINE_AA, SHIFT)
        squeeze = np.float32(scene.squeeze_cm_T[t])
        grey_RB = look.grey(level_RB, columns_RB + squeeze * drift_B, rows_RB + squeeze * drift_R, number)
        if box_RB is None:
            cv2.applyColorMap(_on_screen(grey_RB, screen), grey_map, frames_THWC[t])
        else:
            picture_RBC = np.asarray(cv2.applyColorMap(grey_RB, grey_map), np.uint8)
            paint_flow(picture_RBC, level_RB, flows, (t, number), look, box_RB, quality.colour_noise)
            frames_THWC[t] = _on_screen(picture_RBC, screen)
    return frames_THWC


def screen_of(columns_px_W: Floats32, rows_px_H: Floats32, sector: Sector) -> Screen:
    """columns_px_W, rows_px_H: where the screen's pixels lie in the machine's picture. What lies outside the sector
    points outside the grid and stays black."""
    x = (columns_px_W - np.float32(sector.apex_px[0])) / np.float32(sector.px_per_cm)
    y = (rows_px_H[:, None] - np.float32(sector.apex_px[1])) / np.float32(sector.px_per_cm)
    beam = (np.arctan2(x, y) / sector.half_angle + 1.0) / 2.0 * (BEAMS - 1)
    distance = np.hypot(x, y)
    depth = np.where(distance < sector.near_cm, -3.0, distance / sector.depth_cm * (DEPTHS - 1))
    beam, depth = (np.clip(v, -3.0, 3.0 * DEPTHS).astype(np.float32) for v in (beam, depth))
    whole, fraction = cv2.convertMaps(beam, depth, cv2.CV_16SC2)
    return Screen(np.asarray(whole, np.int16), np.asarray(fraction, np.uint16))


def _on_screen(picture: Picture, screen: Screen) -> Picture:
    shown = cv2.remap(picture, screen.whole_HW2, screen.fraction_HW, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(shown, np.uint8)


def _grey_map(machine: EchoMachine) -> Picture:
    grey = np.linspace(0.0, 1.0, 256)[:, None] * np.array(machine.tint)
    return np.asarray(np.clip(255.0 * grey, 0.0, 255.0).astype(np.uint8)[:, None, :])


def _to_grid(outline_TNX: Floats, sector: Sector) -> Integers:
    """Picture cm -> fixed-point (beam, depth) cells, (T, N, 2) int32."""
    x, y = outline_TNX[..., 0], np.maximum(outline_TNX[..., 1], 0.2)
    beam = (np.arctan2(x, y) / sector.half_angle + 1.0) / 2.0 * (BEAMS - 1)
    depth = np.hypot(x, y) / sector.depth_cm * (DEPTHS - 1)
    return np.rint(np.stack([beam, depth], axis=-1) * (1 << SHIFT)).astype(np.int32)


def _tissue_drift(scene: Scene, sector: Sector) -> tuple[Floats32, Floats32]:
    """Cells per cm of squeeze from where a cell's tissue is now to where it was: away from the heart's centre."""
    angle_B = np.linspace(-sector.half_angle, sector.half_angle, BEAMS, dtype=np.float32)
    depth_R1 = np.linspace(0.0, sector.depth_cm, DEPTHS, dtype=np.float32)[:, None]
    sine_B, cosine_B = np.sin(angle_B), np.cos(angle_B)
    away_x = depth_R1 * sine_B - np.float32(scene.centre_cm[0])
    away_y = depth_R1 * cosine_B - np.float32(scene.centre_cm[1])
    square = away_x**2 + away_y**2
    fade = np.exp(square * np.float32(-1.0 / 25.0)) / (np.sqrt(square) + np.float32(0.5))
    rows = (away_x * sine_B + away_y * cosine_B) * fade * np.float32((DEPTHS - 1) / sector.depth_cm)
    turn = (away_x * cosine_B - away_y * sine_B) * fade / np.maximum(depth_R1, np.float32(0.5))
    columns = turn * np.float32((BEAMS - 1) / (2.0 * sector.half_angle))
    return rows.astype(np.float32), columns.astype(np.float32)
