"""Planes along the heart's long axis: four chambers (apical, subcostal), two chambers, and the parasternal plane.

A scene reads only the physiology it is handed; `simulator.echo.views` hides beforehand what its view cannot show.
Coordinates, levels and array letters as in `simulator.echo.scene`; (z, w) as in `simulator.echo.ventricle`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.echo import planes
from simulator.echo.anatomy import Anatomy
from simulator.echo.cycle import Cycle
from simulator.echo.scene import (
    ATRIAL_WALL_DB,
    BLOOD_DB,
    MITRAL_JET_CM2,
    MUSCLE_DB,
    PERICARDIUM_DB,
    TRICUSPID_JET_CM2,
    VALVE_DB,
    Flow,
    Hand,
    Scene,
    effusion_cm,
    jet_size,
    tricuspid_colour,
    ventricle_in,
)
from simulator.echo.ventricle import (
    Floats,
    Ventricle,
    ellipse,
    leaflet,
    offset_open,
    plume,
)
from simulator.physiology import Physiology

_FADING = tuple((1.0 - 0.08 * step, -31.0 - 3.5 * step) for step in range(7))
"""Length of each strip as a share of the gap, and its level."""
_GAP_MIDDLE = 0.55
_RV_WALL_CM = 0.4
_RV_SQUEEZE = (0.30, 0.22, 0.13, 0.07)
_AV_OPENING = (1.0, 0.72, 0.45, 0.24)
_AV_THICKNESS_CM = (0.14, 0.26, 0.38, 0.50)
_AORTIC_JET_CM2 = (0.0, 1.3, 3.3, 6.5)


@dataclass(frozen=True)
class _Plane:
    """Where the heart's long axis lies in the picture: (z, w) -> apex + z * axis + w * across."""

    apex_cm: tuple[float, float]
    axis: tuple[float, float]
    across: tuple[float, float]

    def place(self, outline_zw: Floats) -> Floats:
        z, w = outline_zw[..., :1], outline_zw[..., 1:]
        return np.asarray(np.array(self.apex_cm) + z * np.array(self.axis) + w * np.array(self.across))


def four_chamber(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """Both ventricles and both atria from the apex, the left ones on the right of the picture."""
    lv = planes.see_along(planes.A4C, hand, anatomy, ventricle_in(seen, anatomy, cycle))
    return _four_chambers(seen, hand, cycle, lv, _plane((0.7, 1.9), 8.0, hand), dropout_share(hand, anatomy))


def subcostal(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """The four chambers from below the ribs, the right ones on top."""
    lv = planes.see_along(planes.SUBCOSTAL, hand, anatomy, ventricle_in(seen, anatomy, cycle))
    plane = _plane((1.6, 10.2), -74.0, hand, along_cm=0.55 * lv.length_cm)
    return _four_chambers(seen, hand, cycle, lv, plane, 0.0)


def _four_chambers(seen: Physiology, hand: Hand, cycle: Cycle, lv: Ventricle, plane: _Plane, dropout: float) -> Scene:
    la_half_T, la_long_T = planes.see_atrium(planes.A4C, seen, hand, cycle.emptying_T)
    scene = _scene(plane, lv, planes.atrium_length_cm(seen, hand))
    septal, free = _right_ventricle(seen, cycle, hand, lv)
    rv_wall = offset_open(free, _RV_WALL_CM)
    rim = effusion_cm(seen, hand)
    _pericardium(scene, plane, lv, rim, plus_side_only=True)
    for distance, level_db in _sac(rim):
        outer = offset_open(rv_wall, distance * _taper(rv_wall.shape[1], start=True, end=False))
        scene.paint(plane.place(np.concatenate([septal, outer[:, ::-1]], axis=1)), level_db)

    base_T, mitral_w_T = lv.length_T, 0.5 * (lv.base_minus_T + lv.base_plus_T)
    annulus_T = 0.5 * (septal[:, 0, 0] + free[:, 0, 0])
    tv_T = 0.5 * (septal[:, 0, 1] + free[:, 0, 1])
    ra_half = 2.0 * (seen.rv_basal_cm / 3.3) ** 0.5
    ra_z_T = annulus_T + 0.75 * 2.3
    scene.paint(plane.place(np.concatenate([septal, rv_wall[:, ::-1]], axis=1)), MUSCLE_DB)
    scene.paint(plane.place(ellipse(ra_z_T, tv_T, np.array(2.6), np.array(ra_half + 0.25))), ATRIAL_WALL_DB)
    la_z_T = base_T + 0.92 * la_long_T
    scene.paint(plane.place(np.concatenate([septal, free[:, ::-1]], axis=1)), BLOOD_DB)
    scene.paint(plane.place(ellipse(ra_z_T, tv_T, np.array(2.35), np.array(ra_half))), BLOOD_DB)
    scene.paint(plane.place(ellipse(la_z_T, np.array(0.2), la_long_T + 0.25, la_half_T + 0.25)), ATRIAL_WALL_DB)
    scene.paint(plane.place(lv.epicardium_TNX), MUSCLE_DB)
    scene.paint(plane.place(ellipse(la_z_T, np.array(0.2), la_long_T, la_half_T)), BLOOD_DB)
    scene.paint(plane.place(lv.cavity_TNX), BLOOD_DB)
    _drop_out(scene, plane, lv, dropout)
    _inflow_valve(scene, plane, base_T, mitral_w_T, 0.5 * (lv.base_plus_T - lv.base_minus_T), cycle.mitral_T)
    _inflow_valve(
        scene, plane, annulus_T, tv_T, 0.46 * np.abs(septal[:, 0, 1] - free[:, 0, 1]), cycle.mitral_T, tilt=0.15
    )

    inflow = _jet(plane, base_T, mitral_w_T, 180.0, np.full_like(base_T, 5.0), np.array(2.0))
    scene.flows.append(Flow(inflow, cycle.mitral_T, 0.45, 0.12))
    tv_inflow = _jet(plane, annulus_T, tv_T, 180.0, np.full_like(base_T, 3.2), np.array(1.8))
    scene.flows.append(Flow(tv_inflow, 0.8 * cycle.mitral_T, 0.35, 0.12))
    angle = 14.0 * hand.jet_direction
    mr_T, mr_width_T = jet_size(MITRAL_JET_CM2[seen.mitral_regurgitation], hand.jet, cycle)
    if seen.mitral_regurgitation:
        jet = _jet(plane, base_T - 0.3, mitral_w_T, angle, mr_T, mr_width_T)
        scene.flows.append(Flow(jet, cycle.systole_T, -0.75, 0.85))
    tr_T, tr_width_T = jet_size(TRICUSPID_JET_CM2[seen.tricuspid_regurgitation], hand.second_jet, cycle)
    if seen.tricuspid_regurgitation:
        jet = _jet(plane, annulus_T - 0.3, tv_T, 12.0 - angle, tr_T, tr_width_T)
        scene.flows.append(Flow(jet, cycle.systole_T, *tricuspid_colour(seen)))
    return scene


def two_chamber(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """LV and LA alone: inferior wall on the left of the picture, anterior wall on the right."""
    lv = planes.see_along(planes.A2C, hand, anatomy, ventricle_in(seen, anatomy, cycle))
    plane, dropout = _plane((-0.2, 1.9), 2.0, hand), dropout_share(hand, anatomy)
    la_half_T, la_long_T = planes.see_atrium(planes.A2C, seen, hand, cycle.emptying_T)
    scene = _scene(plane, lv, planes.atrium_length_cm(seen, hand))
    _pericardium(scene, plane, lv, rim_cm=0.0, plus_side_only=False)
    base_T, mitral_w_T = lv.length_T, 0.5 * (lv.base_minus_T + lv.base_plus_T)
    la_z_T = base_T + 0.92 * la_long_T
    scene.paint(plane.place(ellipse(la_z_T, np.array(-0.1), la_long_T + 0.3, la_half_T + 0.3)), ATRIAL_WALL_DB)
    scene.paint(plane.place(lv.epicardium_TNX), MUSCLE_DB)
    scene.paint(plane.place(ellipse(la_z_T, np.array(-0.1), la_long_T, la_half_T)), BLOOD_DB)
    scene.paint(plane.place(lv.cavity_TNX), BLOOD_DB)
    _drop_out(scene, plane, lv, dropout)
    _inflow_valve(scene, plane, base_T, mitral_w_T, 0.5 * (lv.base_plus_T - lv.base_minus_T), cycle.mitral_T)

    inflow = _jet(plane, base_T, mitral_w_T, 180.0, np.full_like(base_T, 5.0), np.array(2.0))
    scene.flows.append(Flow(inflow, cycle.mitral_T, 0.45, 0.12))
    if seen.mitral_regurgitation:
        length_T, width_T = jet_size(MITRAL_JET_CM2[seen.mitral_regurgitation], hand.jet, cycle)
        jet = _jet(plane, base_T - 0.3, mitral_w_T, 14.0 * hand.jet_direction, length_T, width_T)
        scene.flows.append(Flow(jet, cycle.systole_T, -0.75, 0.85))
    return scene


def parasternal_long_axis(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """LV, aorta and LA in their common plane, from the sternum: the apex lies outside the picture."""
    lv = planes.see_along(planes.PLAX, hand, anatomy, ventricle_in(seen, anatomy, cycle))
    above_cm = lv.minus_cm + lv.minus_wall_cm
    plane = _plane((1.6, 3.9 + above_cm), 93.0, hand, mirrored=True, along_cm=lv.length_cm)
    below_cm = 2.0 * lv.radius_cm + lv.plus_wall_cm
    return _aortic_plane(seen, hand, cycle, lv, plane, extent_cm=4.3 + lv.minus_wall_cm + below_cm)


def apical_long_axis(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """The same plane from the apex."""
    lv = planes.see_along(planes.A3C, hand, anatomy, ventricle_in(seen, anatomy, cycle))
    plane = _plane((0.2, 1.9), 4.0, hand, mirrored=True)
    return _aortic_plane(seen, hand, cycle, lv, plane)


def _aortic_plane(
    seen: Physiology, hand: Hand, cycle: Cycle, lv: Ventricle, plane: _Plane, extent_cm: float | None = None
) -> Scene:
    la_half_T, la_long_T = planes.see_atrium(planes.PLAX, seen, hand, cycle.emptying_T)
    scene = _scene(plane, lv, planes.atrium_length_cm(seen, hand), extent_cm)
    base_T = lv.length_T
    one_T = np.ones_like(base_T)
    aorta_w_T = 0.55 * lv.base_minus_T
    rim = effusion_cm(seen, hand)
    septal, thick_TN = _outflow_tract(lv, cycle, aorta_w_T)
    for distance, level_db in _sac(rim):
        scene.paint(plane.place(_in_front(septal, thick_TN + _RV_WALL_CM + distance)), level_db)
    _pericardium(scene, plane, lv, rim, plus_side_only=True)
    scene.paint(plane.place(_in_front(septal, thick_TN + _RV_WALL_CM)), MUSCLE_DB)
    scene.paint(plane.place(_in_front(septal, thick_TN)), BLOOD_DB)
    la_z_T, la_w_T = base_T + 0.92 * la_long_T, aorta_w_T + 1.55 + la_half_T
    aorta_z = np.array([-0.5, 0.0, 0.5, 1.2, 2.0, 2.6, 4.0, 18.0])
    aorta_half = np.array([1.0, 1.0, 1.2, 1.5, 1.35, 1.25, 1.45, 1.5])
    aorta = _tube(base_T, aorta_w_T, aorta_z, aorta_half)
    scene.paint(plane.place(ellipse(la_z_T, la_w_T, la_long_T + 0.25, la_half_T + 0.25)), ATRIAL_WALL_DB)
    scene.paint(plane.place(_tube(base_T, aorta_w_T, aorta_z, aorta_half + 0.25)), ATRIAL_WALL_DB)
    scene.paint(plane.place(lv.epicardium_TNX), MUSCLE_DB)
    scene.paint(plane.place(ellipse(la_z_T, la_w_T, la_long_T, la_half_T)), BLOOD_DB)
    scene.paint(plane.place(lv.cavity_TNX), BLOOD_DB)
    scene.paint(plane.place(aorta), BLOOD_DB)
    hinge_low_T, hinge_high_T = aorta_w_T + 1.1, np.maximum(lv.base_plus_T, aorta_w_T + 2.4)
    mitral_w_T = 0.5 * (hinge_low_T + hinge_high_T)
    _inflow_valve(scene, plane, base_T, mitral_w_T, 0.5 * (hinge_high_T - hinge_low_T), cycle.mitral_T, tilt=0.1)
    _aortic_valve(scene, plane, seen, hand, cycle, base_T + 0.35, aorta_w_T)

    inflow = _jet(plane, base_T, mitral_w_T, 185.0, 4.5 * one_T, np.array(1.9))
    scene.flows.append(Flow(inflow, cycle.mitral_T, 0.45, 0.12))
    stenosis = seen.aortic_stenosis / 3.0
    outflow = _jet(plane, base_T - 1.2 * (1.0 - stenosis), aorta_w_T, -6.0, 5.0 * one_T, np.array(2.3 - 0.4 * stenosis))
    scene.flows.append(Flow(outflow, cycle.aortic_T, -0.45 - 0.4 * stenosis, 0.12 + 0.85 * stenosis))
    if seen.aortic_regurgitation:
        length_T, width_T = jet_size(_AORTIC_JET_CM2[seen.aortic_regurgitation], hand.jet, cycle)
        jet = _jet(plane, base_T + 0.3, aorta_w_T, 178.0 - 10.0 * hand.jet_direction, length_T, 0.8 * width_T)
        scene.flows.append(Flow(jet, 1.0 - cycle.systole_T, 0.75, 0.85))
    if seen.mitral_regurgitation:
        length_T, width_T = jet_size(MITRAL_JET_CM2[seen.mitral_regurgitation], hand.second_jet, cycle)
        jet = _jet(plane, base_T - 0.2, mitral_w_T, 12.0 + 10.0 * hand.jet_direction, length_T, width_T)
        scene.flows.append(Flow(jet, cycle.systole_T, -0.75, 0.85))
    return scene


def _plane(
    point_cm: tuple[float, float], axis_deg: float, hand: Hand, *, mirrored: bool = False, along_cm: float = 0.0
) -> _Plane:
    """The axis goes through a point of the picture, `along_cm` from the apex; there the hand's tilt turns it.

    axis_deg: from straight down towards the right of the picture. Tilt and shift of the hand come on top.
    """
    angle = np.deg2rad(axis_deg + 4.5 * float(np.clip(hand.tilt, -2.5, 2.5)))
    shift_x, shift_y = (float(np.clip(v, -2.5, 2.5)) for v in (hand.shift_x, hand.shift_y))
    down, right = float(np.cos(angle)), float(np.sin(angle))
    apex = (point_cm[0] + 0.45 * shift_x - along_cm * right, point_cm[1] + 0.25 * shift_y - along_cm * down)
    side = -1.0 if mirrored else 1.0
    return _Plane(apex, (right, down), (side * down, -side * right))


def _scene(plane: _Plane, lv: Ventricle, atrium_cm: float, extent_cm: float | None = None) -> Scene:
    """extent_cm: from the apex to the back of the left atrium, which is so long, if nothing else is said."""
    middle = plane.place(np.array([0.5 * lv.length_cm, 0.0]))
    return Scene(
        centre_cm=(float(middle[0]), float(middle[1])),
        squeeze_cm_T=lv.radius_cm - lv.radius_T,
        extent_cm=extent_cm or lv.length_cm + atrium_cm,
    )


def dropout_share(hand: Hand, anatomy: Anatomy) -> float:
    """Share of the wall on the plus side that gives no echo: lung or rib over it. 0 to 0.6, more in poor windows."""
    return 0.6 * float(np.clip(0.25 + 0.4 * (hand.dropout - 0.8 * anatomy.window), 0.0, 1.0))


def _drop_out(scene: Scene, plane: _Plane, lv: Ventricle, share: float) -> None:
    """The wall on the plus side fades into blood and surroundings, darkest in the middle of the gap."""
    if share <= 0.0:
        return
    plus = slice(lv.cavity_TNX.shape[1] // 2, None)
    inner, outer = offset_open(lv.cavity_TNX, -0.12)[:, plus], offset_open(lv.epicardium_TNX, 0.05)[:, plus]
    height_N = (lv.cavity_TNX[0, plus, 0] - lv.cavity_TNX[0, plus, 0].min()) / np.ptp(lv.cavity_TNX[0, plus, 0])
    for part, level_db in _FADING:
        gap_N = np.abs(height_N - _GAP_MIDDLE) <= 0.5 * share * part
        if gap_N.sum() > 1:
            strip = np.concatenate([inner[:, gap_N], outer[:, gap_N][:, ::-1]], axis=1)
            scene.paint(plane.place(strip), level_db)


def _sac(rim_cm: float) -> list[tuple[float, float]]:
    """Distances from the heart and levels, outermost first: the bright sac, then fluid if there is any."""
    sac = [(rim_cm + 0.22, PERICARDIUM_DB)]
    return [*sac, (rim_cm, BLOOD_DB)] if rim_cm > 0.0 else sac


def _pericardium(scene: Scene, plane: _Plane, lv: Ventricle, rim_cm: float, *, plus_side_only: bool) -> None:
    """The sac around the left ventricle, closing on the heart at the base; the septum has none."""
    epicardium = lv.epicardium_TNX
    closing_N = _taper(epicardium.shape[1], start=True, end=True)
    if plus_side_only:
        closing_N = closing_N / (1.0 + np.exp(-14.0 * np.linspace(-1.0, 1.0, len(closing_N)) - 7.5))
    for distance, level_db in _sac(rim_cm):
        scene.paint(plane.place(offset_open(epicardium, distance * closing_N)), level_db)


def _taper(points: int, *, start: bool, end: bool) -> Floats:
    along = np.linspace(0.0, 1.0, points)
    rise_N = np.minimum(along / 0.06, 1.0) if start else np.ones(points)
    fall_N = np.minimum((1.0 - along) / 0.06, 1.0) if end else np.ones(points)
    return np.asarray(rise_N * fall_N)


def _right_ventricle(seen: Physiology, cycle: Cycle, hand: Hand, lv: Ventricle) -> tuple[Floats, Floats]:
    """Septal border and free wall of the RV cavity, annulus first, in (z, w). The lateral annulus travels the TAPSE."""
    length_ed = lv.length_cm
    squeeze = _RV_SQUEEZE[seen.rv_dysfunction] * float(np.exp(0.15 * np.clip(hand.right_ventricle, -2.0, 2.0)))
    width_T = seen.rv_basal_cm * (1.0 - squeeze * cycle.emptying_T)
    septal_z_T = 0.97 * lv.length_T
    lateral_z_T = 0.97 * length_ed - seen.tapse_cm * cycle.emptying_T
    apex_z = length_ed * (0.30 - 0.06 * (seen.rv_basal_cm - 3.3))
    along = np.linspace(0.0, 1.0, 16)
    septal_z = septal_z_T[:, None] + along * (apex_z - septal_z_T)[:, None]
    free_z = lateral_z_T[:, None] + along * (apex_z - lateral_z_T)[:, None]
    stations = lv.cavity_TNX.shape[1] // 2 + 1
    border = lv.epicardium_TNX[:, :stations][:, ::-1]
    septal_w, free_w = (
        np.stack([np.interp(z, b[:, 0], b[:, 1]) for z, b in zip(rows, border, strict=True)])
        for rows in (septal_z, free_z)
    )
    free_w = free_w - width_T[:, None] * (1.0 - along**1.9)
    return np.stack([septal_z, septal_w - 0.05], axis=-1), np.stack([free_z, free_w], axis=-1)


def _outflow_tract(lv: Ventricle, cycle: Cycle, aorta_w_T: Floats) -> tuple[Floats, Floats]:
    """The right ventricle in front of septum and aorta: its border on them, in (z, w), and its thickness there."""
    base_T, length_ed = lv.length_T, lv.length_cm
    on_aorta = np.stack(
        [
            np.stack([base_T + 0.5, aorta_w_T - 1.35], axis=-1),
            np.stack([base_T + 6.0, aorta_w_T - 1.65 - 0.22 * 6.0], axis=-1),
        ],
        axis=1,
    )
    septum = lv.epicardium_TNX[:, : lv.cavity_TNX.shape[1] // 2 + 1][:, ::-1]
    border = np.concatenate([septum, on_aorta], axis=1)
    along_N = np.linspace(0.0, 1.0, 20)
    z_N = length_ed * (0.40 + 1.05 * along_N)
    w_TN = np.stack([np.interp(z_N, points[:, 0], points[:, 1]) for points in border])
    padded = np.pad(w_TN, ((0, 0), (3, 3)), mode="edge")
    w_TN = np.mean([padded[:, k : k + w_TN.shape[1]] for k in range(7)], axis=0)
    thick_TN = 2.5 * (1.0 - 0.18 * cycle.emptying_T)[:, None] * np.sqrt(4.0 * along_N * (1.0 - along_N))
    return np.stack(np.broadcast_arrays(z_N, w_TN), axis=-1), thick_TN


def _in_front(border_TNX: Floats, thick_TN: Floats) -> Floats:
    """A layer of this thickness on the minus side of a border, reaching under what is painted on its other side."""
    minus_TNX = border_TNX - np.stack([np.zeros_like(thick_TN), thick_TN], axis=-1)
    return np.concatenate([border_TNX + np.array([0.0, 0.5]), minus_TNX[:, ::-1]], axis=1)


def _inflow_valve(
    scene: Scene,
    plane: _Plane,
    annulus_z_T: Floats,
    centre_w_T: Floats,
    half_T: Floats,
    opening_T: Floats,
    tilt: float = 0.0,
) -> None:
    """Mitral or tricuspid leaflets: they meet just inside the ventricle in systole and part in diastole."""
    reach_T = 0.55 + 1.35 * opening_T
    for side in (-1.0, 1.0):
        hinge = np.stack([annulus_z_T, centre_w_T + side * half_T], axis=-1)
        tip_w_T = centre_w_T + side * (0.03 + 0.75 * opening_T) * half_T + tilt * half_T
        tip = np.stack([annulus_z_T - reach_T, tip_w_T], axis=-1)
        scene.paint(plane.place(leaflet(hinge, tip, side * 0.15, 0.20)), VALVE_DB)


def _aortic_valve(
    scene: Scene, plane: _Plane, seen: Physiology, hand: Hand, cycle: Cycle, z_T: Floats, w_T: Floats
) -> None:
    """Two cusps in the root; a stenotic valve is thick, bright and hardly opens."""
    opening = _AV_OPENING[seen.aortic_stenosis] * float(np.exp(0.12 * np.clip(hand.aortic_valve, -2.0, 2.0)))
    thickness = _AV_THICKNESS_CM[seen.aortic_stenosis]
    for side in (-1.0, 1.0):
        hinge = np.stack([z_T - 0.2, w_T + side * 1.1], axis=-1)
        parted_T = np.minimum(opening, 1.0) * cycle.aortic_T
        tip = np.stack([z_T + 0.25 + 0.8 * parted_T, w_T + side * (0.04 + 0.95 * parted_T)], axis=-1)
        scene.paint(plane.place(leaflet(hinge, tip, 0.0, thickness)), VALVE_DB + 2.0 * seen.aortic_stenosis)


def _tube(base_T: Floats, centre_w_T: Floats, z_N: Floats, half_N: Floats) -> Floats:
    """The aortic root and ascending aorta, leaning away from the left atrium."""
    z = base_T[:, None] + z_N
    centre = centre_w_T[:, None] - 0.22 * np.maximum(z_N, 0.0)
    near, far = np.stack([z, centre - half_N], axis=-1), np.stack([z, centre + half_N], axis=-1)
    return np.concatenate([near, far[:, ::-1]], axis=1)


def _jet(plane: _Plane, z_T: Floats, w_T: Floats, angle_deg: float, length_T: Floats, width_T: Floats) -> Floats:
    """A plume from (z, w); angle 0 points from the ventricle to the atrium, 180 into the ventricle."""
    angle = np.deg2rad(angle_deg)
    origin = np.stack([z_T, w_T], axis=-1)
    towards = np.broadcast_to(np.array([np.cos(angle), np.sin(angle)]), origin.shape)
    return plane.place(plume(origin, towards, length_T, np.broadcast_to(width_T, length_T.shape)))
