"""A cohort folder, opened once: its tables parsed and hashed in one reading, and what follows from them.

Training, evaluation, the comparison and the index rebuild take an `OpenCohort`; none of them reads a table again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from cohorts.about import CohortAbout, read_about
from cohorts.check import CohortReport, check_tables
from cohorts.folder import Cohort, TablesRead, cohort_sha256, read_tables
from cohorts.labels import labels_and_flags
from cohorts.pairs import derive_pairs, pairs_of_split
from cohorts.tables import CohortError
from ground.disk import sha256
from inputs.specs import Amplitude


@dataclass(frozen=True)
class OpenCohort:
    """A cohort without contradictions. `window_days` is how far an ECG and a study of one patient may lie apart."""

    tables: Cohort
    window_days: float
    tables_sha256: str
    """Of all four tables' files."""
    echo_tables_sha256: str
    """Of the two that an index is built from: ECGs and splits may change without a new index."""

    @property
    def root(self) -> Path:
        return self.tables.root

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """See `derive_pairs`."""
        return derive_pairs(self.tables, window_days=self.window_days)

    @cached_property
    def labels(self) -> pd.DataFrame:
        """By study_id: see `labels_and_flags`."""
        return labels_and_flags(self.tables)

    @cached_property
    def about(self) -> CohortAbout:
        """See `read_about`: CohortError for a `cohort.json` that is no JSON object."""
        return read_about(self.root)

    @cached_property
    def sha256(self) -> str:
        """A short way to tell cohorts apart: see `cohort_sha256`. Raises CohortError for a file that is not there."""
        return cohort_sha256(self.tables, self.tables_sha256)

    @cached_property
    def columns_sha256(self) -> str:
        """Of what the columns that a cohort knows hold: others, such as labels of somebody's own, change nothing."""
        digest = sha256()
        for table in (self.tables.ecgs, self.tables.echos, self.tables.studies, self.tables.splits, self.tables.views):
            digest.update(table.to_csv(index=False).encode())
        return digest.hexdigest()

    def check_amplitude(self, trained_on: Amplitude) -> None:
        """Raises CohortError for ECGs without a unit where a bundle was trained on millivolts."""
        if self.tables.amplitude == "relative" and trained_on == "millivolt":
            raise CohortError(
                "amplitude_relative",
                "The ECGs of this cohort have no unit (amplitude: relative), and the bundle was trained on millivolts.",
                hint="Import the data set again with --lead-scale FILE, its published normalisation.",
            )

    def split(self, name: str) -> pd.DataFrame:
        """The pairs of one split's patients."""
        return pairs_of_split(self.pairs, self.tables, name)


def open_cohort(root: Path, window_days: float = 7.0) -> OpenCohort:
    """Read the tables of a cohort folder; no ECG or clip is opened. Raises CohortError at the first contradiction."""
    read = read_tables(root)
    if read.problems or read.cohort is None:
        raise read.problems[0].as_error()
    return _opened(read, read.cohort, window_days)


def check_cohort(root: Path, *, window_days: float = 7.0) -> CohortReport:
    """Read the tables, look for every file, derive the pairs. Never raises for a bad cohort.

    Of the files only WFDB headers are opened, for the names of their signal files.
    """
    return examine_cohort(root, window_days=window_days)[0]


def examine_cohort(root: Path, *, window_days: float = 7.0) -> tuple[CohortReport, OpenCohort | None]:
    """`check_cohort`, and the cohort itself where it has no problem."""
    read = read_tables(root)
    report = check_tables(read, window_days=window_days)
    if report.problems or read.cohort is None:
        return report, None
    return report, _opened(read, read.cohort, window_days)


def open_checked_cohort(root: Path, window_days: float = 7.0) -> OpenCohort:
    """As `open_cohort`, every file that the tables name looked for. The CohortError says how much more is wrong."""
    report, cohort = examine_cohort(root, window_days=window_days)
    report.raise_if_refused()
    assert cohort is not None
    return cohort


def _opened(read: TablesRead, cohort: Cohort, window_days: float) -> OpenCohort:
    return OpenCohort(cohort, window_days, read.tables_sha256, read.echo_tables_sha256)
