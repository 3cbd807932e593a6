"""UK Biobank, field 20205: resting ECGs as CardioSoft XML, `<eid>_20205_<instance>_<array>.xml`, no echos.

Instance 2 is the first imaging visit, 3 the repeat. Labels come from a table of the user's own (`--table`, `--map`),
whose columns no two approvals name alike. The folder may have folders in it. Exercise ECGs (field 6025) are left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cohorts.adapters.base import DataSet, Gathered, Skipped, Source, left_out
from cohorts.adapters.cells import check_ids, check_numbers, refuse_rows, whole, worded
from cohorts.adapters.folds import splits_of
from cohorts.adapters.source_tables import mapped_columns, read_source_table
from cohorts.tables import TABLES, CohortError

_NAME = re.compile(r"(?P<eid>[0-9]{1,12})_20205_(?P<instance>[0-9]{1,2})_(?P<array>[0-9]{1,2})\.xml", re.IGNORECASE)
_IMAGING = "2"
_VISITS = re.compile(
    r"_i(\d+)(?:_a\d+)?$|^(?:f\.)?\d+[-.](\d+)\.\d+$|_f\d+_(\d+)_\d+$|^[fx]?_?\d+_(\d+)_\d+$", re.IGNORECASE
)
"""The visit in the name of a field: `p22420_i2`, `p20209_i2_a0`, `22420-2.0`, `f.22420.2.0`, `lvef_f22420_2_0`."""
_OF_ANY_VISIT = ("age", "sex")
_MOST_DEPTH = 4
_EID, _INSTANCE = "patient_id", "instance"
_KINDS = TABLES["studies"]
_LABELS = tuple(column for column in _KINDS if column not in ("patient_id", "study_id"))
_WORDS = {
    "sex": {"0": "female", "1": "male", "female": "female", "male": "male"},  # 0 and 1: UK Biobank's coding 9
    "flag": {"0": "false", "1": "true", "false": "false", "true": "true"},
}


def _gather(source: Source) -> Gathered:
    files, others = _ecg_files(source)
    names = pd.Series([path.name for path in files], dtype=object)
    parts = names.str.extract(_NAME)
    ecgs = pd.DataFrame(
        {
            "patient_id": parts["eid"],
            "ecg_id": parts["eid"] + "_" + parts["instance"] + "_" + parts["array"],
            "path": [f"ecg:{path.relative_to(source.folder).as_posix()}" for path in files],
            _INSTANCE: parts["instance"],
        }
    )
    twice = ecgs.duplicated("ecg_id")
    skipped = [
        *([Skipped("the name is not <eid>_20205_<instance>_<array>.xml", "files", others)] if others else []),
        *([Skipped("the same ECG lies in another folder too", "files", int(twice.sum()))] if twice.any() else []),
    ]
    ecgs = ecgs[~twice].reset_index(drop=True)
    studies: pd.DataFrame | None = None
    warnings: tuple[str, ...] = ()
    if "table" in source.files:
        studies, lacking, warnings = _studies(source, {*ecgs["patient_id"]})
        skipped += lacking
        ecgs = ecgs.assign(study_id=_visit(ecgs["patient_id"], ecgs[_INSTANCE]))
        ecgs["study_id"] = ecgs["study_id"].where(ecgs["study_id"].isin(studies["study_id"]), "")
        unlabelled = int((ecgs["study_id"] == "").sum())
        if unlabelled:
            skipped.append(Skipped("kept without labels: the table has no row of its visit", "files", unlabelled))
    elif source.columns:
        raise CohortError("option_without_file", "--map names columns of a --table FILE, and none is given.")
    split, without, told = splits_of(ecgs["patient_id"], ecgs["patient_id"], source, ("eid",), "files")
    kept = split != ""
    return Gathered(
        roots={"ecg": source.folder},
        splits=ecgs.assign(split=split)[kept][["patient_id", "split"]].drop_duplicates(),
        ecgs=ecgs[kept].reset_index(drop=True),
        studies=studies,
        about={
            "splits": told,
            "times": "unknown; each ECG names the row of its visit as its study",
            "columns": dict(source.columns),
        },
        skipped=(*skipped, *without),
        warnings=warnings,
        own={"ecgs": (_INSTANCE,)},
    )


def _ecg_files(source: Source) -> tuple[list[Path], int]:
    """The ECGs in a folder and the folders in it, by name, and how many other XML files there are."""
    files, others = [], 0
    for folder, folders, names in os.walk(source.folder):
        deep = len(Path(folder).relative_to(source.folder).parts)
        folders[:] = sorted(folders) if deep < _MOST_DEPTH else []
        for name in sorted(names):
            if _NAME.fullmatch(name):
                files.append(Path(folder, name))
            elif name.lower().endswith(".xml"):
                others += 1
        source.progress(len(files), len(files), "ECGs found")
    if not files:
        raise CohortError(
            "data_set_not_found",
            "There is no <eid>_20205_<instance>_<array>.xml in the folder or below it.",
            hint="Unpack the bulk download of field 20205 and name its folder.",
        )
    return files, others


def _studies(source: Source, eids_with_ecg: set[str]) -> tuple[pd.DataFrame, list[Skipped], tuple[str, ...]]:
    """A study for each row of the user's table. Without a column mapped to `instance` they are of instance 2.

    Beside them what was left out, and warnings.
    """
    path = source.files["table"]
    theirs = mapped_columns(path, {_EID: "eid", **source.columns}, (_EID, _INSTANCE, *_LABELS))
    table = read_source_table(path, dict.fromkeys(theirs.values()))
    check_numbers(table, [theirs[ours] for ours in theirs if _KINDS.get(ours) == "number"], path.name)
    eids = whole(table[theirs[_EID]])
    refuse_rows("id_missing", f"{theirs[_EID]} is empty", path.name, eids == "")
    instances = whole(table[theirs[_INSTANCE]]) if _INSTANCE in theirs else pd.Series(_IMAGING, index=table.index)
    warnings = _check_visits(table, theirs, instances, path.name)
    visit = _visit(eids, instances)
    check_ids(visit, f"{theirs[_EID]} of one visit", path.name)
    labels = {
        ours: worded(table[column], _WORDS[_KINDS[ours]], column, path.name)
        if _KINDS[ours] in _WORDS
        else table[column]
        for ours, column in theirs.items()
        if ours in _LABELS
    }
    studies = pd.DataFrame({"patient_id": eids, "study_id": visit, **labels})
    has_ecg = eids.isin(eids_with_ecg)
    lacking = left_out("there is no ECG of this eid", path.name, ~has_ecg)
    return studies[has_ecg].reset_index(drop=True), lacking, warnings


def _check_visits(table: pd.DataFrame, theirs: Mapping[str, str], instances: pd.Series, name: str) -> tuple[str, ...]:
    """Raises CohortError for a label in a column whose name says another visit than its row's; an age is warned of."""
    warnings = []
    for ours, column in theirs.items():
        said = next(filter(None, match.groups()), "") if (match := _VISITS.search(column)) else ""
        other = (instances != said) & (table[column] != "")
        if not said or ours not in _LABELS or not other.any():
            continue
        sentence = f"{column} is of visit {said} by its name, and the row of another"
        if ours in _OF_ANY_VISIT:
            warnings.append(f"{sentence}: {ours} may be that of another day than the ECG's.")
            continue
        hint = "Rows are of visit 2 unless --map instance=COLUMN says which; take columns of the ECG's own visit."
        refuse_rows("visit_differs", sentence, name, other, hint=hint)
    return tuple(warnings)


def _visit(eids: pd.Series, instances: pd.Series) -> pd.Series:
    return eids + "_" + instances


UK_BIOBANK = DataSet(
    "uk-biobank",
    "UK Biobank, field 20205: ECGs as CardioSoft XML, labels by --table and --map",
    _gather,
    options=frozenset({"table", "map", "folds"}),
    licence="UK Biobank's material transfer agreement",
    citation="Sudlow et al., UK Biobank: an open access resource, PLoS Medicine 12, e1001779, 2015.",
)
