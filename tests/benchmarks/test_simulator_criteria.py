"""What a ruler finds: on beats drawn by hand whose answers are known, and how a row is judged."""

import numpy as np
import pytest

from benchmarks.ecg_measures import _pathological_q, measures_of, median_beat, qrs_by_slope_ms, read_beat
from benchmarks.simulator_criteria import Criterion, conduction, healthy_ranges, read_patients, scars, voltage
from simulator.ecg.electrics import sample_electrics
from simulator.patient import sample_patient

MS = np.arange(120.0)


def bump(at_ms, width_ms, height_mv):
    return height_mv * np.exp(-0.5 * ((MS - at_ms) / width_ms) ** 2)


@pytest.mark.parametrize(
    ("qrs_W", "pathological"),
    [
        (bump(30, 10, -0.3) + bump(70, 8, 1.0), True),
        (bump(12, 4, -0.3) + bump(45, 8, 1.0), False),  # narrow
        (bump(30, 10, -0.06) + bump(70, 8, 1.0), False),  # shallow
        (bump(20, 6, 0.2) + bump(60, 10, -1.0), False),  # r before it
        (bump(60, 15, -1.0), True),  # QS
    ],
)
def test_a_q_wave_is_pathological_from_thirty_ms_and_a_tenth_of_a_millivolt(qrs_W, pathological):
    assert _pathological_q(qrs_W) is pathological


def drawn(rate_hz=500.0, seconds=10, rr_s=0.8):
    """Twelve leads of one shape: R of 1 mV and 10 ms, T of 0.3 mV."""
    since_s = (np.arange(int(seconds * rate_hz)) / rate_hz) % rr_s - 0.3
    row = np.exp(-0.5 * (since_s / 0.010) ** 2) + 0.3 * np.exp(-0.5 * ((since_s - 0.28) / 0.04) ** 2)
    return np.tile(row, (12, 1))


@pytest.mark.parametrize("rate_hz", [250.0, 500.0, 1000.0])
def test_measures_of_a_drawn_recording_are_what_was_drawn(rate_hz):
    measured = measures_of(drawn(rate_hz), rate_hz)
    assert len(measured) == 17
    assert measured["rate_bpm"] == pytest.approx(75.0, abs=0.5)
    assert measured["r_V5"] == pytest.approx(1.0, abs=0.05)
    assert measured["t_V5"] == pytest.approx(0.3, abs=0.05)
    assert 40 < measured["qrs_by_slope_ms"] < 60
    assert measured["turns"] == 1


def test_a_wider_qrs_is_wider_by_the_slope_rule_and_noise_alone_has_no_beats():
    beat_LW, rr_s = median_beat(drawn(), 500.0, 0.35, 0.55)
    stretched = np.array([np.interp(np.arange(450), 175 + 2.0 * (np.arange(450) - 175), row) for row in beat_LW])
    assert qrs_by_slope_ms(stretched) == pytest.approx(2 * qrs_by_slope_ms(beat_LW), abs=6)
    assert rr_s == pytest.approx(0.8, abs=0.01)
    assert measures_of(np.zeros((12, 700)), 500.0) is None


def test_a_row_is_judged_by_its_band_and_what_cannot_be_computed_is_not_within():
    assert Criterion("", 0.5).verdict == "-"
    assert Criterion("", 0.5, 0.4, 0.5).verdict == "yes"
    assert Criterion("", 0.51, 0.4, 0.5).verdict == "NO"
    assert Criterion("", float("nan"), 0.4, 0.5).verdict == "NO"


def test_a_patient_is_read_alike_twice_and_every_row_of_a_cohort_is_a_number():
    one, again = (
        read_beat(sample_patient(np.random.default_rng(1)).at(5.0), sample_electrics(np.random.default_rng(2)),
                  np.random.default_rng(3)) for _ in range(2)
    )  # fmt: skip
    np.testing.assert_array_equal(one.r_L, again.r_L)
    patients = read_patients(300, 7)
    rows = [*voltage(patients), *scars(patients), *conduction(patients), *healthy_ranges(patients)]
    assert len({row.name for row in rows}) == len(rows)
    assert all(np.isfinite(row.value) for row in rows)


def test_a_sign_is_found_oftener_in_the_ill():
    rows = {row.name: row.value for row in [*voltage(read_patients(1200, 8)), *scars(read_patients(1200, 8))]}
    assert rows["Sokolow-Lyon, sensitivity for LV mass"] > 2 * (1 - rows["Sokolow-Lyon, specificity"])
    for artery in ("LAD", "RCA"):
        assert rows[f"{artery}: Q waves, sensitivity"] > 2 * (1 - rows[f"{artery}: Q waves, specificity"])
        assert rows[f"{artery}: T inverted, with a scar"] > 2 * rows[f"{artery}: T inverted, without"]
