"""Everything that is wrong with a cohort folder, what is doubtful, and what training would leave out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from cohorts.about import read_about
from cohorts.folder import Cohort, TablesRead
from cohorts.pairs import derive_pairs
from cohorts.rules import (
    doubts,
    file_problems,
    ids_alike,
)
from cohorts.tables import (
    SPLITS,
    CohortError,
    CohortFinding,
    found_rows,
)

WINDOWS_DAYS = (1.0, 7.0, 30.0)


@dataclass(frozen=True)
class PairingWindow:
    """What pairing would find if an ECG and a study of one patient lay at most `days` apart."""

    days: float
    pairs: int
    patients: int
    ecgs: int
    studies: int


@dataclass(frozen=True)
class CohortReport:
    """`problems` must be mended before training; `warnings` and `skipped` need not.

    Counts are None where they cannot be told: all of them where a table is missing or cannot be read, those of pairs
    also where times cannot be compared, or there is no table of studies.
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
    n_named_pairs: int = 0
    """Of the pairs those whose ECG names its study, however far off it is."""
    pairs_per_split: tuple[tuple[str, int], ...] = ()
    window_days: float = 7.0
    windows: tuple[PairingWindow, ...] = ()
    """Empty where there is nothing to pair."""

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
            apart = f"within {self.window_days:g} days"
            if self.n_named_pairs:
                all_named = self.n_named_pairs == self.n_pairs
                apart = "named by their ECGs" if all_named else f"{apart} or named by their ECGs ({self.n_named_pairs})"
            lines.append(
                f"{self.n_pairs} pairs {apart}, of {self.n_paired_ecgs} ECGs and "
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
        raise CohortError(first.code, first.sentence + more, hint=hint)


def check_tables(read: TablesRead, *, window_days: float) -> CohortReport:
    """Everything that can be said of tables that were read; every file that they name is looked for.

    Of the files only WFDB headers are opened, for the names of their signal files.
    """
    cohort, problems = read.cohort, list(read.problems)
    if cohort is None:
        return CohortReport(tuple(problems), window_days=window_days)
    ecgs, echos, studies, splits, absent = cohort.ecgs, cohort.echos, cohort.studies, cohort.splits, cohort.absent
    times_mixed = any(problem.code == "times_mixed" for problem in problems)
    if not any(problem.code in ("root_missing", "roots_invalid") for problem in problems):
        problems += file_problems(cohort.places, ecgs, "ecgs") + file_problems(cohort.places, echos, "echos")
    try:
        read_about(cohort.root)
    except CohortError as error:
        problems.append(CohortFinding(error.code, error.sentence, "cohort.json", 1))

    patients = pd.concat([ecgs["patient_id"], studies["patient_id"]]).drop_duplicates()
    rows = [
        ("study_without_ecg", "Studies of patients without any ECG", "studies", _lacks(studies, ecgs)),
        ("ecg_without_split", "ECGs of patients that are in no split", "ecgs", _lacks(ecgs, splits)),
        ("study_without_split", "Studies of patients that are in no split", "studies", _lacks(studies, splits)),
        ("split_without_patient", "Patients without ECG or study", "splits", ~splits["patient_id"].isin(patients)),
    ]
    # What a whole table is not there for, no row is told for.
    if "studies" not in absent:
        rows += [
            ("ecg_without_study", "ECGs of patients without any study", "ecgs", _lacks(ecgs, studies)),
            ("ecg_without_time", "ECGs without a time and a study that they name", "ecgs", _undated(ecgs)),
            ("study_without_time", "Studies without a time that no ECG names", "studies", _undated(studies, ecgs)),
        ]
    if "echos" not in absent or not cohort.views.empty:
        without_views = _lacks(studies, echos, "study_id") & _lacks(studies, cohort.views, "study_id")
        rows.append(("study_without_views", "Studies without any view", "studies", without_views))
    counts: dict[str, Any] = {
        "n_patients": len(patients),
        "n_ecgs": len(ecgs),
        "n_views": len(echos) + len(cohort.given_views),
        "n_studies": len(studies),
    }
    if not times_mixed and "studies" not in absent:
        counts["windows"] = tuple(_window(cohort, days) for days in WINDOWS_DAYS)
        pairs = derive_pairs(cohort, window_days=window_days)
        apart = f"within {window_days:g} days"
        if len(pairs) == 0:
            none = [name for name, table in (("ECGs", ecgs), ("studies", studies)) if table.empty]
            sentence = f"No ECG and study of the same patient lie {apart} of each other."
            if none:
                sentence = f"There are no {' and no '.join(none)}, so there is nothing to pair."
            problems.append(CohortFinding("no_pairs", sentence, "ecgs", len(ecgs)))
        far_ecgs = _lacks(ecgs, pairs, "ecg_id") & ~_lacks(ecgs, studies) & ~_undated(ecgs)
        far_studies = _lacks(studies, pairs, "study_id") & ~_lacks(studies, ecgs) & ~_undated(studies, ecgs)
        rows += [
            ("ecg_outside_window", f"ECGs without a study of the patient {apart}", "ecgs", far_ecgs),
            ("study_outside_window", f"Studies without an ECG of the patient {apart}", "studies", far_studies),
        ]
        of_split = {split: pairs["patient_id"].isin(cohort.patients(split)) for split in SPLITS}
        counts |= {
            "n_pairs": len(pairs),
            "n_named_pairs": int(pairs["ecg_id"].isin(_naming(ecgs)).sum()),
            "n_paired_ecgs": pairs["ecg_id"].nunique(),
            "n_paired_studies": pairs["study_id"].nunique(),
            "pairs_per_split": tuple((split, int(of_P.sum())) for split, of_P in of_split.items()),
        }
    skipped = [finding for row in rows for finding in found_rows(*row)]
    alike = ids_alike({"ecgs": ecgs, "echos": echos, "studies": studies, "splits": splits})
    return CohortReport(
        tuple(problems),
        tuple(alike + doubts(studies, times_mixed=times_mixed)),
        tuple(skipped),
        window_days=window_days,
        **counts,
    )


def _naming(ecgs: pd.DataFrame) -> pd.Series:
    """Ids of the ECGs that name their study."""
    return ecgs["ecg_id"][ecgs.get("study_id", pd.Series("", index=ecgs.index)) != ""]


def _undated(frame: pd.DataFrame, ecgs: pd.DataFrame | None = None) -> pd.Series[bool]:
    """Rows of ECGs, or of studies that `ecgs` may name, which neither a time nor a name pairs with anything."""
    by_name = frame.get("study_id", pd.Series("", index=frame.index))
    stated = by_name != "" if ecgs is None else by_name.isin(ecgs.get("study_id", []))
    return frame["acquired_at"].isna() & ~stated


def _window(cohort: Cohort, days: float) -> PairingWindow:
    within = derive_pairs(cohort, window_days=days)
    distinct = (int(within[key].nunique()) for key in ("patient_id", "ecg_id", "study_id"))
    return PairingWindow(days, len(within), *distinct)


def _lacks(frame: pd.DataFrame, other: pd.DataFrame, key: str = "patient_id") -> pd.Series[bool]:
    """Rows of `frame` whose `key` is not in `other`."""
    return ~frame[key].isin(other[key])
