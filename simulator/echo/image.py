"""From a scene to pictures as an ultrasound machine makes them: beams, speckle, attenuation, scan conversion, marks.

Everything up to scan conversion lives on a grid of depths and beams, where speckle and blur keep their real shape.
Letters in array names: T frames, R depths, B beams, H rows, W columns, C colours (RGB).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simulator.echo.cycle import Cycle
from simulator.echo.scene import Scene
from simulator.echo.ventricle import Floats

Floats32 = NDArray[np.float32]
Integers = NDArray[np.int32]
Picture = NDArray[np.uint8]

DEPTHS, BEAMS = 256, 128
_SHIFT = 4
"""Outlines are filled with 1/16 cell precision."""
_LEVEL_STEPS_PER_DB = 3.0
_LEVEL_FLOOR_DB = -80.0
_SURROUND_DB = -39.0
_TOP, _BOTTOM = 0.06, 0.90
"""Rows of the sector's apex and of its lowest point, as fractions of the picture."""
_NOISE_MARGIN = 40
MOST_FRAMES = 48
_BLOOD_BELOW_DB = -46.0
_COLOUR_FROM = 0.10
_GREEN = (90, 220, 110)
_TICK_GREY = 170


@dataclass(frozen=True)
class EchoMachine:
    """One machine as set for one study. None of it depends on the patient's disease.

    depth_scale: of the view's usual depth. speckle: its contrast, 1 fully developed, 0 smooth tissue.
    blur_beams, blur_depths: width of the point spread on the grid. shadow_db: the deepest rib or lung shadow.
    rim_loss_db: lost at the edges of the sector. haze_db: level of reverberation. tint: RGB gains of the grey map.
    """

    frame_height: int
    frame_width: int
    frame_rate_hz: float
    depth_scale: float
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
    """Geometry of the picture: where depth 0 lies, how large a cm is, which rectangle the sector fills."""

    apex_px: tuple[float, float]
    px_per_cm: float
    depth_cm: float
    half_angle: float
    region_px: tuple[int, int, int, int]
    """x0, y0, x1, y1, inclusive, inside the picture."""


@dataclass(frozen=True)
class ColourBox:
    """The part of the sector in which the machine measures flow."""

    depth_cm: tuple[float, float]
    angle_deg: tuple[float, float]


def sector_of(machine: EchoMachine, depth_cm: float) -> Sector:
    height, width = machine.frame_height, machine.frame_width
    half_angle = float(np.deg2rad(machine.sector_deg / 2.0))
    apex = (width / 2.0, _TOP * height)
    px_per_cm = (_BOTTOM - _TOP) * height / depth_cm
    half_px = depth_cm * px_per_cm * np.sin(half_angle)
    left, right = max(int(apex[0] - half_px), 0), min(int(np.ceil(apex[0] + half_px)), width - 1)
    return Sector(apex, px_per_cm, depth_cm, half_angle, (left, int(apex[1]), right, int(_BOTTOM * height)))


def draw_frames(
    scene: Scene, cycle: Cycle, machine: EchoMachine, sector: Sector, rng: Generator, colour_box: ColourBox | None
) -> Picture:
    """Scene -> (T, H, W, 3) uint8 RGB. Draws the same random numbers whatever the scene shows."""
    frames = len(cycle.time_s_T)
    look = _Look(machine, sector, rng)
    outlines = [(_to_grid(layer.outline_TNX, sector), _level_code(layer.level_db)) for layer in scene.layers]
    flows = [_to_grid(flow.outline_TNX, sector) for flow in scene.flows]
    drift_R, drift_B = _tissue_drift(scene, sector)
    columns_RB, rows_RB = np.meshgrid(np.arange(BEAMS, dtype=np.float32), np.arange(DEPTHS, dtype=np.float32))
    scan_xy, scan_fraction = _scan_maps(machine.frame_height, machine.frame_width, sector)
    marks = _Marks(machine, sector, cycle)
    grey_map = _grey_map(machine)
    frames_THWC = np.empty((frames, machine.frame_height, machine.frame_width, 3), np.uint8)
    level_RB = np.empty((DEPTHS, BEAMS), np.uint8)
    for t in range(frames):
        level_RB[:] = _level_code(_SURROUND_DB)
        for outline_TN2, code in outlines:
            cv2.fillPoly(level_RB, [outline_TN2[t]], code, cv2.LINE_AA, _SHIFT)
        squeeze = np.float32(scene.squeeze_cm_T[t])
        grey_RB = look.grey(level_RB, columns_RB + squeeze * drift_B, rows_RB + squeeze * drift_R, t)
        if colour_box is None:
            grey_HW = cv2.remap(grey_RB, scan_xy, scan_fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
            cv2.applyColorMap(grey_HW, grey_map, frames_THWC[t])
        else:
            picture_RBC = np.asarray(cv2.applyColorMap(grey_RB, grey_map), np.uint8)
            _colour_flow(picture_RBC, level_RB, scene, flows, t, look, sector, colour_box)
            cv2.remap(
                picture_RBC,
                scan_xy,
                scan_fraction,
                cv2.INTER_LINEAR,
                frames_THWC[t],
                borderMode=cv2.BORDER_CONSTANT,
            )
        marks.draw(frames_THWC[t], cycle.time_s_T[t])
    return frames_THWC


class _Look:
    """Random appearance of one clip: speckle carried by tissue, speckle that changes, texture, shadows, depth gain."""

    def __init__(self, machine: EchoMachine, sector: Sector, rng: Generator) -> None:
        blur = (machine.blur_beams, machine.blur_depths)
        more = _NOISE_MARGIN
        self._tissue_RB2 = _speckle_field(rng, DEPTHS, BEAMS, blur)
        self._passing_RB2 = _speckle_field(rng, DEPTHS + more, BEAMS + more, blur)
        self._offsets_T2 = rng.integers(0, more, (MOST_FRAMES, 2))
        self._mosaic_RB = _unit_noise(rng, DEPTHS + more, BEAMS + more)
        texture_RB = 2.6 * _smooth_field(rng, 14, 10) + 2.2 * _smooth_field(rng, 5, 4)
        depth_cm_R = np.linspace(0.0, sector.depth_cm, DEPTHS, dtype=np.float32)
        across_B = np.linspace(0.0, 1.0, BEAMS, dtype=np.float32)
        shadow_B = np.zeros(BEAMS, np.float32)
        for centre, width, strength in rng.random((3, 3)):
            shadow_B += (
                machine.shadow_db * strength**3 * np.exp(-0.5 * ((across_B - centre) / (0.02 + 0.05 * width)) ** 2)
            )
        # Beams at the rim of the sector carry less; walls along them drop out first.
        shadow_B += machine.rim_loss_db * (2.0 * across_B - 1.0) ** 4
        depth_gain_R = 16.0 * np.exp(-depth_cm_R / 0.6) - machine.attenuation_db_per_cm * (depth_cm_R - 7.0)
        self._gain_RB = (machine.gain_db + texture_RB + depth_gain_R[:, None] - shadow_B).astype(np.float32)
        # Reverberation between probe and chest wall: a haze that fills blood close to the probe.
        haze_R = machine.haze_db + 16.0 * np.exp(-depth_cm_R / 2.5) - 0.4 * depth_cm_R
        self._haze_RB = (haze_R[:, None] + 2.5 * _smooth_field(rng, 6, 6)).astype(np.float32)
        self._blur = (max(machine.blur_beams, 0.3), max(machine.blur_depths, 0.3))
        self._speckle = machine.speckle
        self._to_grey = 255.0 / machine.dynamic_range_db

    def grey(self, level_RB: Picture, columns_RB: Floats32, rows_RB: Floats32, frame: int) -> Picture:
        """Levels as painted, and where each cell's tissue came from -> grey levels on the grid."""
        soft_RB = cv2.GaussianBlur(level_RB, (0, 0), self._blur[0], sigmaY=self._blur[1]).astype(np.float32)
        # An interface square to the beam reflects like a mirror; one along the beam hardly shows.
        edge_RB = np.minimum(np.abs(cv2.Sobel(soft_RB, cv2.CV_32F, 0, 1, ksize=3)) * 0.06, 11.0)
        level_db_RB = soft_RB * (1.0 / _LEVEL_STEPS_PER_DB) + (_LEVEL_FLOOR_DB + self._gain_RB)
        level_db_RB = np.maximum(level_db_RB + edge_RB, self._haze_RB)
        if self._speckle > 0.0:
            moved_RB2 = cv2.remap(
                self._tissue_RB2, columns_RB, rows_RB, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
            )
            row, column = self._offsets_T2[frame]
            passing_RB2 = self._passing_RB2[row : row + DEPTHS, column : column + BEAMS]
            field_RB2 = cv2.addWeighted(moved_RB2, 0.92, passing_RB2, 0.39, 0.0)
            power_RB = field_RB2[..., 0] ** 2 + field_RB2[..., 1] ** 2 + np.float32(2e-3)
            # Mean of the log of an exponential variable: -0.577 nepers of power.
            level_db_RB += self._speckle * (4.343 * cv2.log(0.5 * power_RB) + 2.5)
        grey_RB: Picture = np.clip(level_db_RB * self._to_grey + 255.0, 0.0, 255.0).astype(np.uint8)
        return grey_RB

    def mosaic(self, frame: int) -> Floats32:
        row, column = self._offsets_T2[frame]
        return self._mosaic_RB[row : row + DEPTHS, column : column + BEAMS]


def _speckle_field(rng: Generator, depths: int, beams: int, blur: tuple[float, float]) -> Floats32:
    """Complex echo of many scatterers under the point spread: real and imaginary part with variance 1."""
    scatterers = rng.standard_normal((depths, beams, 2), np.float32)
    field = cv2.GaussianBlur(scatterers, (0, 0), max(blur[0], 0.3), sigmaY=max(blur[1], 0.3))
    return np.asarray(field / field.std(), np.float32)


def _smooth_field(rng: Generator, depths: int, beams: int) -> Floats32:
    """Unit noise that varies over the whole grid in `depths` by `beams` patches."""
    coarse = rng.standard_normal((depths, beams), np.float32)
    return np.asarray(cv2.resize(coarse, (BEAMS, DEPTHS), interpolation=cv2.INTER_CUBIC), np.float32)


def _unit_noise(rng: Generator, depths: int, beams: int) -> Floats32:
    field = cv2.GaussianBlur(rng.standard_normal((depths, beams), np.float32), (0, 0), 0.9, sigmaY=1.6)
    return np.asarray(np.clip(field / field.std(), -2.0, 2.0), np.float32)


def _colour_flow(
    picture_RBC: Picture,
    level_RB: Picture,
    scene: Scene,
    outlines: list[Integers],
    frame: int,
    look: _Look,
    sector: Sector,
    box: ColourBox,
) -> None:
    """Paints moving blood over the grey picture, inside the box only and never over tissue."""
    top, bottom = (round(d / sector.depth_cm * (DEPTHS - 1)) for d in box.depth_cm)
    left, right = (round((np.deg2rad(a) / sector.half_angle + 1.0) / 2.0 * (BEAMS - 1)) for a in box.angle_deg)
    top, bottom = max(top, 2), min(bottom, DEPTHS - 3)
    left, right = max(left, 2), min(right, BEAMS - 3)
    velocity_RB = np.zeros((DEPTHS, BEAMS), np.float32)
    for flow, outline_TN2 in zip(scene.flows, outlines, strict=True):
        strength = float(flow.strength_T[frame])
        if strength < 0.05:
            continue
        mask_RB = np.zeros((DEPTHS, BEAMS), np.uint8)
        cv2.fillPoly(mask_RB, [outline_TN2[frame]], 255, cv2.LINE_8, _SHIFT)
        soft_RB = cv2.GaussianBlur(mask_RB, (0, 0), 1.2, sigmaY=2.0)
        inside_RB = soft_RB.astype(np.float32) * np.float32(strength / 255.0)
        speed_RB = flow.velocity + np.float32(0.75 * flow.turbulence) * look.mosaic(frame)
        velocity_RB += inside_RB * (speed_RB - velocity_RB) if flow.turbulence > 0.15 else inside_RB * speed_RB
    shown_RB = (np.abs(velocity_RB) > _COLOUR_FROM) & (level_RB < _level_code(_BLOOD_BELOW_DB))
    shown_RB[:top] = shown_RB[bottom:] = False
    shown_RB[:, :left] = shown_RB[:, right:] = False
    # Velocities beyond the scale wrap around: aliasing.
    wrapped_RB = np.mod(velocity_RB[shown_RB] + 1.0, 2.0)
    picture_RBC[shown_RB] = _COLOUR_MAP[(wrapped_RB * 127.5).astype(np.uint8)]
    cv2.rectangle(picture_RBC, (left, top), (right, bottom), (190, 190, 190), 1)


def _colour_map() -> Picture:
    """Blue away from the probe, red towards it, lighter with speed. (256, 3) RGB."""
    speed = np.linspace(-1.0, 1.0, 256)
    fast, towards = np.abs(speed), speed >= 0.0
    main, light = 90.0 + 165.0 * np.sqrt(fast), 235.0 * fast**1.6
    zero = np.zeros(256)
    return np.stack([np.where(towards, main, zero), light, np.where(towards, zero, main)], axis=-1).astype(np.uint8)


_COLOUR_MAP = _colour_map()


def _grey_map(machine: EchoMachine) -> Picture:
    grey = np.linspace(0.0, 1.0, 256)[:, None] * np.array(machine.tint)
    return np.asarray(np.clip(255.0 * grey, 0.0, 255.0).astype(np.uint8)[:, None, :])


def _level_code(level_db: float) -> int:
    return round((level_db - _LEVEL_FLOOR_DB) * _LEVEL_STEPS_PER_DB)


def _to_grid(outline_TNX: Floats, sector: Sector) -> Integers:
    """Picture cm -> fixed-point (beam, depth) cells, (T, N, 2) int32."""
    x, y = outline_TNX[..., 0], np.maximum(outline_TNX[..., 1], 0.2)
    beam = (np.arctan2(x, y) / sector.half_angle + 1.0) / 2.0 * (BEAMS - 1)
    depth = np.hypot(x, y) / sector.depth_cm * (DEPTHS - 1)
    return np.rint(np.stack([beam, depth], axis=-1) * (1 << _SHIFT)).astype(np.int32)


def _tissue_drift(scene: Scene, sector: Sector) -> tuple[Floats32, Floats32]:
    """Cells per cm of squeeze from where a cell's tissue is now to where it was: away from the heart's centre."""
    angle_B = np.linspace(-sector.half_angle, sector.half_angle, BEAMS)
    depth_R1 = np.linspace(0.0, sector.depth_cm, DEPTHS)[:, None]
    away_x = depth_R1 * np.sin(angle_B) - scene.centre_cm[0]
    away_y = depth_R1 * np.cos(angle_B) - scene.centre_cm[1]
    distance = np.hypot(away_x, away_y)
    fade = np.exp(-((distance / 5.0) ** 2)) / (distance + 0.5)
    along = (away_x * np.sin(angle_B) + away_y * np.cos(angle_B)) * fade
    turn = (away_x * np.cos(angle_B) - away_y * np.sin(angle_B)) * fade / np.maximum(depth_R1, 0.5)
    rows = along * (DEPTHS - 1) / sector.depth_cm
    columns = turn * (BEAMS - 1) / (2.0 * sector.half_angle)
    return rows.astype(np.float32), columns.astype(np.float32)


def _scan_maps(height: int, width: int, sector: Sector) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """For each pixel the grid cell it shows; pixels outside the sector point outside the grid and stay black."""
    x = (np.arange(width, dtype=np.float32) - np.float32(sector.apex_px[0])) / np.float32(sector.px_per_cm)
    y = (np.arange(height, dtype=np.float32)[:, None] - np.float32(sector.apex_px[1])) / np.float32(sector.px_per_cm)
    beam = (np.arctan2(x, y) / sector.half_angle + 1.0) / 2.0 * (BEAMS - 1)
    depth = np.hypot(x, y) / sector.depth_cm * (DEPTHS - 1)
    beam, depth = (np.clip(v, -3.0, 3.0 * DEPTHS).astype(np.float32) for v in (beam, depth))
    whole, fraction = cv2.convertMaps(beam, depth, cv2.CV_16SC2)
    return np.asarray(whole, np.int16), np.asarray(fraction, np.uint16)


class _Marks:
    """What a machine draws outside the sector: a depth scale, and an ECG line that runs with the clip."""

    def __init__(self, machine: EchoMachine, sector: Sector, cycle: Cycle) -> None:
        height, width = machine.frame_height, machine.frame_width
        scale = np.zeros((height, width), np.uint8)
        x = width - 6
        for cm in range(int(sector.depth_cm) + 1):
            y = round(sector.apex_px[1] + cm * sector.px_per_cm)
            cv2.line(scale, (x - (4 if cm % 5 == 0 else 1), y), (x, y), 255, 1)
        self._scale_yx = np.nonzero(scale)
        self._start_s, self._end_s = float(cycle.time_s_T[0]), float(cycle.time_s_T[-1])
        self._left, self._right = int(0.08 * width), int(0.88 * width)
        trace = np.zeros((width, height), np.uint8)
        if machine.ecg_trace:
            time_s = np.linspace(self._start_s, self._end_s, 400)
            columns = np.linspace(self._left, self._right, 400)
            rows = (0.965 - 0.05 * _trace(time_s, cycle)) * height
            cv2.polylines(trace, [np.rint(np.stack([rows, columns], axis=-1)).astype(np.int32)], False, 255, 1)
        # Nonzero cells of the transposed picture come sorted by column, which is by time.
        self._trace_x, self._trace_y = np.nonzero(trace)

    def draw(self, frame_HWC: Picture, time_s: float) -> None:
        frame_HWC[self._scale_yx] = _TICK_GREY
        done = (time_s - self._start_s) / max(self._end_s - self._start_s, 1e-6)
        drawn = int(np.searchsorted(self._trace_x, self._left + done * (self._right - self._left), side="right"))
        frame_HWC[self._trace_y[:drawn], self._trace_x[:drawn]] = _GREEN


def _trace(time_s: Floats, cycle: Cycle) -> Floats:
    """A monitor lead that knows only when beats come and whether P waves precede them."""
    since = time_s[:, None] - cycle.r_waves_s
    line = np.exp(-((since / 0.012) ** 2)) - 0.2 * np.exp(-(((since - 0.03) / 0.015) ** 2))
    line += 0.22 * np.exp(-(((since - 0.27) / 0.05) ** 2))
    if cycle.has_p_waves:
        line += 0.14 * np.exp(-(((since + 0.15) / 0.03) ** 2))
    return np.asarray(line.sum(axis=1))
