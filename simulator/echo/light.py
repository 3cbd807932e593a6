"""The light path: a clip as the echo encoder gets it, without files, and without frames that nobody reads.

The same random numbers give the clip that the long way gives (render, write, read, prepare), but for what compression
and the preparation's own search for the sector change. Letters in array names: T frames, S the picture's side,
C colours (RGB).
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from inputs.records import PreparedFor
from simulator.echo.image import paint_frames, screen_of
from simulator.echo.machine import ColourBox, EchoMachine, Floats32, Picture, Sector
from simulator.echo.quality import Quality
from simulator.echo.scene import Scene

_MARKS_WITHIN = 0.1
"""Of each side: what the machine draws around the sector lies there."""


def used_frames(frames: int, preparation: PreparedFor) -> NDArray[np.int_]:
    """Numbers of the frames that preparation takes of a clip of so many; a scene for the light path has only these."""
    return np.arange(0, min(frames, preparation.frames * preparation.stride), preparation.stride)


def light_clip(
    scene: Scene,
    numbers_T: NDArray[np.int_],
    machine: EchoMachine,
    sector: Sector,
    rng: Generator,
    colour_box: ColourBox | None,
    quality: Quality,
    preparation: PreparedFor,
) -> Picture:
    """A scene of the frames `used_frames` gave -> (T, S, S, 3) uint8 RGB, as prepared but for normalisation.

    The sector is the true one, where preparation has to find it. ValueError where the machine's marks would be inside
    the picture.
    """
    if preparation.zoom < _MARKS_WITHIN:
        raise ValueError(f"the light path draws no marks: it needs a zoom of at least {_MARKS_WITHIN}")
    screen = screen_of(*_pixels(machine, preparation), sector)
    return paint_frames(scene, numbers_T, machine, sector, rng, colour_box, quality, screen)


def _pixels(machine: EchoMachine, preparation: PreparedFor) -> tuple[Floats32, Floats32]:
    """Where the columns and the rows of a prepared picture lie in the machine's: the middle square, without its rim."""
    height, width = machine.frame_height, machine.frame_width
    cut_rows, cut_columns = max(0, round((height - width) / 2)), max(0, round((width - height) / 2))
    cut_rows += int((height - 2 * cut_rows) * preparation.zoom)
    cut_columns += int((width - 2 * cut_columns) * preparation.zoom)
    middle_S = (np.arange(preparation.size, dtype=np.float32) + 0.5) / preparation.size
    columns_S = cut_columns + middle_S * (width - 2 * cut_columns) - 0.5
    rows_S = cut_rows + middle_S * (height - 2 * cut_rows) - 0.5
    return columns_S.astype(np.float32), rows_S.astype(np.float32)
