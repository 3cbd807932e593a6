"""LVEF as a number: the formula written out, in percent, with the interval of its bin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from models.lvef_number import LvefEstimate, LvefInterval, LvefNumber, LvefNumberHead

BINS = [
    {"below_percent": 40.0, "half_width_percent": 15.0, "n_calibration": 41},
    {"below_percent": 60.0, "half_width_percent": 12.0, "n_calibration": 50},
    {"below_percent": None, "half_width_percent": 8.0, "n_calibration": 300},
]
NUMBER = LvefNumber.model_validate({"weight_F": (3.0, -2.0), "bias": 55.0, "interval": {"coverage": 0.9, "bins": BINS}})


def test_the_number_equals_standardise_and_ridge_written_out():
    features = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    mean, std = (0.5, -1.0), (0.2, 4.0)
    found = LvefNumberHead(NUMBER, mean, std)(torch.from_numpy(features)).numpy()
    standard = (features - np.array(mean)) / np.array(std)
    expected = np.clip(standard @ [3.0, -2.0] + 55, 0, 100)
    assert found == pytest.approx(expected, abs=1e-3)


def test_however_far_out_an_ecg_is_its_lvef_is_a_percentage():
    found = LvefNumberHead(NUMBER, (0.0, 0.0), (1.0, 1.0))(1e4 * torch.randn(100, 2))
    assert ((found >= 0) & (found <= 100)).all()


@pytest.mark.parametrize(
    ("percent", "low", "high", "patients"),
    [
        (39.9, 24.9, 54.9, 41),
        (40.0, 28.0, 52.0, 50),
        (60.0, 52.0, 68.0, 300),
        (97.0, 89.0, 100.0, 300),
        (5.0, 0.0, 20.0, 41),
    ],
)
def test_an_interval_is_that_of_the_bin_and_ends_at_nothing_and_all(percent, low, high, patients):
    found = NUMBER.estimate(percent)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.percent, found.coverage, found.n_calibration) == (percent, 0.9, patients)


def test_a_number_without_an_interval_is_a_number_alone():
    assert NUMBER.model_copy(update={"interval": None}).estimate(50.0) == LvefEstimate(50.0)


@pytest.mark.parametrize("bins", [[], BINS[:2], [BINS[1], BINS[0], BINS[2]], [BINS[2], BINS[2]]])
def test_bins_that_leave_a_gap_are_refused(bins):
    with pytest.raises(ValidationError):
        LvefInterval.model_validate({"coverage": 0.9, "bins": bins})
