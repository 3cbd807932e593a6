"""The published single-view baseline: an ECG is aligned with one view of a study instead of with the whole study.

Letters: B studies, V views, W view-vector length, N views taken alone, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from models.architecture import Architecture
from models.towers import EchoTower


class SingleViewTower(EchoTower):
    """An echo tower without projection and without attention pooling: one linear map from a view's own vector.

    In training every study is one of its present views, drawn anew each time from torch's global generator; in
    evaluation it is the plain mean of its views' vectors, before the map. Its study token is that vector.
    Source: the single-view baseline of Echo2ECG (arXiv 2603.08505), which names no view: so any view may be drawn.
    """

    def __init__(self, architecture: Architecture) -> None:
        nn.Module.__init__(self)  # an echo tower's other parts are what this baseline does without
        self.echo_alignment_global_token = nn.Linear(architecture.view_dim, architecture.embedding_dim, bias=False)

    def pool(self, views_BVW: Tensor, view_present_BV: Tensor) -> tuple[Tensor, Tensor]:
        if not view_present_BV.any(dim=1).all():
            raise ValueError("a study without any view cannot be pooled")
        if self.training:
            luck_BV = torch.rand(view_present_BV.shape, device=view_present_BV.device)
            chosen_B = luck_BV.masked_fill(~view_present_BV, -1.0).argmax(dim=1)
            weights_BV = one_hot(chosen_B, view_present_BV.shape[1]).to(views_BVW.dtype)
        else:
            weights_BV = view_present_BV / view_present_BV.sum(dim=1, keepdim=True)
        # Not a product with the mask: what stands in an absent slot, NaN included, must reach no sum.
        views_BVW = views_BVW.where(view_present_BV[:, :, None], 0.0)
        return torch.einsum("bv,bvw->bw", weights_BV, views_BVW), weights_BV

    def single_view(self, views_NW: Tensor) -> Tensor:
        aligned_ND: Tensor = self.echo_alignment_global_token(views_NW)
        return aligned_ND
