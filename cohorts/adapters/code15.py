"""CODE-15% (Zenodo 4916206): 345,779 ECGs of 4,096 samples at 400 Hz in HDF5, with yes/no statements and no echo.

`exams.csv` (exam_id, patient_id, trace_file, 1dAVb, RBBB, LBBB, SB, ST, AF, normal_ecg ...) beside `exams_part0.hdf5`
to `exams_part17.hdf5`, each with `exam_id` (N) and `tracings` (N, 4096, 12), zeros at both ends of a shorter ECG. Rows
of a part follow its own `exam_id`, not the table's order; the last is all zeros, of exam 0, and is never taken.
Needs h5py (the extra `formats`).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.adapters.base import DataSet, Gathered, Skipped, Source, found_or_refused, left_out
from cohorts.adapters.cells import check_ids, refuse_rows, told_whole, whole, yes_or_no
from cohorts.adapters.folds import splits_of
from cohorts.adapters.source_tables import read_source_table
from cohorts.columns import PARSER_ERRORS
from cohorts.tables import CohortError
from ground.extras import require
from inputs.ecg.formats.hdf5_values import lies_elsewhere
from inputs.ecg.rows import own_dataset
from inputs.errors import UnreadableFile
from inputs.limits import MAX_COHORT_ROWS

_TABLE = "exams.csv"
_RATE_HZ = 400
_LEADS = "DI,DII,DIII,AVR,AVL,AVF,V1,V2,V3,V4,V5,V6"
_YES_OR_NO = ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF", "normal_ecg", "is_male", "death")
_NUMBERS = ("age", "timey", "nn_predicted_age")
_IDS, _TRACINGS = "exam_id", "tracings"
_PADDING = 0


def _gather(source: Source) -> Gathered:
    path = found_or_refused(source.folder, _TABLE, "CODE-15%")
    table = read_source_table(path, ("exam_id", "patient_id", "trace_file"), (*_YES_OR_NO, *_NUMBERS))
    exams = whole(table["exam_id"])
    check_ids(exams, "exam_id", path.name)
    refuse_rows("id_missing", "patient_id is empty", path.name, table["patient_id"] == "")
    row, absent, unlisted = _rows_of_exams(path.parent, exams, table["trace_file"], source)
    ecgs = pd.DataFrame(
        {
            "patient_id": whole(table["patient_id"]),
            "ecg_id": exams,
            "path": "ecg:" + table["trace_file"],
            "row": row,
            "dataset": _TRACINGS,
            "rate_hz": _RATE_HZ,
            "unit": "mV",
            "leads": _LEADS,
            **{name: yes_or_no(table[name]) for name in _YES_OR_NO if name in table},
            **{name: table[name] for name in _NUMBERS if name in table},
        }
    )
    split, without, told = splits_of(ecgs["patient_id"], exams, source, ("exam_id",), path.name)
    there = row.notna()
    kept = there & (split != "")
    return Gathered(
        roots={"ecg": path.parent},
        splits=ecgs.assign(split=split)[kept][["patient_id", "split"]].drop_duplicates(),
        ecgs=ecgs[kept].astype({"row": "Int64"}).reset_index(drop=True),
        about={
            "splits": told,
            "labels": f"statements of the data set's own ({', '.join(name for name in _YES_OR_NO if name in table)}); "
            "none of echo",
            "unit": "millivolt, as the authors' code takes them (volts times 1,000); the data set itself states none",
            **told_whole({name: table[name] for name in ("exam_id", "patient_id")}),
        },
        skipped=(
            *left_out("its part is not there", path.name, absent),
            *left_out("its part has no such exam_id", path.name, ~there & ~absent),
            *unlisted,
            *without,
        ),
        own={"ecgs": tuple(name for name in (*_YES_OR_NO, *_NUMBERS) if name in table)},
    )


def _rows_of_exams(
    folder: Path, exams: pd.Series, part_of: pd.Series, source: Source
) -> tuple[pd.Series, pd.Series, list[Skipped]]:
    """The row of each exam in its part (missing where it has none), whose part is absent, what no table lists."""
    row = pd.Series(pd.NA, index=exams.index, dtype="Int64")
    absent = pd.Series(False, index=exams.index)
    unlisted: list[Skipped] = []
    parts = sorted({*part_of})
    for done, name in enumerate(parts, start=1):
        of_part = part_of == name
        part = folder / Path(name).name
        if name != part.name or not os.path.isfile(part):
            absent |= of_part
            continue
        ids = _exam_ids(part)
        places = pd.Series(np.arange(len(ids)), index=ids.astype(str))
        places = places[ids != _PADDING]
        row[of_part] = exams[of_part].map(places).astype("Int64")
        unlisted += left_out("no row of exams.csv lists it", name, (ids != _PADDING) & ~np.isin(ids.astype(str), exams))
        source.progress(done, len(parts), name)
    if absent.all():
        raise CohortError(
            "data_set_not_found",
            f"None of the {len(parts)} parts that exams.csv names is beside it.",
            hint="The parts exams_part0.hdf5 and so on are zips of their own; unpack them beside exams.csv.",
        )
    return row, absent, unlisted


def _exam_ids(part: Path) -> NDArray[np.int64]:
    """`exam_id` (N) of a part. Raises CohortError for a part that is damaged or whose arrays do not go together."""
    h5py = require("h5py", "Reading CODE-15%'s HDF5 parts")
    try:
        with h5py.File(part, "r") as file:
            listed, tracings = (own_dataset(h5py, file, name) for name in (_IDS, _TRACINGS))
            if lies_elsewhere(h5py, listed) or listed.dtype.kind not in "iu" or listed.size > MAX_COHORT_ROWS:
                raise ValueError
            ids, shape = np.asarray(listed[()], np.int64), tracings.shape
    except (UnreadableFile, *PARSER_ERRORS) as error:
        raise CohortError(
            "array_unreadable",
            f"{part.name} is damaged or cut off, or it lacks {_IDS} or {_TRACINGS}.",
            hint="Download it again.",
        ) from error
    if ids.ndim != 1 or len(shape) != 3 or shape[0] != len(ids):
        sentence = f"{part.name} holds {shape[0] if shape else 0} tracings for {ids.size} exam_ids."
        raise CohortError("array_of_other_length", sentence, hint="Download it again.")
    real = ids[ids != _PADDING]
    if len(np.unique(real)) < len(real):
        raise CohortError("id_twice", f"The same {_IDS} stands in more than one row of {part.name}.")
    return ids


CODE_15 = DataSet(
    "code15",
    "CODE-15%: ECGs in HDF5, no echos",
    _gather,
    options=frozenset({"folds"}),
    licence="CC BY 4.0",
    citation="Ribeiro et al., Automatic diagnosis of the 12-lead ECG using a deep neural network, Nature "
    "Communications 11, 1760, 2020; the data: doi 10.5281/zenodo.4916206.",
)
