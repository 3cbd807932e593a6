"""What is known of studies, as numbers: LVEF, volumes, structural heart disease and its flags."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cohorts.folder import Cohort
from ground.findings import LV_PHENOTYPES, SHD_FLAGS


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


def study_labels(cohort: Cohort) -> pd.DataFrame:
    """By study_id: lvef_percent, lvedv_ml, lvesv_ml, lvsv_ml and shd (1, 0) as floats; NaN where unknown."""
    studies = cohort.studies
    labels = studies[list(LV_PHENOTYPES)].astype(np.float64)
    labels["lvsv_ml"] = labels["lvedv_ml"] - labels["lvesv_ml"]
    labels["shd"] = shd_labels(studies).astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    return labels.set_index(studies["study_id"])


def labels_and_flags(cohort: Cohort) -> pd.DataFrame:
    """`study_labels` and the eleven SHD flags (1, 0), NaN where unknown."""
    flags = cohort.studies[list(SHD_FLAGS)].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    return study_labels(cohort).assign(**dict(zip(SHD_FLAGS, flags.T, strict=True)))


def ecg_labels(pairs: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """By ecg_id: patient_id and the labels of the ECG's nearest study (the earlier named one when two are as near)."""
    nearest = pairs.sort_values(["days_apart", "study_id"], kind="stable").drop_duplicates("ecg_id").sort_index()
    found = labels.loc[nearest["study_id"]].set_index(nearest["ecg_id"])
    return found.assign(patient_id=nearest["patient_id"].to_numpy())
