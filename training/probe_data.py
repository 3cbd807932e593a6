"""What probes are fitted on, of one split: the features a bundle gives, labels of studies, and the shape of ECGs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from inputs.cohort import SHD_FLAGS, Cohort
from models.bundle import Bundle
from training.cohort_arrays import Arrays, study_labels
from training.evaluate import embed_ecgs
from training.fit_ood import describe_signals
from training.fit_probes import ProbeData


def probe_data(bundle: Bundle, cohort: Cohort, pairs: pd.DataFrame, signals: Arrays) -> ProbeData:
    """Every ECG of `pairs` that can be read, once, with the labels of its nearest study."""
    embedded = embed_ecgs(bundle, pairs[pairs["ecg_id"].isin(list(signals))], _labels(cohort), signals)
    known = embedded.labels
    return ProbeData(
        embedded.features_EF,
        known["lvef_percent"].to_numpy(),
        known["shd"].to_numpy(),
        patients=known["patient_id"].tolist(),
        flags={flag: known[flag].to_numpy() for flag in SHD_FLAGS},
        shape=describe_signals([signals[ecg_id] for ecg_id in known.index], bundle.manifest.ecg),
    )


def _labels(cohort: Cohort) -> pd.DataFrame:
    """`study_labels` and the eleven flags (1, 0), NaN where unknown."""
    flags = cohort.studies[list(SHD_FLAGS)].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    return study_labels(cohort).assign(**dict(zip(SHD_FLAGS, flags.T, strict=True)))
