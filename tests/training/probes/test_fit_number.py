"""LVEF as a number: the penalty that val likes best, and an interval from patients who chose nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from models.labels import LvefClasses
from training.probes.fit_number import fit_number
from training.probes.labelled import Splits, labelled, one_per_patient

DRAW = np.random.default_rng(31)
WEIGHT = DRAW.standard_normal(40) * 1.5


def patients(count, names=None):
    x = DRAW.standard_normal((count, 40))
    return labelled(x, np.clip(52 + x @ WEIGHT + DRAW.normal(0, 6, count), 5, 80), names)


def predicted(number, x):
    return np.clip(x @ np.array(number.weight_F) + number.bias, 0, 100)


def test_the_number_is_right_but_for_what_an_ecg_cannot_know():
    number = fit_number(Splits(patients(2000), patients(500), patients(500)), LvefClasses())
    new = patients(2000)
    assert np.std(predicted(number, new.x_NF) - new.value_N) == pytest.approx(6, abs=0.5)


def test_few_patients_make_a_strong_penalty_and_no_other_penalty_does_better_on_val():
    train, val = patients(60), patients(800)
    number = fit_number(Splits(train, val, patients(100)), LvefClasses())
    found = np.mean((predicted(number, val.x_NF) - val.value_N) ** 2)
    for alpha in np.logspace(-2, 6, 17):
        model = Ridge(alpha=alpha).fit(train.x_NF, train.value_N)
        assert found <= np.mean((np.clip(model.predict(val.x_NF), 0, 100) - val.value_N) ** 2) + 1e-9
    unpenalised = Ridge(alpha=1e-2).fit(train.x_NF, train.value_N)
    assert np.linalg.norm(number.weight_F) < 0.95 * np.linalg.norm(unpenalised.coef_)


def test_calibration_patients_have_no_say_in_the_number_and_count_once_in_its_interval():
    train, val = patients(500), patients(200)
    names = np.array([f"patient-{row // 3}" for row in range(300)])
    calibration = patients(300, names)
    number = fit_number(Splits(train, val, calibration), LvefClasses())
    worse = replace(calibration, value_N=np.clip(calibration.value_N + 30 * (np.arange(300) % 2), 0, 100))
    other = fit_number(Splits(train, val, worse), LvefClasses())
    assert (number.weight_F, number.bias) == (other.weight_F, other.bias)
    assert sum(one.n_calibration for one in number.interval.bins) == 100 == one_per_patient(names).sum()
    widths = [max(one.half_width_percent for one in found.interval.bins) for found in (number, other)]
    assert widths[1] > 1.5 * widths[0]


def test_with_few_calibration_patients_there_is_a_number_and_no_interval():
    assert fit_number(Splits(patients(200), patients(100), patients(39)), LvefClasses()).interval is None
