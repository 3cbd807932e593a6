"""The alignment itself: pairs of prepared ECGs and view vectors, two towers, one contrastive loss.

Letters: B pairs of a batch, L leads, N samples, V views, D dimensions.
It knows arrays and towers, neither files nor bundles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.aligned import EcgTower, EchoTower
from training.augment import augment
from training.dataset import PairedArrays, batches_per_epoch, epoch_batches, pad_views, random_windows
from training.loop import FitResult, run_epochs
from training.loss import contrastive_loss
from training.progress import Progress
from training.recipes import Recipe
from training.run_log import RunLog
from training.schedule import Schedule, parameter_groups


def align_towers(
    ecg_tower: EcgTower,
    echo_tower: EchoTower,
    pairs: PairedArrays,
    score: Callable[[], float],
    recipe: Recipe,
    *,
    device: torch.device,
    folder: Path,
    log: RunLog,
    progress: Progress,
) -> FitResult:
    """Trains both towers in place, on `device`, and leaves them with the weights of the best-scoring epoch."""
    towers = nn.ModuleList([ecg_tower, echo_tower]).to(device)
    groups = parameter_groups(
        chain(ecg_tower.named_parameters(), echo_tower.named_parameters()),
        learning_rate=recipe.learning_rate,
        layer_decay=recipe.layer_decay,
        weight_decay=recipe.weight_decay,
        blocks=recipe.architecture.ecg.depth,
    )
    optimizer = torch.optim.AdamW(groups, betas=recipe.betas, fused=True)

    def batch_loss(batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        windows_BLN, views_BVD, present_BV = batch
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.bf16):
            _, ecg_BD = ecg_tower(windows_BLN)
            echo_BD = echo_tower(views_BVD, present_BV).aligned_BD
        return contrastive_loss(
            ecg_BD, echo_BD, temperature=recipe.temperature, ecg_to_echo_weight=recipe.ecg_to_echo_weight
        )

    return run_epochs(
        "align",
        towers,
        optimizer,
        lambda epoch: _batches(pairs, recipe, epoch, device),
        batch_loss,
        score,
        schedule=Schedule(
            recipe.epochs, batches_per_epoch(pairs.patient_P, recipe.batch_size), recipe.warmup_epochs, recipe.lr_floor
        ),
        patience=recipe.patience,
        items_per_epoch=len(pairs),
        folder=folder,
        log=log,
        progress=progress,
    )


def _batches(
    pairs: PairedArrays, recipe: Recipe, epoch: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The augmented batches of one epoch on the device. Seeds every generator, torch's global one included."""
    draw = np.random.default_rng([recipe.seed, epoch])
    torch_seed = int(draw.integers(2**62))
    torch.manual_seed(torch_seed)  # stochastic depth and dropout
    augment_draw = torch.Generator(device).manual_seed(torch_seed)
    for batch in epoch_batches(pairs.patient_P, recipe.batch_size, draw):
        windows = random_windows([pairs.signals_LN[i] for i in pairs.ecg_P[batch]], recipe.ecg.window_samples, draw)
        views, present = pad_views([pairs.views_VD[i] for i in pairs.study_P[batch]], recipe.echo.max_views)
        windows_BLN = augment(torch.from_numpy(windows).to(device), recipe.augmentation, augment_draw)
        yield windows_BLN, torch.from_numpy(views).to(device), torch.from_numpy(present).to(device)
