"""A table of somebody's own, with a row for each ECG, clip, study or pair: its columns found, its cells held to kinds.

Columns have our names, or `--map ours=theirs` says which is which; others are the table's own. Rows count from 1, the
header not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cohorts.adapters.cells import check_numbers, refuse_rows, told_whole, whole, worded
from cohorts.adapters.own_columns import own_names
from cohorts.adapters.source_tables import column_named, columns_of, mapped_columns, read_source_table
from cohorts.tables import ECG_GROUPS, SPLITS, TABLES, CohortError

LABELS = tuple(column for column in TABLES["studies"] if column not in ("patient_id", "study_id", "acquired_at"))
"""What a row may say of a heart."""
_OF_ECGS = ("ecg_id", "ecg_path", "ecg_time", *ECG_GROUPS)
_OF_ECHOS = ("study_id", "echo_path", "echo_time", "view")
COLUMNS = ("patient_id", "split", *_OF_ECGS, *_OF_ECHOS, *LABELS)

NEEDED = (
    "A CSV (--table) needs the columns patient_id and ecg_path, echo_path or both, a row for each ECG, clip, study "
    "folder or pair; ecg_time and echo_time or study_id say what belongs together, lvef_percent and flags what was "
    "found. Columns of other names are told with --map patient_id=THEIRS."
)

_TRUTHS = {"true": "true", "yes": "true", "1": "true", "false": "false", "no": "false", "0": "false"}
_WORDS: dict[str, dict[str, str]] = {
    "sex": {"female": "female", "f": "female", "male": "male", "m": "male"},
    "split": {**{split: split for split in SPLITS}, "valid": "val", "validation": "val"},
}
_IDS = ("patient_id", "ecg_id", "study_id")
_ISO = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"


def read_own_table(
    path: Path, columns: Mapping[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame, list[str], dict[str, str]]:
    """Every one of `COLUMNS` as text, empty where the table has no such column, in the table's own rows.

    Beside it the columns of its own, and the names of those that cannot be kept: see `own_names`; see
    `told_whole` for the last.
    Raises CohortError for a column that is needed or mapped and not there, an empty patient_id, a time that is not ISO
    8601, a number that is none, and a word that is none of those known.
    """
    theirs = _theirs(path, columns)
    own, unkept = own_names(columns_of(path), {*theirs.values(), *COLUMNS})
    table = read_source_table(path, dict.fromkeys(theirs.values()), dict.fromkeys(own.values()))
    found = {ours: table[there] for ours, there in theirs.items()}
    refuse_rows("id_missing", f"{theirs['patient_id']} is empty", path.name, found["patient_id"] == "")
    for ours in ("ecg_time", "echo_time"):
        if ours in found:
            found[ours] = _iso(found[ours], theirs[ours], path.name)
    kinds = {**TABLES["studies"], "split": "split"}
    check_numbers(table, [there for ours, there in theirs.items() if kinds.get(ours) == "number"], path.name)
    for ours, there in theirs.items():
        words = _TRUTHS if kinds.get(ours) == "flag" else _WORDS.get(ours)
        if words is not None:
            found[ours] = worded(found[ours], words, there, path.name)
    ids = {theirs[ours]: found[ours] for ours in _IDS if ours in found}
    found |= {ours: whole(found[ours]) for ours in _IDS if ours in found}
    empty = pd.Series("", index=table.index, dtype=object)
    known = pd.DataFrame({ours: found.get(ours, empty) for ours in COLUMNS})
    beside = pd.DataFrame({name: table[there] for name, there in own.items()}, index=table.index)
    return known, beside, unkept, told_whole(ids)


def _theirs(path: Path, columns: Mapping[str, str]) -> dict[str, str]:
    """Our columns -> the table's: those that were mapped, and those that have our names."""
    names = columns_of(path)
    mapped = mapped_columns(path, columns, COLUMNS)
    alike = {ours: column_named(ours, names) for ours in COLUMNS}
    theirs = {**{ours: there for ours, there in alike.items() if there is not None}, **mapped}
    if "patient_id" not in theirs or not {"ecg_path", "echo_path"} & {*theirs}:
        lacking = "patient_id" if "patient_id" not in theirs else "ecg_path nor echo_path"
        sentence = f"{path.name} has {'no column' if lacking == 'patient_id' else 'neither a column'} {lacking}."
        raise CohortError("column_missing", sentence, hint=f"{NEEDED} Its columns: {', '.join(names[:20])}.")
    return theirs


def _iso(times: pd.Series, column: str, table: str) -> pd.Series:
    """Times as they stand. Raises CohortError for those that ISO 8601 does not write so, and for no dates."""
    known = times[times != ""]
    fit = known.str.fullmatch(_ISO) & pd.to_datetime(known, format="ISO8601", utc=True, errors="coerce").notna()
    hint = "Write 2021-03-01 or 2021-03-01T14:05:00, year first, or leave the cell empty."
    sentence = f"{column} is not a date and time as ISO 8601 writes it"
    refuse_rows("time_unreadable", sentence, table, ~fit.reindex(times.index, fill_value=True), hint=hint)
    return times.str.replace(" ", "T")
