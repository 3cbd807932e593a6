"""Learning rates: who gets which share of the base rate, and how the whole moves over time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch.nn import Parameter

_ENCODER = "ecg_encoder."
_BLOCK = re.compile(r"^ecg_encoder\.blocks\.(\d+)\.")
_STEM = ("ecg_encoder.cls_token", "ecg_encoder.pos_embed_y", "ecg_encoder.patch_embed")
_UNDECAYED = ("bias", "cls_token", "layernorm")


def layer_lr_scale(name: str, *, blocks: int, layer_decay: float) -> float:
    """Share of the base rate that parameter `name` gets: `layer_decay` per block below the last one.

    The stem (CLS, lead embedding, patch embedding) moves with block 0; everything outside the ECG encoder gets 1.
    """
    block = _BLOCK.match(name)
    if block:
        return layer_decay ** (blocks - 1 - int(block.group(1)))
    if name.startswith(_STEM):
        return layer_decay ** (blocks - 1)
    if name.startswith(_ENCODER):
        raise ValueError(f"no learning-rate rule for {name}")
    return 1.0


def parameter_groups(
    named_parameters: Iterable[tuple[str, Parameter]],
    *,
    learning_rate: float,
    layer_decay: float,
    weight_decay: float,
    blocks: int,
) -> list[dict[str, Any]]:
    """Optimiser groups, one per (rate, decay), each with `base_lr` for the schedule and the `names` it holds.

    Weight decay spares names with bias, cls_token or layernorm in them. The encoder's norm *weights* are therefore
    decayed: a slip of the published recipe, kept because it is the recipe.
    """
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in named_parameters:
        if not parameter.requires_grad:
            continue
        lr = learning_rate * layer_lr_scale(name, blocks=blocks, layer_decay=layer_decay)
        decay = 0.0 if any(word in name.lower() for word in _UNDECAYED) else weight_decay
        group = groups.setdefault(
            (lr, decay), {"params": [], "names": [], "lr": lr, "base_lr": lr, "weight_decay": decay}
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


@dataclass(frozen=True)
class Schedule:
    """How long a stage trains, and how its rates move: linearly from `floor` over the warm-up, back by a cosine."""

    epochs: int
    steps_per_epoch: int
    warmup_epochs: float
    floor: float
    patience: float = math.inf
    """Epochs without a better score after which it ends; without it all epochs are run."""

    def factor(self, step: int) -> float:
        """Factor on every base rate at optimiser step `step`, counted from 0."""
        warmup = self.warmup_epochs * self.steps_per_epoch
        total = self.epochs * self.steps_per_epoch
        if step < warmup:
            return self.floor + (1 - self.floor) * step / warmup
        if step >= total:
            return self.floor
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def set_lr(groups: Iterable[dict[str, Any]], factor: float) -> None:
    """Every group must carry its `base_lr`."""
    for group in groups:
        group["lr"] = group["base_lr"] * factor
