"""Where the models run, and what else of a computer a run may use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch

from ground.errors import Refusal
from ground.progress import Progress, silent


@dataclass(frozen=True)
class Machine:
    """What a run has of a computer: where models run, how many files are read at once, and who is told of progress."""

    device: torch.device
    workers: int = 2
    progress: Progress = silent

    @classmethod
    def named(cls, device: str = "auto", *, workers: int = 2, progress: Progress = silent) -> Self:
        """By the name of a device: see `resolve_device`."""
        return cls(resolve_device(device), workers, progress)

    def telling(self, progress: Progress) -> Self:
        """The same machine, its progress told to somebody else."""
        return replace(self, progress=progress)


def resolve_device(name: str) -> torch.device:
    """`auto` is the first CUDA device where there is one, else the CPU; Refusal when the named one is not here."""
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
