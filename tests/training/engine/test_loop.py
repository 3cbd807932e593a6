import numpy as np
import pytest
import torch
from torch import nn

from training.engine.loop import Objective, run_epochs
from training.engine.place import Place
from training.engine.schedule import Schedule


def train(folder, *, averaging, seen_at_score=None, epochs=3, steps=4):
    """Two weights that every step moves by 1 and by its number; returns what stays after training."""
    module = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        module.weight.zero_()
    optimizer = torch.optim.SGD([{"params": [module.weight], "lr": 1.0, "base_lr": 1.0}])

    def backward(step):
        module.weight.grad = -torch.tensor([[1.0, step]])
        return torch.zeros(())

    def score():
        if seen_at_score is not None:
            seen_at_score.append(module.weight.detach().clone())
        return 0.0 if seen_at_score is None else float(len(seen_at_score))

    def batches(epoch):
        return [float(epoch * steps + s) for s in range(steps)]

    objective = Objective("try", batches, backward, score, items_per_epoch=steps)
    schedule = Schedule(epochs, steps, 0, 1.0, patience=epochs)
    run_epochs(module, optimizer, objective, schedule, Place(folder), averaging=averaging)
    return module.weight.detach().numpy()[0]


def naive_means(averaging, steps):
    """The running mean after every step, of weights that are (n + 1, 0 + 1 + ... + n) after step n."""
    mean, means = np.zeros(2), []
    for n in range(steps):
        keep = min(averaging, (1 + n) / (10 + n))
        mean = keep * mean + (1 - keep) * np.array([n + 1, n * (n + 1) / 2])
        means.append(mean)
    return means


def test_the_running_mean_of_the_weights_is_scored_and_kept(tmp_path):
    seen = []
    kept = train(tmp_path, averaging=0.6, seen_at_score=seen)
    means = naive_means(0.6, 12)
    np.testing.assert_allclose(torch.cat(seen).numpy(), [means[3], means[7], means[11]], rtol=1e-5)
    np.testing.assert_allclose(kept, means[11], rtol=1e-5)


def test_averaging_disturbs_no_step(tmp_path):
    train(tmp_path, averaging=0.6)
    state = torch.load(tmp_path / "try-last.pt", weights_only=True)
    np.testing.assert_array_equal(state["module"]["weight"].numpy()[0], [12, 66])


def test_a_checkpoint_from_before_averaging_is_gone_on_from(tmp_path):
    for run in ("whole", "parts"):
        (tmp_path / run).mkdir()
    train(tmp_path / "whole", averaging=0.0)
    train(tmp_path / "parts", averaging=0.0, epochs=1)
    last = tmp_path / "parts" / "try-last.pt"
    state = torch.load(last, weights_only=True)
    del state["mean"]
    torch.save(state, last)
    train(tmp_path / "parts", averaging=0.0)
    weights = [torch.load(tmp_path / run / "try-last.pt", weights_only=True)["module"] for run in ("whole", "parts")]
    assert torch.equal(weights[0]["weight"], weights[1]["weight"])


@pytest.mark.parametrize("averaging", [0.0, 0.6])
def test_a_score_that_fails_leaves_the_modules_own_weights(tmp_path, averaging):
    module = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD([{"params": [module.weight], "lr": 1.0, "base_lr": 1.0}])

    def backward(step):
        module.weight.grad = torch.ones(1, 2)
        return torch.zeros(())

    def fail():
        raise KeyboardInterrupt

    before = module.weight.detach().clone()
    objective = Objective("try", lambda epoch: [0.0], backward, fail, items_per_epoch=1)
    with pytest.raises(KeyboardInterrupt):
        run_epochs(module, optimizer, objective, Schedule(1, 1, 0, 1.0), Place(tmp_path), averaging=averaging)
    torch.testing.assert_close(module.weight.detach(), before - 1)
