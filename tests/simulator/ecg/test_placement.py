"""Electrodes: what differs between bodies and between two recordings of one."""

from dataclasses import replace

import numpy as np
from beats import V1, V2, one_beat, steady
from healthy import HEALTHY

from simulator.ecg.electrics import sample_electrics
from simulator.ecg.placement import LEAD_FIELD_KD, place_electrodes

PEOPLE = [sample_electrics(np.random.default_rng([41, n])) for n in range(800)]


def test_a_quarter_of_people_have_v1_and_v2_too_high_and_no_other_lead_moves():
    assert 0.20 < np.mean([electrics.high_v1_v2 for electrics in PEOPLE]) < 0.30
    low, high = (
        place_electrodes(replace(steady(1), high_v1_v2=high), np.random.default_rng(2)) for high in (False, True)
    )
    others = [k for k in range(8) if k not in (V1, V2)]
    np.testing.assert_array_equal(low[others], high[others])
    assert (high[[V1, V2], 1] < 0).all()  # they look down on the heart


def test_high_v1_turns_p_over_and_makes_r_smaller():
    p, r = [], []
    for number in range(40):
        (low, qrs, _), (high, _, _) = (one_beat(HEALTHY, number, high_v1_v2=high) for high in (False, True))
        p.append(high[V1, :230].max() - low[V1, :230].max())
        r.append(high[V2, qrs].max() - low[V2, qrs].max())
    assert np.median(p) < 0
    assert np.median(r) < -0.02


def test_a_body_s_lead_field_strays_by_some_fifteen_percent_and_a_recording_s_by_little():
    strays = np.array([electrics.lead_scatter_KD for electrics in PEOPLE])
    assert 0.11 < strays.std() < 0.17
    assert abs(strays.mean() - 1.0) < 0.02
    one, other = (place_electrodes(PEOPLE[0], np.random.default_rng(n)) for n in (1, 2))
    assert 0.0 < np.abs(one / other - 1.0).max() < 0.15
    assert one.shape == LEAD_FIELD_KD.shape
