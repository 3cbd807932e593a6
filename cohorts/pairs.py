"""Which ECG belongs with which echo study: one patient, a few days apart at most."""

from __future__ import annotations

import pandas as pd

from cohorts.folder import Cohort


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


def pairs_of_split(pairs: pd.DataFrame, cohort: Cohort, split: str) -> pd.DataFrame:
    return pairs[pairs["patient_id"].isin(cohort.patients(split))].reset_index(drop=True)
