"""PTB-XL 1.0.x: 21,799 ECGs of ten seconds as WFDB, with statements of cardiologists and no echocardiography.

`ptbxl_database.csv` (ecg_id, patient_id, age, sex, recording_date, strat_fold, filename_hr, filename_lr, pacemaker ...)
beside `records500/` and `records100/`. Ten stratified folds: 1 to 8 train, 9 val, 10 test, as its authors recommend.
"""

from __future__ import annotations

import pandas as pd

from cohorts.adapters.base import DataSet, Gathered, Source, found_or_refused, left_out
from cohorts.adapters.source_tables import read_source_table

_TABLE = "ptbxl_database.csv"
_SPLIT_OF_FOLD = {**{str(fold): "train" for fold in range(1, 9)}, "9": "val", "10": "test"}


def _gather(source: Source) -> Gathered:
    """The ECGs of 500 Hz; where only those of 100 Hz were downloaded, these."""
    path = found_or_refused(source.folder, _TABLE, "PTB-XL")
    wanted = ("ecg_id", "patient_id", "recording_date", "strat_fold", "filename_hr", "filename_lr")
    table = read_source_table(path, wanted, ("site", "device"))
    folder = path.parent
    files = table["filename_hr" if (folder / "records500").is_dir() else "filename_lr"]

    split = table["strat_fold"].map(_whole).map(_SPLIT_OF_FOLD)
    there = (files + ".hea").map(lambda name: (folder / name).is_file())
    kept = there & split.notna()
    ecgs = pd.DataFrame(
        {
            "patient_id": table["patient_id"].map(_whole),
            "ecg_id": table["ecg_id"].map(_whole),
            "acquired_at": table["recording_date"].str.replace(" ", "T"),
            "path": "ecg:" + files + ".hea",
            "site": table.get("site", pd.Series("", index=table.index)),
            "device": table.get("device", pd.Series("", index=table.index)),
        }
    )
    splits = ecgs.assign(split=split)[kept][["patient_id", "split"]].drop_duplicates()
    return Gathered(
        roots={"ecg": folder},
        ecgs=ecgs[kept].reset_index(drop=True),
        splits=splits,
        about={"splits": "strat_fold: 1 to 8 train, 9 val (and calibration), 10 test", "labels": "none of echo"},
        skipped=(
            *left_out("the file is not there", _TABLE, ~there),
            *left_out("strat_fold is none of 1 to 10", _TABLE, there & split.isna()),
        ),
    )


def _whole(text: str) -> str:
    """`15709.0` as 15709: the table writes ids of patients as floating-point numbers."""
    return text.removesuffix(".0")


PTB_XL = DataSet(
    "ptb-xl",
    "PTB-XL: ECGs as WFDB, no echos",
    _gather,
    licence="CC BY 4.0",
    citation="Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, 2020.",
)
