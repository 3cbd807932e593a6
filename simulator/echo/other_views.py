"""The clips of an examination beside the standard planes: zooms, the right heart, the arch, planes that went wrong.

Each lists the fields of the physiology that it may read. None shows a whole left ventricle, and what of a ventricle is
seen beats as a standard one does. Coordinates, levels and array letters as in `simulator.echo.scene`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator.echo.anatomy import Anatomy
from simulator.echo.cycle import Cycle
from simulator.echo.scene import (
    ATRIAL_WALL_DB,
    BLOOD_DB,
    MUSCLE_DB,
    PERICARDIUM_DB,
    VALVE_DB,
    Hand,
    Scene,
)
from simulator.echo.ventricle import Floats, ellipse, leaflet, offset_open, ribbon
from simulator.physiology import Physiology

_LIVER_DB = -35.0
_FAT_DB = -31.0
_RV_SQUEEZE = (0.30, 0.22, 0.13, 0.07)
_CUSPS_OPEN = (1.0, 0.72, 0.45, 0.24)
_CUSPS_CM = (0.15, 0.26, 0.38, 0.50)


@dataclass(frozen=True)
class OtherView:
    """fields: what the view may read. near_cm to depth_cm is shown; near_cm is above 0 in a zoom."""

    fields: tuple[str, ...]
    near_cm: float
    depth_cm: float
    draw: Callable[[Physiology, Anatomy, Hand, Cycle], Scene]


def aortic_valve_zoom(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """The root in its long axis, from the sternum: outflow tract on the left, aorta on the right, LA below."""
    x0, y0_T = 0.3 + 0.25 * _within(hand.shift_x), 6.4 + 0.2 * _within(hand.shift_y) - 0.35 * cycle.emptying_T
    lean = 0.10 * _within(hand.tilt)
    scene = Scene(centre_cm=(x0, 6.3), squeeze_cm_T=0.25 * cycle.emptying_T)
    along = np.array([-5.0, -3.0, -1.2, -0.6, 0.2, 0.9, 1.5, 3.0, 6.0])
    half = np.array([1.25, 1.15, 1.05, 1.0, 1.45, 1.6, 1.3, 1.45, 1.5]) * float(np.exp(0.06 * _within(hand.oblique)))
    middle_TN = y0_T[:, None] + lean * along
    rv_TN = middle_TN - half - 1.0
    outflow = _between(x0 + along, rv_TN - 1.5, rv_TN)
    scene.paint(_between(x0 + along, rv_TN - 2.1, rv_TN + 1.0), MUSCLE_DB)
    scene.paint(outflow, BLOOD_DB)
    atrium_x, atrium_y_T = x0 + 2.0, y0_T + half[4] + 2.2
    scene.paint(ellipse(atrium_x + 0.0 * y0_T, atrium_y_T, np.array(3.3), np.array(2.3)), ATRIAL_WALL_DB)
    scene.paint(ellipse(atrium_x + 0.0 * y0_T, atrium_y_T, np.array(3.05), np.array(2.05)), BLOOD_DB)
    wall_N = np.where(along < -0.6, 0.95, 0.28)
    scene.paint(_between(x0 + along, middle_TN - half - wall_N, middle_TN + half + 0.28), MUSCLE_DB)
    scene.paint(_between(x0 + along, middle_TN - half - 0.25, middle_TN + half + 0.25), ATRIAL_WALL_DB)
    scene.paint(_between(x0 + along, middle_TN - half, middle_TN + half), BLOOD_DB)
    # Left of the annulus the lower border is the anterior mitral leaflet, which swings into the outflow tract's way.
    ones_T = np.ones_like(y0_T)
    hinge = _at(x0 - 0.6, y0_T + 1.0 - 0.6 * lean)
    tip = _at(x0 - 2.4 * ones_T, y0_T + 1.6 - 1.1 * cycle.mitral_T)
    scene.paint(_between(x0 + along[:3], middle_TN[:, :3] + half[:3], middle_TN[:, :3] + half[:3] + 2.6), BLOOD_DB)
    scene.paint(leaflet(hinge, tip, 0.12, 0.24), VALVE_DB)
    grade = seen.aortic_stenosis
    opening = _CUSPS_OPEN[grade] * float(np.exp(0.12 * _within(hand.aortic_valve)))
    parted_T = min(opening, 1.0) * cycle.aortic_T
    for side in (-1.0, 1.0):
        hinge = _at(x0 - 0.6, y0_T + side * 0.98)
        tip = _at(x0 - 0.05 + 0.75 * parted_T, y0_T + side * (0.03 + 0.88 * parted_T))
        bow = side * 0.24
        scene.paint(leaflet(hinge, tip, bow, _CUSPS_CM[grade]), VALVE_DB + 2.0 * grade)
        if grade >= 2:
            lump = 0.16 + 0.06 * grade
            scene.paint(ellipse(tip[:, 0] - 0.2, tip[:, 1], np.array(lump), np.array(lump), points=12), VALVE_DB + 6.0)
    return scene


def mitral_valve_zoom(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """The inflow in its long axis, from the sternum: leaflets between ventricle on the left and atrium on the right."""
    x0_T = 1.0 + 0.3 * _within(hand.shift_x) - 0.9 * cycle.emptying_T
    y0 = 7.3 + 0.2 * _within(hand.shift_y)
    wide = float(np.exp(0.07 * _within(hand.oblique)))
    ones_T = np.ones_like(x0_T)
    scene = Scene(centre_cm=(-1.4, y0), squeeze_cm_T=0.5 * cycle.emptying_T)
    x_N = np.linspace(-8.0, 1.0, 6)
    septum_T, posterior_T = y0 - 2.3 * wide + 0.35 * cycle.emptying_T, y0 + 2.0 * wide - 0.55 * cycle.emptying_T
    thick_T = 0.9 * (1.0 + 0.3 * cycle.emptying_T)

    def band(upper_T: Floats, lower_T: Floats) -> Floats:
        return _between(x_N, upper_T[:, None] + 0.0 * x_N, lower_T[:, None] + 0.0 * x_N)

    scene.paint(band(posterior_T, posterior_T + thick_T + 0.2), PERICARDIUM_DB)
    scene.paint(band(septum_T - thick_T, posterior_T + thick_T), MUSCLE_DB)
    scene.paint(ellipse(x0_T + 2.7, (y0 + 1.2) * ones_T, np.array(3.05), np.array(2.35 * wide)), ATRIAL_WALL_DB)
    root = np.stack([_at(x0_T + 0.1, (y0 - 1.6) * ones_T), _at(x0_T + 7.0, (y0 - 2.6) * ones_T)], axis=1)
    scene.paint(ellipse(x0_T + 2.7, (y0 + 1.2) * ones_T, np.array(2.8), np.array(2.1 * wide)), BLOOD_DB)
    scene.paint(_tube(root, 1.5 * ones_T), ATRIAL_WALL_DB)
    scene.paint(band(septum_T, posterior_T), BLOOD_DB)
    scene.paint(_tube(root, 1.25 * ones_T), BLOOD_DB)
    part_T = cycle.mitral_T
    hinges = (y0 - 0.35) * ones_T, posterior_T - 0.1
    meet_T = 0.5 * (hinges[0] + hinges[1]) + 0.35
    for hinge_y_T, length_cm, away_T in ((hinges[0], 2.1, -1.35 * part_T), (hinges[1], 1.25, 0.75 * part_T)):
        hinge = _at(x0_T, hinge_y_T)
        tip = _at(x0_T - length_cm * (0.62 + 0.25 * part_T), meet_T + away_T)
        muscle = _at(x0_T - 5.2, y0 + 0.9 * ones_T)
        scene.paint(leaflet(tip, muscle, 0.1, 0.08), MUSCLE_DB)
        scene.paint(leaflet(hinge, tip, -0.12 * np.sign(length_cm - 1.5), 0.26), VALVE_DB)
    return scene


def vena_cava(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """The inferior vena cava in the liver, entering the right atrium on the right of the picture.

    Wide and stiff with right ventricular failure and tricuspid regurgitation, which raise the atrial pressure; of no
    other disease's doing. Diameter 1.2 to 2.1 cm, collapsing by half with a breath: Rudski et al., JASE 2010;23:685.
    """
    pressure = 0.30 * seen.rv_dysfunction + 0.16 * seen.tricuspid_regurgitation
    width_cm = (1.65 + 0.55 * pressure) * float(np.exp(0.13 * _within(hand.oblique)))
    collapse = float(np.clip(0.55 - 0.38 * pressure + 0.08 * _within(hand.flattening), 0.05, 0.7))
    breath_T = 0.5 + 0.5 * np.sin(2.0 * np.pi * cycle.time_s_T / 3.4 + 2.0 * hand.jet)
    width_T = width_cm * (1.0 - collapse * breath_T**2) * (1.0 + 0.05 * cycle.emptying_T)
    y0 = 6.4 + 0.5 * _within(hand.shift_y)
    tilt = 0.12 + 0.10 * _within(hand.tilt)
    scene = Scene(centre_cm=(1.0, y0 + 1.0), squeeze_cm_T=0.4 * breath_T)
    ones_T = np.ones_like(width_T)
    liver = ellipse((-2.0 + 0.3 * hand.shift_x) * ones_T, (y0 - 0.3) * ones_T, np.array(7.5), np.array(5.2))
    scene.paint(liver, PERICARDIUM_DB + 4.0)
    scene.paint(ellipse(-2.0 * ones_T, (y0 - 0.3) * ones_T, np.array(7.25), np.array(4.95)), _LIVER_DB)
    heart_x, heart_y_T = 5.2 + 0.4 * hand.shift_x, y0 + 1.4 - 0.2 * cycle.emptying_T
    scene.paint(ellipse(heart_x * ones_T, heart_y_T, np.array(2.9), np.array(2.6)), ATRIAL_WALL_DB)
    x_N = np.linspace(-8.0, heart_x - 1.6, 12)
    # It bows: towards the diaphragm it is narrower.
    shape_N = 1.0 - 0.18 * np.exp(-(((x_N - (heart_x - 2.6)) / 0.8) ** 2))
    middle_N = y0 + tilt * x_N
    half_TN = 0.5 * width_T[:, None] * shape_N
    vein = _at(-3.4 * ones_T, y0 - 3.4 * tilt - 0.2)[:, None] + np.linspace(0.0, 1.0, 5)[:, None] * np.array(
        [1.6, -3.2]
    )
    scene.paint(ribbon(vein, 0.75), _LIVER_DB + 5.0)
    scene.paint(_between(x_N, middle_N - half_TN - 0.16, middle_N + half_TN + 0.16), _LIVER_DB + 9.0)
    scene.paint(ribbon(vein, 0.5), BLOOD_DB)
    scene.paint(ellipse(heart_x * ones_T, heart_y_T, np.array(2.65), np.array(2.35)), BLOOD_DB)
    scene.paint(_between(x_N, middle_N - half_TN, middle_N + half_TN), BLOOD_DB)
    return scene


def off_axis(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """A plane from the apex that went wrong: a ventricle cut aslant, short and aside, with a piece of another chamber.

    How it is cut, and how it moves there, is chance: of the patient only rate and rhythm are seen.
    """
    wide = 2.0 + 0.35 * _within(hand.oblique)
    long = 2.9 + 0.6 * _within(hand.flattening)
    squeeze = float(np.clip(0.24 + 0.07 * _within(hand.effusion), 0.08, 0.40))
    side = 1.0 if hand.shift_x > 0.0 else -1.0
    x0, y0 = 0.6 * side + 1.1 * _within(hand.shift_x), 5.6 + 0.8 * _within(hand.shift_y)
    turn = np.deg2rad(26.0 * _within(hand.tilt))
    ones_T = np.ones_like(cycle.time_s_T)
    scene = Scene(centre_cm=(x0, y0), squeeze_cm_T=squeeze * wide * cycle.emptying_T)
    half_T = wide * (1.0 - squeeze * cycle.emptying_T)
    long_T = long * (1.0 - 0.5 * squeeze * cycle.emptying_T)
    beside = wide + 1.7 + 0.3 * _within(hand.right_ventricle)
    other = ellipse(-side * beside * ones_T, 0.9 * ones_T, 1.5 - 0.25 * cycle.emptying_T, np.array(2.6))
    scene.paint(_turned(ellipse(0.0 * ones_T, 0.0 * ones_T, half_T + 1.35, long_T + 1.3), x0, y0, turn), _FAT_DB)
    scene.paint(_turned(offset_open(other, -0.4), x0, y0, turn), MUSCLE_DB)
    scene.paint(_turned(other, x0, y0, turn), BLOOD_DB)
    wall_T = np.sqrt(half_T**2 + 2.0 * wide * 0.95 + 0.95**2)
    scene.paint(_turned(ellipse(0.0 * ones_T, 0.0 * ones_T, wall_T, long_T + 0.95), x0, y0, turn), MUSCLE_DB)
    scene.paint(_turned(ellipse(0.0 * ones_T, 0.0 * ones_T, half_T, long_T), x0, y0, turn), BLOOD_DB)
    if hand.jet > 0.0:  # a papillary muscle, a leaflet that comes and goes
        scene.paint(
            _turned(ellipse(0.45 * side * half_T, 0.3 * long_T, np.array(0.5), np.array(0.8)), x0, y0, turn), MUSCLE_DB
        )
    else:
        tip = _at(0.5 * side * half_T * cycle.mitral_T, long_T - 0.6 - 0.9 * cycle.mitral_T)
        scene.paint(_turned(leaflet(_at(side * 0.8 * half_T, 0.75 * long_T), tip, 0.1, 0.26), x0, y0, turn), VALVE_DB)
    return scene


def right_ventricle(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """Four chambers from the apex, turned to the right ventricle: that one whole, the left one cut by the rim."""
    x0, y0 = 1.3 + 0.35 * _within(hand.shift_x), 2.2 + 0.25 * _within(hand.shift_y)
    turn = np.deg2rad(-9.0 + 4.0 * _within(hand.tilt))
    ones_T = np.ones_like(cycle.time_s_T)
    squeeze = _RV_SQUEEZE[seen.rv_dysfunction] * float(np.exp(0.15 * _within(hand.right_ventricle)))
    width_T = seen.rv_basal_cm * (1.0 - squeeze * cycle.emptying_T)
    scene = Scene(centre_cm=(x0 - 1.5, y0 + 4.5), squeeze_cm_T=seen.rv_basal_cm - width_T)
    along = np.linspace(0.0, 1.0, 16)
    septal_z_T, lateral_z_T = 7.6 - 1.0 * cycle.emptying_T, 7.6 - seen.tapse_cm * cycle.emptying_T
    apex_z = 1.5 - 0.25 * (seen.rv_basal_cm - 3.3)
    septal_z_TN = septal_z_T[:, None] + along * (apex_z - septal_z_T)[:, None]
    free_z_TN = lateral_z_T[:, None] + along * (apex_z - lateral_z_T)[:, None]
    septal_x_N = -0.55 - 0.35 * np.sin(np.pi * along)
    free_x_TN = septal_x_N - width_T[:, None] * (1.0 - along**1.9)
    septal = np.stack(np.broadcast_arrays(septal_x_N, septal_z_TN), axis=-1)
    free = np.stack(np.broadcast_arrays(free_x_TN, free_z_TN), axis=-1)

    lv_half_T = 2.05 * (1.0 - 0.25 * cycle.emptying_T)
    lv_z_T = 4.4 - 0.3 * cycle.emptying_T
    lv_wall = ellipse(1.9 * ones_T, lv_z_T, lv_half_T + 1.0, np.array(4.7))
    scene.paint(_turned(lv_wall, x0, y0, turn), MUSCLE_DB)
    wall = offset_open(free, 0.42)
    scene.paint(
        _turned(np.concatenate([septal, offset_open(wall, 0.2)[:, ::-1]], axis=1), x0, y0, turn), PERICARDIUM_DB
    )
    scene.paint(_turned(np.concatenate([septal, wall[:, ::-1]], axis=1), x0, y0, turn), MUSCLE_DB)
    annulus_x_T, annulus_z_T = 0.5 * (septal_x_N[0] + free_x_TN[:, 0]), 0.5 * (septal_z_T + lateral_z_T)
    atrium = 2.05 * (seen.rv_basal_cm / 3.3) ** 0.5 * (1.0 + 0.06 * cycle.emptying_T)
    for centre_x_T, centre_z_T, half_T in (
        (annulus_x_T, annulus_z_T + 1.9, atrium),
        (2.0 * ones_T, 9.9 * ones_T, 2.0 * ones_T),
    ):
        scene.paint(
            _turned(ellipse(centre_x_T, centre_z_T, half_T + 0.25, np.array(2.65)), x0, y0, turn), ATRIAL_WALL_DB
        )
    scene.paint(_turned(np.concatenate([septal, free[:, ::-1]], axis=1), x0, y0, turn), BLOOD_DB)
    for centre_x_T, centre_z_T, half_T in (
        (annulus_x_T, annulus_z_T + 1.9, atrium),
        (2.0 * ones_T, 9.9 * ones_T, 2.0 * ones_T),
    ):
        scene.paint(_turned(ellipse(centre_x_T, centre_z_T, half_T, np.array(2.4)), x0, y0, turn), BLOOD_DB)
    scene.paint(_turned(ellipse(1.9 * ones_T, lv_z_T, lv_half_T, np.array(3.8)), x0, y0, turn), BLOOD_DB)
    band = np.stack([septal[:, 9], free[:, 7]], axis=1)
    scene.paint(_turned(ribbon(band, 0.26), x0, y0, turn), MUSCLE_DB)
    for hinge, sense in ((septal[:, 0], 1.0), (free[:, 0], -1.0)):
        reach_T = 0.55 + 1.15 * cycle.mitral_T
        tip = _at(annulus_x_T + sense * 0.38 * cycle.mitral_T * width_T, annulus_z_T - reach_T)
        scene.paint(_turned(leaflet(hinge, tip, sense * 0.12, 0.22), x0, y0, turn), VALVE_DB)
    for hinge_x_T, sense in ((2.0 - 0.85 * lv_half_T, 1.0), (2.0 + 0.85 * lv_half_T, -1.0)):
        tip = _at(2.0 - sense * 0.7 * cycle.mitral_T * lv_half_T, 7.3 - 1.3 * cycle.mitral_T)
        scene.paint(_turned(leaflet(_at(hinge_x_T, 7.8 * ones_T), tip, 0.1, 0.22), x0, y0, turn), VALVE_DB)
    return scene


def aortic_arch(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """From above the sternum: the arch like a walking stick, its branches, the right pulmonary artery below it."""
    x0, y0 = 0.2 + 0.5 * _within(hand.shift_x), 7.0 + 0.35 * _within(hand.shift_y)
    size = float(np.exp(0.07 * _within(hand.oblique)))
    half_T = 1.25 * size * (1.0 + 0.05 * cycle.emptying_T)
    bend = np.linspace(np.pi, 0.12, 18)
    arch_N = np.stack([x0 + 2.7 * np.cos(bend), y0 - 2.6 * np.sin(bend)], axis=-1)
    down_N = np.array([[x0 + 2.9, y0 + 2.0], [x0 + 2.7, y0 + 5.0], [x0 + 2.3, y0 + 9.0]])
    up_N = np.array([[x0 - 2.3, y0 + 3.6], [x0 - 2.65, y0 + 1.6]])
    ones_T = np.ones_like(half_T)
    path = np.concatenate([up_N, arch_N, down_N]) * ones_T[:, None, None]
    scene = Scene(centre_cm=(x0, y0), squeeze_cm_T=-0.12 * cycle.emptying_T)
    branches = []
    for foot, lean in ((-1.3, -0.35), (0.1, 0.0), (1.2, 0.3)):
        foot_y = y0 - 2.6 * np.sqrt(max(1.0 - (foot / 2.7) ** 2, 0.0))
        start, end = np.array([x0 + foot, foot_y]), np.array([x0 + foot + lean, foot_y - 2.8])
        branches.append((start + np.linspace(0.0, 1.0, 4)[:, None] * (end - start)) * ones_T[:, None, None])
    for branch in branches:
        scene.paint(ribbon(branch, 1.15), ATRIAL_WALL_DB)
    scene.paint(_tube(path, half_T + 0.25), ATRIAL_WALL_DB)
    for branch in branches:
        scene.paint(ribbon(branch, 0.75), BLOOD_DB)
    scene.paint(_tube(path, half_T), BLOOD_DB)
    artery_y = y0 + 0.9 + 0.1 * cycle.emptying_T
    scene.paint(ellipse((x0 - 0.1) * ones_T, artery_y, np.array(1.2), np.array(0.95)), ATRIAL_WALL_DB)
    scene.paint(ellipse((x0 - 0.1) * ones_T, artery_y, np.array(1.0), np.array(0.75)), BLOOD_DB)
    scene.paint(ellipse((x0 - 0.4) * ones_T, artery_y + 3.2, np.array(2.3), np.array(1.6)), ATRIAL_WALL_DB)
    scene.paint(ellipse((x0 - 0.4) * ones_T, artery_y + 3.2, np.array(2.1), np.array(1.4)), BLOOD_DB)
    return scene


_BEAT = ("heart_rate_bpm", "rhythm")

OTHER_VIEWS: dict[str, OtherView] = {
    "AV_ZOOM": OtherView((*_BEAT, "aortic_stenosis"), 3.2, 10.0, aortic_valve_zoom),
    "MV_ZOOM": OtherView(_BEAT, 3.6, 11.4, mitral_valve_zoom),
    "OFF_AXIS": OtherView(_BEAT, 0.0, 14.5, off_axis),
    "A4C_RV": OtherView((*_BEAT, "rv_basal_cm", "tapse_cm", "rv_dysfunction"), 0.0, 16.0, right_ventricle),
    "IVC": OtherView((*_BEAT, "rv_dysfunction", "tricuspid_regurgitation"), 0.0, 15.0, vena_cava),
    "SUPRASTERNAL": OtherView(_BEAT, 0.0, 15.0, aortic_arch),
}


def _within(standard_normal: float) -> float:
    return float(np.clip(standard_normal, -2.0, 2.0))


def _at(x: Floats | float, y: Floats | float) -> Floats:
    """Points over time, (T, 2)."""
    return np.stack(np.broadcast_arrays(x, y), axis=-1)


def _between(x_N: Floats, upper_TN: Floats, lower_TN: Floats) -> Floats:
    """The closed outline between two borders that share their x."""
    x_TN = np.broadcast_to(x_N, upper_TN.shape)
    upper, lower = np.stack([x_TN, upper_TN], axis=-1), np.stack([x_TN, lower_TN], axis=-1)
    return np.concatenate([upper, lower[:, ::-1]], axis=1)


def _tube(path_TNX: Floats, half_cm_T: Floats) -> Floats:
    left, right = offset_open(path_TNX, half_cm_T[:, None]), offset_open(path_TNX, -half_cm_T[:, None])
    return np.concatenate([left, right[:, ::-1]], axis=1)


def _turned(outline_TNX: Floats, x0: float, y0: float, turn: float) -> Floats:
    """Turned round the origin, then moved to (x0, y0)."""
    sine, cosine = float(np.sin(turn)), float(np.cos(turn))
    x, y = outline_TNX[..., 0], outline_TNX[..., 1]
    return np.stack([x0 + cosine * x + sine * y, y0 - sine * x + cosine * y], axis=-1)
