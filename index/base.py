"""What every search back-end promises, so that one congruence test can hold them all to exact numpy.

Letters: B queries, N stored vectors, D dimensions, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class IndexDamaged(Exception):
    """A generation on disk does not verify. The sentence names the generation and the file, never a full path."""


class IndexMismatch(Exception):
    """The index was built by another bundle than the one asked to search it."""


@dataclass(frozen=True)
class Hits:
    """ids_BK: int64 row ids, best first, -1 beyond the allowed vectors. similarity_BK: float32 inner products."""

    ids_BK: NDArray[np.int64]
    similarity_BK: NDArray[np.float32]


class StudyIndex(Protocol):
    """Inner product over unit-length float32 vectors; ids are int64 and given by the caller.

    `search` with `allowed` (int64 ids) returns the exact best among the allowed; without it, the best among all, exact
    unless `exact` is False. Ties come in ascending id order. Not thread-safe: one lane calls it.
    """

    @property
    def dim(self) -> int: ...

    @property
    def count(self) -> int: ...

    @property
    def backend(self) -> str:
        """A short name such as `faiss-cpu-flat` for answers and logs."""
        ...

    @property
    def exact(self) -> bool: ...

    def add(self, ids_N: NDArray[np.int64], vectors_ND: NDArray[np.float32]) -> None: ...

    def remove(self, ids_N: NDArray[np.int64]) -> int: ...

    def search(self, vectors_BD: NDArray[np.float32], k: int, allowed_N: NDArray[np.int64] | None = None) -> Hits: ...
