"""Parts that both encoders and the pooling share.

Letters in tensor names: B batch, N tokens, D channels, H heads, E channels per head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone uses


class DropPath(nn.Module):
    """Stochastic depth: in training, drops a residual branch for a whole sample and scales up the others."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x_BND: Tensor) -> Tensor:
        if not self.training or self.probability == 0:
            return x_BND
        keep = 1 - self.probability
        kept_B11 = x_BND.new_empty(x_BND.shape[0], 1, 1).bernoulli_(keep).div_(keep)
        return x_BND * kept_B11


def drop_path_rates(last: float, depth: int) -> list[float]:
    """Linearly from 0 in the first block to `last` in the last."""
    return [last * i / max(depth - 1, 1) for i in range(depth)]


class FoldedProjection(NamedTuple):
    """Two linear maps in a row, as one: rows of `qkv` are queries, keys and values (3D, D)."""

    qkv_weight: Tensor
    qkv_bias: Tensor
    out_weight: Tensor
    out_bias: Tensor


class DoubleProjectionAttention(nn.Module):
    """Self-attention that projects twice on the way in and twice on the way out, as OTiS publishes it.

    The parameters stay apart, under the published names, so that published weights and optimiser groups fit. The
    computation uses their product: two linear maps without anything between them are one, and the product of two
    D x D matrices costs less than a second pass over every token, with gradients too.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.mha = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x_BND: Tensor) -> Tensor:
        return _attend(x_BND, folded_projection(self), self.heads)


class FoldedAttention(nn.Module):
    """The same map as a `DoubleProjectionAttention`, folded once, for inference."""

    def __init__(self, attention: DoubleProjectionAttention) -> None:
        super().__init__()
        with torch.no_grad():
            folded = folded_projection(attention, dtype=torch.float64)
        dtype = attention.proj.weight.dtype
        self.heads = attention.heads
        self.qkv_weight = nn.Parameter(folded.qkv_weight.to(dtype), requires_grad=False)
        self.qkv_bias = nn.Parameter(folded.qkv_bias.to(dtype), requires_grad=False)
        self.out_weight = nn.Parameter(folded.out_weight.to(dtype), requires_grad=False)
        self.out_bias = nn.Parameter(folded.out_bias.to(dtype), requires_grad=False)

    def forward(self, x_BND: Tensor) -> Tensor:
        folded = FoldedProjection(self.qkv_weight, self.qkv_bias, self.out_weight, self.out_bias)
        return _attend(x_BND, folded, self.heads)


def folded_projection(attention: DoubleProjectionAttention, dtype: torch.dtype | None = None) -> FoldedProjection:
    """Multiply the two projections on each side of the attention into one, differentiably.

    q = Wq (A x + a) + b = (Wq A) x + (Wq a + b), and likewise for keys, values and the output.
    """
    dim = attention.proj.in_features
    # Autocast would round the product to half precision before it is used; the product is tiny, so keep it exact.
    with torch.autocast(attention.proj.weight.device.type, enabled=False):
        cast = [
            t if dtype is None else t.to(dtype)
            for t in (
                attention.mha.in_proj_weight,
                attention.mha.in_proj_bias,
                attention.qkv.weight,
                attention.qkv.bias,
                attention.proj.weight,
                attention.proj.bias,
                attention.mha.out_proj.weight,
                attention.mha.out_proj.bias,
            )
        ]
        outer_weight, outer_bias, inner_weight, inner_bias, last_weight, last_bias, mix_weight, mix_bias = cast
        outer_3DD = outer_weight.view(3, dim, dim)
        qkv_weight = torch.bmm(outer_3DD, inner_weight.view(3, dim, dim)).view(3 * dim, dim)
        qkv_bias = torch.bmm(outer_3DD, inner_bias.view(3, dim, 1)).view(3 * dim) + outer_bias
        return FoldedProjection(
            qkv_weight, qkv_bias, last_weight @ mix_weight, torch.mv(last_weight, mix_bias) + last_bias
        )


def _attend(x_BND: Tensor, projection: FoldedProjection, heads: int) -> Tensor:
    B, N, D = x_BND.shape
    qkv = F.linear(x_BND, projection.qkv_weight, projection.qkv_bias)
    q_BHNE, k_BHNE, v_BHNE = qkv.view(B, N, 3, heads, D // heads).permute(2, 0, 3, 1, 4)
    mixed_BHNE = F.scaled_dot_product_attention(q_BHNE, k_BHNE, v_BHNE)
    mixed_BND = mixed_BHNE.transpose(1, 2).reshape(B, N, D)
    return F.linear(mixed_BND, projection.out_weight, projection.out_bias)
