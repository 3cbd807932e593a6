"""The tables of a cohort without a fault, for tests that break one thing in them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from cohorts import write_cohort_tables
from ground.findings import SHD_FLAGS


@dataclasses.dataclass
class Tables:
    """A small sound cohort of three patients that a test breaks in one place."""

    ecgs: pd.DataFrame
    echos: pd.DataFrame
    studies: pd.DataFrame
    splits: pd.DataFrame

    def write(self, root: Path, table_format: str = "csv") -> Path:
        for frame in (self.ecgs, self.echos):
            for path in frame["path"]:
                if path and not path.startswith(("/", "..")):
                    (root / path).parent.mkdir(parents=True, exist_ok=True)
                    (root / path).write_bytes(b"x")
        write_cohort_tables(root, self.ecgs, self.echos, self.studies, self.splits, table_format=table_format)
        return root


def sound_tables() -> Tables:
    patients = ["007", "12", "0x1F"]
    day = ["2021-03-01T10:00:00", "2021-04-01T10:00:00", "2021-05-01T10:00:00"]
    return Tables(
        ecgs=pd.DataFrame(
            {
                "patient_id": patients,
                "ecg_id": ["1", "2", "3"],
                "acquired_at": day,
                "path": [f"ecg/{i}.hea" for i in range(3)],
            }
        ),
        echos=pd.DataFrame(
            {
                "patient_id": patients,
                "study_id": ["s1", "s2", "s3"],
                "view_id": ["v1"] * 3,
                "acquired_at": day,
                "path": [f"echo/{i}.dcm" for i in range(3)],
                "view": ["A4C", "", "PLAX"],
            }
        ),
        studies=pd.DataFrame(
            {
                "patient_id": patients,
                "study_id": ["s1", "s2", "s3"],
                "acquired_at": day,
                "age": [61.5, np.nan, 40.0],
                "sex": ["female", "male", ""],
                "lvef_percent": [61.25, 33.0, np.nan],
                "lvedv_ml": [110.0, 190.5, np.nan],
                "lvesv_ml": [45.0, 130.0, np.nan],
                **{flag: pd.Series([False, i == 0, None], dtype=object) for i, flag in enumerate(SHD_FLAGS)},
                "septum_cm": [0.9, 1.4, np.nan],
            }
        ),
        splits=pd.DataFrame({"patient_id": patients, "split": ["train", "val", "test"]}),
    )
