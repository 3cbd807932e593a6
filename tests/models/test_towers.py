"""Pooling a study's views, against nn.MultiheadAttention and against what a set must not depend on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.architecture import demo
from models.towers import (
    EchoTower,
    PoolingAttention,
    TokenAggregator,
    ViewAggregator,
)


def random_pooling(dropout: float = 0.0) -> PoolingAttention:
    torch.manual_seed(7)
    pooling = PoolingAttention(32, 4, dropout)
    with torch.no_grad():
        for parameter in pooling.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return pooling


@pytest.fixture
def study():
    torch.manual_seed(8)
    return torch.randn(3, 6, demo().view_dim), torch.tensor([[1] * 6, [1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0]]).bool()


def test_pooling_attention_equals_nn_multiheadattention_with_its_gradients():
    pooling = random_pooling().double()
    query = torch.randn(3, 32, dtype=torch.float64, requires_grad=True)
    views = torch.randn(3, 5, 32, dtype=torch.float64, requires_grad=True)
    present = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 1]]).bool()
    pooled, weights = pooling(query, views, present)
    expected, expected_weights = pooling.mha(
        query[:, None], views, views, key_padding_mask=~present, average_attn_weights=False
    )
    assert torch.allclose(pooled, expected[:, 0])
    assert torch.allclose(weights, expected_weights[:, :, 0])
    inputs = [query, views, *(p for name, p in pooling.named_parameters() if name != "mha.in_proj_bias")]
    ours, theirs = (torch.autograd.grad(out.square().sum(), inputs, retain_graph=True) for out in (pooled, expected))
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(ours, theirs, strict=True))


def test_the_order_of_views_does_not_matter(demo_modules, study):
    tower, (views, _) = demo_modules["echo_tower"], study
    order, present = torch.tensor([3, 0, 5, 1, 4, 2]), torch.ones(3, 6, dtype=torch.bool)
    straight, shuffled = tower(views, present), tower(views[:, order], present)
    assert torch.allclose(straight.aligned_BD, shuffled.aligned_BD, atol=1e-5)
    assert torch.allclose(straight.pool_weights_BV[:, order], shuffled.pool_weights_BV, atol=1e-5)


@pytest.mark.parametrize("filler", [0.0, 1e6, float("nan"), float("inf")])
def test_what_stands_in_an_absent_view_does_not_matter(demo_modules, study, filler):
    tower, (views, present) = demo_modules["echo_tower"], study
    filled = views.masked_fill(~present[:, :, None], filler)
    for ours, expected in zip(tower(filled, present), tower(views, present), strict=True):
        assert torch.allclose(ours, expected, atol=1e-6)
    alone = tower(views[1:2, :2], present[1:2, :2])
    assert torch.allclose(tower(filled, present).aligned_BD[1], alone.aligned_BD[0], atol=1e-5)


def test_absent_views_send_no_gradient_and_no_nan(study):
    torch.manual_seed(0)
    tower, (views, present) = EchoTower(demo()), study
    views = views.masked_fill(~present[:, :, None], float("nan")).requires_grad_()
    tower(views, present).aligned_BD.square().sum().backward()
    assert torch.isfinite(views.grad).all()
    assert views.grad[~present].abs().max() == 0
    assert all(torch.isfinite(p.grad).all() for p in tower.parameters())


def test_pooling_weights_are_shares_and_absent_views_have_none(demo_modules, study):
    weights = demo_modules["echo_tower"](*study).pool_weights_BV
    assert torch.allclose(weights.sum(dim=1), torch.ones(3), atol=1e-6)
    assert (weights[~study[1]] == 0).all()
    assert weights[2, 3] == 1


def test_pooling_one_view_is_not_the_view_taken_alone(demo_modules, study):
    tower, (views, _) = demo_modules["echo_tower"], study
    pooled = tower(views[:, :1], torch.ones(3, 1, dtype=torch.bool)).aligned_BD
    assert (pooled - tower.single_view(views[:, 0])).abs().max() > 1e-2


def test_a_study_without_views_is_refused(demo_modules, study):
    present = study[1].clone()
    present[1] = False
    with pytest.raises(ValueError, match="without any view"):
        demo_modules["echo_tower"](study[0], present)


def test_pooling_dropout_works_in_training_only_and_keeps_the_mean():
    pooling, views, present = random_pooling(0.3), torch.randn(1, 8, 32), torch.ones(1, 8, dtype=torch.bool)
    query = views.mean(dim=1)
    with torch.no_grad():
        rested = pooling.eval()(query, views, present)[0]
        many = [e.expand(4000, *e.shape[1:]) for e in (query, views, present)]
        noisy = pooling.train()(*many)[0]
    assert noisy.std(dim=0).max() > 0
    standard_error = noisy.std(dim=0) / 4000**0.5
    assert ((noisy.mean(dim=0) - rested[0]).abs() <= 5 * standard_error + 1e-5).all()


def test_views_are_weighed_by_a_query_that_is_their_mean():
    torch.manual_seed(1)
    aggregator = ViewAggregator(32, 4, 0.0)
    views, present = torch.randn(2, 5, 32), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]).bool()
    mean = torch.stack([views[0].mean(dim=0), views[1, :2].mean(dim=0)])
    expected, _ = aggregator.aggregator.mha(mean[:, None], views, views, key_padding_mask=~present)
    assert torch.allclose(aggregator(views, present)[0], expected[:, 0], atol=1e-5)


def test_features_leave_the_cls_token_out():
    aggregator, tokens = TokenAggregator(8), torch.randn(2, 5, 8)
    changed = tokens.clone()
    changed[:, 0] = 99.0
    assert torch.equal(aggregator(tokens), aggregator(changed))
    assert torch.allclose(aggregator(tokens), nn.functional.layer_norm(tokens[:, 1:].mean(dim=1), (8,)), atol=1e-6)
