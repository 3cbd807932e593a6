"""The table `views` of a cohort: a vector for each echo view, which stands in for the clip that it was made of.

    views.parquet   patient_id, study_id, view_id, vector (list of float, all of one width), view (optional)
    cohort.json     "view_vectors": {"name", "width", "sha256", "preparation"}: whose vectors they are

Of a study that has clips in the table `echos` the clips are read, and its vectors are not. Ids and names of views lie
in memory, vectors are read in pieces.

Letters: N views, W numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from cohorts.columns import PARSER_ERRORS, come_once, parquet_columns
from cohorts.found import CohortError, CohortFinding, found_rows
from cohorts.rules import of_no_study, rows_like
from cohorts.tables import Kind, parsed_cells, table_unreadable
from cohorts.vector_column import Piece, vector_pieces
from ground.disk import sha256_of_open, written_whole
from inputs.errors import UnreadableFile
from inputs.limits import MAX_COHORT_VIEW_BYTES, MAX_COHORT_VIEWS
from inputs.opened import BoundedReader, open_regular_file
from inputs.view_source import MEMBER, ViewSource

VIEWS = "views"
VIEWS_FILE = "views.parquet"
VECTOR = "vector"
VIEW_COLUMNS: dict[str, Kind] = {"patient_id": "id", "study_id": "id", "view_id": "id", "view": "text"}


@dataclass(frozen=True)
class ViewsRead:
    """The rows of the table, without vectors, and what is wrong with them and their vectors."""

    rows: pd.DataFrame
    problems: tuple[CohortFinding, ...]
    stamp: str
    """Name, size and hash of the file."""


def no_views() -> pd.DataFrame:
    return pd.DataFrame({column: pd.Series(dtype=str) for column in VIEW_COLUMNS})


def has_views(root: Path) -> bool:
    """Whether a cohort folder has the table; a link whose target is gone counts. CohortError for one as CSV."""
    if (root / f"{VIEWS}.csv").exists():
        raise CohortError("views_not_parquet", f"There is a {VIEWS}.csv; a table of view vectors is {VIEWS_FILE}.")
    return (root / VIEWS_FILE).exists() or (root / VIEWS_FILE).is_symlink()


def stamp_of_views(root: Path) -> str:
    """What tells two tables apart, without parsing. Raises CohortError where it cannot be read."""
    with _opened(root) as file:
        return f"{VIEWS_FILE} {file.size} {sha256_of_open(file)}\n"


def read_views(root: Path, source: ViewSource) -> ViewsRead:
    """Read the whole table once. Raises CohortError for what is no such table."""
    stamp = stamp_of_views(root)
    with _opened(root) as file:
        _check_columns(file)
        file.seek(0)
        ids = [column for column, kind in VIEW_COLUMNS.items() if kind == "id"]
        text = parquet_columns(VIEWS_FILE, file, VIEW_COLUMNS, ids, most_rows=MAX_COHORT_VIEWS)
    rows, problems = parsed_cells(text, VIEW_COLUMNS, VIEWS)
    problems += _vector_problems(root, source, len(rows))
    return ViewsRead(rows, tuple(problems), stamp)


def view_contradictions(views: pd.DataFrame, studies: pd.DataFrame) -> list[CohortFinding]:
    """Views that stand twice, or of a study that is not there or another patient's."""
    key = ["study_id", "view_id"]
    sentence = "The same study_id and view_id stands in more than one row"
    twice = found_rows("view_twice", sentence, VIEWS, views.duplicated(key), first_like=rows_like(views, key))
    owner = studies.drop_duplicates("study_id").set_index("study_id")["patient_id"]
    return twice + of_no_study(views, owner, VIEWS)


def view_pieces(root: Path, width: int) -> Iterator[Piece]:
    """All vectors in the order of the table, some at a time. Raises CohortError for a file that cannot be read."""
    with _opened(root) as file, closing(vector_pieces(file, VIEWS_FILE, VECTOR, width)) as pieces:
        yield from pieces


def _vector_problems(root: Path, source: ViewSource, n_rows: int) -> list[CohortFinding]:
    missing_N, other_N, not_finite_N, zero_N = (np.zeros(n_rows, bool) for _ in range(4))
    for piece in view_pieces(root, source.width):
        here = slice(piece.first, piece.first + len(piece.lengths_N))
        of_width_N = piece.lengths_N == source.width
        missing_N[here] = piece.lengths_N <= 0
        other_N[here] = (piece.lengths_N > 0) & ~of_width_N
        rows = piece.first + np.flatnonzero(of_width_N)
        finite_N = np.isfinite(piece.vectors_NW).all(axis=1)
        not_finite_N[rows] = ~finite_N
        zero_N[rows] = finite_N & ~piece.vectors_NW.any(axis=1)
    width = source.width
    return [
        *found_rows("vector_missing", f"{VECTOR} is empty", VIEWS, missing_N),
        *found_rows("vector_width", f"{VECTOR} has not {width} numbers, as cohort.json says", VIEWS, other_N),
        *found_rows("vector_not_finite", f"{VECTOR} has a number that is not finite", VIEWS, not_finite_N),
        *found_rows("vector_zero", f"{VECTOR} is all zeros", VIEWS, zero_N),
    ]


def _check_columns(file: BoundedReader) -> None:
    names = pq.ParquetFile(file).schema_arrow.names
    come_once(VIEWS_FILE, names, (*VIEW_COLUMNS, VECTOR))
    missing = [column for column in (*VIEW_COLUMNS, VECTOR) if column not in names and column != "view"]
    if missing:
        raise CohortError("column_missing", f"The table {VIEWS} lacks the column {', '.join(missing)}.")


@contextmanager
def _opened(root: Path) -> Iterator[BoundedReader]:
    """The file; what is wrong with it as CohortError."""
    try:
        with open_regular_file((root / VIEWS_FILE).resolve(), MAX_COHORT_VIEW_BYTES) as file:
            yield file
    except CohortError:
        raise
    except UnreadableFile as error:
        if error.code in ("table_too_large", "column_type", "column_twice", "id_not_text"):
            raise CohortError(error.code, error.sentence) from error
        raise table_unreadable(VIEWS_FILE) from error
    except PARSER_ERRORS as error:
        raise table_unreadable(VIEWS_FILE) from error


def write_views(path: Path, rows: pd.DataFrame, pieces: Iterable[NDArray[np.float32]], source: ViewSource) -> None:
    """Write the table: `rows` with the columns of `VIEW_COLUMNS` as text (`view` may be absent), and their vectors.

    pieces: (n, W) each, together as many as there are rows, in their order. The file says itself whose they are.
    """
    names = [column for column in VIEW_COLUMNS if column in rows]
    fields = [*((name, pa.string()) for name in names), (VECTOR, pa.list_(pa.float32()))]
    schema = pa.schema(fields, metadata={MEMBER: source.model_dump_json()})
    first = 0
    with written_whole(path) as file, pq.ParquetWriter(file, schema) as writer:
        for vectors_NW in pieces:
            if not len(vectors_NW):
                continue
            here = rows.iloc[first : first + len(vectors_NW)]
            offsets = pa.array(np.arange(len(vectors_NW) + 1, dtype=np.int32) * source.width)
            lists = pa.ListArray.from_arrays(offsets, pa.array(vectors_NW.reshape(-1)))
            texts = [pa.array(here[name].astype(str), pa.string()) for name in names]
            writer.write_batch(pa.record_batch([*texts, lists], schema=schema))
            first += len(vectors_NW)
        if first != len(rows):
            raise ValueError(f"{first} vectors were given for {len(rows)} rows")


def source_told(path: Path) -> ViewSource | None:
    """What a table that `write_views` wrote says of itself; None for any other."""
    try:
        return ViewSource.model_validate_json((pq.read_schema(path).metadata or {})[MEMBER.encode()])
    except (KeyError, ValidationError, *PARSER_ERRORS):
        return None
