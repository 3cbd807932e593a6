"""Packages that a default installation may lack: one sentence that names the extra to install."""

from __future__ import annotations

import importlib
from types import ModuleType

from ground.errors import Refusal

_EXTRA_OF = {"h5py": "formats", "matplotlib": "train", "nibabel": "camus", "tensorboard": "train", "umap": "train"}
"""Top-level module -> extra of this project that brings it."""


class ExtraMissing(Refusal):
    """An optional package is asked for and not installed."""


def require(module: str, purpose: str) -> ModuleType:
    """The module, imported. ExtraMissing when it is not installed: `purpose` says what wants it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise
        extra = _EXTRA_OF[top]
        raise ExtraMissing(
            "extra_missing",
            f"{purpose} needs the package {top}.",
            hint=f"Install it with: pip install 'echo2ecg[{extra}]'",
        ) from None
