import copy

import pytest
import torch
from tiny import tiny_architecture
from torch import nn

from models.towers import EcgTower, EchoTower
from training.objectives.contrastive_step import backward, contrastive_loss

CPU = torch.device("cpu")
SIZES = tiny_architecture(depth=3, drop_path=0.5, pool_dropout=0.3)


class Towers(nn.Module):
    """Counts how many pairs go through with a graph and without."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.ecg, self.echo = EcgTower(SIZES), EchoTower(SIZES)
        self.log_temperature = nn.Parameter(torch.tensor(-1.0))
        self.calls = []

    def forward(self, chunk):
        windows, views, present = chunk
        self.calls.append((len(windows), torch.is_grad_enabled()))
        return self.ecg(windows)[1], self.echo(views, present).aligned_BD

    def loss(self, ecg_BD, echo_BD):
        return contrastive_loss(ecg_BD, echo_BD, temperature=self.log_temperature.exp())

    def gradients(self):
        return {name: p.grad for name, p in self.named_parameters() if p.grad is not None}


def batch(pairs=10):
    present = torch.arange(4) <= torch.randint(0, 4, (pairs, 1))
    return torch.randn(pairs, 3, 48), torch.randn(pairs, 4, 6), present


def chunks_of(tensors, size):
    return list(zip(*(x.split(size) for x in tensors), strict=True))


@pytest.fixture
def towers():
    return Towers().double()


@pytest.fixture
def data():
    torch.manual_seed(1)
    windows, views, present = batch()
    return windows.double(), views.double(), present


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-7, msg=name)


@pytest.mark.parametrize("size", [1, 3, 5, 10])
def test_chunks_give_the_loss_and_gradients_of_the_whole_batch(towers, data, size):
    towers.eval()
    naive = copy.deepcopy(towers)
    expected = naive.loss(*naive(data))
    expected.backward()
    loss = backward(towers, chunks_of(data, size), towers.loss, CPU)
    torch.testing.assert_close(loss, expected.detach())
    assert_same(towers.gradients(), naive.gradients())


def test_random_draws_of_a_chunk_are_the_same_when_it_is_embedded_again(towers, data):
    towers.train()
    naive = copy.deepcopy(towers)
    torch.manual_seed(2)
    ecg, echo = zip(*[naive(chunk) for chunk in chunks_of(data, 4)], strict=True)  # one graph over all chunks
    naive.loss(torch.cat(ecg), torch.cat(echo)).backward()
    state_after = torch.get_rng_state()
    torch.manual_seed(2)
    backward(towers, chunks_of(data, 4), towers.loss, CPU)
    assert_same(towers.gradients(), naive.gradients())
    assert torch.equal(torch.get_rng_state(), state_after)


def test_at_most_one_chunk_has_a_graph_and_a_whole_batch_is_embedded_once(towers, data):
    backward(towers, chunks_of(data, 4), towers.loss, CPU)
    assert towers.calls == [(4, False), (4, False), (2, False), (4, True), (4, True), (2, True)]
    towers.calls.clear()
    backward(towers, [data], towers.loss, CPU)
    assert towers.calls == [(10, True)]


def test_gradients_add_to_what_is_there(towers, data):
    towers.eval()
    backward(towers, [data], towers.loss, CPU)
    once = {name: value.clone() for name, value in towers.gradients().items()}
    backward(towers, chunks_of(data, 3), towers.loss, CPU)
    assert_same(towers.gradients(), {name: 2 * value for name, value in once.items()})
