"""The alignment itself: pairs of prepared ECGs and view vectors, two towers, one contrastive loss.

Letters: B pairs of a batch (of this rank), L leads, N samples, V views, D dimensions.
It knows arrays and towers, neither files nor bundles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from ground.errors import Refusal
from models.device import Machine
from models.towers import EcgTower, EchoTower
from training.data.augment import augment
from training.data.batches import (
    PairedArrays,
    batches_per_epoch,
    choose_patches,
    epoch_batches,
    pad_views,
    pairs_per_epoch,
    random_windows,
)
from training.engine.loop import FitResult, Objective, Score, run_epochs
from training.engine.place import Place
from training.engine.ranks import ALONE, Ranks
from training.engine.schedule import Schedule, parameter_groups
from training.objectives.contrastive_step import backward as contrastive_backward
from training.objectives.contrastive_step import contrastive_loss
from training.recipes import Recipe


@dataclass(frozen=True)
class Batch:
    """This rank's part of a global batch, on the device. `sizes` says how many pairs each rank has."""

    windows_BLN: Tensor
    views_BVD: Tensor
    present_BV: Tensor
    sizes: list[int]
    visible_BK: Tensor | None = None
    """The patches that the ECG encoder reads; None: all of them."""

    def chunks(self, size: int | None) -> list[Batch]:
        """The same pairs, at most `size` at a time."""
        if size is None or size >= len(self.windows_BLN):
            return [self]
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        parts = zip(*(torch.split(value, size) for value in tensors.values()), strict=True)
        return [replace(self, **dict(zip(tensors, part, strict=True))) for part in parts]


def align_towers(
    ecg_tower: EcgTower,
    echo_tower: EchoTower,
    pairs: PairedArrays,
    score: Callable[[], float | Score],
    recipe: Recipe,
    place: Place,
    machine: Machine,
    *,
    ranks: Ranks = ALONE,
) -> FitResult:
    """Trains both towers in place, on the machine's device, and leaves them with the weights of the best-scoring epoch.

    Every rank must hold the same pairs and the same initial weights. Refusal when a batch has fewer pairs than there
    are ranks.
    """
    settings, device = recipe.aligning, machine.device
    towers = nn.ModuleList([ecg_tower, echo_tower]).to(device)
    optimizer = alignment_optimizer(ecg_tower, echo_tower, recipe)
    # What is scored and saved is the tower itself, under its own names, whatever a step calls.
    called = compiled(ecg_tower, device) if settings.compile else ecg_tower

    objective = Objective(
        "align",
        batches=lambda epoch: _batches(pairs, recipe, epoch, device, ranks),
        backward=lambda batch: global_backward(called, echo_tower, batch, recipe, ranks),
        score=score,
        items_per_epoch=pairs_per_epoch(pairs.patient_P, settings.batch_size),
        items="pairs",
    )
    steps = batches_per_epoch(pairs.patient_P, settings.batch_size)
    schedule = Schedule(settings.epochs, steps, settings.warmup_epochs, settings.lr_floor, settings.patience)
    return run_epochs(
        towers,
        optimizer,
        objective,
        schedule,
        place,
        averaging=settings.weight_averaging,
        progress=machine.progress,
        ranks=ranks,
    )


def alignment_optimizer(ecg_tower: EcgTower, echo_tower: EchoTower, recipe: Recipe) -> torch.optim.AdamW:
    """Fused AdamW with a rate for every layer of the ECG encoder, and one for the echo tower."""
    settings = recipe.aligning
    groups = [
        group
        for tower, rate in (
            (ecg_tower, settings.learning_rate),
            (echo_tower, settings.learning_rate * settings.echo_tower_rate),
        )
        for group in parameter_groups(
            tower.named_parameters(),
            learning_rate=rate,
            layer_decay=settings.layer_decay,
            weight_decay=settings.weight_decay,
            blocks=recipe.architecture.ecg.depth,
        )
    ]
    return torch.optim.AdamW(groups, betas=settings.betas, fused=True)


def compiled(ecg_tower: EcgTower, device: torch.device) -> EcgTower:
    """The ECG tower behind `torch.compile`, sharing its parameters.

    The echo tower stays as it is: nearly all the work is the ECG's, and a new number of views compiles again.
    Refusal when this machine cannot compile, before a training run finds out: a CPU needs a C++ compiler.
    """
    try:
        torch.compile(torch.sin)(torch.zeros(8, device=device))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise Refusal(
            "compile_unavailable",
            "the recipe wants torch.compile, which does not work on this machine; install a C++ compiler "
            f"(Debian: apt-get install g++) or train without it ({reason})",
        ) from error
    return cast("EcgTower", torch.compile(ecg_tower))


def global_backward(ecg_tower: EcgTower, echo_tower: EchoTower, batch: Batch, recipe: Recipe, ranks: Ranks) -> Tensor:
    """Leaves in both towers, on every rank, the gradient of the global batch; returns the loss's value."""
    settings, device = recipe.aligning, batch.windows_BLN.device

    def embed(part: Batch) -> tuple[Tensor, Tensor]:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.bf16):
            _, ecg_BD = ecg_tower(part.windows_BLN, part.visible_BK)
            return ecg_BD, echo_tower(part.views_BVD, part.present_BV).aligned_BD

    def loss_of(ecg_BD: Tensor, echo_BD: Tensor) -> Tensor:
        return contrastive_loss(
            ranks.gather(ecg_BD, batch.sizes),
            ranks.gather(echo_BD, batch.sizes),
            temperature=settings.temperature,
            ecg_to_echo_weight=settings.ecg_to_echo_weight,
        )

    value = contrastive_backward(embed, batch.chunks(settings.chunk_size), loss_of, device)
    ranks.sum_gradients(chain(ecg_tower.parameters(), echo_tower.parameters()))
    return value


def _batches(pairs: PairedArrays, recipe: Recipe, epoch: int, device: torch.device, ranks: Ranks) -> Iterator[Batch]:
    """This rank's augmented batches of one epoch. Seeds every generator, torch's global one included.

    All ranks draw the same global batches; what is drawn for single pairs, each rank draws for itself.
    """
    settings = recipe.aligning
    draw = np.random.default_rng([recipe.seed, epoch])
    torch_seed = int(draw.integers(2**62))
    batches = epoch_batches(pairs.patient_P, settings.batch_size, draw)
    if not ranks.is_main:
        draw = np.random.default_rng([recipe.seed, epoch, ranks.number])
        torch_seed = int(draw.integers(2**62))
    torch.manual_seed(torch_seed)  # stochastic depth and dropout
    augment_draw = torch.Generator(device).manual_seed(torch_seed)
    for batch in batches:
        shares = ranks.shares(batch)
        own = shares[ranks.number]
        windows = random_windows([pairs.signals_LN[i] for i in pairs.ecg_P[own]], recipe.ecg.window_samples, draw)
        views, present = pad_views([pairs.views_VD[i] for i in pairs.study_P[own]], recipe.echo.max_views)
        visible = None
        if settings.patch_dropout:
            patches = recipe.architecture.ecg.leads * recipe.architecture.ecg.patches_per_lead
            visible = torch.from_numpy(choose_patches(len(own), patches, settings.patch_dropout, draw)).to(device)
        yield Batch(
            augment(torch.from_numpy(windows).to(device), settings.augmentation, augment_draw),
            torch.from_numpy(views).to(device),
            torch.from_numpy(present).to(device),
            [len(share) for share in shares],
            visible,
        )
