"""Old infarcts: forces that the still segments no longer give, and T waves that point away from them."""

from dataclasses import replace

import numpy as np
import pytest
from beats import telling
from healthy import HEALTHY

from simulator.ecg.depolarisation import scar_direction
from simulator.ecg.heart import shape_beat
from simulator.ecg.waves import area_of, dipole_at
from simulator.segments import SEGMENTS, TERRITORIES

LEFT, DOWN, BACK = 0, 1, 2


def scarred(artery, depth=1.0, **kwargs):
    """Every segment of the territory still by `depth` of its share."""
    fed = TERRITORIES[artery]
    motion = tuple(1.0 - depth * fed.get(segment.name, 0.0) for segment in SEGMENTS)
    return replace(HEALTHY, cause="ischaemic", infarct=artery, segment_motion=motion, **kwargs)


def change(physiology, times_ms, number=0, without=HEALTHY, **kwargs):
    """(3, N) what a scar changes in one person's dipole, who lies as a textbook's heart does."""
    electrics = telling(number, frontal_rotation_deg=0.0, horizontal_rotation_deg=0.0, t_rotation_deg=0.0,
                        voltage=1.0, **kwargs)  # fmt: skip
    ill, well = (shape_beat(heart, electrics, np.random.default_rng(number)) for heart in (physiology, without))
    return dipole_at(ill.bumps, times_ms) - dipole_at(well.bumps, times_ms)


@pytest.mark.parametrize(
    ("artery", "axis", "sign"), [("LAD", BACK, +1), ("RCA", DOWN, -1), ("LCx", LEFT, -1), ("LCx", BACK, -1)]
)
def test_the_first_forty_ms_point_away_from_the_scar(artery, axis, sign):
    early, late = np.arange(0.0, 45.0), np.arange(75.0, 95.0)
    changed = change(scarred(artery), early, scar_t_sign=1.0)
    assert sign * changed[axis].mean() > 0.03
    assert np.dot(changed.mean(axis=1), scar_direction(scarred(artery))) < 0
    assert np.abs(change(scarred(artery), late, scar_t_sign=1.0)).max() < 0.3 * np.abs(changed).max()


@pytest.mark.parametrize("artery", ["LAD", "RCA", "LCx"])
def test_a_larger_scar_takes_more(artery):
    times_ms = np.arange(0.0, 60.0)
    lost = [np.abs(change(scarred(artery, depth), times_ms, scar_t_sign=1.0)).sum() for depth in (0.2, 0.5, 0.8, 1.1)]
    assert lost[0] == 0.0
    assert lost == sorted(lost)
    assert lost[3] > lost[1] > 0.0


def test_segments_that_move_little_without_an_infarct_are_no_scar():
    still = replace(HEALTHY, cause="amyloid", segment_motion=(0.4,) * len(SEGMENTS))
    assert not scar_direction(still).any()


@pytest.mark.parametrize("artery", ["LAD", "RCA", "LCx"])
def test_t_waves_turn_away_from_the_scar_in_those_in_whom_they_stay_inverted(artery):
    at_t_ms = np.arange(280.0, 400.0)
    towards = scar_direction(scarred(artery))
    stays = change(scarred(artery), at_t_ms, scar_t_sign=0.0).mean(axis=1)
    goes = change(scarred(artery), at_t_ms, scar_t_sign=1.0).mean(axis=1)
    assert np.dot(stays, towards) < -0.05
    assert abs(np.dot(goes, towards)) < 0.1 * abs(np.dot(stays, towards))


def test_a_left_bundle_block_hides_most_of_a_scar():
    times_ms = np.arange(0.0, 100.0)
    blocked = replace(HEALTHY, conduction="left_bundle_block")
    open_change = change(scarred("LAD"), times_ms, scar_t_sign=1.0)
    hidden = change(scarred("LAD", conduction="left_bundle_block"), times_ms, without=blocked, scar_t_sign=1.0)
    assert np.abs(hidden).max() < 0.6 * np.abs(open_change).max()


def test_scar_bumps_leave_the_heart_s_other_waves_as_they_are():
    electrics = telling(2, scar_t_sign=1.0)
    ill, well = (shape_beat(heart, electrics, np.random.default_rng(2)) for heart in (scarred("RCA"), HEALTHY))
    shared = [bump for bump in ill.bumps if bump in well.bumps]
    assert len(shared) == len(well.bumps)
    assert area_of([bump for bump in ill.bumps if bump not in well.bumps])[DOWN] < 0
