"""Segments and territories: what a closed artery stills, what it spares, and what is the same for every cause."""

import numpy as np
import pytest

from simulator.segments import SEGMENTS, TERRITORIES, sample_motion, share_scarred

BY_NAME = {segment.name: number for number, segment in enumerate(SEGMENTS)}


def motions(cause, infarct="none", size=0.7):
    return np.array([sample_motion(cause, infarct, size, np.random.default_rng(n)) for n in range(300)])


def test_there_are_sixteen_segments_that_fill_each_level():
    assert len(BY_NAME) == 16
    for level in {segment.level for segment in SEGMENTS}:
        assert sum(segment.width_deg for segment in SEGMENTS if segment.level == level) == 360.0


@pytest.mark.parametrize("infarct", TERRITORIES)
def test_an_infarct_stills_the_middle_of_its_territory_and_no_segment_outside(infarct):
    moved = motions("ischaemic", infarct).mean(axis=0)
    fed = TERRITORIES[infarct]
    assert max(moved[BY_NAME[name]] for name, share in fed.items() if share == 1.0) < 0.4
    assert min(moved[BY_NAME[name]] for name in set(BY_NAME) - set(fed)) > 0.9


@pytest.mark.parametrize("infarct", TERRITORIES)
def test_a_larger_infarct_stills_more(infarct):
    small, large = (np.mean([share_scarred(tuple(m)) for m in motions("ischaemic", infarct, s)]) for s in (0.2, 0.9))
    assert large > small + 0.08


def test_a_dilated_heart_moves_unevenly_and_an_amyloid_one_spares_its_apex():
    assert motions("dilated").std() > 1.5 * motions("none").std()
    amyloid = motions("amyloid").mean(axis=0)
    assert amyloid[12:].min() > amyloid[:6].max() + 0.15


@pytest.mark.parametrize(("cause", "infarct"), [("none", "none"), ("ischaemic", "LAD"), ("amyloid", "none")])
def test_every_cause_draws_as_many_numbers(cause, infarct):
    rng = np.random.default_rng(4)
    sample_motion(cause, infarct, 0.5, rng)
    plain = np.random.default_rng(4)
    sample_motion("none", "none", 0.5, plain)
    assert rng.random() == plain.random()
