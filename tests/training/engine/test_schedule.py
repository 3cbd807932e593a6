import json
from pathlib import Path

import pytest
import torch
from torch.nn import Parameter

from training.engine.schedule import Schedule, parameter_groups, set_lr

PUBLISHED = json.loads((Path(__file__).parents[1] / "data" / "published_rates.json").read_text())


def published_groups():
    named = [(name, Parameter(torch.zeros(1))) for name in PUBLISHED["parameters"]]
    settings = PUBLISHED["settings"]
    return parameter_groups(
        named,
        learning_rate=settings["lr"],
        layer_decay=settings["layer_decay"],
        weight_decay=settings["weight_decay"],
        blocks=12,
    )


def test_every_parameter_gets_its_published_rate_and_decay():
    ours = {name: [g["base_lr"], g["weight_decay"]] for g in published_groups() for name in g["names"]}
    assert ours.keys() == PUBLISHED["parameters"].keys()
    for name, (rate, decay) in PUBLISHED["parameters"].items():
        assert ours[name] == [pytest.approx(rate, rel=1e-12), decay], name


def test_schedule_equals_the_published_one_step_by_step():
    schedule = Schedule(PUBLISHED["epochs"], PUBLISHED["steps_per_epoch"], PUBLISHED["warmup_epochs"], floor=0.1)
    ours = [schedule.factor(step) for step in range(len(PUBLISHED["factors"]))]
    assert ours == pytest.approx(PUBLISHED["factors"], abs=1e-12)


def test_schedule_moves_every_group_by_the_same_factor():
    groups = published_groups()
    set_lr(groups, 0.25)
    assert all(group["lr"] == 0.25 * group["base_lr"] for group in groups)


def test_frozen_parameters_are_left_out():
    frozen = Parameter(torch.zeros(1), requires_grad=False)
    named = [("ecg_encoder.pos_embed_x", frozen), ("ecg_alignment.weight", Parameter(torch.zeros(1)))]
    groups = parameter_groups(named, learning_rate=1.0, layer_decay=0.5, weight_decay=0.1, blocks=2)
    assert [name for group in groups for name in group["names"]] == ["ecg_alignment.weight"]


def test_an_encoder_parameter_without_a_rule_is_refused_by_name():
    with pytest.raises(ValueError, match=r"ecg_encoder\.surprise"):
        parameter_groups(
            [("ecg_encoder.surprise", Parameter(torch.zeros(1)))],
            learning_rate=1.0,
            layer_decay=0.5,
            weight_decay=0.0,
            blocks=2,
        )
