"""Many files and tables to patients, pairs, labels and splits. Knows neither torch nor models.

This is the one door: other rooms import from here (the simulator, which only writes tables, from `cohorts.tables`).
"""

from __future__ import annotations

from cohorts.about import CohortAbout
from cohorts.check import CohortReport, PairingWindow
from cohorts.folder import Cohort
from cohorts.labels import ecg_labels, labels_and_flags, shd_label, shd_labels
from cohorts.opened import OpenCohort, check_cohort, examine_cohort, open_checked_cohort, open_cohort
from cohorts.own_files import tables_sha256
from cohorts.pairs import derive_pairs, pairs_of_split
from cohorts.tables import (
    ECHO_TABLES,
    SEXES,
    SPLITS,
    CohortError,
    CohortFinding,
    write_cohort_tables,
)

__all__ = [
    "ECHO_TABLES",
    "SEXES",
    "SPLITS",
    "Cohort",
    "CohortAbout",
    "CohortError",
    "CohortFinding",
    "CohortReport",
    "OpenCohort",
    "PairingWindow",
    "check_cohort",
    "derive_pairs",
    "ecg_labels",
    "examine_cohort",
    "labels_and_flags",
    "open_checked_cohort",
    "open_cohort",
    "pairs_of_split",
    "shd_label",
    "shd_labels",
    "tables_sha256",
    "write_cohort_tables",
]
