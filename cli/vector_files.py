"""Arrays of view vectors as people have them: .npy as it is, a tensor that torch saved as a .npy for the time being."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ground.disk import held_folder


@contextmanager
def as_numpy(file: Path | None) -> Iterator[Path | None]:
    """The file, or a .npy of the same name made of it that ends with the block. Raises CheckpointError."""
    if file is None or file.suffix.lower() not in (".pt", ".pth"):
        yield file
        return
    from models.published.view_tensors import tensor_to_npy

    with held_folder("echo2ecg-vectors-") as folder:
        yield tensor_to_npy(file, folder / f"{file.name}.npy")
