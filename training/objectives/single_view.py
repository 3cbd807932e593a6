"""Baselines without attention: an ECG is aligned with one view of a study, or with the plain mean of its views.

Letters: B studies, V views, W view-vector length, N views taken alone, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from models.architecture import Architecture
from models.towers import EchoTower


class MeanViewTower(EchoTower):
    """An echo tower without projection and without attention pooling: one linear map from the mean of a study's views.

    Its study token is that mean.
    """

    def __init__(self, architecture: Architecture) -> None:
        nn.Module.__init__(self)  # an echo tower's other parts are what this baseline does without
        self.echo_alignment_global_token = nn.Linear(architecture.view_dim, architecture.embedding_dim, bias=False)

    def pool(self, views_BVW: Tensor, view_present_BV: Tensor) -> tuple[Tensor, Tensor]:
        if not view_present_BV.any(dim=1).all():
            raise ValueError("a study without any view cannot be pooled")
        weights_BV = self.weights(view_present_BV).to(views_BVW.dtype)
        # Not a product with the mask: what stands in an absent slot, NaN included, must reach no sum.
        views_BVW = views_BVW.where(view_present_BV[:, :, None], 0.0)
        return torch.einsum("bv,bvw->bw", weights_BV, views_BVW), weights_BV

    def weights(self, view_present_BV: Tensor) -> Tensor:
        """How much each view counts (B, V): all present ones alike."""
        return view_present_BV / view_present_BV.sum(dim=1, keepdim=True)

    def single_view(self, views_NW: Tensor) -> Tensor:
        aligned_ND: Tensor = self.echo_alignment_global_token(views_NW)
        return aligned_ND


class SingleViewTower(MeanViewTower):
    """The published single-view baseline: in training every study is one of its present views, drawn anew each time.

    It is drawn from torch's global generator; in evaluation a study is the plain mean of its views' vectors.
    Source: Echo2ECG (arXiv 2603.08505), which names no view: so any view may be drawn.
    """

    def weights(self, view_present_BV: Tensor) -> Tensor:
        """In training all weight is on one view."""
        if not self.training:
            return super().weights(view_present_BV)
        luck_BV = torch.rand(view_present_BV.shape, device=view_present_BV.device)
        chosen_B = luck_BV.masked_fill(~view_present_BV, -1.0).argmax(dim=1)
        return one_hot(chosen_B, view_present_BV.shape[1])
