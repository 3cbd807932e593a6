"""Invented patients: prevalences, company that diseases keep, and how they move over time."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from simulator.patient import Patient, sample_patient
from simulator.physiology import Physiology, shd_flags


@pytest.fixture(scope="module")
def patients() -> list[Patient]:
    return [sample_patient(np.random.default_rng([1, i])) for i in range(4000)]


@pytest.fixture(scope="module")
def physiologies(patients) -> list[Physiology]:
    return [patient.at(400.0) for patient in patients]


def column(physiologies, name):
    return np.array([getattr(p, name) for p in physiologies])


@pytest.mark.parametrize(
    ("flag", "low", "high"),
    [
        ("lvef_lte_45_flag", 0.20, 0.27),
        ("lvwt_gte_13_flag", 0.20, 0.27),
        ("pasp_gte_45_flag", 0.15, 0.22),
        ("aortic_stenosis_moderate_or_greater_flag", 0.02, 0.07),
        ("aortic_regurgitation_moderate_or_greater_flag", 0.01, 0.05),
        ("mitral_regurgitation_moderate_or_greater_flag", 0.05, 0.13),
        ("tricuspid_regurgitation_moderate_or_greater_flag", 0.05, 0.14),
        ("pulmonary_regurgitation_moderate_or_greater_flag", 0.002, 0.03),
        ("rv_systolic_dysfunction_moderate_or_greater_flag", 0.05, 0.14),
        ("pericardial_effusion_moderate_large_flag", 0.015, 0.06),
        ("tr_max_gte_32_flag", 0.08, 0.18),
    ],
)
def test_prevalence_is_near_the_published_one(physiologies, flag, low, high):
    assert low <= np.mean([shd_flags(p)[flag] for p in physiologies]) <= high


def test_half_of_the_patients_have_some_structural_heart_disease(physiologies):
    assert 0.45 <= np.mean([any(shd_flags(p).values()) for p in physiologies]) <= 0.55


def test_lvef_is_a_broad_distribution(physiologies):
    lvef = column(physiologies, "lvef_percent")
    assert 11.5 <= lvef.std() <= 14.5
    assert 55 <= np.median(lvef) <= 62
    assert 0.12 <= (lvef <= 40).mean() <= 0.20


def test_a_failing_ventricle_keeps_bad_company(physiologies):
    low = column(physiologies, "lvef_percent") <= 40
    for name in ("mitral_regurgitation", "tricuspid_regurgitation", "rv_dysfunction"):
        moderate = column(physiologies, name) >= 2
        assert moderate[low].mean() > 2 * moderate[~low].mean()
    fibrillates = column(physiologies, "rhythm") == "atrial_fibrillation"
    assert 0.17 <= fibrillates[low].mean() <= 0.36
    assert fibrillates[low].mean() > 1.7 * fibrillates[~low].mean()
    atrium = column(physiologies, "la_volume_index")
    assert atrium[low].mean() > atrium[~low].mean() + 6
    rate = column(physiologies, "heart_rate_bpm")
    assert 4 <= rate[low].mean() - rate[~low].mean() <= 14


def test_aortic_stenosis_thickens_walls_and_lung_pressure_leaks_through_the_tricuspid(physiologies):
    septum, stenosis = column(physiologies, "septum_cm"), column(physiologies, "aortic_stenosis") >= 2
    assert septum[stenosis].mean() > septum[~stenosis].mean() + 0.15
    leak, pressure = column(physiologies, "tricuspid_regurgitation") >= 2, column(physiologies, "pasp_mmhg") >= 45
    assert leak[pressure].mean() > 4 * leak[~pressure].mean()


def test_diseases_grow_commoner_with_age(patients, physiologies):
    old = np.array([p.age_years for p in patients]) > 70
    ill = np.array([any(shd_flags(p).values()) for p in physiologies])
    assert ill[old].mean() > ill[~old].mean() + 0.08


def test_physiology_stays_within_what_hearts_can_do(patients):
    ranges = {
        "lvef_percent": (8, 80), "lvedv_ml": (40, 430), "septum_cm": (0.5, 2.5), "posterior_wall_cm": (0.5, 2.2),
        "lv_mass_g": (40, 1100), "la_volume_index": (10, 115), "rv_basal_cm": (2.0, 6.6), "tapse_cm": (0.4, 3.5),
        "pasp_mmhg": (14, 106), "tr_velocity_m_s": (0.9, 5.2), "heart_rate_bpm": (40, 151), "age_years": (18, 110),
    }  # fmt: skip
    moments = [patient.at(day) for patient in patients[:800] for day in (0.0, 900.0, 3600.0)]
    for name, (low, high) in ranges.items():
        values = column(moments, name)
        assert np.isfinite(values).all()
        assert low <= values.min()
        assert values.max() <= high
    lvedv, lvesv, lvef = (column(moments, name) for name in ("lvedv_ml", "lvesv_ml", "lvef_percent"))
    np.testing.assert_allclose(100 * (lvedv - lvesv) / lvedv, lvef, atol=1e-9)


def test_healthy_people_lie_in_the_textbook_ranges(physiologies):
    healthy = [p for p in physiologies if not any(shd_flags(p).values()) and p.lvef_percent > 52]
    for name, low, high in [
        ("lvedv_ml", 60, 150), ("lvesv_ml", 20, 62), ("septum_cm", 0.6, 1.3), ("lv_mass_g", 70, 250),
        ("la_volume_index", 16, 42), ("rv_basal_cm", 2.5, 4.3), ("tapse_cm", 1.7, 2.9), ("pasp_mmhg", 14, 45),
    ]:  # fmt: skip
        p5, p95 = np.percentile(column(healthy, name), [5, 95])
        assert low <= p5
        assert p95 <= high


def test_a_patient_changes_little_within_a_week_and_more_over_years(patients):
    def change(name, days):
        return np.mean([abs(getattr(p.at(100.0 + days), name) - getattr(p.at(100.0), name)) for p in patients[:600]])

    for name in ("lvef_percent", "pasp_mmhg", "la_volume_index"):
        assert change(name, 7.0) < 0.5
        assert change(name, 1000.0) > 5 * change(name, 7.0)


def test_the_same_draws_give_the_same_patient_and_the_same_day():
    first, again = (sample_patient(np.random.default_rng(7)) for _ in range(2))
    assert first == again
    assert first.at(31.4) == again.at(31.4)
    assert first != sample_patient(np.random.default_rng(8))


def test_paroxysmal_fibrillation_comes_and_goes():
    patient = replace(sample_patient(np.random.default_rng(3)), fibrillation_share=0.5)
    rhythms = [patient.at(float(day)).rhythm for day in range(530)]
    assert 0.4 < np.mean([r == "atrial_fibrillation" for r in rhythms]) < 0.6
    permanent, never = replace(patient, fibrillation_share=1.0), replace(patient, fibrillation_share=0.0)
    assert {permanent.at(d).rhythm for d in range(60)} == {"atrial_fibrillation"}
    assert {never.at(d).rhythm for d in range(60)} == {"sinus"}


@pytest.mark.parametrize(
    ("change", "flag", "positive"),
    [
        ({"lvef_percent": 45.0}, "lvef_lte_45_flag", True),
        ({"lvef_percent": 45.1}, "lvef_lte_45_flag", False),
        ({"septum_cm": 1.3, "posterior_wall_cm": 0.9}, "lvwt_gte_13_flag", True),
        ({"septum_cm": 0.9, "posterior_wall_cm": 1.29}, "lvwt_gte_13_flag", False),
        ({"aortic_stenosis": 2}, "aortic_stenosis_moderate_or_greater_flag", True),
        ({"aortic_regurgitation": 1}, "aortic_regurgitation_moderate_or_greater_flag", False),
        ({"mitral_regurgitation": 3}, "mitral_regurgitation_moderate_or_greater_flag", True),
        ({"tricuspid_regurgitation": 2}, "tricuspid_regurgitation_moderate_or_greater_flag", True),
        ({"pulmonary_regurgitation": 2}, "pulmonary_regurgitation_moderate_or_greater_flag", True),
        ({"rv_dysfunction": 2}, "rv_systolic_dysfunction_moderate_or_greater_flag", True),
        ({"effusion": 1}, "pericardial_effusion_moderate_large_flag", False),
        ({"effusion": 2}, "pericardial_effusion_moderate_large_flag", True),
        ({"pasp_mmhg": 45.0}, "pasp_gte_45_flag", True),
        ({"tr_velocity_m_s": 3.2}, "tr_max_gte_32_flag", True),
    ],
)
def test_flags_follow_their_definitions(patients, change, flag, positive):
    healthy = next(p for p in (patient.at(0.0) for patient in patients) if not any(shd_flags(p).values()))
    flags = shd_flags(replace(healthy, **change))
    assert flags[flag] is positive
    assert sum(flags.values()) == positive


def test_physiology_can_be_written_as_a_table_row(physiologies):
    values = asdict(physiologies[0])
    assert len(values.pop("segment_motion")) == 16  # a column each
    assert all(isinstance(v, float | int | str) for v in values.values())
