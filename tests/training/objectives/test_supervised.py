import numpy as np
import pytest
import torch

from ground.progress import silent
from models.device import Machine
from models.towers import EcgTower
from training.engine.place import Place
from training.objectives.supervised import UNKNOWN, LabelledEcgs, train_supervised


@pytest.fixture(scope="module")
def recipe(micro_recipe):
    return micro_recipe.aligned_with(epochs=5, patience=5)


def labelled(count, seed, *, unknown=0):
    """A wave whose period tells the LVEF class, and SHD in the lowest one; the first `unknown` have no label."""
    draw = np.random.default_rng(seed)
    period = np.array([24, 48, 96])
    lvef = np.arange(count) % 3
    t = np.arange(600)
    signals = [
        np.repeat(np.sin(2 * np.pi * (t / period[c] + draw.uniform()))[None], 12, axis=0).astype(np.float32)
        for c in lvef
    ]
    shd = (lvef == 0).astype(np.int64)
    lvef[:unknown], shd[:unknown] = UNKNOWN, UNKNOWN
    return LabelledEcgs(signals, np.arange(count), lvef, shd)


def run(recipe, folder, train, val, progress=silent):
    torch.manual_seed(0)
    tower = EcgTower(recipe.architecture)
    with Place(folder).logged() as place:
        fit = train_supervised(tower, train, val, recipe, place, Machine.named("cpu", progress=progress))
    return tower, fit


def test_what_labels_a_tracing_is_learnt_and_stands_in_the_towers_features(recipe, tmp_path):
    train, val = labelled(96, 1), labelled(30, 2)
    tower, fit = run(recipe, tmp_path, train, val)
    assert fit.best_score > 0.95

    def features(ecgs):
        with torch.inference_mode():
            return tower.eval().features(torch.from_numpy(np.stack([signal[:, :480] for signal in ecgs.signals_LN])))

    nearest = torch.cdist(features(val), features(train)).argmin(dim=1).numpy()
    assert np.mean(train.lvef_class_E[nearest] == val.lvef_class_E) > 0.9


def test_unknown_labels_teach_nothing(recipe, tmp_path):
    short = recipe.aligned_with(epochs=2, patience=2, warmup_epochs=0.5, weight_decay=0.0)
    val = labelled(30, 2)
    nothing = labelled(24, 1, unknown=24)
    tower, _ = run(short, tmp_path / "nothing", nothing, val)
    torch.manual_seed(0)
    for name, value in EcgTower(short.architecture).state_dict().items():
        assert torch.equal(tower.state_dict()[name], value), name


def test_a_run_that_was_killed_ends_with_the_weights_of_one_that_was_not(recipe, tmp_path):
    short = recipe.aligned_with(epochs=3, patience=3)
    train, val = labelled(24, 1, unknown=3), labelled(30, 2)
    whole, _ = run(short, tmp_path / "whole", train, val)

    def stop(done, total, message):
        if message.startswith("supervised, epoch 2: "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(short, tmp_path / "killed", train, val, stop)
    resumed, _ = run(short, tmp_path / "killed", train, val)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
