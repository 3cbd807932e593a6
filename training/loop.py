"""The contrastive loop: epochs of batches, a validation score after each, checkpoints, and the best towers at the end.

Letters: B pairs of a batch, L leads, N samples, V views, D dimensions.
It knows arrays and towers; where they came from and what becomes of them is `training.train`'s business.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.aligned import EcgTower, EchoTower
from training.augment import augment
from training.checkpoint import load_checkpoint, save_checkpoint
from training.dataset import PairedArrays, batches_per_epoch, epoch_batches, pad_views, random_windows
from training.loss import contrastive_loss
from training.recipes import Recipe
from training.run_log import Progress, Report, RunLog
from training.schedule import lr_factor, parameter_groups, set_lr

Score = Callable[[], float]
"""Validation of the towers as they are: higher is better."""


@dataclass(frozen=True)
class FitResult:
    """What the loop says about itself; the towers it was given hold the best epoch's weights."""

    best_epoch: int
    best_score: float
    epochs_run: int


def fit(
    ecg_tower: EcgTower,
    echo_tower: EchoTower,
    pairs: PairedArrays,
    score: Score,
    recipe: Recipe,
    *,
    device: torch.device,
    folder: Path,
    log: RunLog,
    report: Report,
) -> FitResult:
    """Trains both towers in place and leaves them with the weights of the best-scoring epoch.

    `folder` keeps `last.pt` (to go on from) and `best.pt`. All randomness of an epoch comes from (seed, epoch), so a
    run that was stopped and resumed ends with the weights of one that was not.
    """
    towers = nn.ModuleList([ecg_tower, echo_tower]).to(device)
    groups = parameter_groups(
        chain(ecg_tower.named_parameters(), echo_tower.named_parameters()),
        learning_rate=recipe.learning_rate,
        layer_decay=recipe.layer_decay,
        weight_decay=recipe.weight_decay,
        blocks=recipe.architecture.ecg.depth,
    )
    optimizer = torch.optim.AdamW(groups, betas=recipe.betas, fused=True)
    epochs_run, best_epoch, best_score = 0, -1, -math.inf
    if (folder / "last.pt").exists():
        state = load_checkpoint(folder / "last.pt")
        towers.load_state_dict(state["towers"])
        optimizer.load_state_dict(state["optimizer"])
        epochs_run, best_epoch, best_score = state["epochs_run"], state["best_epoch"], state["best_score"]

    while epochs_run < recipe.epochs and epochs_run - 1 - best_epoch < recipe.patience:
        epoch = epochs_run
        started = time.monotonic()
        with torch.random.fork_rng():
            loss = _train_epoch(ecg_tower, echo_tower, optimizer, pairs, recipe, epoch, device, report)
        pairs_per_s = len(pairs) / (time.monotonic() - started)
        towers.eval()
        with torch.inference_mode():
            current = score()
        epochs_run += 1
        if current > best_score:
            best_epoch, best_score = epoch, current
            save_checkpoint(folder / "best.pt", {"towers": towers.state_dict()})
        save_checkpoint(
            folder / "last.pt",
            {
                "towers": towers.state_dict(),
                "optimizer": optimizer.state_dict(),
                "epochs_run": epochs_run,
                "best_epoch": best_epoch,
                "best_score": best_score,
            },
        )
        values = {"loss": loss, "validation_score": current, "pairs_per_s": pairs_per_s}
        log.write("align", epoch, values)
        report(Progress("align", epochs_run, recipe.epochs, values))

    towers.load_state_dict(load_checkpoint(folder / "best.pt")["towers"])
    towers.eval()
    return FitResult(best_epoch, best_score, epochs_run)


def _train_epoch(
    ecg_tower: EcgTower,
    echo_tower: EchoTower,
    optimizer: torch.optim.Optimizer,
    pairs: PairedArrays,
    recipe: Recipe,
    epoch: int,
    device: torch.device,
    report: Report,
) -> float:
    """One pass over all pairs; returns the mean loss."""
    ecg_tower.train()
    echo_tower.train()
    steps = batches_per_epoch(pairs.patient_P, recipe.batch_size)
    total = torch.zeros((), device=device)
    for step, (windows_BLN, views_BVD, present_BV) in enumerate(_batches(pairs, recipe, epoch, device)):
        factor = lr_factor(
            epoch * steps + step,
            steps_per_epoch=steps,
            warmup_epochs=recipe.warmup_epochs,
            epochs=recipe.epochs,
            floor=recipe.lr_floor,
        )
        set_lr(optimizer.param_groups, factor)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.bf16):
            _, ecg_BD = ecg_tower(windows_BLN)
            echo_BD = echo_tower(views_BVD, present_BV).aligned_BD
        loss = contrastive_loss(
            ecg_BD, echo_BD, temperature=recipe.temperature, ecg_to_echo_weight=recipe.ecg_to_echo_weight
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.detach()
        report(Progress("align", epoch, recipe.epochs, {"step": step + 1, "steps": steps}))
    return float(total) / steps


def _batches(
    pairs: PairedArrays, recipe: Recipe, epoch: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The augmented batches of one epoch on the device. Seeds all generators, torch's global one included."""
    draw = np.random.default_rng([recipe.seed, epoch])
    torch_seed = int(draw.integers(2**62))
    torch.manual_seed(torch_seed)  # stochastic depth and dropout
    augment_draw = torch.Generator(device).manual_seed(torch_seed)
    for batch in epoch_batches(pairs.patient_P, recipe.batch_size, draw):
        windows = random_windows([pairs.signals_LN[i] for i in pairs.ecg_P[batch]], recipe.ecg.window_samples, draw)
        views, present = pad_views([pairs.views_VD[i] for i in pairs.study_P[batch]], recipe.echo.max_views)
        windows_BLN = augment(torch.from_numpy(windows).to(device), recipe.augmentation, augment_draw)
        yield windows_BLN, torch.from_numpy(views).to(device), torch.from_numpy(present).to(device)
