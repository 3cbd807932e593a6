"""The optimiser of stages that train a whole model at one rate."""

from __future__ import annotations

import torch
from torch import nn

from training.recipes import Stage


def adamw(model: nn.Module, settings: Stage) -> torch.optim.AdamW:
    """AdamW over all parameters, by `settings`; biases and scales, of one dimension, do not decay."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    undecayed = [p for p in model.parameters() if p.ndim <= 1]
    rate = {"lr": settings.learning_rate, "base_lr": settings.learning_rate}
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay, **rate},
        {"params": undecayed, "weight_decay": 0.0, **rate},
    ]
    return torch.optim.AdamW(groups, fused=True)
