"""Pre-trains an ECG encoder on ECGs alone: most patches are hidden, a light decoder reconstructs them from the rest.

The encoder never sees a hidden sample. What it learns is scored by squared error and by how well each lead's hidden
samples correlate with the truth, which does not care about amplitude. The decoder is thrown away.
Source: masked autoencoders (arXiv 2111.06377) for signals, with the correlation term of OTiS (arXiv 2410.07299).

Letters: E ECGs, B windows, L leads, N samples, P patches per lead, S samples per patch, T patches (L * P, lead by
lead), K visible patches, D encoder channels, C decoder channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.device import Machine
from models.ecg_encoder import EcgBlock, EcgEncoder, time_positions
from training.data.batches import choose_patches, random_windows
from training.engine.loop import FitResult, Objective, run_epochs
from training.engine.optimizer import adamw
from training.engine.place import Place
from training.engine.schedule import Schedule
from training.recipes import MaskedEcgPretraining

_VARIANCE_FLOOR = 1e-6
"""In units of prepared signals, whose lead groups have variance 1: a flat lead has no correlation to gain or lose."""


def pretrain_ecg_encoder(
    encoder: EcgEncoder,
    train_LN: Sequence[NDArray[np.float32]],
    val_LN: Sequence[NDArray[np.float32]],
    settings: MaskedEcgPretraining,
    place: Place,
    machine: Machine,
    *,
    seed: int,
) -> FitResult:
    """Trains `encoder` in place and leaves it, on the device, with the weights of the best epoch on validation ECGs.

    train_LN, val_LN: prepared records (L, N) of any length from a window on. A finished run in `place` is loaded, an
    unfinished one goes on.
    """
    device = machine.device
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MaskedReconstruction(encoder, settings).to(device)
    optimizer = adamw(model, settings)
    steps = math.ceil(len(train_LN) / settings.batch_size)
    samples = encoder.sizes.window_samples

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        draw = np.random.default_rng([seed, epoch])
        torch.manual_seed(int(draw.integers(2**62)))
        for rows in np.array_split(draw.permutation(len(train_LN)), steps):
            windows = random_windows([train_LN[i] for i in rows], samples, draw)
            yield torch.from_numpy(windows).to(device), model.choose_visible(len(rows), draw).to(device)

    def backward(batch: tuple[Tensor, Tensor]) -> Tensor:
        loss: Tensor = model(*batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def score() -> float:
        draw = np.random.default_rng(seed)  # the same windows and patches after every epoch
        total = 0.0
        for start in range(0, len(val_LN), settings.batch_size):
            part = val_LN[start : start + settings.batch_size]
            windows = torch.from_numpy(random_windows(part, samples, draw)).to(device)
            total += len(part) * float(model(windows, model.choose_visible(len(part), draw).to(device)))
        return -total / len(val_LN)

    objective = Objective("pretrain ecg", batches, backward, score, items_per_epoch=len(train_LN), items="ECGs")
    schedule = Schedule(settings.epochs, steps, settings.warmup_epochs, settings.lr_floor, settings.patience)
    return run_epochs(model, optimizer, objective, schedule, place, progress=machine.progress)


class MaskedReconstruction(nn.Module):
    """An encoder of visible patches and a decoder of all; called with windows it gives the reconstruction loss."""

    time_TC: Tensor

    def __init__(self, encoder: EcgEncoder, settings: MaskedEcgPretraining) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        sizes, dim = encoder.sizes, settings.decoder_dim
        self.to_decoder = nn.Sequential(nn.LayerNorm(sizes.embed_dim), nn.Linear(sizes.embed_dim, dim))
        self.hidden_token = nn.Parameter(torch.empty(dim).normal_(std=0.02))
        self.lead_positions = nn.Embedding(sizes.leads, dim)
        self.register_buffer("time_TC", time_positions(sizes.patches_per_lead, dim)[0, 1:].repeat(sizes.leads, 1))
        self.decoder = nn.Sequential(
            *(EcgBlock(dim, settings.decoder_heads, sizes.mlp_ratio, 0.0) for _ in range(settings.decoder_depth)),
            nn.LayerNorm(dim),
            nn.Linear(dim, sizes.patch_samples),
        )

    def choose_visible(self, windows: int, draw: np.random.Generator) -> Tensor:
        """visible_BK: for each window, the numbers of the patches that are not hidden, in order."""
        sizes = self.encoder.sizes
        return torch.from_numpy(
            choose_patches(windows, sizes.leads * sizes.patches_per_lead, self.settings.hidden_share, draw)
        )

    def forward(self, windows_BLN: Tensor, visible_BK: Tensor) -> Tensor:
        sizes = self.encoder.sizes
        tokens_BKD = self.encoder(windows_BLN, visible_BK)[:, 1:]
        reconstructed_BTS = self.reconstruct(tokens_BKD, visible_BK)
        hidden_BT = torch.ones(reconstructed_BTS.shape[:2], dtype=torch.bool, device=windows_BLN.device)
        hidden_BT = hidden_BT.scatter(1, visible_BK, value=False)
        hidden_BLN = hidden_BT.repeat_interleave(sizes.patch_samples, dim=1).view(windows_BLN.shape)
        return reconstruction_loss(
            reconstructed_BTS.reshape(windows_BLN.shape).float(),
            windows_BLN,
            hidden_BLN,
            correlation_weight=self.settings.correlation_weight,
        )

    def reconstruct(self, tokens_BKD: Tensor, visible_BK: Tensor) -> Tensor:
        """All patches (B, T, S) from the encoded visible ones."""
        sizes = self.encoder.sizes
        seen_BKC = self.to_decoder(tokens_BKD)
        B, _, C = seen_BKC.shape
        everything_BTC = self.hidden_token.to(seen_BKC.dtype).expand(B, len(self.time_TC), C)
        everything_BTC = everything_BTC.scatter(1, visible_BK[:, :, None].expand(-1, -1, C), seen_BKC)
        lead_TC = self.lead_positions.weight.repeat_interleave(sizes.patches_per_lead, dim=0)
        patches_BTS: Tensor = self.decoder(everything_BTC + self.time_TC + lead_TC)
        return patches_BTS


def reconstruction_loss(
    reconstructed_BLN: Tensor, signal_BLN: Tensor, hidden_BLN: Tensor, *, correlation_weight: float
) -> Tensor:
    """(1 - w) x mean squared error + w x (1 - mean correlation), both over hidden samples alone.

    The correlation is Pearson's, of each lead of each window; leads without hidden samples count for nothing.
    """
    error = ((reconstructed_BLN - signal_BLN).square() * hidden_BLN).sum() / hidden_BLN.sum()
    count_BL = hidden_BLN.sum(dim=2)
    floor = _VARIANCE_FLOOR * count_BL.clamp(min=1)

    def centred(x_BLN: Tensor) -> Tensor:
        mean_BL = (x_BLN * hidden_BLN).sum(dim=2) / count_BL.clamp(min=1)
        return (x_BLN - mean_BL[:, :, None]) * hidden_BLN

    a_BLN, b_BLN = centred(reconstructed_BLN), centred(signal_BLN)
    power_BL = (a_BLN.square().sum(dim=2) + floor) * (b_BLN.square().sum(dim=2) + floor)
    correlation_BL = (a_BLN * b_BLN).sum(dim=2) * power_BL.rsqrt()
    correlation = correlation_BL.sum() / (count_BL > 0).sum()
    return (1 - correlation_weight) * error + correlation_weight * (1 - correlation)
