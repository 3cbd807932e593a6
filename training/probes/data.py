"""What probes are fitted on, of one split: the features a bundle gives, labels of studies, and the shape of ECGs."""

from __future__ import annotations

import pandas as pd

from ground.findings import SHD_FLAGS
from models.bundle import Bundle
from training.data.cohort_arrays import Arrays
from training.data.embedded import embed_ecgs
from training.probes.fit import ProbeData
from training.probes.fit_ood import describe_signals


def probe_data(bundle: Bundle, labels: pd.DataFrame, pairs: pd.DataFrame, signals: Arrays) -> ProbeData:
    """Every ECG of `pairs` that can be read, once, with the labels of its nearest study (`labels` by study_id)."""
    embedded = embed_ecgs(bundle, pairs[pairs["ecg_id"].isin(list(signals))], labels, signals)
    known = embedded.labels
    return ProbeData(
        embedded.features_EF,
        known["lvef_percent"].to_numpy(),
        known["shd"].to_numpy(),
        patients=known["patient_id"].tolist(),
        flags={flag: known[flag].to_numpy() for flag in SHD_FLAGS},
        shape=describe_signals([signals[ecg_id] for ecg_id in known.index], bundle.manifest.ecg),
    )
