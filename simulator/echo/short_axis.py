"""Short-axis planes from the sternum: the ring of the left ventricle, and the valves at the base of the heart.

Angles turn from the right of the picture towards its top: lateral 0, anterior 90, septum 180, inferior 270 degrees.
Coordinates, levels and array letters as in `simulator.echo.scene`.
"""

from __future__ import annotations

import numpy as np

from simulator.echo import planes
from simulator.echo.anatomy import Anatomy
from simulator.echo.cycle import Cycle
from simulator.echo.scene import (
    ATRIAL_WALL_DB,
    BLOOD_DB,
    MUSCLE_DB,
    PERICARDIUM_DB,
    TRICUSPID_JET_CM2,
    VALVE_DB,
    Flow,
    Hand,
    Scene,
    effusion_cm,
    jet_size,
    septal_flatness,
    tricuspid_colour,
    ventricle_in,
)
from simulator.echo.ventricle import (
    TURN_N,
    Floats,
    Ring,
    ellipse,
    leaflet,
    plume,
    ribbon,
)
from simulator.physiology import Physiology

_PULMONARY_JET_CM2 = (0.0, 0.8, 2.0, 3.8)


def short_axis(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """The left ventricle as a ring at papillary level, the right ventricle as a crescent on its left."""
    ring = planes.see_across(planes.PSAX, hand, ventricle_in(seen, anatomy, cycle))
    return _ring_scene(seen, hand, cycle, ring, crescent_cm=2.3, papillary_muscles=True)


def apical_short_axis(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """The ring nearer to the apex: smaller, without papillary muscles, the right ventricle nearly past."""
    ring = planes.see_across(planes.PSAX_APEX, hand, ventricle_in(seen, anatomy, cycle))
    return _ring_scene(seen, hand, cycle, ring, crescent_cm=0.9, papillary_muscles=False)


def _ring_scene(
    seen: Physiology, hand: Hand, cycle: Cycle, ring: Ring, *, crescent_cm: float, papillary_muscles: bool
) -> Scene:
    radius_T = np.sqrt(ring.area_cm2_T / np.pi)
    radius_ed = ring.radius_cm
    ring_TN = _flatten_septum(ring.radius_TN, septal_flatness(seen, hand, cycle.emptying_T))
    ring_TN *= radius_T[:, None] / np.sqrt(np.mean(ring_TN**2, axis=1, keepdims=True))
    outer_TN = ring_TN + ring.wall_cm_TN
    centre = (0.4 + 0.4 * hand.shift_x, 4.4 + ring.outer_cm + 0.25 * hand.shift_y)
    roll = 0.12 * hand.tilt
    scene = Scene(centre_cm=centre, squeeze_cm_T=radius_ed - radius_T, extent_cm=4.4 + 2.0 * ring.outer_cm)
    crescent_N = _window(165.0 + 15.0 * np.clip(hand.right_ventricle, -1.0, 1.0), 62.0)
    rv_TN = outer_TN + (crescent_cm * (1.0 - 0.22 * cycle.emptying_T))[:, None] * crescent_N
    rv_wall_TN = np.where(crescent_N > 0.02, rv_TN + 0.4, outer_TN)
    rim = effusion_cm(seen, hand)
    scene.paint(_around(centre, roll, rv_wall_TN + rim + 0.22), PERICARDIUM_DB)
    if rim > 0.0:
        scene.paint(_around(centre, roll, rv_wall_TN + rim), BLOOD_DB)
    scene.paint(_around(centre, roll, rv_wall_TN), MUSCLE_DB)
    scene.paint(_around(centre, roll, rv_TN), BLOOD_DB)
    scene.paint(_around(centre, roll, outer_TN), MUSCLE_DB)
    scene.paint(_around(centre, roll, ring_TN), BLOOD_DB)
    size = np.array(0.17 * radius_ed)
    for angle_deg in (318.0, 228.0) if papillary_muscles else ():
        angle = np.deg2rad(angle_deg) + roll
        at_T = np.array([np.interp(np.deg2rad(angle_deg), TURN_N, ring) for ring in ring_TN]) - 0.3
        x_T, y_T = centre[0] + at_T * np.cos(angle), centre[1] - at_T * np.sin(angle)
        scene.paint(ellipse(x_T, y_T, size, size, points=16), MUSCLE_DB)
    return scene


def base_short_axis(seen: Physiology, anatomy: Anatomy, hand: Hand, cycle: Cycle) -> Scene:
    """The aortic valve in the middle; right ventricle wrapped over it from the tricuspid to the pulmonary valve."""
    centre = (0.2 + 0.4 * hand.shift_x, 6.2 + 0.3 * hand.shift_y)
    x0, y0 = centre
    roll = 0.1 * hand.tilt
    ones_T = np.ones_like(cycle.time_s_T)
    scene = Scene(centre_cm=centre, squeeze_cm_T=0.35 * cycle.emptying_T)
    outflow_N = _window(105.0, 105.0)
    rv_TN = 1.75 + (2.3 - 0.5 * cycle.emptying_T)[:, None] * outflow_N
    scene.paint(_around(centre, roll, rv_TN + 0.65), PERICARDIUM_DB)
    scene.paint(_around(centre, roll, rv_TN + 0.45), MUSCLE_DB)
    right_atrium = (x0 - 2.9) * ones_T, (y0 + 1.9) * ones_T
    left_atrium = (x0 + 0.4) * ones_T, (y0 + 3.4) * ones_T
    artery = _vessel((x0 + 2.7, y0 - 0.8), (x0 + 3.9, y0 + 7.0), ones_T)
    filling_T = 1.0 + 0.08 * cycle.emptying_T
    scene.paint(ellipse(*right_atrium, 2.3 * filling_T, 2.2 * filling_T), ATRIAL_WALL_DB)
    scene.paint(ellipse(*left_atrium, 2.5 * filling_T, 1.95 * filling_T), ATRIAL_WALL_DB)
    scene.paint(ribbon(artery, 2.7), ATRIAL_WALL_DB)
    scene.paint(ellipse(*right_atrium, 2.05 * filling_T, 1.95 * filling_T), BLOOD_DB)
    scene.paint(ellipse(*left_atrium, 2.25 * filling_T, 1.7 * filling_T), BLOOD_DB)
    scene.paint(ribbon(artery, 2.2), BLOOD_DB)
    scene.paint(_around(centre, roll, rv_TN), BLOOD_DB)
    scene.paint(_around(centre, roll, np.full((len(ones_T), 1), 1.7)), ATRIAL_WALL_DB)
    scene.paint(_around(centre, roll, np.full((len(ones_T), 1), 1.4)), BLOOD_DB)
    for angle_deg in (90.0, 210.0, 330.0):
        angle = np.deg2rad(angle_deg) + roll
        hinge = np.stack([x0 + 1.45 * np.cos(angle) * ones_T, y0 - 1.45 * np.sin(angle) * ones_T], axis=-1)
        reach_T = 0.05 + 1.2 * cycle.aortic_T
        tip = np.stack([x0 + reach_T * np.cos(angle), y0 - reach_T * np.sin(angle)], axis=-1)
        scene.paint(leaflet(hinge, tip, 0.0, 0.16), VALVE_DB)

    tricuspid = np.stack([(x0 - 2.4) * ones_T, (y0 - 0.3) * ones_T], axis=-1)
    pulmonary = np.stack([(x0 + 2.5) * ones_T, (y0 - 1.3) * ones_T], axis=-1)
    _two_leaflets(scene, tricuspid, (0.85, 0.5), cycle.mitral_T)
    _two_leaflets(scene, pulmonary, (0.75, -0.75), cycle.aortic_T)
    down_right = np.broadcast_to(np.array([0.35, 0.95]), pulmonary.shape)
    outflow = plume(pulmonary - 0.6 * down_right, down_right, 4.0 * ones_T, 1.7 * ones_T)
    scene.flows.append(Flow(outflow, cycle.aortic_T, -0.45, 0.12))
    if seen.tricuspid_regurgitation:
        length_T, width_T = jet_size(TRICUSPID_JET_CM2[seen.tricuspid_regurgitation], hand.jet, cycle)
        towards = np.broadcast_to(np.array([-0.25 + 0.2 * np.tanh(hand.jet_direction), 0.95]), tricuspid.shape)
        jet = plume(tricuspid, towards, length_T, width_T)
        scene.flows.append(Flow(jet, cycle.systole_T, *tricuspid_colour(seen)))
    if seen.pulmonary_regurgitation:
        length_T, width_T = jet_size(_PULMONARY_JET_CM2[seen.pulmonary_regurgitation], hand.second_jet, cycle)
        towards = np.broadcast_to(np.array([-0.75, -0.5 + 0.15 * np.tanh(hand.jet_direction)]), pulmonary.shape)
        jet = plume(pulmonary, towards, length_T, width_T)
        scene.flows.append(Flow(jet, 1.0 - cycle.systole_T, 0.7, 0.7))
    return scene


def _window(centre_deg: float, half_width_deg: float) -> Floats:
    """1 in the middle of an arc of the ring, falling smoothly to 0 at its ends."""
    away = np.abs((np.rad2deg(TURN_N) - centre_deg + 180.0) % 360.0 - 180.0)
    return np.asarray(np.square(np.cos(0.5 * np.pi * np.minimum(away / half_width_deg, 1.0))))


def _flatten_septum(ring_TN: Floats, flat_T: Floats) -> Floats:
    """Cuts the septal side by a chord at (1 - flat) of its distance from the centre: a circle becomes a D."""
    towards_septum_N = np.maximum(-np.cos(TURN_N), 0.05)
    chord_TN = (1.0 - flat_T)[:, None] * ring_TN[:, [len(TURN_N) // 2]] / towards_septum_N
    facing_N = np.cos(TURN_N) < 0.0
    smooth_TN = (ring_TN**-10.0 + chord_TN**-10.0) ** -0.1
    flattening_TN = np.clip(flat_T / 0.15, 0.0, 1.0)[:, None]
    return np.where(facing_N, ring_TN + flattening_TN * (smooth_TN - ring_TN), ring_TN)


def _around(centre_cm: tuple[float, float], roll: float, radius_TN: Floats) -> Floats:
    turn = TURN_N + roll
    return np.stack(
        np.broadcast_arrays(centre_cm[0] + radius_TN * np.cos(turn), centre_cm[1] - radius_TN * np.sin(turn)), axis=-1
    )


def _vessel(start_cm: tuple[float, float], end_cm: tuple[float, float], ones_T: Floats) -> Floats:
    along = np.linspace(0.0, 1.0, 6)[:, None]
    path = (1.0 - along) * np.array(start_cm) + along * np.array(end_cm)
    return np.asarray(path * ones_T[:, None, None])


def _two_leaflets(scene: Scene, centre_TX: Floats, half_span: tuple[float, float], opening_T: Floats) -> None:
    span = np.array(half_span)
    for side in (-1.0, 1.0):
        hinge = centre_TX + side * span
        tip = centre_TX + side * span * (0.05 + 0.8 * opening_T)[:, None]
        scene.paint(leaflet(hinge, tip, side * 0.2, 0.18), VALVE_DB)
