"""Two real processes over gloo against one process on the same global batch."""

import os
import socket
from contextlib import nullcontext

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tiny import tiny_architecture, tiny_recipe

from ground.errors import Refusal
from models.bundle import verify_bundle
from models.device import Machine
from models.towers import EcgTower, EchoTower
from training.data.batches import PairedArrays
from training.engine.place import Place
from training.engine.ranks import ALONE, Ranks, torchrun_ranks
from training.objectives.alignment import Batch, align_towers, global_backward
from training.train import train

CPU = Machine.named("cpu", workers=0)


def three_epochs(**settings):
    """Batches of nine, which two ranks cannot share evenly."""
    return tiny_recipe(tiny_architecture(), epochs=3, batch_size=9, **settings)


def towers(recipe):
    torch.manual_seed(recipe.seed)
    return EcgTower(recipe.architecture), EchoTower(recipe.architecture)


def part(rows, sizes):
    """Rows of one global batch of 9 pairs with 3 view slots each."""
    draw = torch.Generator().manual_seed(5)
    windows, views = torch.randn(9, 3, 48, generator=draw), torch.randn(9, 3, 6, generator=draw)
    present = torch.arange(3) <= torch.randint(0, 3, (9, 1), generator=draw)
    return Batch(windows[rows], views[rows], present[rows], sizes)


def gradients(recipe, batch, ranks):
    ecg_tower, echo_tower = towers(recipe)
    for tower in (ecg_tower, echo_tower):
        tower.eval()  # no stochastic depth: its draws are each rank's own
    loss = global_backward(ecg_tower, echo_tower, batch, recipe, ranks)
    named = [*ecg_tower.named_parameters("ecg"), *echo_tower.named_parameters("echo")]
    return loss, {name: p.grad for name, p in named if p.grad is not None}


def pairs_of_arrays(count=20):
    draw = np.random.default_rng(0)
    one = np.arange(count)
    signals = list(draw.standard_normal((count, 3, 60)).astype(np.float32))
    return PairedArrays(signals, list(draw.standard_normal((count, 2, 6)).astype(np.float32)), one, one, one)


def fit(recipe, folder, ranks):
    """Weights after some epochs; the score prefers the last, and rank 1's must not count."""
    ecg_tower, echo_tower = towers(recipe)
    scores = iter(range(10)) if ranks.is_main else iter(range(10, 0, -1))
    with Place(folder).logged() if ranks.is_main else nullcontext(Place(folder)) as place:
        result = align_towers(
            ecg_tower, echo_tower, pairs_of_arrays(), lambda: float(next(scores)), recipe, place, CPU, ranks=ranks
        )
    return vars(result), {
        f"{i}.{k}": v for i, t in enumerate((ecg_tower, echo_tower)) for k, v in t.state_dict().items()
    }


def rank_of_two(number, port, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=number, world_size=2)
    ranks = Ranks(number, 2)
    shares = ranks.shares(np.arange(9))
    loss, grads = gradients(three_epochs(), part(shares[number], [len(s) for s in shares]), ranks)
    run = folder / "run"
    fitted = fit(three_epochs(patch_dropout=0.5, weight_averaging=0.9, chunk_size=2), run, ranks)
    order = []
    with ranks.in_turn():
        order = [(run / "first").exists(), (run / "first").touch()][:1]
    torch.save({"loss": loss, "grads": grads, "fitted": fitted, "order": order}, folder / f"{number}.pt")
    dist.destroy_process_group()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "run").mkdir()
    mp.spawn(rank_of_two, (free_port(), folder), nprocs=2)
    return [torch.load(folder / f"{number}.pt") for number in range(2)], folder


def test_loss_and_gradients_of_two_ranks_equal_those_of_one_process(two_ranks):
    loss, grads = gradients(three_epochs(), part(np.arange(9), [9]), ALONE)
    for rank in two_ranks[0]:
        torch.testing.assert_close(rank["loss"], loss)
        assert rank["grads"].keys() == grads.keys()
        for name, expected in grads.items():
            torch.testing.assert_close(rank["grads"][name], expected, rtol=1e-4, atol=1e-6, msg=name)


def test_negatives_of_the_other_rank_count(two_ranks):
    alone, _ = gradients(three_epochs(), part(np.arange(0, 9, 2), [5]), ALONE)
    assert not torch.isclose(alone, two_ranks[0][0]["loss"], rtol=1e-3)


def test_a_run_leaves_both_ranks_with_the_same_weights_and_rank_0s_scores(two_ranks):
    (first, weights), (second, other_weights) = (rank["fitted"] for rank in two_ranks[0])
    assert first == second == {"best_epoch": 2, "best_score": 2.0, "epochs_run": 3}
    untrained = {f"{i}.{k}": v for i, t in enumerate(towers(three_epochs())) for k, v in t.state_dict().items()}
    for name, value in weights.items():
        assert torch.equal(value, other_weights[name]), name
    assert any(not torch.equal(value, untrained[name]) for name, value in weights.items())


def test_rank_0_alone_writes(two_ranks):
    folder = two_ranks[1] / "run"
    assert len((folder / "log.jsonl").read_text().splitlines()) == 3
    assert len(list((folder / "tensorboard").iterdir())) == 1


def test_rank_0_goes_first_and_the_others_find_what_it_left(two_ranks):
    assert [rank["order"] for rank in two_ranks[0]] == [[False], [True]]


def test_a_batch_smaller_than_the_ranks_is_refused():
    with pytest.raises(Refusal, match="3 pairs cannot be shared among 4"):
        Ranks(0, 4).shares(np.arange(3))


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with torchrun_ranks("cpu") as found:
        assert found == (ALONE, "cpu")


def whole_run_of_two(number, port, cohort_dir, recipe, out):
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with torchrun_ranks("cpu") as (ranks, device):
        machine = Machine.named(device, workers=0)
        assert train(cohort_dir, recipe, out, machine, resume=False, ranks=ranks).exists()


def test_a_whole_run_on_two_ranks_ends_with_one_bundle(cohort_dir, micro_recipe, tmp_path):
    out = tmp_path / "micro"
    mp.spawn(whole_run_of_two, (free_port(), cohort_dir, micro_recipe, out), nprocs=2)
    verify_bundle(out)
    (run,) = out.with_name("micro.work").glob("run-*")
    assert len((run / "log.jsonl").read_text().splitlines()) == micro_recipe.alignment.epochs
