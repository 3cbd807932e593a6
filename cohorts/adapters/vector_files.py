"""Vectors as others keep them, an array or a column of lists: checked by the rows of the table that names them.

Read in pieces. Letters: N rows of a table, W numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.adapters.cells import refuse_rows, whole
from cohorts.adapters.source_tables import unreadable
from cohorts.adapters.vector_arrays import VectorArray
from cohorts.columns import PARSER_ERRORS
from cohorts.found import CohortError
from cohorts.vector_column import Piece, first_width, vector_pieces

_BYTES_AT_ONCE = 32 << 20


@dataclass(frozen=True)
class Vectors:
    """Of the rows of a table. `of` gives those of some rows (N,), in order and in pieces (n, W).

    It ends with a CohortError where one of them is of another width, not finite or all zeros.
    """

    width: int
    of: Callable[[NDArray[np.bool_]], Iterator[NDArray[np.float32]]]


def array_vectors(array: VectorArray, rows: pd.Series, column: str, table: str, again: pd.Series) -> Vectors:
    """Of an array (M, W). `rows`: which of its rows each row of `table` names, as text. again: rows that repeat others.

    Raises CohortError for rows that it does not have, and for one of several views.
    """
    numbers = rows.str.strip().str.extract(r"^([0-9]{1,12})(?:\.0*)?$", expand=False)
    refuse_rows("row_unreadable", f"{column} is no whole number from 0", table, numbers.isna())
    place_N = numbers.to_numpy(np.int64)
    beyond = f"{column} is beyond the {len(array.array_MW)} vectors of {array.file_name}"
    refuse_rows("row_beyond", beyond, table, place_N >= len(array.array_MW))
    twice = pd.Series(place_N, index=rows.index).duplicated() & ~again
    refuse_rows("id_twice", f"The same {column} stands in rows of several views", table, twice)
    return _at(array, place_N, table)


def named_vectors(array: VectorArray, views: pd.Series, column: str, table: str) -> Vectors:
    """Of an array whose rows have names, by the name of each row of `table`.

    Raises CohortError for a name that it does not have, and for one that more than one row has.
    """
    assert array.names is not None
    sentence = f"{column} names a vector of {array.file_name}, and the same stands in more than one row"
    refuse_rows("id_twice", sentence, table, views.duplicated())
    place_N = array.names.get_indexer(pd.Index(views.where(views.isin(array.names), whole(views))))
    refuse_rows("vector_unnamed", f"{column} is no name in {array.file_name}", table, place_N < 0)
    return _at(array, place_N.astype(np.int64), table)


def _at(array: VectorArray, place_N: NDArray[np.int64], table: str) -> Vectors:
    width = array.array_MW.shape[1]

    def of(wanted_N: NDArray[np.bool_]) -> Iterator[NDArray[np.float32]]:
        positions, at_once = np.flatnonzero(wanted_N), max(1, _BYTES_AT_ONCE // (4 * width))
        faults = _Faults(len(wanted_N), table)
        for first in range(0, len(positions), at_once):
            here = positions[first : first + at_once]
            with np.errstate(over="ignore"):
                vectors_NW = np.asarray(array.array_MW[place_N[here]], np.float32)
            faults.look(here, vectors_NW)
            yield vectors_NW
        faults.refuse()

    return Vectors(width, of)


def list_vectors(path: Path, column: str, n_rows: int) -> Vectors:
    """Of a column of lists in a Parquet table. The first list says how wide all must be."""
    try:
        with path.open("rb") as file:
            width = first_width(file, column)
    except PARSER_ERRORS as error:
        raise unreadable(path.name) from error
    if not width:
        raise CohortError("vectors_missing", f"{column} of {path.name} holds no vector at all.")

    def of(wanted_N: NDArray[np.bool_]) -> Iterator[NDArray[np.float32]]:
        faults = _Faults(len(wanted_N), path.name)
        other_N = np.zeros(n_rows, bool)
        for piece in _pieces(path, column, width):
            fits_N = piece.lengths_N == width
            wanted = wanted_N[piece.first : piece.first + len(fits_N)]
            other_N[piece.first : piece.first + len(fits_N)] = wanted & ~fits_N
            vectors_NW = piece.vectors_NW[wanted[fits_N]]
            faults.look(piece.first + np.flatnonzero(fits_N & wanted), vectors_NW)
            yield vectors_NW
        refuse_rows("vector_width", f"{column} has not {width} numbers, as the first has", path.name, other_N)
        faults.refuse()

    return Vectors(width, of)


def _pieces(path: Path, column: str, width: int) -> Iterator[Piece]:
    try:
        with path.open("rb") as file:
            yield from vector_pieces(file, path.name, column, width)
    except PARSER_ERRORS as error:
        raise unreadable(path.name) from error


class _Faults:
    """Rows of the source whose vectors cannot be used."""

    def __init__(self, n_rows: int, table: str) -> None:
        self._table = table
        self._not_finite_N, self._zero_N = np.zeros(n_rows, bool), np.zeros(n_rows, bool)

    def look(self, rows: NDArray[np.int64], vectors_NW: NDArray[np.float32]) -> None:
        finite_N = np.isfinite(vectors_NW).all(axis=1)
        self._not_finite_N[rows] = ~finite_N
        self._zero_N[rows] = finite_N & ~vectors_NW.any(axis=1)

    def refuse(self) -> None:
        sentence = "The vector has a number that is not finite"
        refuse_rows("vector_not_finite", sentence, self._table, self._not_finite_N)
        refuse_rows("vector_zero", "The vector is all zeros", self._table, self._zero_N)
