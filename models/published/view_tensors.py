"""View vectors that somebody saved with torch, as a NumPy file: weights only, nothing in them is run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.published.checkpoints import CheckpointError, read_checkpoint

MAX_VECTORS_BYTES = 64 << 30
_NUMBERS_AT_ONCE = 8 << 20


def tensor_to_npy(file: Path, out: Path) -> Path:
    """Write the one tensor (vectors, numbers) of a file as float32; returns `out`.

    A dictionary that holds nothing else of two dimensions serves too. CheckpointError for anything else, and for a file
    that asks for more than numbers: see `read_checkpoint`.
    """
    content, _ = read_checkpoint(file, MAX_VECTORS_BYTES)
    held = list(content.values()) if isinstance(content, dict) else [content]
    tables = [tensor for tensor in held if isinstance(tensor, Tensor) and tensor.ndim == 2]
    if len(tables) != 1 or not tables[0].is_floating_point() or 0 in tables[0].shape:
        raise CheckpointError(
            "no_vectors", f"{file.name} is not one tensor of floating-point numbers, (vectors, numbers)."
        )
    table = tables[0]
    if table.numel() * table.element_size() > table.untyped_storage().nbytes():
        raise CheckpointError("damaged_checkpoint", f"{file.name} claims more numbers than it has.")
    rows = max(1, _NUMBERS_AT_ONCE // table.shape[1])
    header = {"descr": "<f4", "fortran_order": False, "shape": tuple(table.shape)}
    with out.open("wb") as npy:  # written, not mapped: a full disk is an error then
        np.lib.format.write_array_header_2_0(npy, header)
        for first in range(0, len(table), rows):
            npy.write(table[first : first + rows].to(torch.float32).contiguous().numpy().tobytes())
    return out
