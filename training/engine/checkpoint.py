"""Checkpoints that a kill or a full disk cannot spoil: the previous one stays until the next one is whole."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from ground.disk import written_whole
from ground.errors import Refusal
from ground.schema import NEWER, is_newer

_SCHEMA_VERSION = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes `path` whole, forced to the disk. On any failure it is as it was."""
    with written_whole(path) as file:
        try:
            torch.save(state | {"schema_version": _SCHEMA_VERSION}, file)
        except RuntimeError as error:
            # torch trips over its own half-written archive before anyone hears of the full disk behind it.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Tensors and plain values only; nothing in it can run. Refusal for a file that is damaged or a newer version's."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        if isinstance(error, PermissionError | FileNotFoundError):
            raise
        raise Refusal(
            "checkpoint_damaged", f"the checkpoint {path.name} is damaged; --no-resume starts afresh"
        ) from error
    if is_newer(state, _SCHEMA_VERSION):
        raise Refusal("checkpoint_newer", f"the checkpoint {path.name} {NEWER}; --no-resume starts afresh")
    return state
