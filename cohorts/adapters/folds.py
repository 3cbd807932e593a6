"""Splits that somebody else made: a CSV with a row for each ECG, as ECGBench publishes them for many data sets.

ECGBench's `folds.csv` (all of its versions have one) has the data set's own id of an ECG under the data set's own name
(`ecg_id` of PTB-XL, `exam_id` of CODE-15%, `ecg_key` of EchoNext), `fold` from 1 and `default_split`: train, val or
test. `split` for `default_split` is taken too. Where neither stands, folds 1 to 8 train, 9 is val and 10 test.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cohorts.adapters.base import Skipped, Source, left_out, splits_by_hash
from cohorts.adapters.cells import check_ids, whole, worded
from cohorts.adapters.source_tables import column_missing, columns_of, read_source_table
from cohorts.tables import SPLITS

SPLIT_OF_FOLD = {**{str(fold): "train" for fold in range(1, 9)}, "9": "val", "10": "test"}
_SPLIT_COLUMNS = ("default_split", "split")
_WORDS = {**{split: split for split in SPLITS}, "valid": "val", "validation": "val"}


def read_folds(path: Path, id_columns: Sequence[str]) -> pd.Series:
    """The split of each ECG by its id, which stands in the first of `id_columns` that is there.

    Raises CohortError for a file without such columns, an id that comes twice and a split or fold of another name.
    """
    names = columns_of(path)
    lower = [name.strip().lower() for name in names]
    id_column = next((name for name in id_columns if name.lower() in lower), None)
    if id_column is None:
        raise column_missing(path.name, id_columns[0], names)
    column = next((name for name in (*_SPLIT_COLUMNS, "fold") if name in lower), None)
    if column is None:
        raise column_missing(path.name, "fold", names)
    table = read_source_table(path, [id_column, column])
    ids = whole(table[id_column])
    check_ids(ids, id_column, path.name)
    split = worded(table[column], SPLIT_OF_FOLD if column == "fold" else _WORDS, column, path.name)
    return pd.Series(split.to_numpy(), index=ids.to_numpy())


def splits_of(
    patients: pd.Series,
    keys: pd.Series,
    source: Source,
    id_columns: Sequence[str],
    table: str,
    official: pd.Series | None = None,
) -> tuple[pd.Series, list[Skipped], str]:
    """A split for each row of `table`, what is left out for want of one, and a few words on where splits come from.

    patients, keys: the patient's id of each row and the id that a fold file has. official: the data set's own splits,
    empty where it has none; without them a hash of the patient's id decides. A fold file goes before both.
    """
    if "folds" in source.files:
        path = source.files["folds"]
        split = keys.map(read_folds(path, id_columns)).fillna("")
        return split, left_out(f"{path.name} names no split for it", table, split == ""), f"of the file {path.name}"
    if official is not None:
        return official, left_out("the data set names no split for it", table, official == ""), "the data set's own"
    by_patient = splits_by_hash(patients).set_index("patient_id")["split"]
    told = "by a hash of the patient's id: of 100 about 70 train, 10 val, 10 calibration, 10 test"
    return patients.map(by_patient), [], told
