"""The solid ventricle: its volume is the truth's, segments move as they should, muscle is kept, bundle block shows."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.echo.anatomy import Anatomy, sample_anatomy
from simulator.echo.solid import beating_solid, blend_segments, septal_flash
from simulator.patient import sample_patient
from simulator.segments import NORMAL_MOTION, SEGMENTS
from tests.healthy import HEALTHY

ROUND = Anatomy(oval=0.0, oval_deg=0.0, roundness=0.0, window=0.0)
SEPTUM_AND_SIDE = np.array([[-1.0, 1.0]]), np.array([[0.0, 0.0]])


def solid_of(physiology, anatomy=ROUND, emptying=(0.0, 1.0), since_r=None):
    emptying = np.array(emptying)
    volume = physiology.lvedv_ml - (physiology.lvedv_ml - physiology.lvesv_ml) * emptying
    return beating_solid(physiology, anatomy, volume, septal_flash(emptying if since_r is None else since_r))


@pytest.mark.parametrize("seed", range(40))
def test_the_body_holds_the_patient_s_volumes_whatever_its_shape_and_disease(seed):
    rng = np.random.default_rng(seed)
    physiology, anatomy = sample_patient(rng).at(50.0), sample_anatomy(rng)
    volumes = solid_of(physiology, anatomy).volume_ml_T
    assert volumes == pytest.approx([physiology.lvedv_ml, physiology.lvesv_ml], rel=1e-6)


def test_the_volume_is_that_of_the_radius_summed_by_other_means():
    scar = replace(HEALTHY, segment_motion=(0.1, 0.0, *NORMAL_MOTION[2:]), conduction="left_bundle_block")
    solid = solid_of(scar, Anatomy(0.15, 40.0, 1.0, 0.0))
    along = (np.arange(4000) + 0.5) / 4000
    turn = 2.0 * np.pi * np.arange(90) / 90
    grid_along, grid_turn = (grid.ravel()[None] for grid in np.meshgrid(along, turn))
    radius = solid.radius(grid_along, np.cos(grid_turn), np.sin(grid_turn))
    by_hand = solid.length_T * np.pi * np.mean(radius**2, axis=1)
    assert by_hand == pytest.approx([scar.lvedv_ml, scar.lvesv_ml], rel=1e-4)


def test_each_segment_rules_its_own_middle_and_all_alike_are_one():
    for number, segment in enumerate(SEGMENTS):
        angle = np.deg2rad(segment.angle_deg)
        shares = blend_segments(
            np.eye(16), np.array([segment.level]), np.array([np.cos(angle)]), np.array([np.sin(angle)])
        )
        assert shares[:, 0].argmax() == number
        assert shares[number, 0] > 0.6
        assert shares.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("number", [3, 7, 15])
def test_a_still_segment_rests_and_does_not_thicken_while_the_others_do(number):
    motion = list(NORMAL_MOTION)
    motion[number] = 0.0
    segment = SEGMENTS[number]
    solid = solid_of(replace(HEALTHY, segment_motion=tuple(motion)))
    angle = np.deg2rad(segment.angle_deg) + np.array([[0.0, np.pi]])
    at = np.array([[segment.level]]), np.cos(angle), np.sin(angle)
    radius = solid.radius(*at)
    still, moving = 1.0 - radius[1] / radius[0]
    assert moving > 0.25
    assert still < 0.35 * moving
    walls = solid.wall(radius, *at)
    assert walls[1, 0] / walls[0, 0] < 1.35
    assert walls[1, 1] / walls[0, 1] > 1.45


def test_the_septum_is_as_thick_as_the_truth_says_and_so_is_the_wall_across():
    solid = solid_of(replace(HEALTHY, septum_cm=1.9, posterior_wall_cm=1.0))
    at = np.array([[0.2]]), *SEPTUM_AND_SIDE
    assert solid.wall(solid.radius(*at), *at)[0] == pytest.approx([1.9, 1.0], rel=0.01)


def test_an_oval_heart_holds_no_more_than_a_round_one_and_differs_in_its_diameters():
    oval = solid_of(HEALTHY, Anatomy(0.11, 0.0, 0.0, 0.0))
    across, along = (
        float(oval.resting_radius(np.array(0.3), np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))))
        for turn in (0.0, 90.0)
    )
    assert across / along == pytest.approx(1.11 / 0.89)
    assert oval.volume_ml_T == pytest.approx(solid_of(HEALTHY).volume_ml_T)


def test_in_left_bundle_block_the_septum_flashes_inwards_then_back_and_the_side_wall_comes_late():
    phases = np.linspace(0.0, 1.0, 41)
    emptying = np.clip((phases - 0.1) / 0.9, 0.0, 1.0)
    blocked, normal = (
        solid_of(replace(HEALTHY, conduction=conduction), emptying=emptying, since_r=phases).radius(
            np.array([[0.4]]), *SEPTUM_AND_SIDE
        )
        for conduction in ("left_bundle_block", "normal")
    )
    septum_cm, side_cm = (blocked - normal).T
    early, late = np.abs(phases - 0.17).argmin(), np.abs(phases - 0.8).argmin()
    assert septum_cm[early] < -0.15 < 0.10 < septum_cm[late]
    assert side_cm[early] > 0.15 > -0.10 > side_cm[late]
    assert blocked[0] == pytest.approx(normal[0])


@pytest.mark.parametrize("conduction", ["right_bundle_block", "left_anterior_block"])
def test_other_blocks_move_no_wall(conduction):
    at = np.array([[0.4]]), *SEPTUM_AND_SIDE
    moved = solid_of(replace(HEALTHY, conduction=conduction)).radius(*at)
    assert np.array_equal(moved, solid_of(HEALTHY).radius(*at))


def test_anatomy_varies_as_hearts_do():
    drawn = [sample_anatomy(np.random.default_rng(seed)) for seed in range(500)]
    assert np.std([a.oval for a in drawn]) == pytest.approx(0.11, rel=0.12)
    assert np.ptp([a.oval_deg for a in drawn]) > 170.0
    assert abs(np.corrcoef([a.oval for a in drawn], [a.window for a in drawn])[0, 1]) < 0.12
