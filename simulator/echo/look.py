"""The random appearance of one clip on the grid of depths and beams: speckle, texture, shadows, haze, depth gain.

Letters in array names: T frames, R depths, B beams.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from simulator.echo.machine import BEAMS, DEPTHS, MOST_FRAMES, EchoMachine, Floats32, Picture, Sector
from simulator.echo.quality import Quality

_LEVEL_STEPS_PER_DB = 3.0
_LEVEL_FLOOR_DB = -80.0
_NEIGHBOURS_DB = (-40.0, -48.0, -30.0)
"""Of what lies around the heart: usual, darkest, brightest."""
_NOISE_MARGIN = 40
_SUM_OF_BOTH = np.ones((1, 2), np.float32)


def level_code(level_db: float) -> int:
    """A level as it is painted on the grid, 0 to 240."""
    return round((level_db - _LEVEL_FLOOR_DB) * _LEVEL_STEPS_PER_DB)


class Look:
    """Speckle carried by tissue and speckle that changes, and what machine and window do to both."""

    def __init__(self, machine: EchoMachine, quality: Quality, sector: Sector, rng: Generator, *, colour: bool) -> None:
        self._blur = (
            max(machine.blur_beams * quality.blur, 0.3),
            max(machine.blur_depths * quality.blur, 0.3),
        )
        more = _NOISE_MARGIN
        self._tissue_RB2 = _speckle_field(rng, DEPTHS, BEAMS, self._blur)
        self._passing_RB2 = _speckle_field(rng, DEPTHS + more, BEAMS + more, self._blur)
        self._offsets_T2 = rng.integers(0, more, (MOST_FRAMES, 2))
        self._mosaic_RB = _unit_noise(rng, DEPTHS + more, BEAMS + more) if colour else None
        texture_RB = 3.2 * _smooth_field(rng, 14, 10) + 2.4 * _smooth_field(rng, 6, 5)
        depth_cm_R = np.linspace(0.0, sector.depth_cm, DEPTHS, dtype=np.float32)
        self.neighbours_RB = _neighbours(rng, depth_cm_R)
        """What lies around the heart, as level codes."""
        shadow_B = _shadows(rng, machine, quality)
        near_R = 16.0 * np.exp(-depth_cm_R / 0.6)
        depth_gain_R = near_R - machine.attenuation_db_per_cm * (depth_cm_R - 7.0) + quality.gain_db
        self._gain_RB = (machine.gain_db + texture_RB + depth_gain_R[:, None] - shadow_B).astype(np.float32)
        self._gain_RB += np.float32(_LEVEL_FLOOR_DB)
        # Reverberation between probe and chest wall: a haze that fills blood close to the probe.
        haze_R = machine.haze_db + 16.0 * np.exp(-depth_cm_R / 2.5) - 0.4 * depth_cm_R
        haze_R += quality.haze_db * np.exp(-depth_cm_R / 14.0) + quality.clutter_db * np.exp(-depth_cm_R / 3.0)
        self._haze_RB = (haze_R[:, None] + 2.5 * _smooth_field(rng, 6, 6) - 0.35 * shadow_B).astype(np.float32)
        self._speckle = machine.speckle
        self._to_grey = 255.0 / machine.dynamic_range_db

    def grey(self, level_RB: Picture, columns_RB: Floats32, rows_RB: Floats32, frame: int) -> Picture:
        """Levels as painted, and where each cell's tissue came from -> grey levels on the grid."""
        soft_RB = cv2.GaussianBlur(level_RB, (0, 0), self._blur[0], sigmaY=self._blur[1])
        # An interface square to the beam reflects like a mirror; one along the beam hardly shows.
        edge_RB = np.abs(cv2.Sobel(soft_RB, cv2.CV_32F, 0, 1, ksize=3, scale=0.06))
        level_db_RB = np.minimum(edge_RB, np.float32(11.0)) + self._gain_RB
        level_db_RB += soft_RB * np.float32(1.0 / _LEVEL_STEPS_PER_DB)
        cv2.max(level_db_RB, self._haze_RB, level_db_RB)
        if self._speckle > 0.0:
            moved_RB2 = cv2.remap(
                self._tissue_RB2, columns_RB, rows_RB, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
            )
            row, column = self._offsets_T2[frame]
            passing_RB2 = self._passing_RB2[row : row + DEPTHS, column : column + BEAMS]
            field_RB2 = cv2.addWeighted(moved_RB2, 0.92, passing_RB2, 0.39, 0.0)
            power_RB = cv2.transform(cv2.multiply(field_RB2, field_RB2), _SUM_OF_BOTH) + np.float32(4e-3)
            # Mean of the log of half an exponential variable: -0.577 - 0.693 nepers of power.
            level_db_RB += np.float32(4.343 * self._speckle) * cv2.log(power_RB)
            level_db_RB += np.float32(self._speckle * (2.5 - 4.343 * 0.693))
        level_db_RB *= np.float32(self._to_grey)
        level_db_RB += np.float32(255.0)
        grey_RB: Picture = np.clip(level_db_RB, 0.0, 255.0, out=level_db_RB).astype(np.uint8)
        return grey_RB

    def mosaic(self, frame: int) -> Floats32:
        """Unit noise, another in each frame; of a clip with colour."""
        assert self._mosaic_RB is not None
        row, column = self._offsets_T2[frame]
        return self._mosaic_RB[row : row + DEPTHS, column : column + BEAMS]


def _shadows(rng: Generator, machine: EchoMachine, quality: Quality) -> Floats32:
    """Loss of each beam in dB: ribs, the sector's rim, and what the window takes."""
    across_B = np.linspace(-1.0, 1.0, BEAMS, dtype=np.float32)
    loss_B = np.zeros(BEAMS, np.float32)
    for centre, width, strength in rng.random((3, 3)):
        sharp_B = (across_B - (2.0 * centre - 1.0)) / (0.04 + 0.10 * width)
        loss_B += machine.shadow_db * strength**3 * np.exp(-0.5 * sharp_B**2)
    # Beams at the rim of the sector carry less; walls along them drop out first.
    loss_B += machine.rim_loss_db * across_B**4
    for shadow in quality.shadows:
        inside_B = (np.float32(shadow.half_width) - np.abs(across_B - np.float32(shadow.centre))) / np.float32(0.05)
        loss_B += np.float32(shadow.loss_db) / (1.0 + np.exp(-np.clip(inside_B, -30.0, 30.0)))
    return loss_B


def _neighbours(rng: Generator, depth_cm_R: Floats32) -> Picture:
    """Fat, lung, liver and fasciae around the heart, as level codes: uneven, in layers near the probe, with interfaces.

    The same for every view: what they are is not told by their look.
    """
    usual_db, darkest_db, brightest_db = _NEIGHBOURS_DB
    level_RB = usual_db + 4.0 * _smooth_field(rng, 7, 5) + 2.5 * _smooth_field(rng, 24, 9)
    layers_R = 9.0 * np.exp(-depth_cm_R / 1.2) * np.cos(depth_cm_R * float(rng.uniform(9.0, 14.0)))
    level_RB += layers_R[:, None]
    across_B = np.linspace(-1.0, 1.0, BEAMS, dtype=np.float32)
    for deep, slope, bend, thick, bright in rng.random((4, 5)):
        at_B = depth_cm_R[-1] * (
            0.15 + 0.85 * deep + 0.3 * (slope - 0.5) * across_B - 0.25 * (bend - 0.3) * across_B**2
        )
        away_RB = (depth_cm_R[:, None] - at_B) / (0.08 + 0.25 * thick)
        level_RB += 14.0 * bright * np.exp(-0.5 * np.minimum(away_RB**2, 40.0))
    code_RB = (np.clip(level_RB, darkest_db, brightest_db) - _LEVEL_FLOOR_DB) * _LEVEL_STEPS_PER_DB
    return np.asarray(code_RB, np.uint8)


def _speckle_field(rng: Generator, depths: int, beams: int, blur: tuple[float, float]) -> Floats32:
    """Complex echo of many scatterers under the point spread: real and imaginary part with variance 1."""
    scatterers = rng.standard_normal((depths, beams, 2), np.float32)
    field = cv2.GaussianBlur(scatterers, (0, 0), blur[0], sigmaY=blur[1])
    return np.asarray(field / field.std(), np.float32)


def _smooth_field(rng: Generator, depths: int, beams: int) -> Floats32:
    """Unit noise that varies over the whole grid in `depths` by `beams` patches."""
    coarse = rng.standard_normal((depths, beams), np.float32)
    return np.asarray(cv2.resize(coarse, (BEAMS, DEPTHS), interpolation=cv2.INTER_CUBIC), np.float32)


def _unit_noise(rng: Generator, depths: int, beams: int) -> Floats32:
    field = cv2.GaussianBlur(rng.standard_normal((depths, beams), np.float32), (0, 0), 0.9, sigmaY=1.6)
    return np.asarray(np.clip(field / field.std(), -2.0, 2.0), np.float32)
