"""Columns of somebody's own table that no column of a cohort is: kept beside its ECGs or studies, as labels to fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from cohorts.adapters.base import Skipped, left_out
from cohorts.own_labels import name_refused
from cohorts.tables import TableName

ID_OF: dict[TableName, str] = {"ecgs": "ecg_id", "studies": "study_id"}


def own_names(names: list[str], used: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Those of a table's columns that are not `used`, by the names that labels can have; then what cannot be kept."""
    beside = [name for name in names if name not in used and name.strip()]
    stripped = [name.strip() for name in beside]
    fit = {name: there for name, there in zip(stripped, beside, strict=True) if stripped.count(name) == 1}
    kept = {name: there for name, there in fit.items() if name_refused(name) is None}
    return kept, [name for name in dict.fromkeys(stripped) if name not in kept]


def by_table(
    own: pd.DataFrame, ids: Mapping[TableName, pd.Series], table: str
) -> tuple[dict[TableName, pd.DataFrame], list[Skipped]]:
    """The columns by ecg_id or study_id, each in one of the tables; what was left out of them.

    ids: of each row its ECG's and its study's, empty where it has none. A column goes where more of its known cells
    have an id, with ECGs where as many have; to the other table where rows of one id contradict each other in it.
    """
    kept: dict[TableName, dict[str, pd.Series]] = {name: {} for name in ids}
    skipped: list[Skipped] = []
    lost = {name: pd.Series(False, index=own.index) for name in ids}
    for column, cells in own.items():
        known = cells != ""
        rows = {name: known & (of_row != "") for name, of_row in ids.items()}
        for name in sorted(ids, key=lambda name: -int(rows[name].sum())):
            of_id = cells[rows[name]].groupby(ids[name][rows[name]], sort=False)
            if rows[name].any() and of_id.nunique().max() == 1:
                kept[name][str(column)] = of_id.first()
                lost[name] |= known & ~rows[name]
                break
        else:
            reason = f"{column} says different things of one ECG and of one study, or of neither anything"
            skipped += left_out(reason, table, known)
    for name, rows_lost in lost.items():
        reason = f"a cell of {', '.join(kept[name])}: kept with {name}, and the row has none of these"
        skipped += left_out(reason, table, rows_lost)
    return {name: pd.DataFrame(columns) for name, columns in kept.items() if columns}, skipped


def with_own(frame: pd.DataFrame, name: TableName, own: Mapping[TableName, pd.DataFrame]) -> pd.DataFrame:
    """A table and the columns that are kept in it, empty where nothing is known."""
    if name not in own:
        return frame
    beside = own[name].reindex(frame[ID_OF[name]]).fillna("").set_index(frame.index)
    return pd.concat([frame, beside], axis=1)
