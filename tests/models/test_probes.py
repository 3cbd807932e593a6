"""Probes: probabilities equal to the formula written out, classes with the right edges, nonsense refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from models.probes import LvefClasses, ProbeHeads, Probes


def test_probabilities_equal_standardise_probe_calibrate_written_out(probes):
    features = np.random.default_rng(0).normal(size=(4, len(probes.feature_mean_F)))
    lvef, shd, _ = ProbeHeads(probes)(torch.from_numpy(features).float())
    standard = (features - probes.feature_mean_F) / probes.feature_std_F
    for i, row in enumerate(standard):
        logits = [np.dot(w, row) + b for w, b in zip(probes.lvef.weight_CF, probes.lvef.bias_C, strict=True)]
        scores = [
            math.exp(probes.lvef.calibration.scale * logit + shift)
            for logit, shift in zip(logits, probes.lvef.calibration.shift, strict=True)
        ]
        assert lvef[i].tolist() == pytest.approx([s / sum(scores) for s in scores], abs=1e-5)
        logit = np.dot(probes.shd.weight_F, row) + probes.shd.bias
        platt = probes.shd.calibration.scale * logit + probes.shd.calibration.shift[0]
        assert shd[i].item() == pytest.approx(1 / (1 + math.exp(-platt)), abs=1e-5)


def test_lvef_probabilities_sum_to_one_even_far_out(probes):
    lvef, shd, _ = ProbeHeads(probes)(1e4 * torch.randn(50, len(probes.feature_mean_F)))
    assert torch.allclose(lvef.sum(dim=1), torch.ones(50), atol=1e-6)
    assert ((shd >= 0) & (shd <= 1)).all()


def test_probes_survive_json_exactly(probes):
    assert Probes.model_validate_json(probes.model_dump_json()) == probes


def test_lvef_of_40_is_reduced_40_and_a_half_mildly_reduced_and_50_preserved():
    assert LvefClasses().class_of([10, 40, 40.5, 49.9, 50, 70]).tolist() == [0, 0, 1, 1, 2, 2]
    assert LvefClasses().ranges == ("<= 40 %", "> 40 % and < 50 %", ">= 50 %")


def test_two_classes_have_two_ranges():
    below_45 = LvefClasses(labels=("low", "other"), edges_percent=(45.0,), edge_belongs_below=(True,))
    assert below_45.ranges == ("<= 45 %", "> 45 %")
    assert below_45.class_of([45.0, 45.1]).tolist() == [0, 1]


def test_unknown_lvef_has_no_class():
    with pytest.raises(ValueError, match="unknown LVEF"):
        LvefClasses().class_of([50.0, float("nan")])


@pytest.mark.parametrize(
    "change",
    [
        {"edges_percent": (50.0, 40.0)},
        {"edges_percent": (40.0, 40.0)},
        {"edges_percent": (40.0,)},
        {"labels": ("low", "high")},
    ],
)
def test_lvef_classes_that_contradict_themselves_are_refused(change):
    with pytest.raises(ValidationError):
        LvefClasses(**change)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("feature_std_F", (0.0,), "positive"),
        ("feature_mean_F", (0.0, 0.0), "one number for each of the 2 features"),
        ("feature_mean_F", (float("nan"),), "finite"),
        ("lvef", {"weight_CF": ((1.0,), (1.0,)), "bias_C": (0.0,), "calibration": {"shift": (0.0, 0.0)}}, "2 classes"),
        ("shd", {"weight_F": (1.0,), "bias": 0.0, "threshold": 1.5, "calibration": {"shift": (0.0,)}}, "threshold"),
    ],
)
def test_probe_numbers_that_do_not_fit_together_are_refused(field, value, named):
    numbers = {
        "feature_mean_F": (0.0,),
        "feature_std_F": (1.0,),
        "lvef": {"weight_CF": ((1.0,), (-1.0,)), "bias_C": (0.0, 0.0), "calibration": {"shift": (0.0, 0.0)}},
        "shd": {"weight_F": (1.0,), "bias": 0.0, "threshold": 0.5, "calibration": {"shift": (0.0,)}},
    }
    assert Probes.model_validate(numbers).schema_version == 2
    with pytest.raises(ValidationError, match=named):
        Probes.model_validate({**numbers, field: value})
