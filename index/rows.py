"""Which rows of an index a search may return, while it waits: small however many studies there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class RowSet:
    """Row ids of 0 and above in as few bytes as they need: a bit for each row up to the last, or themselves where they
    are few. Forty searches that wait with a filter on a million studies hold 5 MB of them, and not 320."""

    _kept: NDArray[np.uint8] | NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, row_ids_N: NDArray[np.int64]) -> Self:
        """From ascending ids."""
        last = int(row_ids_N[-1]) if len(row_ids_N) else -1
        if 8 * row_ids_N.nbytes <= last:
            return cls(row_ids_N.astype(np.int64), len(row_ids_N))
        chosen_R = np.zeros(last + 1, np.bool_)
        chosen_R[row_ids_N] = True
        return cls(np.packbits(chosen_R), len(row_ids_N))

    @property
    def ids(self) -> NDArray[np.int64]:
        """Ascending. Eight bytes a row: ask for them when they are searched with."""
        if self._kept.dtype == np.int64:
            return self._kept.astype(np.int64, copy=False)
        return np.flatnonzero(np.unpackbits(self._kept.astype(np.uint8, copy=False))).astype(np.int64, copy=False)

    @property
    def nbytes(self) -> int:
        return self._kept.nbytes
