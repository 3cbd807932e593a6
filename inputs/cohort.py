"""A cohort folder: ECGs, echo views, studies and patient splits, with the pairs and labels that follow from them.

The folder is what every data-set adapter and the simulator write and what training and the index rebuild read. The
columns of its tables are in `inputs.cohort_tables`, the rules they keep in `inputs.cohort_check`. `load_cohort` refuses
at the first fault, `check_cohort` lists them all, what is doubtful, and what training would leave out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from inputs.cohort_check import contradictions, doubts, file_in, file_problems
from inputs.cohort_tables import (
    MEASUREMENTS,
    SEXES,
    SHD_FLAGS,
    SPLITS,
    TABLES,
    CohortFinding,
    found_rows,
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
    "CohortFinding",
    "CohortReport",
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


def _read(root: Path) -> tuple[Cohort | None, list[CohortFinding]]:
    """The tables, None unless all four could be read, and everything that is wrong with them."""
    frames: dict[str, pd.DataFrame] = {}
    problems: list[CohortFinding] = []
    for name in TABLES:
        try:
            frames[name], found = read_table(root, name)
        except CohortError as error:
            found = [CohortFinding(error.code, error.message, name, 1)]
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
class CohortReport:
    """`problems` must be mended before training; `warnings` and `skipped` need not.

    Counts are None where they cannot be told: all of them without four readable tables, those of pairs also where times
    cannot be compared.
    """

    problems: tuple[CohortFinding, ...]
    warnings: tuple[CohortFinding, ...] = ()
    """Sound rows that are rarely meant so."""
    skipped: tuple[CohortFinding, ...] = ()
    """Sound rows that training leaves out."""
    n_patients: int | None = None
    n_ecgs: int | None = None
    n_views: int | None = None
    n_studies: int | None = None
    n_pairs: int | None = None
    n_paired_ecgs: int | None = None
    n_paired_studies: int | None = None
    pairs_per_split: tuple[tuple[str, int], ...] = ()
    window_days: float = 7.0

    @property
    def summary(self) -> tuple[str, ...]:
        """What was found and paired, one sentence each."""
        lines = []
        if self.n_patients is not None:
            lines.append(
                f"{self.n_patients} patients, {self.n_ecgs} ECGs, {self.n_studies} studies, {self.n_views} views."
            )
        if self.n_pairs is not None:
            per_split = ", ".join(f"{split} {count}" for split, count in self.pairs_per_split)
            lines.append(
                f"{self.n_pairs} pairs within {self.window_days:g} days, of {self.n_paired_ecgs} ECGs and "
                f"{self.n_paired_studies} studies ({per_split})."
            )
        return tuple(lines)

    def raise_if_refused(self) -> None:
        """Raise CohortError with the first problem, and how many more there are."""
        if not self.problems:
            return
        first = self.problems[0].as_error()
        rest = len(self.problems) - 1
        more = f" {rest} more kind{'s' if rest > 1 else ''} of problem found." if rest else ""
        says_less = rest > 0 or self.problems[0].names_rows_in_part
        hint = "`echo2ecg cohort check` lists them all." if says_less else ""
        raise CohortError(first.code, first.message + more, hint=hint)


def check_cohort(root: Path, *, window_days: float = 7.0) -> CohortReport:
    """Read the tables, look for every file, derive the pairs. Never raises for a bad cohort.

    Of the files only WFDB headers are opened, for the names of their signal files.
    """
    cohort, problems = _read(root)
    if cohort is None:
        return CohortReport(tuple(problems), window_days=window_days)
    ecgs, echos, studies, splits = cohort.ecgs, cohort.echos, cohort.studies, cohort.splits
    times_mixed = any(problem.code == "times_mixed" for problem in problems)
    problems += file_problems(root, ecgs, "ecgs") + file_problems(root, echos, "echos")

    patients = pd.concat([ecgs["patient_id"], studies["patient_id"]]).drop_duplicates()
    rows = [
        ("ecg_without_study", "ECGs of patients without any study", "ecgs", _lacks(ecgs, studies)),
        ("study_without_ecg", "Studies of patients without any ECG", "studies", _lacks(studies, ecgs)),
        ("study_without_views", "Studies without any view", "studies", _lacks(studies, echos, "study_id")),
        ("ecg_without_split", "ECGs of patients that are in no split", "ecgs", _lacks(ecgs, splits)),
        ("study_without_split", "Studies of patients that are in no split", "studies", _lacks(studies, splits)),
        ("split_without_patient", "Patients without ECG or study", "splits", ~splits["patient_id"].isin(patients)),
    ]
    counts: dict[str, Any] = {
        "n_patients": len(patients),
        "n_ecgs": len(ecgs),
        "n_views": len(echos),
        "n_studies": len(studies),
    }
    if not times_mixed:
        pairs = derive_pairs(cohort, window_days=window_days)
        apart = f"within {window_days:g} days"
        if len(pairs) == 0:
            sentence = f"No ECG and study of the same patient lie {apart} of each other."
            problems.append(CohortFinding("no_pairs", sentence, "ecgs", len(ecgs)))
        far_ecgs = _lacks(ecgs, pairs, "ecg_id") & ~_lacks(ecgs, studies)
        far_studies = _lacks(studies, pairs, "study_id") & ~_lacks(studies, ecgs)
        rows += [
            ("ecg_outside_window", f"ECGs without a study of the patient {apart}", "ecgs", far_ecgs),
            ("study_outside_window", f"Studies without an ECG of the patient {apart}", "studies", far_studies),
        ]
        of_split = {split: pairs["patient_id"].isin(cohort.patients(split)) for split in SPLITS}
        counts |= {
            "n_pairs": len(pairs),
            "n_paired_ecgs": pairs["ecg_id"].nunique(),
            "n_paired_studies": pairs["study_id"].nunique(),
            "pairs_per_split": tuple((split, int(of_P.sum())) for split, of_P in of_split.items()),
        }
    skipped = [finding for row in rows for finding in found_rows(*row)]
    return CohortReport(
        tuple(problems),
        tuple(doubts(studies, times_mixed=times_mixed)),
        tuple(skipped),
        window_days=window_days,
        **counts,
    )


def _lacks(frame: pd.DataFrame, other: pd.DataFrame, key: str = "patient_id") -> pd.Series[bool]:
    """Rows of `frame` whose `key` is not in `other`."""
    return ~frame[key].isin(other[key])
