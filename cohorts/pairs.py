"""Which ECG belongs with which echo study: one patient, a few days apart at most."""

from __future__ import annotations

import pandas as pd

from cohorts.folder import Cohort


def derive_pairs(cohort: Cohort, *, window_days: float = 7.0) -> pd.DataFrame:
    """ECGs and studies of the same patient at most `window_days` apart, both ends included.

    An ECG whose row names a study belongs to that one alone, however far off it is. Columns patient_id, ecg_id,
    study_id, days_apart (never negative, NaN where a time is unknown); ordered by patient and study, the nearest ECG of
    each study first.
    """
    if not window_days >= 0:
        raise ValueError("window_days must not be negative")
    ecgs = cohort.ecgs
    stated = ecgs["study_id"] if "study_id" in ecgs else pd.Series("", index=ecgs.index)
    left = ecgs[["patient_id", "ecg_id"]].assign(stated=stated, at_ecg=_in_utc(ecgs["acquired_at"]))
    studies = cohort.studies[["patient_id", "study_id"]].assign(at_study=_in_utc(cohort.studies["acquired_at"]))
    pairs = left.merge(studies, on="patient_id")
    apart = (pairs["at_ecg"] - pairs["at_study"]).abs()
    pairs["days_apart"] = apart.dt.total_seconds() / 86_400
    near = (pairs["stated"] == "") & (apart <= pd.Timedelta(days=window_days))
    pairs = pairs.loc[near | (pairs["stated"] == pairs["study_id"]), ["patient_id", "ecg_id", "study_id", "days_apart"]]
    return pairs.sort_values(["patient_id", "study_id", "days_apart", "ecg_id"], kind="stable", ignore_index=True)


def _in_utc(times: pd.Series) -> pd.Series:
    """Naive times as if they were UTC: a cohort's are all of one kind, but for tables that know none."""
    return times.dt.tz_localize("UTC") if times.dt.tz is None else times


def pairs_of_split(pairs: pd.DataFrame, cohort: Cohort, split: str) -> pd.DataFrame:
    return pairs[pairs["patient_id"].isin(cohort.patients(split))].reset_index(drop=True)
