"""Pooled attention against a twin that writes down every score, and the encoder's shape."""

from __future__ import annotations

import math

import pytest
import torch

from models.architecture import BlockGrid, EchoArchitecture, EchoBlock, demo
from models.echo_encoder import EchoEncoder, MultiscaleAttention

GRIDS = [
    BlockGrid((2, 4, 4), (2, 4, 4), (2, 2, 2)),  # keys coarser than queries
    BlockGrid((2, 4, 4), (2, 2, 2), (2, 4, 4)),  # queries coarser than keys
    BlockGrid((2, 4, 4), (2, 4, 4), (2, 4, 4)),
    BlockGrid((4, 4, 4), (2, 2, 2), (4, 1, 1)),
]


def stride(grid, to):
    return tuple(a // b for a, b in zip(grid, to, strict=True))


def random_attention(grid: BlockGrid) -> MultiscaleAttention:
    torch.manual_seed(3)
    block = EchoBlock(
        dim=16, heads=2, stride_q=stride(grid.tokens_in, grid.queries), stride_kv=stride(grid.tokens_in, grid.keys)
    )
    attention = MultiscaleAttention(12, block, grid)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return attention.requires_grad_(False)


def cells(grid):
    return [(t, y, x) for t in range(grid[0]) for y in range(grid[1]) for x in range(grid[2])]


def attended_by_hand(attention: MultiscaleAttention, grid: BlockGrid, q, k, v):
    """Loops over every query and key; the class token (index 0) has no position."""
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    tables = (attention.rel_pos_t, attention.rel_pos_h, attention.rel_pos_w)
    for i, query in enumerate(cells(grid.queries), start=1):
        for j, key in enumerate(cells(grid.keys), start=1):
            for axis, table in enumerate(tables):
                n_q, n_k = grid.queries[axis], grid.keys[axis]
                step_q, step_k = max(n_k // n_q, 1), max(n_q // n_k, 1)
                row = table[query[axis] * step_q - key[axis] * step_k + (n_k - 1) * step_k]
                scores[:, :, i, j] += q[:, :, i] @ row
    return scores.softmax(dim=3) @ v


@pytest.mark.parametrize("grid", GRIDS)
def test_relative_positions_as_extra_channels_equal_adding_them_to_every_score(grid):
    attention = random_attention(grid)
    n_q, n_k = 1 + math.prod(grid.queries), 1 + math.prod(grid.keys)
    q, k, v = torch.randn(2, 2, n_q, 8), torch.randn(2, 2, n_k, 8), torch.randn(2, 2, n_k, 8)
    assert torch.allclose(attention._attend(q, k, v), attended_by_hand(attention, grid, q, k, v), atol=1e-5)


@pytest.mark.parametrize("grid", GRIDS)
def test_pooled_queries_are_added_back_to_all_but_the_class_token(grid):
    attention = random_attention(grid)
    attention.project[0].weight.copy_(torch.eye(16))
    attention.project[0].bias.zero_()
    x = torch.randn(2, 1 + math.prod(grid.tokens_in), 12)
    qkv = attention.qkv(x).view(2, -1, 3, 2, 8).permute(2, 0, 3, 1, 4)
    pools = (attention.pool_q, attention.pool_k, attention.pool_v)
    q, k, v = (pool(part, grid.tokens_in) for pool, part in zip(pools, qkv, strict=True))
    expected = attended_by_hand(attention, grid, q, k, v)
    expected[:, :, 1:] += q[:, :, 1:]
    assert torch.allclose(attention(x), expected.transpose(1, 2).flatten(2), atol=1e-5)


def test_a_clip_alone_and_in_a_batch_gives_the_same_vector(demo_modules):
    clips = torch.randn(3, 3, 16, 64, 64)
    encoder = demo_modules["echo_encoder"]
    assert torch.allclose(encoder(clips)[1], encoder(clips[1:2])[0], atol=1e-5)


def test_the_order_of_frames_matters(demo_modules):
    clip = torch.randn(1, 3, 16, 64, 64)
    encoder = demo_modules["echo_encoder"]
    assert (encoder(clip) - encoder(clip.flip(2))).abs().max() > 1e-3


def test_every_parameter_that_the_class_token_can_see_is_trained():
    sizes = EchoArchitecture(
        frames=4,
        size=16,
        stem_dim=8,
        patch_kernel=(3, 3, 3),
        patch_stride=(2, 4, 4),
        blocks=(EchoBlock(dim=8, heads=1, stride_kv=(1, 2, 2)), EchoBlock(dim=16, heads=2, stride_q=(1, 2, 2))),
        drop_path=0.1,
    )
    torch.manual_seed(0)
    encoder = EchoEncoder(sizes, 6).eval()
    encoder(torch.randn(2, 3, 4, 16, 16)).square().sum().backward()
    unused = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    # Only the class token leaves the last block, and it has neither a position nor a pooled query.
    last = "blocks.1.attn."
    assert sorted(unused) == [last + name for name in ("pool_q.pool.weight", "rel_pos_h", "rel_pos_t", "rel_pos_w")]


def test_clips_of_another_size_are_refused():
    with pytest.raises(ValueError, match="3, 16, 64, 64"):
        EchoEncoder(demo().echo, 8)(torch.zeros(1, 3, 16, 64, 63))
