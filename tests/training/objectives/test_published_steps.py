"""The published implementation's first four training steps: its losses, and the gradients of the first of them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "models"))

from published_implementation import Published

from models.towers import EcgTower, EchoTower
from training.engine.ranks import ALONE
from training.engine.schedule import Schedule, set_lr
from training.objectives.alignment import Batch, alignment_optimizer, global_backward
from training.objectives.contrastive_step import contrastive_loss
from training.recipes import paper

NUMBERS = np.load(Path(__file__).parents[1] / "data" / "published.npz")
VIEW_COUNTS = (1, 2, 3, 5, 8, 13, 16, 16)
STEPS_PER_EPOCH = 10


def published_towers(published):
    """In evaluation mode, as the numbers were made: without random draws."""
    towers = EcgTower(paper().architecture), EchoTower(paper().architecture)
    for tower in towers:
        for name, component in tower.named_children():
            component.load_state_dict(published.weights(name))
    return tuple(tower.eval() for tower in towers)


@pytest.fixture(scope="module")
def published():
    published = Published()
    assert published.seed == int(NUMBERS["seed"])
    return published


@pytest.fixture(scope="module")
def four_steps(published):
    """Losses of the four steps, and the first one's gradients, by the code of a training run."""
    recipe, (ecg_tower, echo_tower) = paper(), published_towers(published)
    settings = recipe.alignment
    windows = published.drawn_windows(len(VIEW_COUNTS), tag=21)
    batch = Batch(windows, *published.drawn_views(VIEW_COUNTS, slots=16, tag=22), [len(VIEW_COUNTS)])
    optimizer = alignment_optimizer(ecg_tower, echo_tower, recipe)
    schedule = Schedule(settings.epochs, STEPS_PER_EPOCH, settings.warmup_epochs, settings.lr_floor)
    losses, gradients = [], {}
    for step in range(4):
        set_lr(optimizer.param_groups, schedule.factor(step))
        optimizer.zero_grad()
        losses.append(global_backward(ecg_tower, echo_tower, batch, recipe, ALONE).item())
        if step == 0:
            named = [*ecg_tower.named_parameters(), *echo_tower.named_parameters()]
            gradients = {name: p.grad.clone() for name, p in named if p.grad is not None}
        optimizer.step()
    return losses, gradients


def relative_difference(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_four_steps_with_a_rate_for_every_layer_have_the_published_losses(four_steps):
    losses, _ = four_steps
    assert losses == pytest.approx(NUMBERS["train_losses_4_steps_adamw_layerlr_eval_mode"].tolist(), abs=2e-5)


def test_every_parameter_has_a_gradient_of_the_published_size(four_steps):
    _, gradients = four_steps
    expected = dict(zip(NUMBERS["grad_names"].tolist(), NUMBERS["grad_l2"].tolist(), strict=True))
    assert gradients.keys() == expected.keys()
    for name, size in expected.items():
        assert gradients[name].double().norm().item() == pytest.approx(size, rel=1e-3), name


def test_gradients_at_both_ends_of_the_ecg_tower_are_the_published_ones(four_steps):
    _, gradients = four_steps
    last = gradients["ecg_alignment_global_token.weight"][:8, :8].numpy()
    assert relative_difference(last, NUMBERS["grad_ecg_alignment_slice"]) < 1e-3
    first = gradients["ecg_encoder.blocks.0.attn.mha.in_proj_weight"][::72, :8].numpy()
    assert relative_difference(first, NUMBERS["grad_block0_in_proj_slice"]) < 1e-3


def test_loss_of_four_pairs_with_1_3_17_and_128_views_is_the_published_one(published):
    ecg_tower, echo_tower = published_towers(published)
    with torch.no_grad():
        ecgs, studies = ecg_tower(published.ecg_windows)[1], echo_tower(*published.views).aligned_BD
    loss = contrastive_loss(ecgs, studies, temperature=paper().alignment.temperature)
    assert loss.item() == pytest.approx(float(NUMBERS["clip_loss_of_the_4_pairs"]), abs=2e-5)
