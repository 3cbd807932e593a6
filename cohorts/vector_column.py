"""A column of vectors in a Parquet file, read some rows at a time: millions of them never lie in memory twice.

Letters: N rows, W numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cohorts.found import CohortError

_BYTES_AT_ONCE = 32 << 20


@dataclass(frozen=True)
class Piece:
    """Rows `first` and those after it. lengths_N: of their vectors, -1 where a cell is empty.

    vectors_NW holds the rows whose vector is of the asked length, in order; float32, what is beyond it infinite.
    """

    first: int
    lengths_N: NDArray[np.int64]
    vectors_NW: NDArray[np.float32]


def vector_pieces(file: IO[bytes], name: str, column: str, width: int) -> Generator[Piece, None, None]:
    """The column in pieces of some MiB, in the order of its rows.

    Raises CohortError for a column that holds no lists of floating-point numbers, and what pyarrow raises over a file
    that is damaged.
    """
    parquet = pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
    of_cells = parquet.schema_arrow.field(column).type
    if not is_vector(of_cells):
        sentence = f"{column} in {name} holds no vectors; a cell is a list of floating-point numbers."
        raise CohortError("column_type", sentence)
    first = 0
    for batch in parquet.iter_batches(batch_size=max(1, _BYTES_AT_ONCE // (4 * width)), columns=[column]):
        cells = batch.column(0)
        lengths_N = pc.fill_null(pc.list_value_length(cells), -1).to_numpy(zero_copy_only=False).astype(np.int64)
        kept = cells if (lengths_N == width).all() else cells.filter(pa.array(lengths_N == width))
        with np.errstate(over="ignore"):
            numbers = kept.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        yield Piece(first, lengths_N, numbers.reshape(-1, width))
        first += len(cells)


def first_width(file: IO[bytes], column: str) -> int:
    """Of the first vector that is not empty; 0 where there is none. Raises what pyarrow raises."""
    for batch in pq.ParquetFile(file).iter_batches(batch_size=256, columns=[column]):
        lengths_N = pc.fill_null(pc.list_value_length(batch.column(0)), 0).to_numpy(zero_copy_only=False)
        if lengths_N.any():
            return int(lengths_N[lengths_N > 0][0])
    return 0


def is_vector(of_cells: pa.DataType) -> bool:
    """Whether a cell of this type is a list of floating-point numbers."""
    lists: tuple[Any, ...] = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_one(of_cells) for is_one in lists) and pa.types.is_floating(of_cells.value_type)
