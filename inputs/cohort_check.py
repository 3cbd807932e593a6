"""Everything that is wrong with a cohort folder, and what training would make of it: found, counted, not raised.

`inputs.cohort.load_cohort` refuses contradictory tables; this also looks at the files and at the pairs.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from inputs.cohort import SPLITS, Cohort, derive_pairs, read_cohort
from inputs.cohort_tables import CohortProblem, problem_rows
from inputs.errors import CohortError


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
    try:
        cohort, problems = read_cohort(root)
    except CohortError as error:
        return CohortReport((CohortProblem(error.code, error.message, "", 1),), window_days=window_days)
    problems += file_problems(cohort, "ecgs") + file_problems(cohort, "echos")

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


def file_problems(cohort: Cohort, table: str) -> list[CohortProblem]:
    """Files of a table that are not there, lie outside the folder or are not regular files."""
    codes = np.array([_file_fault(cohort, path) for path in getattr(cohort, table)["path"]], dtype=object)
    sentences = {
        "path_outside": "The path leads outside the cohort folder",
        "file_missing": "The file is not there",
        "file_not_regular": "The path names something other than a regular file",
    }
    return [p for code, sentence in sentences.items() for p in problem_rows(code, sentence, table, codes == code)]


def _file_fault(cohort: Cohort, relative: str) -> str:
    if relative == "":
        return ""  # reported as path_missing when the table was read
    try:
        mode = os.stat(cohort.file_path(relative)).st_mode
    except CohortError as error:
        return "path_outside" if error.code == "path_outside" else "file_missing"
    except OSError:
        return "file_missing"
    return "" if stat.S_ISREG(mode) else "file_not_regular"


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
