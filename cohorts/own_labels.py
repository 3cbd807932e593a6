"""Labels of the user's own: a column that was added to `ecgs` or `studies`, yes or no or a number.

The cohort's own readers pass such columns over. Rows are known by their ids, so that the order of a file counts for
nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from cohorts.columns import PARSER_ERRORS, columns_named, csv_columns, parquet_columns
from cohorts.opened import OpenCohort
from cohorts.own_files import read_table_file
from cohorts.tables import MAX_NAME_LETTERS, TABLES, CohortError, TableFile, table_unreadable
from ground.letters import has_control, has_invisible
from inputs.errors import UnreadableFile

LabelTable = Literal["ecgs", "studies"]
Kind = Literal["yes_no", "number"]

_ID_OF: dict[LabelTable, str] = {"ecgs": "ecg_id", "studies": "study_id"}
_YES_NO = {
    **dict.fromkeys(("true", "yes", "1", "1.0"), 1.0),
    **dict.fromkeys(("false", "no", "0", "0.0"), 0.0),
}
_TAKEN = {"lvef", "shd", "lvsv_ml", "days_apart"} | {column for kinds in TABLES.values() for column in kinds}
_ROWS_TOLD = 3


@dataclass(frozen=True)
class OwnLabel:
    """`values` is float64 by ecg_id or study_id: 1 and 0 of a yes or no, else numbers; NaN where unknown."""

    name: str
    kind: Kind
    table: LabelTable
    values: pd.Series


def read_own_labels(cohort: OpenCohort, names: Sequence[str]) -> tuple[OwnLabel, ...]:
    """The columns of these names. CohortError for one that is not there, is the cohort's own, or holds something else.

    A name that comes twice counts once.
    """
    return tuple(_read(cohort, name) for name in dict.fromkeys(names))


def known_own_labels(cohort: OpenCohort, names: Sequence[str]) -> tuple[OwnLabel, ...]:
    """Those of the names that the cohort has a column of; CohortError where such a column holds something else."""
    if not names:  # tables are read once
        return ()
    there = {column for _, file in _files(cohort) for column in columns_in(file)}
    return read_own_labels(cohort, [name for name in names if name in there])


def _read(cohort: OpenCohort, name: str) -> OwnLabel:
    if (refusal := name_refused(name)) is not None:
        raise refusal
    files = _files(cohort)
    having = [(table, file) for table, file in files if name in columns_in(file)]
    if len(having) > 1:
        sentence = f"The column {name} is in the table ecgs and in the table studies; name one of them otherwise."
        raise CohortError("label_twice", sentence)
    if not having:
        added = sorted({column for _, file in files for column in columns_in(file)} - _TAKEN)
        near = difflib.get_close_matches(name, added, n=1)
        hint = f"Is it {near[0]}?" if near else f"Columns that were added: {', '.join(added[:10])}." if added else ""
        raise CohortError("label_missing", f"No table has a column {name}: ecgs and studies were looked at.", hint=hint)
    table, file = having[0]
    return _typed(name, table, cells_in(file, [_ID_OF[table], name], [_ID_OF[table]]))


def name_refused(name: str) -> CohortError | None:
    """Why no label can have this name; None for one that can."""
    if name in _TAKEN:
        sentence = f"{name} is a name that this software uses itself, so it can be no label of your own."
        return CohortError("label_name_taken", sentence, hint="Give the column another name.")
    if not name.strip() or has_control(name) or has_invisible(name) or len(name) > MAX_NAME_LETTERS:
        sentence = f"The name of a label has 1 to {MAX_NAME_LETTERS} characters, all of which show something."
        return CohortError("label_name_unfit", sentence)
    return None


def _files(cohort: OpenCohort) -> list[tuple[LabelTable, TableFile]]:
    tables: list[tuple[LabelTable, TableFile]] = []
    for table in get_args(LabelTable):
        if (file := read_table_file(cohort.root, table)) is not None:
            tables.append((table, file))
    return tables


def columns_in(file: TableFile) -> list[str]:
    """All that a table has, its own ones too. Raises CohortError for what is no table."""
    try:
        return columns_named(file.name, file.content)
    except UnreadableFile as error:
        raise CohortError(error.code, error.sentence) from error
    except PARSER_ERRORS as error:
        raise table_unreadable(file.name) from error


def cells_in(file: TableFile, columns: Sequence[str], ids: Collection[str]) -> pd.DataFrame:
    """Some columns of a table, none of which comes twice; `ids` as text. Raises CohortError for any other cells."""
    try:
        if file.is_csv:
            return csv_columns(file.name, file.content, columns)
        return parquet_columns(file.name, file.content, columns, ids)
    except UnreadableFile as error:
        raise CohortError(error.code, error.sentence) from error
    except PARSER_ERRORS as error:
        raise table_unreadable(file.name) from error


def _typed(name: str, table: LabelTable, frame: pd.DataFrame) -> OwnLabel:
    """Yes or no where every known cell is true, false, 1 or 0; else a number."""
    column = frame[name]
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise CohortError(
            "label_kind", f"{name} holds times; a label is yes or no, true or false, 1 or 0, or a number."
        )
    text = column.map(lambda cell: "" if pd.isna(cell) else str(cell)).astype(str).str.strip().str.lower()
    known = text != ""
    if not known.any():
        raise CohortError("label_empty", f"The column {name} of the table {table} has no value.")
    yes_no, number = text.map(_YES_NO), pd.to_numeric(text.where(known), errors="coerce")
    is_yes_no = bool(yes_no[known].notna().all())
    bad = known & ~np.isfinite(number) & ~(known & is_yes_no)
    if bad.any():
        rows = (np.flatnonzero(bad) + 1).tolist()
        told = ", ".join(map(str, rows[:_ROWS_TOLD])) + (" ..." if len(rows) > _ROWS_TOLD else "")
        sentence = (
            f"{name} holds something else than yes and no, true and false, 1 and 0, or numbers alone, "
            f"in {len(rows)} of its {int(known.sum())} known cells (table {table}, row {told})."
        )
        raise CohortError("label_kind", sentence)
    values = (yes_no if is_yes_no else number).astype(np.float64)
    ids = frame[_ID_OF[table]].map(str)
    return OwnLabel(name, "yes_no" if is_yes_no else "number", table, pd.Series(values.to_numpy(), index=ids))
