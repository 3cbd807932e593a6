"""ECGs and labels of a cohort where it has labels of the user's own.

Those of studies join the studies' labels, those of ECGs stand in the rows of ECGs; an ECG that has one counts without a
study, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from cohorts import OpenCohort, ecg_labels
from cohorts.own_labels import OwnLabel

_PAIR = ["patient_id", "ecg_id", "study_id", "days_apart"]


def labels_with_own(cohort: OpenCohort, own: Sequence[OwnLabel]) -> pd.DataFrame:
    """By study_id: `OpenCohort.labels` and the labels of studies."""
    labels = cohort.labels
    return _beside(labels, {one.name: one.values.reindex(labels.index) for one in own if one.table == "studies"})


def ecg_rows(cohort: OpenCohort, split: str, own: Sequence[OwnLabel]) -> pd.DataFrame:
    """The pairs of a split with a column for each label of ECGs; below them ECGs with such a label and no study.

    Those have no study_id and no days_apart. Without labels of ECGs the pairs as they are.
    """
    pairs, of_ecgs = cohort.split(split), [one for one in own if one.table == "ecgs"]
    if not of_ecgs:
        return pairs
    ecgs = cohort.tables.ecgs
    known = pd.concat([one.values.dropna().index.to_series() for one in of_ecgs])
    alone = ecgs["patient_id"].isin(cohort.tables.patients(split)) & ecgs["ecg_id"].isin(known)
    alone &= ~ecgs["ecg_id"].isin(pairs["ecg_id"])
    rows = pd.concat([pairs, ecgs.loc[alone, ["patient_id", "ecg_id"]]], ignore_index=True)
    return _beside(rows, {one.name: rows["ecg_id"].map(one.values) for one in of_ecgs})


def paired(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a study."""
    return rows[rows["study_id"].notna()].reset_index(drop=True)


def labels_of_ecgs(rows: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """As `ecg_labels`, of rows with labels of ECGs: NaN where an ECG has no study."""
    found = ecg_labels(paired(rows), labels)
    each = rows.drop_duplicates("ecg_id").set_index("ecg_id")
    alone = each.index.difference(found.index, sort=False)
    if len(alone):
        without = pd.DataFrame({"patient_id": each.loc[alone, "patient_id"]}).reindex(columns=found.columns)
        found = without if found.empty else pd.concat([found, without])
    return _beside(found, {name: each[name].reindex(found.index) for name in rows.columns.difference(_PAIR)})


def _beside(frame: pd.DataFrame, columns: Mapping[str, pd.Series]) -> pd.DataFrame:
    """`assign`, which knows no column called `self`."""
    return pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis=1)
