"""A cohort folder: ECGs, echo views, studies and patient splits, with the pairs and labels that follow from them.

The folder is what every data-set adapter and the simulator write and what training and the index rebuild read. The
columns of its tables are in `cohorts.tables`, the rules they keep in `cohorts.rules`. `load_cohort` refuses
at the first fault, `check_cohort` lists them all, what is doubtful, and what training would leave out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cohorts.rules import (
    contradictions,
    file_in,
)
from cohorts.tables import (
    SPLITS,
    TABLES,
    CohortError,
    CohortFinding,
    read_table,
    tables_sha256,
)
from ground.disk import sha256


@dataclass(frozen=True)
class Cohort:
    """Four typed tables (see `cohorts.tables.read_table`) and the folder that their paths start at."""

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
    return sha256(patient_id.encode()).digest()[0] % 2 == 1


def load_cohort(root: Path) -> Cohort:
    """Read the four tables of a cohort folder; files are not opened. Raises CohortError at the first contradiction."""
    cohort, problems = read_tables(root)
    if problems or cohort is None:
        raise problems[0].as_error()
    return cohort


def read_tables(root: Path) -> tuple[Cohort | None, list[CohortFinding]]:
    """The tables, None unless all four could be read, and everything that is wrong with them."""
    frames: dict[str, pd.DataFrame] = {}
    problems: list[CohortFinding] = []
    for name in TABLES:
        try:
            frames[name], found = read_table(root, name)
        except CohortError as error:
            found = [CohortFinding(error.code, error.sentence, name, 1)]
        problems += found
    if len(frames) < len(TABLES):
        return None, problems
    return Cohort(root, **frames), problems + contradictions(**frames)


def cohort_sha256(cohort: Cohort) -> str:
    """Of the tables, of `cohort.json` where it is there, and of name and size of every file that the tables name.

    A short way to tell cohorts apart: no ECG or clip is opened, so one that changes and keeps its size is not noticed,
    nor are the signal files that a WFDB header names. Raises CohortError for a file that is not there.
    """
    digest = sha256(tables_sha256(cohort.root).encode())
    stamp = cohort.root / "cohort.json"
    if stamp.is_file():
        digest.update(sha256(stamp.read_bytes()).digest())
    for relative in (*cohort.ecgs["path"], *cohort.echos["path"]):
        try:
            size = (cohort.root / relative).stat().st_size
        except (OSError, ValueError):
            raise CohortError("file_missing", "A file that the tables name is not there.") from None
        digest.update(f"{relative}\0{size}\n".encode())
    return digest.hexdigest()
