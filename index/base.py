"""What every search back-end promises, so that one congruence test can hold them all to exact numpy.

Letters: B queries, N stored vectors, D dimensions, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ground.errors import Refusal


class IndexProblem(Refusal):
    """What can be wrong with an index: one sentence for a person, without paths or patient data.

    IndexProblem
    ├── IndexMissing      nothing was built here yet
    ├── IndexDamaged      what is on disk does not verify
    ├── IndexMismatch     the index belongs to another bundle than the one asked to search it
    ├── IndexBusy         another process is writing
    └── IndexNotWritten   a new generation could not be written; the previous one is untouched
    """

    kind = "index_problem"
    """The stable code of all refusals of a class."""

    def __init__(self, sentence: str, *, hint: str = "") -> None:
        super().__init__(self.kind, sentence, hint=hint)


class IndexMissing(IndexProblem):
    """There is no generation at all."""

    kind = "index_missing"


class IndexDamaged(IndexProblem):
    """A generation on disk does not verify. The sentence names the generation and the file, never a full path."""

    kind = "index_damaged"


class IndexMismatch(IndexProblem):
    """The index was built by another bundle than the one asked to search it."""

    kind = "index_mismatch"


class IndexBusy(IndexProblem):
    """Another process writes to the index folder. `pid` is that process, None where it could not be learnt."""

    kind = "index_busy"

    def __init__(self, sentence: str, *, pid: int | None = None) -> None:
        super().__init__(sentence)
        self.pid = pid


class IndexNotWritten(IndexProblem):
    """No space, no permission, or nothing worth indexing."""

    kind = "index_not_written"


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
