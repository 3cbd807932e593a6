"""The echo encoder: one clip to one vector by a multiscale vision transformer (MViTv2; Li et al., CVPR 2022,
arXiv 2112.01526), in the geometry and with the parameter names under which EchoPrime's weights are published.

Letters in tensor names: B batch, C colours, T frames, Y rows, X columns, N tokens (class token first), D channels,
H heads, E channels per head, K keys, V view-vector length.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone uses

from models.architecture import BlockGrid, EchoArchitecture, EchoBlock, Size3
from models.layers import DropPath, drop_path_rates

EPS = 1e-6


class EchoEncoder(nn.Module):
    """Prepared clips (B, 3, T, size, size) to view vectors (B, V). The vectors are not normalised."""

    def __init__(self, sizes: EchoArchitecture, view_dim: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.conv_proj = nn.Conv3d(
            3, sizes.stem_dim, sizes.patch_kernel, sizes.patch_stride, padding=_same(sizes.patch_kernel)
        )
        self.pos_encoding = ClassToken(sizes.stem_dim)
        self.blocks = nn.ModuleList()
        dim = sizes.stem_dim
        rates = drop_path_rates(sizes.drop_path, len(sizes.blocks))
        for block, grid, rate in zip(sizes.blocks, sizes.grids(), rates, strict=True):
            self.blocks.append(MultiscaleBlock(dim, block, grid, rate))
            dim = block.dim
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.head = nn.Sequential(OrderedDict({"1": nn.Linear(dim, view_dim)}))
        self.apply(_initialise)

    def forward(self, clips_BCTYX: Tensor) -> Tensor:
        expected = (3, self.sizes.frames, self.sizes.size, self.sizes.size)
        if clips_BCTYX.ndim != 5 or clips_BCTYX.shape[1:] != expected:
            raise ValueError(f"echo clips must be (batch, {', '.join(map(str, expected))}), not {clips_BCTYX.shape}")
        x_BND = self.pos_encoding(self.conv_proj(clips_BCTYX).flatten(2).transpose(1, 2))
        for block in self.blocks:
            x_BND = block(x_BND)
        views_BV: Tensor = self.head(self.norm(x_BND[:, 0]))
        return views_BV


class ClassToken(nn.Module):
    """Puts the learned class token in front of the patches."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(dim))

    def forward(self, x_BND: Tensor) -> Tensor:
        return torch.cat([self.class_token.expand(x_BND.shape[0], 1, -1), x_BND], dim=1)


class MultiscaleBlock(nn.Module):
    """Attention that may shrink the grid, then an MLP; the width grows in the attention, the skip path follows suit."""

    def __init__(self, dim: int, block: EchoBlock, grid: BlockGrid, drop_path: float) -> None:
        super().__init__()
        self.grid = grid.tokens_in
        self.stride = block.stride_q
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.attn = MultiscaleAttention(dim, block, grid)
        self.norm2 = nn.LayerNorm(block.dim, eps=EPS)
        self.mlp = nn.Sequential(
            OrderedDict(
                {"0": nn.Linear(block.dim, 4 * block.dim), "1": nn.GELU(), "3": nn.Linear(4 * block.dim, block.dim)}
            )
        )
        self.project = nn.Linear(dim, block.dim) if dim != block.dim else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x_BND: Tensor) -> Tensor:
        normed_BND = self.norm1(x_BND)
        skip_BND = x_BND if self.project is None else self.project(normed_BND)
        x_BND = self._pooled_skip(skip_BND) + self.drop_path(self.attn(normed_BND))
        added_BND: Tensor = self.drop_path(self.mlp(self.norm2(x_BND)))
        return x_BND + added_BND

    def _pooled_skip(self, x_BND: Tensor) -> Tensor:
        if self.stride == (1, 1, 1):
            return x_BND
        kernel = tuple(s + 1 if s > 1 else s for s in self.stride)
        grid_BDTYX = x_BND[:, 1:].transpose(1, 2).reshape(x_BND.shape[0], -1, *self.grid)
        pooled_BDTYX = F.max_pool3d(grid_BDTYX, kernel, self.stride, padding=tuple(k // 2 for k in kernel))
        return torch.cat([x_BND[:, :1], pooled_BDTYX.flatten(2).transpose(1, 2)], dim=1)


class MultiscaleAttention(nn.Module):
    """Attention over pooled queries, keys and values, with relative positions and the pooled queries added back."""

    def __init__(self, dim: int, block: EchoBlock, grid: BlockGrid) -> None:
        super().__init__()
        self.heads = block.heads
        self.grid = grid
        channels = block.dim // block.heads
        self.qkv = nn.Linear(dim, 3 * block.dim)
        self.project = nn.Sequential(nn.Linear(block.dim, block.dim))
        self.pool_q = TokenPool(channels, block.stride_q)
        self.pool_k = TokenPool(channels, block.stride_kv)
        self.pool_v = TokenPool(channels, block.stride_kv)
        frames, rows, columns = (2 * max(q, k) - 1 for q, k in zip(grid.queries, grid.keys, strict=True))
        self.rel_pos_t = nn.Parameter(torch.zeros(frames, channels))
        self.rel_pos_h = nn.Parameter(torch.zeros(rows, channels))
        self.rel_pos_w = nn.Parameter(torch.zeros(columns, channels))
        for table in (self.rel_pos_t, self.rel_pos_h, self.rel_pos_w):
            nn.init.trunc_normal_(table, std=0.02)

    def forward(self, x_BND: Tensor) -> Tensor:
        B, N, _ = x_BND.shape
        qkv = self.qkv(x_BND).view(B, N, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q_BHNE = self.pool_q(qkv[0], self.grid.tokens_in)
        k_BHKE = self.pool_k(qkv[1], self.grid.tokens_in)
        v_BHKE = self.pool_v(qkv[2], self.grid.tokens_in)
        mixed_BHNE = self._attend(q_BHNE, k_BHKE, v_BHKE)
        mixed_BHNE = mixed_BHNE + F.pad(q_BHNE[:, :, 1:], (0, 0, 1, 0))
        projected_BND: Tensor = self.project(mixed_BHNE.transpose(1, 2).flatten(2))
        return projected_BND

    def _attend(self, q_BHNE: Tensor, k_BHKE: Tensor, v_BHKE: Tensor) -> Tensor:
        """softmax(q k / sqrt(E) + relative positions) v, without ever holding the matrix of relative positions.

        The position term of a query and a key is a sum of three numbers, each chosen by one coordinate of the key. As
        extra query channels (the numbers) against extra key channels (one-hot coordinates) it becomes part of the
        scalar product, so that the fused attention needs no mask. The class token has neither.
        """
        channels = q_BHNE.shape[3]
        position_BHNR = torch.cat(
            [
                torch.einsum(
                    f"bhtyxe,{axis}ke->bhtyxk",
                    q_BHNE[:, :, 1:].reshape(*q_BHNE.shape[:2], *self.grid.queries, channels),
                    _relative(table, queries, keys),
                )
                for axis, table, queries, keys in zip(
                    "tyx",
                    (self.rel_pos_t, self.rel_pos_h, self.rel_pos_w),
                    self.grid.queries,
                    self.grid.keys,
                    strict=True,
                )
            ],
            dim=5,
        ).flatten(2, 4)
        extra = position_BHNR.shape[3]
        q_long = torch.cat([q_BHNE / math.sqrt(channels), F.pad(position_BHNR, (0, 0, 1, 0))], dim=3)
        coordinates_KR = F.pad(_one_hot_coordinates(self.grid.keys, like=k_BHKE), (0, 0, 1, 0))
        k_long = torch.cat([k_BHKE, coordinates_KR.expand(*k_BHKE.shape[:2], -1, -1)], dim=3)
        # The fused kernels want values as long as keys.
        mixed_long = F.scaled_dot_product_attention(q_long, k_long, F.pad(v_BHKE, (0, extra)), scale=1.0)
        return mixed_long[..., :channels]


class TokenPool(nn.Module):
    """Depth-wise convolution over the token grid, then LayerNorm; the class token skips the convolution."""

    def __init__(self, channels: int, stride: Size3) -> None:
        super().__init__()
        self.pool = nn.Conv3d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
        self.norm_act = nn.Sequential(nn.LayerNorm(channels, eps=EPS))

    def forward(self, x_BHNE: Tensor, grid: Size3) -> Tensor:
        B, H, _, E = x_BHNE.shape
        # Channels stay last in memory: the tokens are so already, and gradients would pay for every other order.
        grid_AETYX = x_BHNE[:, :, 1:].reshape(B * H, *grid, E).permute(0, 4, 1, 2, 3)
        pooled_BHNE = self.pool(grid_AETYX).permute(0, 2, 3, 4, 1).reshape(B, H, -1, E)
        normed_BHNE: Tensor = self.norm_act(torch.cat([x_BHNE[:, :, :1], pooled_BHNE], dim=2))
        return normed_BHNE


def _relative(table_RE: Tensor, queries: int, keys: int) -> Tensor:
    """(queries, keys, E): the row of the table for each distance along one axis, in units of the finer grid."""
    q = torch.arange(queries, device=table_RE.device) * max(keys / queries, 1.0)
    k = torch.arange(keys, device=table_RE.device) * max(queries / keys, 1.0)
    distance = q[:, None] - k[None, :] + (keys - 1) * max(queries / keys, 1.0)
    return table_RE[distance.long()]


def _one_hot_coordinates(grid: Size3, like: Tensor) -> Tensor:
    """(K, T + Y + X): which frame, row and column each key of the grid is in."""
    frames, rows, columns = grid
    eyes = [torch.eye(n, dtype=like.dtype, device=like.device) for n in grid]
    return torch.cat(
        [
            eyes[0][:, None, None].expand(frames, rows, columns, frames),
            eyes[1][None, :, None].expand(frames, rows, columns, rows),
            eyes[2][None, None, :].expand(frames, rows, columns, columns),
        ],
        dim=3,
    ).flatten(0, 2)


def _same(kernel: Size3) -> Size3:
    return (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, ClassToken):
        nn.init.trunc_normal_(module.class_token, std=0.02)
