"""Training on a GPU. Nothing here says anything where there is no CUDA device."""

from __future__ import annotations

from copy import deepcopy
from itertools import chain

import numpy as np
import pytest
import torch

from models.bundle import Bundle
from models.device import Machine
from models.towers import EcgTower, EchoTower
from training.engine.ranks import ALONE
from training.objectives.alignment import Batch, global_backward
from training.recipes import paper
from training.train import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_a_step_of_the_papers_recipe_has_the_cpus_loss_and_gradients():
    recipe = paper()
    still = recipe.architecture.ecg.model_copy(update={"drop_path": 0.0})
    sizes = recipe.architecture.model_copy(update={"ecg": still, "pool_dropout": 0.0})
    torch.manual_seed(0)
    towers = EcgTower(sizes), EchoTower(sizes)
    windows, views, present = torch.randn(4, 12, 1008), torch.randn(4, 3, 512), torch.ones(4, 3, dtype=torch.bool)
    found = {}
    for device in ("cpu", "cuda"):
        ecg_tower, echo_tower = (deepcopy(tower).to(device) for tower in towers)
        batch = Batch(windows.to(device), views.to(device), present.to(device), [4])
        loss = global_backward(ecg_tower, echo_tower, batch, recipe, ALONE)
        named = chain(ecg_tower.named_parameters(), echo_tower.named_parameters())
        found[device] = loss.item(), {name: p.grad.cpu() for name, p in named if p.grad is not None}
    assert found["cuda"][0] == pytest.approx(found["cpu"][0], abs=2e-4)
    assert found["cuda"][1].keys() == found["cpu"][1].keys()
    for name, expected in found["cpu"][1].items():
        assert (found["cuda"][1][name] - expected).norm() <= 1e-2 * expected.norm() + 1e-8, name


@pytest.mark.parametrize("bf16", [False, True])
def test_a_cohort_becomes_a_bundle(cohort_dir, micro_recipe, tmp_path, bf16):
    recipe = micro_recipe.aligned_with(bf16=bf16)
    train(cohort_dir, recipe, tmp_path / "bundle", Machine.named("cuda", workers=1))
    windows = np.random.default_rng(0).standard_normal((2, 3, 12, 480)).astype(np.float32)
    answers = [Bundle.load(tmp_path / "bundle", device=device).embed_ecgs(windows) for device in ("cpu", "cuda")]
    assert np.abs(answers[0].embeddings_BD - answers[1].embeddings_BD).max() <= 1e-4
    assert np.abs(answers[0].shd_B - answers[1].shd_B).max() <= 1e-3
