"""Many files and tables to patients, pairs, labels and splits. Knows neither torch nor models."""

from __future__ import annotations

from cohorts.check import CohortReport, check_cohort
from cohorts.folder import Cohort, cohort_sha256, load_cohort
from cohorts.labels import ecg_labels, labels_and_flags, shd_label, shd_labels, study_labels
from cohorts.pairs import derive_pairs, pairs_of_split
from cohorts.tables import SEXES, SPLITS, CohortError, CohortFinding, tables_sha256, write_cohort_tables

__all__ = [
    "SEXES",
    "SPLITS",
    "Cohort",
    "CohortError",
    "CohortFinding",
    "CohortReport",
    "check_cohort",
    "cohort_sha256",
    "derive_pairs",
    "ecg_labels",
    "labels_and_flags",
    "load_cohort",
    "pairs_of_split",
    "shd_label",
    "shd_labels",
    "study_labels",
    "tables_sha256",
    "write_cohort_tables",
]
