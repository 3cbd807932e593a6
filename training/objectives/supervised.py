"""Trains an ECG encoder from scratch on labels: the baseline that encoders trained without labels are held against.

Letters: E ECGs, B ECGs of a batch, L leads, N samples, C LVEF classes, F features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from inputs.ecg.prepare import ecg_windows
from models.device import Machine
from models.towers import EcgTower
from training.data.augment import augment
from training.data.batches import (
    batches_per_epoch,
    epoch_batches,
    pairs_per_epoch,
    random_windows,
)
from training.engine.loop import FitResult, Objective, run_epochs
from training.engine.place import Place
from training.engine.schedule import Schedule, parameter_groups
from training.evaluation.metrics import binary_scores, multiclass_scores
from training.recipes import Recipe

UNKNOWN = -1
"""In place of a class number."""
_BATCH = 64


@dataclass(frozen=True)
class LabelledEcgs:
    """Prepared records with their patient, LVEF class and SHD (0, 1); `UNKNOWN` where nobody knows."""

    signals_LN: Sequence[NDArray[np.float32]]
    patient_E: NDArray[np.int64]
    lvef_class_E: NDArray[np.int64]
    shd_E: NDArray[np.int64]


class LabelClassifier(nn.Module):
    """The encoder and feature vector of an ECG tower, which it trains, under one linear head per question."""

    def __init__(self, tower: EcgTower, classes: int) -> None:
        super().__init__()
        features = tower.ecg_alignment_global_token.in_features
        self.ecg_encoder = tower.ecg_encoder
        self.token_aggregator = tower.token_aggregator
        self.lvef_head = nn.Linear(features, classes)
        self.shd_head = nn.Linear(features, 2)

    def forward(self, windows_BLN: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, C) of the LVEF classes and (B, 2) of SHD."""
        features_BF = self.token_aggregator(self.ecg_encoder(windows_BLN))
        return self.lvef_head(features_BF), self.shd_head(features_BF)


class _Batch(NamedTuple):
    windows_BLN: Tensor
    lvef_class_B: Tensor
    shd_B: Tensor


def train_supervised(
    tower: EcgTower, train: LabelledEcgs, val: LabelledEcgs, recipe: Recipe, place: Place, machine: Machine
) -> FitResult:
    """Trains `tower`'s features in place, on the machine's device, and leaves them as they were after the best epoch.

    Batches, windows, augmentation and optimiser are the alignment's; the loss is the sum of both questions'
    cross-entropies. The best epoch has the best mean of AUROC over the LVEF classes and AUROC of SHD on `val`, which
    must show every class.
    """
    settings, device = recipe.aligning, machine.device
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = LabelClassifier(tower, len(recipe.lvef_classes.labels)).to(device)
    tower.to(device)
    groups = parameter_groups(
        model.named_parameters(),
        learning_rate=settings.learning_rate,
        layer_decay=settings.layer_decay,
        weight_decay=settings.weight_decay,
        blocks=recipe.architecture.ecg.depth,
    )
    optimizer = torch.optim.AdamW(groups, betas=settings.betas, fused=True)

    def batches(epoch: int) -> Iterator[_Batch]:
        draw = np.random.default_rng([recipe.seed, epoch])
        torch_seed = int(draw.integers(2**62))
        torch.manual_seed(torch_seed)
        augment_draw = torch.Generator(device).manual_seed(torch_seed)
        for rows in epoch_batches(train.patient_E, settings.batch_size, draw):
            windows = random_windows([train.signals_LN[i] for i in rows], recipe.ecg.window_samples, draw)
            yield _Batch(
                augment(torch.from_numpy(windows).to(device), settings.augmentation, augment_draw),
                torch.from_numpy(train.lvef_class_E[rows]).to(device),
                torch.from_numpy(train.shd_E[rows]).to(device),
            )

    def backward(batch: _Batch) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.bf16):
            lvef_BC, shd_B2 = model(batch.windows_BLN)
        loss = _known_cross_entropy(lvef_BC, batch.lvef_class_B) + _known_cross_entropy(shd_B2, batch.shd_B)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    objective = Objective(
        "supervised",
        batches,
        backward,
        score=lambda: _validation_auroc(model, val, recipe, device),
        items_per_epoch=pairs_per_epoch(train.patient_E, settings.batch_size),
        items="ECGs",
    )
    steps = batches_per_epoch(train.patient_E, settings.batch_size)
    schedule = Schedule(settings.epochs, steps, settings.warmup_epochs, settings.lr_floor, settings.patience)
    return run_epochs(model, optimizer, objective, schedule, place, progress=machine.progress)


def _known_cross_entropy(logits_BC: Tensor, class_B: Tensor) -> Tensor:
    """The mean over what is known, in float32 whatever autocast says; 0 where nothing is."""
    total = cross_entropy(logits_BC.float(), class_B, ignore_index=UNKNOWN, reduction="sum")
    return total / (class_B != UNKNOWN).sum().clamp(min=1)


def _validation_auroc(model: LabelClassifier, val: LabelledEcgs, recipe: Recipe, device: torch.device) -> float:
    """By the first window of each ECG."""
    spec = recipe.ecg.model_copy(update={"windows": "first"})
    lvef, shd = [], []
    for start in range(0, len(val.signals_LN), _BATCH):
        windows = np.concatenate([ecg_windows(signal, spec) for signal in val.signals_LN[start : start + _BATCH]])
        lvef_BC, shd_B2 = model(torch.from_numpy(windows).to(device))
        lvef.append(lvef_BC.softmax(dim=1).cpu().numpy())
        shd.append(shd_B2.softmax(dim=1)[:, 1].cpu().numpy())
    lvef_EC, shd_E = np.concatenate(lvef).astype(np.float64), np.concatenate(shd).astype(np.float64)
    has_lvef, has_shd = val.lvef_class_E != UNKNOWN, val.shd_E != UNKNOWN
    lvef_auroc = multiclass_scores(val.lvef_class_E[has_lvef], lvef_EC[has_lvef])["auroc"]
    return (lvef_auroc + binary_scores(val.shd_E[has_shd], shd_E[has_shd])["auroc"]) / 2
