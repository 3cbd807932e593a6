"""What every search back-end promises, so that one congruence test can hold them all to exact numpy.

Letters: B queries, N stored vectors, D dimensions, K neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ground.errors import Refusal
from ground.schema import NEWER


class IndexProblem(Refusal):
    """What can be wrong with an index: one sentence for a person, without paths or patient data.

    IndexProblem
    ├── IndexMissing      nothing was built here yet
    ├── IndexDamaged      what is on disk does not verify
    ├── IndexNewer        a newer version of this software wrote it
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


class IndexNewer(IndexProblem):
    """A generation has a format that only a newer version of this software reads. The sentence names the generation."""

    kind = "index_newer"

    def __init__(self, generation_id: str, consequence: str = "") -> None:
        sentence = f"Generation {generation_id} {NEWER}{consequence}."
        super().__init__(sentence, hint="Use that version, or another index folder.")


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
    """Vectors of studies that can be searched, kept in one file: what a generation holds and a query asks.

    Inner product over unit-length float32 vectors; ids are int64 and given by the caller. Not thread-safe: one lane
    calls it. A back-end is made empty with `StudyIndex(dim)` and listed in `index.backends` under its `name`.
    """

    name: ClassVar[str]
    """What a generation's manifest calls the back-end, such as `faiss-flat`."""
    file_name: ClassVar[str]
    """Of its file in a generation's folder."""

    def __init__(self, dim: int) -> None: ...

    @classmethod
    def open(cls, path: Path) -> Self:
        """What `save` wrote. Raises IndexDamaged for anything else; a hash of the file was verified before."""
        ...

    def save(self, write: Callable[[bytes], Any]) -> None:
        """The file's bytes, piece by piece, wherever the vectors lie now. Errors of `write` come through."""
        ...

    def place_on(self, device: str) -> bool:
        """Search on `cpu`, `cuda` or `cuda:N` from now on. Where that cannot be, False, and `notice` says why."""
        ...

    @property
    def notice(self) -> str | None:
        """A sentence where something runs otherwise than asked for, such as a GPU that had to be left alone."""
        ...

    @property
    def dim(self) -> int: ...

    @property
    def count(self) -> int: ...

    @property
    def backend(self) -> str:
        """How it searches at this moment, such as `faiss-gpu-flat`, for answers and logs."""
        ...

    @property
    def exact(self) -> bool: ...

    @property
    def ids_N(self) -> NDArray[np.int64]:
        """The id of every stored vector, in the order of `vectors_ND`."""
        ...

    @property
    def vectors_ND(self) -> NDArray[np.float32]:
        """The stored vectors, against which recall is measured; valid until the index changes."""
        ...

    def add(self, ids_N: NDArray[np.int64], vectors_ND: NDArray[np.float32]) -> None:
        """Append unit-length vectors. Raises ValueError for ids that are negative or taken and for unfit vectors."""
        ...

    def remove(self, ids_N: NDArray[np.int64]) -> int:
        """Drop vectors; ids that are not there are ignored. Returns how many went."""
        ...

    def search(self, vectors_BD: NDArray[np.float32], k: int, allowed_N: NDArray[np.int64] | None = None) -> Hits:
        """The `k` nearest of every query. Raises ValueError for unfit queries or k < 1.

        With `allowed_N` (int64 ids) the exact best among the allowed; without it the best among all, exact unless
        `exact` is False. Ties come in ascending id order.
        """
        ...
