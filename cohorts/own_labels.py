"""Labels of the user's own: a column that was added to `ecgs` or `studies`, yes or no or a number.

The cohort's own readers pass such columns over. Rows are known by their ids, so that the order of a file counts for
nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.columns import PARSER_ERRORS, columns_named, csv_columns, parquet_columns
from cohorts.opened import OpenCohort
from cohorts.own_files import read_table_file
from cohorts.tables import MAX_NAME_LETTERS, TABLES, CohortError, TableFile, table_unreadable
from ground.findings import SHD_FLAGS
from ground.letters import has_control, has_invisible
from inputs.errors import UnreadableFile

LabelTable = Literal["ecgs", "studies"]
Kind = Literal["yes_no", "number"]

_ID_OF: dict[LabelTable, str] = {"ecgs": "ecg_id", "studies": "study_id"}
_YES_NO = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
_ANSWERS = {"lvef", "lvef_percent", "shd", "own", *SHD_FLAGS}
"""What answers call something else, however the letters are written."""
_LARGEST, _LEAST_SPREAD, _LEAST_SHARE = 1e30, 1e-30, 1e-9
"""Of numbers, beyond which their squares, or what varies beside their size, would be lost."""
_TAKEN = {"lvsv_ml", "days_apart"} | {column for kinds in TABLES.values() for column in kinds}
_ROWS_TOLD = 3

KIND_WORDS: dict[Kind, str] = {"yes_no": "yes or no", "number": "a number"}


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
    for name in names:
        if (refusal := name_refused(name)) is not None:
            raise refusal
    return tuple(_read(cohort, name) for name in dict.fromkeys(names))


def known_own_labels(cohort: OpenCohort, kinds: Mapping[str, Kind]) -> tuple[tuple[OwnLabel, ...], dict[str, str]]:
    """Those of the labels that the cohort has a fit column of; of the others by name why not, a clause."""
    found, unfit = [], {}
    there = {column for _, file in _files(cohort) for column in columns_in(file)} if kinds else set()
    for name, kind in kinds.items():
        if name not in there:
            unfit[name] = "needs a column so named in the cohort"
            continue
        try:
            one = _read(cohort, name)
        except CohortError as error:
            unfit[name] = error.sentence.rstrip(".")
            continue
        if one.kind == kind:
            found.append(one)
        else:
            unfit[name] = f"is {KIND_WORDS[kind]}, and the cohort's column {KIND_WORDS[one.kind]}"
    return tuple(found), unfit


def _read(cohort: OpenCohort, name: str) -> OwnLabel:
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
    if name in _TAKEN or name.strip().casefold() in _ANSWERS:
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
    number = text.map(_YES_NO).fillna(pd.to_numeric(text.where(known), errors="coerce"))
    said = text.isin(_YES_NO.keys())
    is_yes_no = bool(number[known].isin((0.0, 1.0)).all())
    bad = known & (~np.isfinite(number) | (said & (not is_yes_no)))
    if bad.any():
        rows = (np.flatnonzero(bad) + 1).tolist()
        told = ", ".join(map(str, rows[:_ROWS_TOLD])) + (" ..." if len(rows) > _ROWS_TOLD else "")
        sentence = (
            f"{name} holds something else than yes and no, true and false, 1 and 0, or numbers alone, "
            f"in {len(rows)} of its {int(known.sum())} known cells (table {table}, row {told})."
        )
        raise CohortError("label_kind", sentence)
    values = np.asarray(number, dtype=np.float64)
    _check_size(name, values[known.to_numpy()])
    ids = frame[_ID_OF[table]].map(str)
    return OwnLabel(name, "yes_no" if is_yes_no else "number", table, pd.Series(values, index=ids))


def _check_size(name: str, value_N: NDArray[np.float64]) -> None:
    """CohortError for numbers so large, or so much alike beside their size, that arithmetic would lose them."""
    size = float(np.abs(value_N).max())
    if size > _LARGEST:
        sentence = f"{name} holds numbers beyond {_LARGEST:g}, which cannot be fitted."
        raise CohortError("label_size", sentence, hint="Write them in a larger unit.")
    if 0 < np.ptp(value_N) < max(_LEAST_SPREAD, _LEAST_SHARE * size):
        sentence = f"{name} holds numbers that differ too little for their size, or at all, to be fitted."
        raise CohortError(
            "label_size", sentence, hint="Take a part of them away from all, or write them in a smaller unit."
        )
