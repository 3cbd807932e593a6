"""A cohort folder: ECGs, echo views, studies and patient splits, with the pairs and labels that follow from them.

The folder is what every data-set adapter and the simulator write and what training and the index rebuild read. The
columns of its tables are in `inputs.cohort_tables`; `inputs.cohort_check` lists everything that is wrong with a folder,
this module refuses at the first fault.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from inputs.cohort_tables import (
    MEASUREMENTS,
    SEXES,
    SHD_FLAGS,
    SPLITS,
    CohortProblem,
    TableName,
    problem_rows,
    read_table,
    write_cohort_tables,
)
from inputs.errors import CohortError

__all__ = [
    "MEASUREMENTS",
    "SEXES",
    "SHD_FLAGS",
    "SPLITS",
    "Cohort",
    "CohortProblem",
    "cohort_contradictions",
    "derive_pairs",
    "load_cohort",
    "read_cohort",
    "shd_label",
    "shd_labels",
    "write_cohort_tables",
]


@dataclass(frozen=True)
class Cohort:
    """Four typed tables (see `inputs.cohort_tables.read_table`) and the folder that their paths start at."""

    root: Path
    ecgs: pd.DataFrame
    echos: pd.DataFrame
    studies: pd.DataFrame
    splits: pd.DataFrame

    def file_path(self, relative: str) -> Path:
        """The real path of a file named in a table. Raises CohortError when it lies outside the cohort folder."""
        root = self.root.resolve()
        try:
            path = (root / relative).resolve()
        except (ValueError, OSError, RuntimeError) as error:  # a NUL in the name, a name too long, a loop of links
            raise CohortError("path_invalid", "A path in a table is not a file name.") from error
        if not path.is_relative_to(root):
            raise CohortError("path_outside", "A path in a table leads outside the cohort folder.")
        return path

    def patients(self, split: str) -> frozenset[str]:
        """Patients of one split.

        Where the cohort names no `calibration` patients, half of the `val` patients, chosen by a hash of the id,
        serve as such and are not in `val`.
        """
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}")
        named = frozenset(self.splits.loc[self.splits["split"] == split, "patient_id"])
        if split in ("train", "test") or (self.splits["split"] == "calibration").any():
            return named
        val = self.splits.loc[self.splits["split"] == "val", "patient_id"]
        return frozenset(p for p in val if _serves_calibration(p) == (split == "calibration"))


def _serves_calibration(patient_id: str) -> bool:
    return hashlib.sha256(patient_id.encode()).digest()[0] % 2 == 1


def load_cohort(root: Path) -> Cohort:
    """Read the four tables of a cohort folder; files are not opened. Raises CohortError at the first contradiction."""
    cohort, problems = read_cohort(root)
    if problems:
        raise problems[0].as_error()
    return cohort


def read_cohort(root: Path) -> tuple[Cohort, list[CohortProblem]]:
    """The tables and everything that is wrong with them. Raises CohortError when a table is missing altogether."""
    if not root.is_dir():
        raise CohortError("cohort_missing", "The cohort folder does not exist.")
    names: tuple[TableName, ...] = ("ecgs", "echos", "studies", "splits")
    frames: dict[str, pd.DataFrame] = {}
    problems: list[CohortProblem] = []
    for name in names:
        frames[name], found = read_table(root, name)
        problems += found
    cohort = Cohort(root, **frames)
    return cohort, problems + cohort_contradictions(cohort)


def cohort_contradictions(cohort: Cohort) -> list[CohortProblem]:
    """Where rows contradict each other: times of two kinds, duplicates, ids without a match, patients in two splits."""
    ecgs, echos, studies, splits = cohort.ecgs, cohort.echos, cohort.studies, cohort.splits
    problems: list[CohortProblem] = []

    zoned = {name: frame["acquired_at"].dt.tz is not None for name, frame in _timed(cohort).items() if len(frame)}
    if len(set(zoned.values())) > 1:
        with_zone = ", ".join(name for name, z in zoned.items() if z)
        rest = ", ".join(name for name, z in zoned.items() if not z)
        sentence = f"Times carry a zone in {with_zone} and none in {rest}; write all of them one way"
        problems.append(CohortProblem("times_mixed", sentence, with_zone, sum(len(_timed(cohort)[n]) for n in zoned)))

    for table, frame, key, code in (
        ("ecgs", ecgs, ["ecg_id"], "ecg_twice"),
        ("studies", studies, ["study_id"], "study_twice"),
        ("echos", echos, ["study_id", "view_id"], "view_twice"),
    ):
        sentence = f"The same {' and '.join(key)} stands in more than one row"
        problems += problem_rows(code, sentence, table, frame.duplicated(key, keep="first"))

    owner = studies.drop_duplicates("study_id").set_index("study_id")["patient_id"]
    study_owner = echos["study_id"].map(owner)
    no_study = study_owner.isna()
    problems += problem_rows("study_unmatched", "study_id is not in the table studies", "echos", no_study)
    other = ~no_study & (study_owner != echos["patient_id"])
    problems += problem_rows("patient_differs", "patient_id is another than the study's", "echos", other)

    distinct = splits.drop_duplicates(["patient_id", "split"])
    twice = distinct.loc[distinct.duplicated("patient_id", keep=False), "patient_id"]
    sentence = "The patient is in more than one split"
    return problems + problem_rows("patient_in_two_splits", sentence, "splits", splits["patient_id"].isin(twice))


def _timed(cohort: Cohort) -> dict[str, pd.DataFrame]:
    return {"ecgs": cohort.ecgs, "echos": cohort.echos, "studies": cohort.studies}


def derive_pairs(cohort: Cohort, *, window_days: float = 7.0) -> pd.DataFrame:
    """ECGs and studies of the same patient at most `window_days` apart, both ends included.

    Columns patient_id, ecg_id, study_id, days_apart (never negative); ordered by patient and study, the nearest ECG of
    each study first.
    """
    if not window_days >= 0:
        raise ValueError("window_days must not be negative")
    left = cohort.ecgs[["patient_id", "ecg_id", "acquired_at"]]
    right = cohort.studies[["patient_id", "study_id", "acquired_at"]]
    pairs = left.merge(right, on="patient_id", suffixes=("_ecg", "_study"))
    apart = (pairs["acquired_at_ecg"] - pairs["acquired_at_study"]).abs()
    pairs["days_apart"] = apart.dt.total_seconds() / 86_400
    pairs = pairs.loc[apart <= pd.Timedelta(days=window_days), ["patient_id", "ecg_id", "study_id", "days_apart"]]
    return pairs.sort_values(["patient_id", "study_id", "days_apart", "ecg_id"], kind="stable", ignore_index=True)


def shd_label(flags: Mapping[str, bool | None]) -> bool | None:
    """Structural heart disease: True when any of the eleven flags is, False when all are known and false, else None."""
    values = [flags.get(name) for name in SHD_FLAGS]
    known = [bool(v) for v in values if v is not None and not pd.isna(v)]
    if any(known):
        return True
    return False if len(known) == len(SHD_FLAGS) else None


def shd_labels(studies: pd.DataFrame) -> pd.Series:
    """`shd_label` for every row of a `studies` table, as nullable booleans."""
    flags = studies[list(SHD_FLAGS)].astype("boolean")
    positive = flags.fillna(False).any(axis=1)
    return positive.astype("boolean").mask(~positive & flags.isna().any(axis=1), pd.NA).rename("shd")
