"""Tables of a data set as somebody downloaded them: CSV, also gzipped, read by the names of their columns.

Every cell is text, stripped of spaces; an empty one is unknown. Names of columns are found whatever the case of their
letters, and the nearest one is suggested for a name that is not there. A row of more or fewer cells than the header is
refused: whichever way it were read, cells would stand in other columns.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from cohorts.columns import PARSER_ERRORS, come_once, nearest, refuse_semicolons, whole_rows
from cohorts.tables import CohortError
from inputs.ecg.formats.text import encoding_of
from inputs.errors import UnreadableFile

_ROWS_AT_ONCE = 200_000
_PARTS = (EOFError, gzip.BadGzipFile, *PARSER_ERRORS)


def read_source_table(path: Path, wanted: Iterable[str], optional: Iterable[str] = ()) -> pd.DataFrame:
    """The `wanted` columns and those of the `optional` ones that are there, under the names given here.

    Raises CohortError for a table that is not there or cannot be read, for a wanted column that it lacks, and for a
    line end in one of its cells.
    """
    pieces = [*source_rows(path, wanted, optional)]
    return pd.concat(pieces, ignore_index=True)


def source_rows(
    path: Path, wanted: Iterable[str], optional: Iterable[str] = (), *, free: Collection[str] = ()
) -> Iterator[pd.DataFrame]:
    """As `read_source_table`, some rows at a time, of a table that is too large to be held; at least one frame.

    The index counts the table's rows from 0, over all pieces. free: those of `wanted` that may hold several lines.
    """
    wanted = list(wanted)
    one_line = [name for name in dict.fromkeys(wanted) if name not in free]
    with _opened(path) as (names, rows):
        found = {name: column_named(name, names) for name in (*wanted, *optional)}
        for name in wanted:
            if found[name] is None:
                raise column_missing(path.name, name, names)
        places = {name: names.index(there) for name, there in found.items() if there is not None}
        come_once(path.name, names, [names[place] for place in places.values()])
        cells: dict[str, list[str]] = {name: [] for name in places}
        n_rows = n_told = 0
        for n_rows, row in enumerate(whole_rows(path.name, rows, len(names), first=1), start=1):
            for name, place in places.items():
                cells[name].append(row[place].strip())
            if n_rows - n_told == _ROWS_AT_ONCE:
                yield _piece(cells, n_told, path.name, one_line)
                n_told, cells = n_rows, {name: [] for name in places}
        if n_rows > n_told or not n_rows:
            yield _piece(cells, n_told, path.name, one_line)


def _piece(cells: dict[str, list[str]], first: int, table: str, one_line: Iterable[str]) -> pd.DataFrame:
    """Rows that count on from `first`. Raises CohortError for a line end in a column that has none."""
    piece = pd.DataFrame(cells, dtype=object)
    piece.index += first
    for name in one_line:
        for row in piece.index[piece[name].str.contains(r"[\r\n]", regex=True)]:
            sentence = f"{name} holds a line end in row {row + 1} of {table}."
            raise CohortError("quote_open", sentence, hint="Is a quote that opens there not closed?")
    return piece


@contextmanager
def refused_of_source() -> Iterator[None]:
    """What is refused of a table's columns and rows, as CohortError."""
    try:
        yield
    except UnreadableFile as error:
        raise CohortError(error.code, error.sentence, hint=error.hint) from error


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
    """The names in the header, and the rows below it. Raises CohortError, also for what goes wrong while rows come."""
    try:
        with (
            refused_of_source(),
            path.open("rb") as there,
            gzip.open(there) if path.suffix.lower() == ".gz" else there as content,
        ):
            rows = csv.reader(io.TextIOWrapper(content, encoding="utf-8-sig", newline=""), strict=True)
            names = next((row for row in rows if len(row) > 1 or "".join(row).strip()), [])
            refuse_semicolons(path.name, names)
            yield names, rows
    except FileNotFoundError as error:
        raise CohortError("table_missing", f"There is no {path.name} in the data set.") from error
    except UnicodeDecodeError as error:
        found = encoding_of(error.object)
        looks = f", but looks like {found.upper()}" if found in ("utf-16", "latin-1") else ""
        sentence = f"{path.name} is not in UTF-8{looks}."
        raise CohortError("table_encoding", sentence, hint="Save it as UTF-8.") from error
    except _PARTS as error:
        raise unreadable(path.name) from error


def columns_of(path: Path) -> list[str]:
    """The names in a table's header, as they stand there. Raises CohortError for what cannot be read as a table."""
    with _opened(path) as (names, _rows):
        return names


def mapped_columns(path: Path, columns: Mapping[str, str], known: Iterable[str]) -> dict[str, str]:
    """`--map` checked: columns of ours that are among `known`, columns of theirs that the table has.

    Raises CohortError that suggests the nearest name.
    """
    check_ours(columns, known)
    names = columns_of(path)
    found = {column: column_named(theirs, names) for column, theirs in columns.items()}
    for column, there in found.items():
        if there is None:
            raise column_missing(path.name, columns[column], names)
    return {column: there for column, there in found.items() if there is not None}


def check_ours(columns: Iterable[str], known: Iterable[str]) -> None:
    """Raises CohortError for a column that `--map` names and that is none of ours, with the nearest one that is."""
    ours = list(known)
    for column in columns:
        if column not in ours:
            sentence = f"--map names {column}, which is no column of ours."
            hints = (nearest(column, ours, _columns(ours)), _columns(ours))
            raise CohortError("column_unknown", sentence, hint=" ".join(dict.fromkeys(hints)))


def _columns(names: Iterable[str]) -> str:
    return f"Columns: {', '.join([*names][:20])}."


def column_missing(table: str, name: str, names: list[str]) -> CohortError:
    return CohortError("column_missing", f"{table} has no column {name}.", hint=nearest(name, names, _columns(names)))


def unreadable(table: str) -> CohortError:
    return CohortError(
        "table_unreadable", f"{table} cannot be read as a table.", hint="Was it downloaded and unpacked to its end?"
    )


def column_named(name: str, names: list[str]) -> str | None:
    if name in names:
        return name
    alike = [there for there in names if there.strip().lower() == name.lower()]
    return alike[0] if len(alike) == 1 else None
