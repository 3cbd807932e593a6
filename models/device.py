"""Where the models run."""

from __future__ import annotations

import torch

from ground.errors import Refusal


def resolve_device(name: str) -> torch.device:
    """`auto` is the first CUDA device where there is one, else the CPU; ValueError when the named one is not here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise Refusal("device_unknown", f"no such device: {name!r}; use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise Refusal("device_unsupported", f"device {name!r} is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Refusal("device_missing", "device cuda was asked for, but this machine has none that torch can use")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise Refusal(
            "device_missing",
            f"device {name} was asked for, but there are only {torch.cuda.device_count()} CUDA devices",
        )
    return device
