"""Rate, intervals and axis of simulated hearts are what the hearts were made with, within bounds that were measured.

The simulator counts a wave from 2.3 to 2 widths around its first and last Gaussian; where the typical beat ends may
lie a few milliseconds off, always to the same side, which is the bias below.
"""

from dataclasses import replace

import numpy as np
import pytest
from healthy import HEALTHY
from hearts import simulated

from inputs.ecg.measured.measure import MeasuredEcg, measure_ecg
from inputs.records import STANDARD_LEADS

HEARTS = 140
FIELDS = tuple(name for name in MeasuredEcg.__dataclass_fields__ if name != "not_reliable")


@pytest.fixture(scope="module")
def measured():
    """(MeasuredEcg, Truth) of many sampled patients, sick ones too, each recorded with its site's noise."""
    pairs = [simulated(seed) for seed in range(1000, 1000 + HEARTS)]
    return [(measure_ecg(recording), truth) for recording, truth in pairs]


def errors(measured, name, *, chosen=lambda truth: True):
    rows = [(getattr(found, name), getattr(truth, name)) for found, truth in measured if chosen(truth)]
    return np.array([found - true for found, true in rows if found is not None]), len(rows)


def in_sinus_rhythm(truth):
    return not truth.fibrillates


def test_both_rhythms_are_among_the_hearts(measured):
    assert 100 <= sum(in_sinus_rhythm(truth) for _, truth in measured) <= HEARTS - 10


def test_heart_rate_is_that_of_the_beats_in_the_tracing(measured):
    error, asked = errors(measured, "heart_rate_bpm")
    assert len(error) >= 0.97 * asked
    assert np.median(np.abs(error)) < 0.5
    assert np.percentile(np.abs(error), 95) < 4.0


@pytest.mark.parametrize("kind", ["left_bundle_block", "paced"])
@pytest.mark.parametrize("rate_bpm", [60.0, 85.0])
def test_the_tall_and_late_t_wave_of_a_broad_qrs_is_no_second_beat(kind, rate_bpm):
    heart = replace(HEALTHY, conduction=kind, heart_rate_bpm=rate_bpm)
    for seed in range(12):
        recording, truth = simulated(seed, physiology=heart, ectopy=0.0)
        # One T alone at the start may be taken for a beat: its QRS came before.
        assert measure_ecg(recording).heart_rate_bpm == pytest.approx(truth.heart_rate_bpm, rel=0.13)


def test_pr_is_right_within_milliseconds_in_sinus_rhythm(measured):
    error, asked = errors(measured, "pr_ms", chosen=in_sinus_rhythm)
    assert len(error) >= 0.95 * asked
    assert abs(np.median(error)) < 6.0
    assert np.median(np.abs(error)) < 6.0
    assert np.percentile(np.abs(error), 95) < 15.0


def test_qrs_is_a_little_wider_than_the_simulator_counts_it_and_hardly_scatters(measured):
    error, asked = errors(measured, "qrs_ms")
    assert len(error) >= 0.95 * asked
    assert 4.0 < np.median(error) < 18.0
    assert np.percentile(np.abs(error - np.median(error)), 90) < 12.0


def test_qt_is_right_within_milliseconds_and_given_for_most_hearts_in_sinus_rhythm(measured):
    error, asked = errors(measured, "qt_ms", chosen=in_sinus_rhythm)
    assert len(error) >= 0.85 * asked
    assert abs(np.median(error)) < 12.0
    assert np.median(np.abs(error)) < 12.0
    assert np.percentile(np.abs(error), 95) < 25.0


def test_every_heart_in_sinus_rhythm_without_extra_beats_is_regular():
    found = [measure_ecg(simulated(seed, physiology=HEALTHY, ectopy=0.0)[0]) for seed in range(30)]
    assert all(one.regular for one in found)


def test_atrial_fibrillation_is_irregular_and_has_no_pr_interval(measured):
    fibrillating = [found for found, truth in measured if truth.fibrillates]
    assert not any(found.regular for found in fibrillating)
    # Waves of fibrillation that happen to precede each QRS alike look like P in one heart of many.
    assert np.mean([found.pr_ms is None and "pr_ms" in found.not_reliable for found in fibrillating]) >= 0.9
    assert all(found.heart_rate_bpm is not None for found in fibrillating)


def test_a_healthy_ecg_without_noise_has_every_measure(measured):
    for seed in range(20):
        found = measure_ecg(simulated(seed, physiology=HEALTHY, ectopy=0.0, noise=False)[0])
        assert found.not_reliable == ()


def test_what_is_not_reliable_is_none_and_named_and_nothing_else_is(measured):
    for found, _ in measured:
        assert found.not_reliable == tuple(name for name in FIELDS if getattr(found, name) is None)


def test_qtc_is_fridericias(measured):
    for found, _ in measured:
        if found.qtc_ms is not None:
            assert found.qtc_ms == pytest.approx(found.qt_ms * (found.heart_rate_bpm / 60.0) ** (1 / 3))


def test_axis_is_where_the_net_area_of_qrs_points(measured):
    """Of the noise-free leads between the borders that the simulator knows, by the textbook's two leads."""
    apart = []
    for seed in range(1000, 1040):
        recording, truth = simulated(seed, noise=False, rate_hz=500, ectopy=0.0)
        found = measure_ecg(simulated(seed, rate_hz=500, ectopy=0.0)[0])
        lead_i, a_vf = (recording.signal_mv[STANDARD_LEADS.index(lead)] for lead in ("I", "aVF"))
        steep_N = np.abs(np.diff(recording.signal_mv, axis=1)).sum(axis=0)
        centre = 1000 + int(np.argmax(steep_N[1000:1600]))
        window = slice(centre - round(0.3 * truth.qrs_ms), centre + round(0.3 * truth.qrs_ms))
        flat = slice(centre - round(0.3 * truth.qrs_ms) - 6, centre - round(0.3 * truth.qrs_ms))
        net_i, net_f = ((row[window] - row[flat].mean()).sum() for row in (lead_i, a_vf))
        if found.axis_deg is not None:
            expected_deg = np.rad2deg(np.arctan2(net_f * 2.0 / np.sqrt(3.0), net_i))
            apart.append(abs((found.axis_deg - expected_deg + 180.0) % 360.0 - 180.0))
    assert len(apart) >= 36
    assert np.median(apart) < 8.0


def test_axis_of_the_healthy_lies_where_the_simulator_puts_it():
    axes_deg = [measure_ecg(simulated(seed, physiology=HEALTHY, ectopy=0.0)[0]).axis_deg for seed in range(30)]
    assert 20.0 < np.median(axes_deg) < 80.0
    assert np.mean([-30.0 < axis_deg < 90.0 for axis_deg in axes_deg]) >= 0.85
