"""The vectors of single views in a generation: what tells how similar each view of a neighbour is by itself.

One file of little-endian float16, a row of D numbers for each view, without a header: studies by ascending row id, the
views of each in their order, as the catalogue has them (`np.memmap(path, "<f2").reshape(-1, D)`). Half the bytes of
float32, and a cosine moves by some 1e-5.

Letters: D dimensions, V views of a study, N studies.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.base import IndexDamaged

FILE = "views.f16"
_NUMBER = np.dtype("<f2")


class ViewVectors:
    """Read access, from any thread. Not mapped memory: a disk that fails is an error then and no signal."""

    def __init__(self, path: Path, dim: int, row_ids_N: NDArray[np.int64], n_views_N: NDArray[np.int64]) -> None:
        """row_ids_N ascend. Raises IndexDamaged where the file does not hold `n_views_N` rows for each study."""
        self.dim = dim
        self._row_ids_N = row_ids_N
        self._first_N = np.concatenate([np.zeros(1, np.int64), np.cumsum(n_views_N)])
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # of use also once the folder is gone
        self._closing = weakref.finalize(self, os.close, self._descriptor)
        if os.fstat(self._descriptor).st_size != self.count * self._row_bytes:
            self.close()
            raise IndexDamaged("The view vectors and the catalogue disagree.")

    @property
    def count(self) -> int:
        """How many views there are."""
        return int(self._first_N[-1])

    @property
    def _row_bytes(self) -> int:
        return self.dim * _NUMBER.itemsize

    def of_study(self, row_id: int) -> NDArray[np.float32]:
        """(V, D). KeyError for a study that is not there, IndexDamaged where the file cannot be read any more."""
        if not self._closing.alive:
            raise ValueError("these view vectors are closed")
        place = int(np.searchsorted(self._row_ids_N, row_id))
        if place == len(self._row_ids_N) or self._row_ids_N[place] != row_id:
            raise KeyError(row_id)
        first, end = int(self._first_N[place]), int(self._first_N[place + 1])
        wanted = (end - first) * self._row_bytes
        try:
            content = os.pread(self._descriptor, wanted, first * self._row_bytes)
        except OSError as error:
            raise IndexDamaged("The view vectors cannot be read.") from error
        if len(content) != wanted:
            raise IndexDamaged("The view vectors cannot be read.")
        return np.frombuffer(content, _NUMBER).reshape(-1, self.dim).astype(np.float32)

    def close(self) -> None:
        self._closing()


class ViewVectorsWriter:
    """Appends the views of study after study; the file is made with the first. Without any there is none."""

    def __init__(self, path: Path, dim: int) -> None:
        self._path = path
        self._dim = dim
        self._last_row_id = -1

    def add(self, row_id: int, vectors_VD: NDArray[np.float32]) -> None:
        """ValueError for studies that do not come by ascending row id, and for vectors of another width."""
        if row_id <= self._last_row_id or vectors_VD.ndim != 2 or vectors_VD.shape[1] != self._dim:
            raise ValueError("view vectors must be of the index's width, and their studies come by ascending row id")
        self._last_row_id = row_id
        with open(self._path, "ab") as file:
            file.write(np.ascontiguousarray(vectors_VD, dtype=_NUMBER).tobytes())
