"""What is found wrong with a cohort: of which table, in which rows, and the refusal that it makes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from inputs.errors import InputError

_ROWS_IN_ERROR = 3


class CohortError(InputError):
    """A cohort folder is incomplete or contradicts itself."""


@dataclass(frozen=True)
class CohortFinding:
    """One thing to say of one table, and of which of its rows, counted from 1 below the header.

    `rows` holds all of them, none where it concerns the table as a whole. `repeats`, for duplicates, holds the earlier
    row that each of `rows` repeats.
    """

    code: str
    sentence: str
    table: str
    count: int
    rows: tuple[int, ...] = ()
    repeats: tuple[int, ...] = ()

    def as_error(self) -> CohortError:
        where = f" (table {self.table}, row {', '.join(map(str, self.rows[:_ROWS_IN_ERROR]))}"
        where += " ...)" if self.names_rows_in_part else ")"
        sentence = self.sentence.rstrip(".") + (where if self.rows else "")
        return CohortError(self.code, sentence + ("" if sentence.endswith("?") else "."))

    @property
    def names_rows_in_part(self) -> bool:
        """Whether `as_error` leaves rows unsaid."""
        return len(self.rows) > _ROWS_IN_ERROR


def found_rows(
    code: str,
    sentence: str,
    table: str,
    found: NDArray[np.bool_] | pd.Series,
    *,
    first_like: NDArray[np.int64] | None = None,
) -> list[CohortFinding]:
    """A list with one finding of the rows where `found` is true, or an empty list.

    `first_like`, for duplicates, has the position of the first row that is like each row.
    """
    positions = np.flatnonzero(np.asarray(found, dtype=bool))
    if len(positions) == 0:
        return []
    rows = tuple((positions + 1).tolist())
    repeats = () if first_like is None else tuple((first_like[positions] + 1).tolist())
    return [CohortFinding(code, sentence, table, len(rows), rows, repeats)]
