"""A cohort folder: ECGs, echo views, studies and patient splits, with the pairs and labels that follow from them.

The folder is what every data-set adapter and the simulator write and what training and the index rebuild read. The
columns of its tables are in `inputs.cohort_tables`, the rules they keep in `inputs.cohort_check`. `load_cohort` refuses
at the first fault, `check_cohort` lists them all and says what training would leave out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from inputs.cohort_check import contradictions, file_in, file_problems
from inputs.cohort_tables import (
    MEASUREMENTS,
    SEXES,
    SHD_FLAGS,
    SPLITS,
    TABLES,
    CohortProblem,
    read_table,
    tables_sha256,
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
    "CohortReport",
    "Skipped",
    "check_cohort",
    "cohort_sha256",
    "derive_pairs",
    "load_cohort",
    "shd_label",
    "shd_labels",
    "tables_sha256",
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
        return file_in(self.root, relative)

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
    cohort, problems = _read(root)
    if problems or cohort is None:
        raise problems[0].as_error()
    return cohort


def _read(root: Path) -> tuple[Cohort | None, list[CohortProblem]]:
    """The tables, None unless all four could be read, and everything that is wrong with them."""
    frames: dict[str, pd.DataFrame] = {}
    problems: list[CohortProblem] = []
    for name in TABLES:
        try:
            frames[name], found = read_table(root, name)
        except CohortError as error:
            found = [CohortProblem(error.code, error.message, name, 1)]
        problems += found
    if len(frames) < len(TABLES):
        return None, problems
    return Cohort(root, **frames), problems + contradictions(**frames)


def cohort_sha256(cohort: Cohort) -> str:
    """Of the tables, of `cohort.json` where it is there, and of name and size of every file that the tables name.

    A short way to tell cohorts apart: no ECG or clip is opened, so one that changes and keeps its size is not noticed,
    nor are the signal files that a WFDB header names. Raises CohortError for a file that is not there.
    """
    digest = hashlib.sha256(tables_sha256(cohort.root).encode())
    stamp = cohort.root / "cohort.json"
    if stamp.is_file():
        digest.update(hashlib.sha256(stamp.read_bytes()).digest())
    for relative in (*cohort.ecgs["path"], *cohort.echos["path"]):
        try:
            size = (cohort.root / relative).stat().st_size
        except (OSError, ValueError):
            raise CohortError("file_missing", "A file that the tables name is not there.") from None
        digest.update(f"{relative}\0{size}\n".encode())
    return digest.hexdigest()


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


@dataclass(frozen=True)
class Skipped:
    """Rows that are sound but that training leaves out, and why."""

    code: str
    sentence: str
    count: int


@dataclass(frozen=True)
class CohortReport:
    """`problems` must be mended before training; `skipped` need not. Counts are zero where tables could not be read."""

    problems: tuple[CohortProblem, ...]
    skipped: tuple[Skipped, ...] = ()
    n_patients: int = 0
    n_ecgs: int = 0
    n_views: int = 0
    n_studies: int = 0
    n_pairs: int = 0
    n_paired_ecgs: int = 0
    n_paired_studies: int = 0
    pairs_per_split: tuple[tuple[str, int], ...] = ()
    window_days: float = 7.0

    @property
    def summary(self) -> tuple[str, ...]:
        """What was found, paired and skipped, one sentence each."""
        per_split = ", ".join(f"{split} {count}" for split, count in self.pairs_per_split)
        return (
            f"{self.n_patients} patients, {self.n_ecgs} ECGs, {self.n_studies} studies, {self.n_views} views.",
            f"{self.n_pairs} pairs within {self.window_days:g} days, of {self.n_paired_ecgs} ECGs and "
            f"{self.n_paired_studies} studies" + (f" ({per_split})." if per_split else "."),
            *(f"{skipped.sentence}, left out: {skipped.count}." for skipped in self.skipped),
        )

    def raise_if_refused(self) -> None:
        """Raise CohortError with the first problem, and how many more there are."""
        if not self.problems:
            return
        first = self.problems[0].as_error()
        rest = len(self.problems) - 1
        more = f" {rest} more kind{'s' if rest > 1 else ''} of problem found." if rest else ""
        raise CohortError(first.code, first.message + more, hint="`echo2ecg cohort check` lists them all.")


def check_cohort(root: Path, *, window_days: float = 7.0) -> CohortReport:
    """Read the tables, look for every file, derive the pairs. Files are not opened. Never raises for a bad cohort."""
    cohort, problems = _read(root)
    if cohort is None:
        return CohortReport(tuple(problems), window_days=window_days)
    problems += file_problems(root, cohort.ecgs, "ecgs") + file_problems(root, cohort.echos, "echos")

    if any(p.code == "times_mixed" for p in problems):
        pairs = pd.DataFrame({c: [] for c in ("patient_id", "ecg_id", "study_id", "days_apart")})
    else:
        pairs = derive_pairs(cohort, window_days=window_days)
        if len(pairs) == 0:
            sentence = f"No ECG and study of the same patient lie within {window_days:g} days of each other."
            problems.append(CohortProblem("no_pairs", sentence, "ecgs", len(cohort.ecgs)))
    patients = pd.concat([cohort.ecgs["patient_id"], cohort.studies["patient_id"]]).drop_duplicates()
    pair_split = pairs["patient_id"].map(cohort.splits.drop_duplicates("patient_id").set_index("patient_id")["split"])
    return CohortReport(
        tuple(problems),
        tuple(_skipped(cohort, pairs, patients, window_days)),
        n_patients=len(patients),
        n_ecgs=len(cohort.ecgs),
        n_views=len(cohort.echos),
        n_studies=len(cohort.studies),
        n_pairs=len(pairs),
        n_paired_ecgs=pairs["ecg_id"].nunique(),
        n_paired_studies=pairs["study_id"].nunique(),
        pairs_per_split=tuple((split, int((pair_split == split).sum())) for split in SPLITS),
        window_days=window_days,
    )


def _skipped(cohort: Cohort, pairs: pd.DataFrame, patients: pd.Series[Any], window_days: float) -> list[Skipped]:
    ecgs, echos, studies, splits = cohort.ecgs, cohort.echos, cohort.studies, cohort.splits
    ecg_alone = ~ecgs["ecg_id"].isin(pairs["ecg_id"])
    no_study = ~ecgs["patient_id"].isin(studies["patient_id"])
    study_alone = ~studies["study_id"].isin(pairs["study_id"])
    no_ecg = ~studies["patient_id"].isin(ecgs["patient_id"])
    apart = f"within {window_days:g} days"
    found = [
        ("ecg_without_study", "ECGs of patients without any study", ecg_alone & no_study),
        ("ecg_outside_window", f"ECGs without a study of the patient {apart}", ecg_alone & ~no_study),
        ("study_without_ecg", "Studies of patients without any ECG", study_alone & no_ecg),
        ("study_outside_window", f"Studies without an ECG of the patient {apart}", study_alone & ~no_ecg),
        ("study_without_views", "Studies without any view", ~studies["study_id"].isin(echos["study_id"])),
        ("patient_without_split", "Patients that are in no split", ~patients.isin(splits["patient_id"])),
        ("split_without_patient", "Patients in a split without ECG or study", ~splits["patient_id"].isin(patients)),
    ]
    return [Skipped(code, sentence, int(rows.sum())) for code, sentence, rows in found if rows.any()]
