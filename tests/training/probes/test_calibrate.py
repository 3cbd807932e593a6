"""SHD's calibration with the floor of its flags in place: the best there is, and honest on fresh patients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from training.probes.calibrate import fit_between, fit_yes_no


def patients(count, seed):
    """Scores, truth and a floor that is a calibrated probability of a part of the disease.

    Some of the ill have a flag, which a second score knows of; the first score knows less of the whole.
    """
    draw = np.random.default_rng(seed)
    x, z = draw.standard_normal((2, count))
    p_flag, p_rest = expit(2.5 * z - 2.5), expit(1.5 * x - 1.0)
    flag = draw.uniform(size=count) < p_flag
    ill = flag | (draw.uniform(size=count) < p_rest)
    return x + 0.1 * z, ill.astype(int), p_flag


def shown(score, floor, scale, shift):
    return np.maximum(expit(score * scale + shift), floor)


def log_loss(p, y):
    return -np.mean(y * np.log(p) + (1 - y) * np.log1p(-p))


def test_above_a_floor_of_nothing_it_is_platts_sigmoid():
    score, ill, _ = patients(800, 1)
    assert fit_between(score, ill, np.zeros(800)) == pytest.approx(fit_yes_no(score, ill), abs=2e-3)


def test_no_other_scale_and_shift_has_a_smaller_loss_with_the_floor_in_place():
    score, ill, floor = patients(800, 2)
    counts = np.bincount(ill)
    smoothed = np.where(ill == 1, (counts[1] + 1) / (counts[1] + 2), 1 / (counts[0] + 2))
    scale, shift = fit_between(score, ill, floor)
    found = log_loss(shown(score, floor, scale, shift), smoothed)
    others = [
        log_loss(shown(score, floor, other, lower), smoothed)
        for other in np.geomspace(0.1, 10, 60)
        for lower in np.linspace(-5, 3, 81)
    ]
    assert found <= min(others) + 1e-6
    platt = log_loss(shown(score, floor, *fit_yes_no(score, ill)), smoothed)
    assert found < platt - 1e-4, "a fit that does not know of the floor is worse under it"


def test_on_fresh_patients_what_is_shown_is_as_frequent_as_it_says_and_no_worse_than_the_score_alone():
    score, ill, floor = patients(20_000, 3)
    scale, shift = fit_between(score, ill, floor)
    alone = fit_yes_no(score, ill)
    score, ill, floor = patients(40_000, 4)
    p = shown(score, floor, scale, shift)
    standard_error = np.sqrt(ill.mean() * (1 - ill.mean()) * (1 / 20_000 + 1 / 40_000))
    assert abs(p.mean() - ill.mean()) < 4 * standard_error
    assert log_loss(p, ill) <= log_loss(expit(score * alone[0] + alone[1]), ill) + 0.001
    unaware = shown(score, floor, *alone)
    assert unaware.mean() - ill.mean() > 4 * standard_error, "raised without a new fit, everybody is told too much"


def test_no_other_scale_and_shift_has_a_smaller_loss_between_a_floor_and_a_ceiling():
    score, ill, floor = patients(800, 5)
    ceiling = np.minimum(floor + 0.15, 1)
    counts = np.bincount(ill)
    smoothed = np.where(ill == 1, (counts[1] + 1) / (counts[1] + 2), 1 / (counts[0] + 2))

    def loss(scale, shift):
        return log_loss(np.clip(expit(score * scale + shift), floor, ceiling), smoothed)

    found = loss(*fit_between(score, ill, floor, ceiling))
    others = [loss(scale, shift) for scale in np.geomspace(0.1, 10, 60) for shift in np.linspace(-5, 5, 101)]
    assert found <= min(others) + 1e-6
    assert found < loss(*fit_yes_no(score, ill)), "a fit that does not know of the bounds is worse between them"


def test_separated_answers_stay_finite():
    score = np.linspace(-1, 1, 60)
    scale, shift = fit_between(score, (score > 0).astype(int), np.full(60, 0.01))
    assert np.isfinite([scale, shift]).all()
    assert abs(logit(shown(0.99, 0.01, scale, shift))) < 20
