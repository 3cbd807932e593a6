"""What a model card says of calibration: what was fitted, in numbers, and what could not be."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch

from models.ecg_shape import SHAPE_SIZES, EcgShape
from models.labels import LvefClasses
from training.evaluation.card import calibration_section
from training.evaluation.metrics import yes_no_report
from training.probes.fit import ProbeData, fit_probes

DRAW = np.random.default_rng(12)


def patients(count, **parts):
    """Two features; four of ten have SHD, and LVEF falls with it."""
    shd = (np.arange(count) % 10 < 4).astype(float)
    features = (DRAW.standard_normal((count, 2)) + shd[:, None]).astype(np.float32)
    lvef = np.select([np.arange(count) % 10 < 2, np.arange(count) % 10 < 3], [30.0, 45.0], 60.0)
    shape = EcgShape(*(torch.from_numpy(DRAW.standard_normal((count, size))) for size in SHAPE_SIZES.values()))
    return ProbeData(features, lvef, shd, flags={"some_flag": shd.copy()}, shape=shape, **parts)


def section(*splits, lvef_measured=True):
    report = yes_no_report(np.arange(40) % 2, DRAW.uniform(size=40), np.arange(40))
    probe = SimpleNamespace(lvef_lowest_class=report if lvef_measured else None, shd=report)
    measured = SimpleNamespace(lvef_lowest_class_range="<= 40 %", linear_probe=probe)
    return calibration_section(measured, fit_probes(*splits, LvefClasses()))


def test_the_card_tells_sets_flags_both_prevalences_and_what_the_score_is_measured_against():
    calibration = patients(1200)
    calibration.shd_N[:10] = np.nan
    calibration.lvef_percent_N[:20] = np.nan
    text = section(patients(300), patients(120), calibration)
    assert "20 had no LVEF and 10 no SHD label" in text
    assert "where 90% of the validation patients with SHD are called" in text
    assert "20.0%, 10.0%, 70.0% of the train ECGs) and SHD is (" in text
    assert "; 40.0% of the train ECGs)" in text
    for question in ("LVEF", "SHD"):
        assert f"{question} sets within classes, which answers show, hold the truth for 90% of the patients of" in text
        assert f"{question} overall prediction sets hold the truth for 90% of patients like the " in text
    assert "all classes together" in text
    assert "not within each class" not in text, "answers show sets within classes"
    assert re.search(r"SHD: of the calibration patients 476 are cases and 714 are not; above 0\.\d+ sensitivity", text)
    assert re.search(r"LVEF as a number lies within this .* where it is below [0-9]+ % \(\d+ patients\),", text)
    assert "SHD flags with a probe of their own: some_flag." in text
    assert "Too few cases" not in text
    # Of so many the bundle keeps a thousand scores; the percentile is measured on all.
    assert "is told against 1200 ECGs of patients who trained nothing, one of each" in text


def test_the_card_says_of_a_limit_that_rules_nothing_out_that_the_model_cannot_tell():
    told = patients(300)
    everybody = replace(told, features_NF=np.zeros((300, 2), np.float32), flags={})
    said = "SHD: .* That limit rules nothing out: of each ECG it says that this model cannot tell."
    assert re.search(said, section(everybody, everybody, everybody))
    assert not re.search(said, section(told, told, told))


def test_the_card_has_reliability_tables_of_what_was_measured_alone():
    splits = patients(60), patients(40), patients(30)
    assert "LVEF <= 40 %: Brier score" in section(*splits)
    text = section(*splits, lvef_measured=False)
    assert "LVEF <= 40 %: Brier score" not in text
    assert "SHD: Brier score" in text


def test_the_card_names_what_a_cohort_was_too_small_for():
    train, val, calibration = patients(60), patients(40), patients(30)
    text = section(train, val, replace(calibration, flags={"some_flag": np.zeros(30)}))
    for question in ("LVEF", "SHD"):
        assert f"{question} has no prediction sets: too few calibration patients, or too few of a class." in text
    assert "a probe of their own: none. Too few cases for one: some_flag." in text
    assert "It cannot tell how unusual an ECG is" in text
    assert "is told against" not in text
