"""A table's file, CSV or Parquet, to columns: sizes and types within limits, whatever the bytes are.

Knows nothing of what a column means. Refusals name the file, never its path or what it holds.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import IO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from inputs import limits
from inputs.errors import UnreadableFile

_ONE_QUOTE = "A cell that holds a quote is quoted, and the quote doubled."
_CELLS_AT_ONCE = 4_000_000
"""Of a CSV, ignored columns included."""
PARSER_ERRORS = (
    ValueError,
    OSError,
    ArithmeticError,
    LookupError,
    TypeError,
    RuntimeError,
    csv.Error,
    pa.ArrowException,
)
"""What csv, pandas and pyarrow raise over a file that is damaged or made to look so."""


def csv_columns(name: str, content: bytes, wanted: Collection[str]) -> pd.DataFrame:
    """Those of the `wanted` columns that a CSV has, every cell as text.

    Raises UnreadableFile for a separator other than the comma, a wanted column that comes twice, a row that has more or
    fewer cells than the header and more than `inputs.limits` allows, and PARSER_ERRORS.
    """
    names = _header(name, content)
    refuse_semicolons(name, names)
    come_once(name, names, wanted)
    _check_rows(name, content, len(names))
    pieces, n_rows = [], 0
    with pd.read_csv(
        io.BytesIO(content),
        dtype=str,
        keep_default_na=False,
        index_col=False,
        encoding="utf-8-sig",
        chunksize=max(1, _CELLS_AT_ONCE // max(1, len(names))),
    ) as chunks:
        for chunk in chunks:
            n_rows += len(chunk)
            _check_table_size(name, n_rows, chunk.shape[1], limits.MAX_COHORT_ROWS)
            pieces.append(chunk[[column for column in wanted if column in chunk.columns]])
    return pd.concat(pieces, ignore_index=True)


def columns_named(name: str, content: bytes) -> list[str]:
    """The names in the header of a CSV or Parquet file. Raises UnreadableFile and PARSER_ERRORS."""
    if name.endswith(".csv"):
        return _header(name, content)
    return [str(column) for column in pq.read_schema(pa.BufferReader(content)).names]


def nearest(name: str, names: Iterable[str], else_say: str, *, cutoff: float = 0.5) -> str:
    """A hint that suggests the nearest of some names, or says something else where none is near."""
    lower = {there.lower(): there for there in names}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=cutoff)
    return f"Is {lower[near[0]]} meant?" if near else else_say


def refuse_semicolons(name: str, names: Sequence[str]) -> None:
    """Raises UnreadableFile for a header that commas do not part and semicolons would."""
    if len(names) == 1 and ";" in names[0]:
        sentence = f"{name} looks semicolon-separated; separate its cells with commas."
        raise UnreadableFile("table_semicolons", sentence)


def _header(name: str, content: bytes) -> list[str]:
    """The names in the first row that is not blank."""
    text = content[: limits.MAX_COHORT_HEADER_BYTES].decode("utf-8-sig", errors="replace")
    lines = io.StringIO(text, newline="")
    names = next((row for row in csv.reader(lines) if len(row) > 1 or "".join(row).strip()), [])
    if len(content) > limits.MAX_COHORT_HEADER_BYTES and lines.tell() == len(text):
        sentence = f"The header of {name} is longer than {limits.MAX_COHORT_HEADER_BYTES >> 10} KiB."
        raise UnreadableFile("table_too_large", sentence)
    return names


def _check_rows(name: str, content: bytes, n_cells: int) -> None:
    """Refuse a row of more or fewer cells than the header: a decimal comma makes two of one, a broken copy ends in one.

    pandas cuts off or fills up such rows.
    """
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline=""))
    for _row in whole_rows(name, rows, n_cells, first=0):  # the header
        pass


def whole_rows(name: str, rows: Iterable[list[str]], n_cells: int, *, first: int) -> Iterator[list[str]]:
    """The rows of a CSV that are not blank, as pandas counts them. Raises UnreadableFile for one of another length.

    first: the number of the first of them, of which the header has 0.
    """
    place = first - 1
    there = (row for row in rows if len(row) > 1 or "".join(row).strip())
    while (row := _next_row(name, there, place + 1)) is not None:
        place += 1
        if len(row) != n_cells:
            cells = "1 cell" if len(row) == 1 else f"{len(row)} cells"
            raise UnreadableFile(
                "row_of_other_length",
                f"Row {place} of {name} has {cells}, its header {n_cells}; cells that hold a comma need quotes.",
                hint="A number with a decimal comma holds one.",
            )
        if any(holds_rows(cell, row[0], n_cells) for cell in row):
            sentence = f"A cell in row {place} of {name} holds the rows below it"
            raise UnreadableFile("quote_open", f"{sentence}: a quote that opens there does not close.", hint=_ONE_QUOTE)
        yield row


def _next_row(name: str, rows: Iterator[list[str]], place: int) -> list[str] | None:
    """None after the last. Raises UnreadableFile, which says the row, for what the reader cannot tell cells in."""
    try:
        return next(rows, None)
    except csv.Error as error:
        sentence = f"Row {place} of {name} has a quote that does not close, text behind a closing one or a huge cell."
        raise UnreadableFile("quote_open", sentence, hint=_ONE_QUOTE) from error


def holds_rows(cell: str, first_cell: str, n_cells: int) -> bool:
    """Whether the lines of a cell are rows: as many commas as theirs, and after each end of line a cell as the first.

    Free text has line ends and commas too, but no line that begins as an id of this table does.
    """
    below = [line for line in cell.replace("\r\n", "\n").split("\n")[1:] if line.strip()]
    if not below or cell.count(",") != len(below) * (n_cells - 1):
        return False
    return all(_form(line.partition(",")[0]) == _form(first_cell.partition("\n")[0]) for line in below)


def _form(text: str) -> str:
    """`p0012` and `q7` alike: runs of figures and of letters."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", text.strip()))


def parquet_columns(
    name: str,
    content: bytes | IO[bytes],
    wanted: Collection[str],
    ids: Collection[str],
    *,
    most_rows: int | None = None,
) -> pd.DataFrame:
    """Those of the `wanted` columns that a Parquet file has: text, numbers, truths and times; `ids` as text.

    An open file is left open. `most_rows` where other than those of a table.
    Types, rows and bytes are looked at before a cell is. Raises UnreadableFile for a column of another type, a wanted
    column that comes twice and more than `inputs.limits` allows, and PARSER_ERRORS.
    """
    source = pa.BufferReader(content) if isinstance(content, bytes) else content
    file = pq.ParquetFile(source)
    come_once(name, file.schema_arrow.names, wanted)
    there = [column for column in wanted if column in file.schema_arrow.names]
    types = {column: _plain_type(file.schema_arrow.field(column).type) for column in there}
    for column, of_cells in types.items():
        if column in ids and not (of_cells in (pa.string(), pa.null()) or pa.types.is_integer(of_cells)):
            sentence = f"{column} in {name} holds values of type {_short(of_cells)}; write ids as text."
            raise UnreadableFile("id_not_text", sentence)
        if not (of_cells == pa.string() or any(is_one(of_cells) for is_one in _READ)):
            sentence = f"{column} in {name} holds values of type {_short(of_cells)}; a cell is one text or number."
            raise UnreadableFile("column_type", sentence)

    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    n_rows = max(file.metadata.num_rows, sum(group.num_rows for group in groups))
    _check_table_size(name, n_rows, len(there), most_rows or limits.MAX_COHORT_ROWS)
    chunks = (group.column(i) for group in groups for i in range(group.num_columns))
    _check_bytes(name, sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema in there))

    # A page may say one long text a million times over: as a dictionary it is measured before it is written out.
    texts = [column for column in there if types[column] == pa.string()]
    table = pq.ParquetFile(source, read_dictionary=texts).read(columns=there).select(there)
    _check_bytes(name, sum(_text_bytes(piece) for column in texts for piece in table[column].chunks))
    schema = pa.schema([(column, pa.string() if column in ids else types[column]) for column in there])
    table = table.cast(schema)
    table.validate(full=True)  # text may be in another coding than UTF-8
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame


_READ = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_decimal,
    pa.types.is_timestamp,
    pa.types.is_date,
    pa.types.is_null,
)


def _plain_type(of_cells: pa.DataType) -> pa.DataType:
    """The type of a column's values, however they are kept; one type for all text."""
    if pa.types.is_dictionary(of_cells):
        of_cells = of_cells.value_type
    is_text = pa.types.is_string(of_cells) or pa.types.is_large_string(of_cells) or pa.types.is_string_view(of_cells)
    return pa.string() if is_text else of_cells


def _short(of_cells: pa.DataType) -> str:
    """Without the names of fields, which may be anything."""
    return str(of_cells).split("<", 1)[0].split("[", 1)[0]


def _text_bytes(piece: pa.Array) -> int:
    """Of all cells of a column of text, written out."""
    if not pa.types.is_dictionary(piece.type):
        return int(piece.nbytes)
    lengths = pc.binary_length(piece.dictionary).cast(pa.int64())
    return pc.sum(lengths.take(piece.indices)).as_py() or 0


def come_once(name: str, names: Iterable[str], wanted: Iterable[str]) -> None:
    """Raises UnreadableFile for a wanted column that a table has more than once."""
    count = Counter(names)
    twice = [column for column in dict.fromkeys(wanted) if count[column] > 1]
    if twice:
        raise UnreadableFile("column_twice", f"{name} has more than one column {', '.join(twice)}.")


def _check_table_size(name: str, n_rows: int, n_columns: int, most_rows: int) -> None:
    if n_rows > most_rows:
        raise UnreadableFile("table_too_large", f"{name} has more than {most_rows:,} rows.")
    if n_rows * n_columns > limits.MAX_COHORT_CELLS:
        raise UnreadableFile("table_too_large", f"{name} has more than {limits.MAX_COHORT_CELLS:,} cells.")


def _check_bytes(name: str, n_bytes: int) -> None:
    if n_bytes > limits.MAX_COHORT_TABLE_BYTES:
        sentence = f"The columns of {name} come to more than {limits.MAX_COHORT_TABLE_BYTES >> 20} MiB when unpacked."
        raise UnreadableFile("table_too_large", sentence)
