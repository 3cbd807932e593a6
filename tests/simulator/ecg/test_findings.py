"""Each structure -> ECG effect in its direction, with overlap; and a healthy heart within the textbook's ranges."""

from dataclasses import replace

import numpy as np
import pytest
from beats import MEASURES, ONE, QRS, T_WAVE, TWO, V1, V3, V5, V6, beats_of, median_beat, steady, telling
from healthy import HEALTHY

from simulator.ecg.electrics import Expression, sample_electrics
from simulator.ecg.heart import shape_beat
from simulator.ecg.signal import heart_leads
from simulator.physiology import lv_mass_g

FAILING = replace(
    HEALTHY, lvef_percent=26.0, lvedv_ml=205.0, lvesv_ml=151.7, lv_mass_g=lv_mass_g(205.0, 0.9, 0.85),
    la_volume_index=40.0, heart_rate_bpm=78.0,
)  # fmt: skip
THICK = replace(HEALTHY, septum_cm=1.4, posterior_wall_cm=1.25, lv_mass_g=lv_mass_g(106.0, 1.4, 1.25))
RIGHT = replace(HEALTHY, pasp_mmhg=72.0, rv_dysfunction=2, tapse_cm=1.3)
AMYLOID = replace(THICK, cause="amyloid")
SEPTAL = replace(HEALTHY, cause="hypertrophic", septum_cm=1.8, lv_mass_g=lv_mass_g(100.0, 1.8, 1.1))
LUNG = replace(HEALTHY, cause="lung", pasp_mmhg=45.0)
PEOPLE = 120


@pytest.fixture(scope="module")
def measured():
    """Each measure of 120 different people's beats, given one physiology; computed once per physiology."""
    seen = {}

    def measure(physiology, name):
        if physiology not in seen:
            seen[physiology] = [median_beat(physiology, number) for number in range(PEOPLE)]
        return np.array([MEASURES[name](beat) for beat in seen[physiology]])

    return measure


@pytest.mark.parametrize(
    ("finding", "measure", "direction"),
    [
        (FAILING, "qrs_width_ms", +1),
        (FAILING, "r_v3_mv", -1),
        (FAILING, "t_v6_mv", -1),
        (FAILING, "limb_over_chest", -1),
        (THICK, "sv1_rv5_mv", +1),
        (THICK, "t_v6_mv", -1),
        (THICK, "axis_deg", -1),
        (replace(HEALTHY, lvedv_ml=200.0, lv_mass_g=lv_mass_g(200.0, 0.95, 0.95)), "s_v2_mv", +1),
        (replace(HEALTHY, la_volume_index=55.0), "p_v1_depth_mv", +1),
        (RIGHT, "axis_deg", +1),
        (RIGHT, "r_over_s_v1", +1),
        (RIGHT, "s_v6_mv", +1),
        (RIGHT, "t_v2_mv", -1),
        (RIGHT, "p_ii_mv", +1),
        (replace(HEALTHY, effusion=2), "limb_swing_mv", -1),
        (AMYLOID, "limb_swing_mv", -1),
        (AMYLOID, "r_v2_mv", -1),
        (SEPTAL, "q_i_mv", +1),
        (SEPTAL, "r_over_s_v1", +1),
        (LUNG, "axis_deg", +1),
        (LUNG, "p_ii_mv", +1),
        (LUNG, "r_v3_mv", -1),
        (replace(HEALTHY, weight_kg=115.0), "axis_deg", -1),
        (replace(HEALTHY, sex="female"), "sv1_rv5_mv", -1),
    ],
)
def test_a_finding_moves_the_ecg_its_way_and_still_overlaps_with_health(measured, finding, measure, direction):
    healthy, ill = measured(HEALTHY, measure), measured(finding, measure)
    # The chance that an ill person lies further that way than a healthy one: 0.5 no effect, 1 no overlap.
    beyond = (direction * (ill[:, None] - healthy[None, :]) > 0).mean()
    assert 0.55 < beyond < 0.99
    assert direction * (ill.mean() - healthy.mean()) > 0


def test_a_healthy_ecg_lies_in_the_textbook_ranges(measured):
    assert 70 <= np.median(measured(HEALTHY, "qrs_width_ms")) <= 95
    assert 1.0 <= np.median([median_beat(HEALTHY, n)[V5, QRS].max() for n in range(30)]) <= 2.0
    assert 0.5 <= np.median([-median_beat(HEALTHY, n)[V1, QRS].min() for n in range(30)]) <= 1.5
    assert np.mean((measured(HEALTHY, "axis_deg") > -30) & (measured(HEALTHY, "axis_deg") < 90)) > 0.9
    assert np.mean(measured(HEALTHY, "t_v6_mv") > 0) > 0.95
    assert 0.08 <= np.median(measured(HEALTHY, "p_ii_mv")) <= 0.22


def test_r_waves_grow_from_v1_and_pass_s_around_v3():
    beats = [median_beat(HEALTHY, number) for number in range(40)]
    r_over_s = np.median([b[V1:, QRS].max(axis=1) / np.maximum(0.02, -b[V1:, QRS].min(axis=1)) for b in beats], axis=0)
    assert r_over_s[0] < 0.6
    assert r_over_s[1] < 1
    assert r_over_s[3] > 1


def beat_of(physiology, number, **kwargs):
    return shape_beat(physiology, steady(number, **kwargs), np.random.default_rng([10, number]))


def test_the_ecg_answers_to_lvef_below_52_percent_only():
    def leads(lvef, number):
        rng = np.random.default_rng([13, number])
        seen = replace(HEALTHY, lvef_percent=lvef)
        return heart_leads(seen, electrics=telling(number), rate_hz=500, duration_s=2.0, rng=rng)

    for number in range(5):
        np.testing.assert_array_equal(leads(75.0, number), leads(52.0, number))
        assert np.abs(leads(40.0, number) - leads(52.0, number)).max() > 0.05


def test_qrs_widens_and_beats_come_early_the_lower_lvef():
    beats = {lvef: [beat_of(replace(FAILING, lvef_percent=lvef), n, slowing_ms=8.0) for n in range(200)]
             for lvef in (62.0, 45.0, 30.0, 20.0)}  # fmt: skip
    widths = [np.mean([beat.qrs_ms for beat in beats[lvef]]) for lvef in beats]
    assert widths == sorted(widths)
    assert widths[2] - widths[0] > 5

    def early_per_s(lvef, n):
        electrics = sample_electrics(np.random.default_rng([9, n]))
        seen = replace(FAILING, lvef_percent=lvef)
        return shape_beat(seen, electrics, np.random.default_rng([10, n])).ectopic_beats_per_s

    usual, failing = (np.mean([early_per_s(lvef, n) for n in range(400)]) for lvef in (62.0, 30.0))
    assert failing > 2.5 * usual


def test_effects_show_independently_of_each_other():
    drawn = np.array([list(vars(Expression.sample(np.random.default_rng([14, n]))).values()) for n in range(1500)])
    assert np.allclose(drawn.mean(axis=0), 1.0, atol=0.1)
    between = np.corrcoef(drawn.T)[np.triu_indices(drawn.shape[1], k=1)]
    assert np.abs(between).max() < 4.5 / np.sqrt(len(drawn))


def test_low_voltage_marks_some_effusions_and_is_rare_without(measured):
    assert 0.03 < np.mean(measured(replace(HEALTHY, effusion=2), "limb_swing_mv") < 0.5) < 0.45
    assert np.mean(measured(HEALTHY, "limb_swing_mv") < 0.5) < 0.05


def test_voltage_criteria_for_hypertrophy_are_met_by_a_minority_of_thick_hearts(measured):
    assert 0.12 < np.mean(measured(THICK, "sv1_rv5_mv") >= 3.5) < 0.5
    assert np.mean(measured(HEALTHY, "sv1_rv5_mv") >= 3.5) < 0.12
    assert np.mean(measured(AMYLOID, "sv1_rv5_mv") >= 3.5) < 0.1


def test_t_waves_of_some_hypertrophic_hearts_are_deeply_inverted_from_v3_to_v5():
    def deepest(rank):
        return [median_beat(SEPTAL, n, telling(n, giant_t_rank=rank))[V3:V6, T_WAVE].min() for n in range(20)]

    assert np.median(deepest(0.0)) < -0.4
    assert np.median(deepest(1.0)) > -0.35


def test_every_second_beat_differs_in_a_large_effusion_only():
    def alternation(effusion):
        leads = heart_leads(replace(HEALTHY, effusion=effusion), electrics=telling(4), rate_hz=500, duration_s=10.0,
                            rng=np.random.default_rng(5))  # fmt: skip
        heights = np.ptp(beats_of(leads)[0][:, V5], axis=1)
        return abs(heights[::2].mean() - heights[1::2].mean()) / heights.mean()

    assert alternation(3) > 0.2
    assert alternation(2) < 0.02


def test_first_degree_block_is_found_in_about_six_percent():
    pr_ms = np.array([beat_of(replace(HEALTHY, age_years=63.0), n).pr_ms for n in range(1500)])
    assert 0.04 < (pr_ms > 200.0).mean() < 0.09


def test_early_repolarisation_lifts_the_end_of_qrs_in_front_of_the_apex():
    young = replace(HEALTHY, age_years=25.0)
    with_it, without = (beat_of(young, 3, early_repolarisation=rank) for rank in (0.0, 1.0))
    assert len(with_it.bumps) == len(without.bumps) + 2
    lift = np.array([median_beat(young, n, steady(n, early_repolarisation=0.0)) for n in range(10)])
    plain = np.array([median_beat(young, n, steady(n, early_repolarisation=1.0)) for n in range(10)])
    after_qrs = slice(175, 195)
    assert (lift - plain)[:, V5, after_qrs].mean() > 0.05
    assert (lift - plain)[:, TWO, after_qrs].mean() > 0.05
    assert (lift - plain)[:, ONE, after_qrs].mean() > 0.02
