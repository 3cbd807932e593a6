"""The ECG encoder: a vision transformer over patches of single leads (OTiS, as Echo2ECG uses it; arXiv 2603.08505).

Names of parameters are the published ones, so that published weights load without a translation.

Letters in tensor names: B batch, L leads, N samples, P patches per lead, S samples per patch, T tokens (CLS first),
D channels.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone uses

from models.architecture import EcgArchitecture
from models.layers import DoubleProjectionAttention, DropPath, FoldedAttention, drop_path_rates


class EcgEncoder(nn.Module):
    """Windows of a prepared ECG (B, L, N) to tokens (B, 1 + L * P, D): CLS first, then lead by lead. No final norm."""

    pos_embed_x: Tensor

    def __init__(self, sizes: EcgArchitecture) -> None:
        super().__init__()
        self.sizes = sizes
        half = sizes.embed_dim // 2
        self.cls_token = nn.Parameter(torch.zeros(1, 1, sizes.embed_dim))
        self.register_buffer("pos_embed_x", time_positions(sizes.patches_per_lead, half))
        lead_table = torch.zeros(sizes.leads + 1, half)  # row 0 is padding, lead i has row i + 1
        self.pos_embed_y = nn.Embedding.from_pretrained(lead_table, freeze=False, padding_idx=0)  # type: ignore[no-untyped-call]
        self.patch_embed = PatchEmbedding(sizes.embed_dim, sizes.patch_samples)
        self.blocks = nn.ModuleList(
            EcgBlock(sizes.embed_dim, sizes.heads, sizes.mlp_ratio, rate)
            for rate in drop_path_rates(sizes.drop_path, sizes.depth)
        )
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        self.apply(_initialise)

    def forward(self, windows_BLN: Tensor, visible_BK: Tensor | None = None) -> Tensor:
        """With `visible_BK`, numbers of patches in lead-major order, only those are read: (B, 1 + K, D)."""
        return self.mix(self.placed(windows_BLN, visible_BK))

    def placed(self, windows_BLN: Tensor, visible_BK: Tensor | None = None) -> Tensor:
        """CLS and the embedded patches with their positions, in the form of `forward`, before any block."""
        sizes = self.sizes
        if windows_BLN.ndim != 3 or windows_BLN.shape[1:] != (sizes.leads, sizes.window_samples):
            raise ValueError(
                f"ECG windows must be (batch, {sizes.leads}, {sizes.window_samples}), not {tuple(windows_BLN.shape)}"
            )
        cls_11D, positions = self.positions()
        if visible_BK is not None:
            patches_BTS = windows_BLN.reshape(len(windows_BLN), -1, sizes.patch_samples)
            windows_BLN = patches_BTS.gather(1, visible_BK[:, :, None].expand(-1, -1, sizes.patch_samples))
            # Not positions[visible_BK]: the gradient of that is summed by several threads in no fixed order.
            everywhere_BTD = positions.expand(len(windows_BLN), -1, -1)
            positions = everywhere_BTD.gather(1, visible_BK[:, :, None].expand(-1, -1, sizes.embed_dim))
        x_BTD: Tensor = self.patch_embed(windows_BLN)
        return torch.cat([cls_11D.expand(x_BTD.shape[0], -1, -1), x_BTD + positions], dim=1)

    def mix(self, x_BTD: Tensor) -> Tensor:
        """What the blocks make of `placed`."""
        for block in self.blocks:
            x_BTD = block(x_BTD)
        return x_BTD

    def folded(self) -> EcgEncoder:
        """A copy for inference in which each attention's two projections are multiplied into one. Not trainable."""
        encoder = copy.deepcopy(self)
        for block in encoder.blocks:
            attention = cast("EcgBlock", block).attn
            if isinstance(attention, DoubleProjectionAttention):
                cast("EcgBlock", block).attn = FoldedAttention(attention)
        return encoder.eval().requires_grad_(requires_grad=False)

    def positions(self) -> tuple[Tensor, Tensor]:
        """CLS with its position, and the positions of the patches: half the channels say which lead, half when."""
        P = self.sizes.patches_per_lead
        lead_L1D = self.pos_embed_y.weight[1:, None]
        time_1PD = self.pos_embed_x[:, 1 : 1 + P]
        positions_LPD = torch.cat([lead_L1D.expand(-1, P, -1), time_1PD.expand(self.sizes.leads, -1, -1)], dim=2)
        cls_11D = self.cls_token + F.pad(self.pos_embed_x[:, :1], (self.pos_embed_y.embedding_dim, 0))
        return cls_11D, positions_LPD.flatten(0, 1)


class PatchEmbedding(nn.Module):
    """Cut every lead into patches and embed each: linear map, LayerNorm (eps 1e-5), GELU. Lead-major order."""

    def __init__(self, dim: int, patch_samples: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, dim, kernel_size=(1, patch_samples), stride=(1, patch_samples))
        self.norm = nn.LayerNorm(dim, eps=1e-5)

    def forward(self, windows_BLN: Tensor) -> Tensor:
        # A convolution whose stride is its kernel is one matrix over the cut signal: the same numbers, sooner.
        weight_DS = self.proj.weight.flatten(1)
        patches_BTS = windows_BLN.reshape(windows_BLN.shape[0], -1, weight_DS.shape[1])
        embedded_BTD: Tensor = self.norm(F.linear(patches_BTS, weight_DS, self.proj.bias))
        return F.gelu(embedded_BTD)


class EcgBlock(nn.Module):
    """Pre-norm transformer block: x + attention(norm(x)), then x + MLP(norm(x))."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn: DoubleProjectionAttention | FoldedAttention = DoubleProjectionAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, mlp_ratio * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x_BTD: Tensor) -> Tensor:
        x_BTD = x_BTD + self.drop_path(self.attn(self.norm1(x_BTD)))
        added_BTD: Tensor = self.drop_path(self.mlp(self.norm2(x_BTD)))
        return x_BTD + added_BTD


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x_BTD: Tensor) -> Tensor:
        mapped_BTD: Tensor = self.fc2(F.gelu(self.fc1(x_BTD)))
        return mapped_BTD


def time_positions(patches: int, dim: int) -> Tensor:
    """Fixed sine-cosine table (1, 1 + patches, dim); row 0, for CLS, is zero (Vaswani et al. 2017)."""
    # On the CPU whatever the default device: without memory ("meta") this would load torch's compiler first.
    half, time = (torch.arange(n, dtype=torch.float32, device="cpu") for n in (dim // 2, patches))
    angle = torch.outer(time, 1.0 / 10000.0 ** (half / len(half)))
    return F.pad(torch.cat([angle.sin(), angle.cos()], dim=1), (0, 0, 1, 0))[None]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight.data.flatten(1))
    elif isinstance(module, nn.Embedding):
        nn.init.trunc_normal_(module.weight[1:].data, std=0.02)
