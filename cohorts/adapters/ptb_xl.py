"""PTB-XL 1.0.x: 21,799 ECGs of ten seconds as WFDB, with statements of cardiologists and no echocardiography.

`ptbxl_database.csv` (ecg_id, patient_id, age, sex, recording_date, strat_fold, filename_hr, filename_lr, scp_codes,
pacemaker ...) beside `records500/` and `records100/`, and `scp_statements.csv`, which says to which of five
superclasses a statement belongs. Ten stratified folds: 1 to 8 train, 9 val, 10 test, as its authors recommend.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pandas as pd

from cohorts.adapters.base import DataSet, Gathered, Source, found_or_refused, left_out
from cohorts.adapters.cells import check_ids, refuse_rows, told_whole, whole, yes_or_no
from cohorts.adapters.folds import SPLIT_OF_FOLD, splits_of
from cohorts.adapters.source_tables import columns_of, read_source_table
from cohorts.adapters.there import files_there
from cohorts.tables import CohortError

_TABLE = "ptbxl_database.csv"
_STATEMENTS = "scp_statements.csv"
_SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
_WORDS = ("pacemaker", "baseline_drift", "static_noise", "burst_noise", "electrodes_problems", "extra_beats")
_WANTED = ("ecg_id", "patient_id", "recording_date", "strat_fold")
_FILES = {"records500": "filename_hr", "records100": "filename_lr"}


def _gather(source: Source) -> Gathered:
    """The ECGs of 500 Hz; where only those of 100 Hz were downloaded, these."""
    path = found_or_refused(source.folder, _TABLE, "PTB-XL")
    folder = path.parent
    records = next((name for name in _FILES if (folder / name).is_dir()), None)
    if records is None:
        raise CohortError("data_set_not_found", f"There is neither records500 nor records100 beside {path.name}.")
    wanted = (*_WANTED, _FILES[records], "scp_codes")
    table = read_source_table(path, wanted, ("site", "device", *_WORDS))
    ids = whole(table["ecg_id"])
    check_ids(ids, "ecg_id", path.name)
    refuse_rows("id_missing", "patient_id is empty", path.name, table["patient_id"] == "")

    files = table[_FILES[records]]
    there = files_there(folder, files + ".hea", source) & files_there(folder, files + ".dat", source)
    if not there.any():
        sentence = f"None of the {len(files)} ECGs that {path.name} lists is in {records}."
        raise CohortError("data_set_not_found", sentence, hint="Was the download unpacked to its end?")
    classes = _superclasses(folder / _STATEMENTS, table["scp_codes"], path.name)
    ecgs = pd.DataFrame(
        {
            "patient_id": whole(table["patient_id"]),
            "ecg_id": ids,
            "acquired_at": table["recording_date"].str.replace(" ", "T"),
            "path": "ecg:" + files + ".hea",
            **{name: table[name] for name in ("site", "device", *_WORDS) if name in table},
            **classes,
        }
    )
    official = whole(table["strat_fold"]).map(SPLIT_OF_FOLD).fillna("")
    split, without, told = splits_of(ecgs["patient_id"], ids, source, ("ecg_id",), path.name, official)
    kept = there & (split != "")
    labels = ", ".join(classes) if classes else f"no superclasses: there is no {_STATEMENTS}"
    return Gathered(
        roots={"ecg": folder},
        ecgs=ecgs[kept].reset_index(drop=True),
        splits=ecgs.assign(split=split)[kept][["patient_id", "split"]].drop_duplicates(),
        about={
            "records": records,
            "splits": f"{told}, strat_fold 1 to 8 train, 9 val (and calibration), 10 test"
            if "folds" not in source.files
            else told,
            "labels": f"{labels}; none of echo",
            **told_whole({name: table[name] for name in ("ecg_id", "patient_id")}),
        },
        skipped=(*left_out("the file is not there", path.name, ~there), *without),
        own={"ecgs": tuple(name for name in (*_SUPERCLASSES, *_WORDS) if name in ecgs)},
    )


def _superclasses(statements: Path, scp_codes: pd.Series, name: str) -> dict[str, pd.Series]:
    """true or false for each superclass, by the diagnostic statements of an ECG, however likely, as its authors count.

    Unknown of an ECG without any statement. Nothing without `scp_statements.csv`. Raises CohortError for cells that
    are no statements.
    """
    if not statements.is_file():
        return {}
    code = columns_of(statements)[0]  # it has no name
    table = read_source_table(statements, (code, "diagnostic", "diagnostic_class"))
    diagnostic = table[yes_or_no(table["diagnostic"]) == "true"]
    class_of = dict(zip(diagnostic[code], diagnostic["diagnostic_class"], strict=True))
    codes = scp_codes.map(_codes)
    refuse_rows("statements_unreadable", "scp_codes is not a dictionary of statements", name, codes.isna())
    of_ecg = codes.map(lambda found: {class_of.get(code) for code in found})

    def said(each: str) -> pd.Series:
        return of_ecg.map(lambda there: "true" if each in there else "false").where(of_ecg.map(len) > 0, "")

    return {each: said(each) for each in _SUPERCLASSES}


def _codes(text: str) -> tuple[str, ...] | None:
    """`{'NORM': 100.0, 'SR': 0.0}`: a Python dictionary, as the table writes it."""
    try:
        found = ast.literal_eval(text or "{}")
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return tuple(map(str, found)) if isinstance(found, dict) else None


PTB_XL = DataSet(
    "ptb-xl",
    "PTB-XL: ECGs as WFDB, no echos",
    _gather,
    options=frozenset({"folds"}),
    licence="CC BY 4.0",
    citation="Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Scientific Data 7, 154, "
    "2020, doi 10.1038/s41597-020-0495-6.",
)
