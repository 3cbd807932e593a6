"""The two towers: an ECG window, and all views of an echo study, to vectors in one space (arXiv 2603.08505).

Component names (`ecg_encoder`, `echo_view_aggregator`, ...) are the published ones: a tower's state dict is the
published components side by side.

Letters in tensor names: B batch, L leads, N samples, T tokens, F features, V views, W view-vector length,
P projection width, H pooling heads, D embedding.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone uses

from models.architecture import Architecture
from models.ecg_encoder import EcgEncoder


class EcgTower(nn.Module):
    """ECG windows to features for probes and aligned vectors for retrieval (not normalised)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.ecg_encoder = EcgEncoder(architecture.ecg)
        self.token_aggregator = TokenAggregator(architecture.features_dim)
        self.ecg_alignment_global_token = nn.Linear(architecture.features_dim, architecture.embedding_dim, bias=False)

    def forward(self, windows_BLN: Tensor, visible_BK: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, L, N) -> features (B, F), aligned (B, D); of the patches `visible_BK` alone, where they are given."""
        features_BF = self.features(windows_BLN, visible_BK)
        return features_BF, self.ecg_alignment_global_token(features_BF)

    def features(self, windows_BLN: Tensor, visible_BK: Tensor | None = None) -> Tensor:
        """(B, L, N) -> features (B, F) alone: needs no alignment."""
        return self.gathered(self.ecg_encoder(windows_BLN, visible_BK))

    def gathered(self, tokens_BTF: Tensor) -> Tensor:
        """Tokens, CLS first, to features (B, F).

        Without a token aggregator, as in a bundle of an OTiS encoder alone, the plain mean of the tokens but CLS.
        """
        if not hasattr(self, "token_aggregator"):
            mean_BF: Tensor = tokens_BTF[:, 1:].mean(dim=1)
            return mean_BF
        features_BF: Tensor = self.token_aggregator(tokens_BTF)
        return features_BF


class TokenAggregator(nn.Module):
    """LayerNorm (eps 1e-5) of the mean over all tokens but CLS."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.ecg_layernorm_global = nn.LayerNorm(dim, eps=1e-5)

    def forward(self, tokens_BTF: Tensor) -> Tensor:
        features_BF: Tensor = self.ecg_layernorm_global(tokens_BTF[:, 1:].mean(dim=1))
        return features_BF


class EchoStudyOutput(NamedTuple):
    """One row per study. pool_weights_BV: how much each view counted, averaged over heads; absent views have 0."""

    tokens_BP: Tensor
    aligned_BD: Tensor
    pool_weights_BV: Tensor


class EchoTower(nn.Module):
    """The view vectors of a study to one study token and one aligned vector (not normalised)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.echo_projection_for_agg = nn.Linear(architecture.view_dim, architecture.projection_dim)
        self.echo_view_aggregator = ViewAggregator(
            architecture.projection_dim, architecture.pool_heads, architecture.pool_dropout
        )
        self.echo_alignment_global_token = nn.Linear(
            architecture.projection_dim, architecture.embedding_dim, bias=False
        )

    def forward(self, views_BVW: Tensor, view_present_BV: Tensor) -> EchoStudyOutput:
        """(B, V, W) and a mask (True = present). ValueError when a study has no view at all."""
        tokens_BP, pool_weights_BV = self.pool(views_BVW, view_present_BV)
        return EchoStudyOutput(tokens_BP, self.echo_alignment_global_token(tokens_BP), pool_weights_BV)

    def pool(self, views_BVW: Tensor, view_present_BV: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, to study tokens (B, P) and pooling weights (B, V) alone: needs no alignment."""
        if not view_present_BV.any(dim=1).all():
            raise ValueError("a study without any view cannot be pooled")
        # Not a product with the mask: what stands in an absent slot, NaN included, must reach no sum and no gradient.
        views_BVW = views_BVW.where(view_present_BV[:, :, None], 0.0)
        tokens_BP, pool_weights_BV = self.echo_view_aggregator(self.echo_projection_for_agg(views_BVW), view_present_BV)
        return tokens_BP, pool_weights_BV

    def single_view(self, views_NW: Tensor) -> Tensor:
        """Aligned vectors (N, D) of views taken alone, without pooling: pooling a set of one is not the identity."""
        aligned_ND: Tensor = self.echo_alignment_global_token(self.echo_projection_for_agg(views_NW))
        return aligned_ND


class ViewAggregator(nn.Module):
    """Attention pooling: the mean of the present views asks, the views answer."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.aggregator = PoolingAttention(dim, heads, dropout)

    def forward(self, views_BVP: Tensor, view_present_BV: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled (B, P) and weights (B, V); every study has at least one view, absent ones hold finite numbers."""
        share_BV = view_present_BV / view_present_BV.sum(dim=1, keepdim=True)
        mean_BP = torch.einsum("bv,bvp->bp", share_BV.to(views_BVP.dtype), views_BVP)
        pooled_BP, weights_BHV = self.aggregator(mean_BP, views_BVP, view_present_BV)
        return pooled_BP, weights_BHV.mean(dim=1)


class PoolingAttention(nn.Module):
    """Multi-head attention of one query over a set, equal to `nn.MultiheadAttention` and returning its weights.

    With one query per set, projecting every key and value is wasted work: q . (Wk x) = (Wk^T q) . x, and a weighted sum
    of Wv x is Wv times the weighted sum of x. So the projections meet one vector per head instead of every view. The
    key bias shifts all scores of a query alike and cancels in the softmax.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.mha = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, query_BP: Tensor, set_BVP: Tensor, present_BV: Tensor) -> tuple[Tensor, Tensor]:
        B, dim = query_BP.shape
        E = dim // self.heads
        Wq, Wk, Wv = self.mha.in_proj_weight.chunk(3)
        bq, _, bv = self.mha.in_proj_bias.chunk(3)
        q_BHE = F.linear(query_BP, Wq, bq).view(B, self.heads, E) / math.sqrt(E)
        key_BHP = torch.einsum("bhe,hep->bhp", q_BHE, Wk.view(self.heads, E, dim))
        scores_BHV = torch.einsum("bhp,bvp->bhv", key_BHP, set_BVP)
        weights_BHV = scores_BHV.masked_fill(~present_BV[:, None], -math.inf).softmax(dim=2)
        kept_BHV = F.dropout(weights_BHV, self.dropout, self.training)
        mixed_BHP = torch.einsum("bhv,bvp->bhp", kept_BHV, set_BVP)
        value_BHE = torch.einsum("bhp,hep->bhe", mixed_BHP, Wv.view(self.heads, E, dim))
        # The weights sum to one, after dropout only on average: the bias is weighted like the values it belongs to.
        value_BHE = value_BHE + kept_BHV.sum(dim=2, keepdim=True) * bv.view(self.heads, E)
        return self.mha.out_proj(value_BHE.flatten(1)), weights_BHV
