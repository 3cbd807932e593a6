"""Checkpoints that a kill or a full disk cannot spoil: the previous one stays until the next one is whole."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes beside `path`, forces it to the disk, then takes its name. On any failure `path` is as it was.

    One process at a time: the file beside it always has the same name, so that what a kill leaves is written over.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:
                # torch trips over its own half-written archive before anyone hears of the full disk behind it.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Tensors and plain values only; nothing in the file can run. ValueError for a file that is damaged."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        if isinstance(error, PermissionError | FileNotFoundError):
            raise
        raise ValueError(f"the checkpoint {path.name} is damaged; --no-resume starts afresh") from error
    return state
