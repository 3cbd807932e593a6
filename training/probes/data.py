"""What probes are fitted on: the features a bundle gives, labels of studies, and the shape of ECGs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cohorts.own_labels import OwnLabel
from ground.findings import SHD_FLAGS
from models.bundle import Bundle
from models.labels import LvefClasses
from training.data.cohort_arrays import Arrays
from training.data.embedded import embed_ecgs
from training.probes.fit import ProbeData, ProbeFit, fit_probes
from training.probes.fit_ood import describe_signals


def fit_on_features(
    bundle: Bundle,
    labels: pd.DataFrame,
    pairs: Mapping[str, pd.DataFrame],
    signals: Arrays,
    classes: LvefClasses,
    own: Sequence[OwnLabel] = (),
) -> ProbeFit:
    """Probes on the features that the bundle gives; `pairs` by split, or rows of ECGs where there are `own` labels.

    See `fit_probes` for what is refused.
    """
    train, val, calibration = (
        probe_data(bundle, labels, pairs[split], signals, own) for split in ("train", "val", "calibration")
    )
    return fit_probes(train, val, calibration, classes)


def probe_data(
    bundle: Bundle, labels: pd.DataFrame, pairs: pd.DataFrame, signals: Arrays, own: Sequence[OwnLabel] = ()
) -> ProbeData:
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
        own={one.name: known[one.name].to_numpy(dtype=np.float64) for one in own},
        own_kinds={one.name: one.kind for one in own},
    )
