"""ECGs of one split as a bundle sees them, with the labels of their nearest study.

Letters: E ECGs, F features, D dimensions, C classes, Q flags.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from inputs.ecg.prepare import ecg_windows
from models.bundle import Bundle
from models.labels import LvefClasses, class_numbers
from training.data.cohort_arrays import Arrays
from training.data.own_rows import labels_of_ecgs

_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]
_Floats = TypeVar("_Floats", np.float32, np.float64)


@dataclass(frozen=True)
class FlagAnswers:
    """What a probe says of one flag; positive above the threshold."""

    probability_E: NDArray[np.floating]
    threshold: float


@dataclass(frozen=True)
class EmbeddedEcgs:
    """ECGs of one split as the bundle sees them, with the labels of their nearest study (rows as `labels_of_ecgs`)."""

    labels: pd.DataFrame
    features_EF: _Float32
    embeddings_ED: _Float32 | None
    """None of a bundle without alignment."""
    lvef_EC: _Float32 | None
    shd_E: _Float32 | None
    flags: Mapping[str, FlagAnswers] = field(default_factory=dict)
    """The flags that the bundle has a probe for."""
    split: str = "measured"
    """Whose ECGs they are, for sentences about them."""
    lvef_percent_E: _Float32 | None = None
    """LVEF as a number; None of a bundle that gives none."""
    own: Mapping[str, _Float64] = field(default_factory=dict)
    """Probabilities, or numbers, of the labels that whoever fitted the bundle added."""

    def truth(self, label: str) -> _Float64:
        """A label of every ECG, NaN where unknown."""
        return self.labels[label].to_numpy(dtype=np.float64)

    def lvef_class(self, classes: LvefClasses) -> _Float64:
        """The LVEF class of every ECG, NaN where unknown."""
        return class_numbers(self.truth("lvef_percent"), classes)

    @property
    def patient_E(self) -> _Int64:
        return pd.factorize(self.labels["patient_id"])[0].astype(np.int64)


_BATCH = 64


def embed_ecgs(
    bundle: Bundle,
    pairs: pd.DataFrame,
    labels: pd.DataFrame,
    signals: Arrays,
    *,
    split: str = "measured",
) -> EmbeddedEcgs:
    """Every ECG of `pairs`, of patients of `split`, once; of a bundle without alignment the features alone."""
    by_ecg = labels_of_ecgs(pairs, labels)
    batches = _batches(ecg_windows(signals[ecg_id], bundle.manifest.ecg) for ecg_id in by_ecg.index)
    outputs = [bundle.embed_ecgs(batch) for batch in batches]
    features_EF = np.concatenate([o.features_BF for o in outputs])
    embeddings_ED = _together(o.embeddings_BD for o in outputs)
    flags_EQ, own_EK = _together(o.flags_BQ for o in outputs), _together(o.own_BK for o in outputs)
    if bundle.probes is None or flags_EQ is None or own_EK is None:
        return EmbeddedEcgs(by_ecg, features_EF, embeddings_ED, None, None, split=split)
    return EmbeddedEcgs(
        by_ecg,
        features_EF,
        embeddings_ED,
        _together(o.lvef_BC for o in outputs),
        _together(o.shd_B for o in outputs),
        {
            name: FlagAnswers(flags_EQ[:, column], bundle.probes.flags[name].decision_threshold)
            for column, name in enumerate(bundle.probes.flag_names)
        },
        split,
        _together(o.lvef_percent_B for o in outputs),
        dict(zip(bundle.probes.own, own_EK.T, strict=True)),
    )


def _together(parts: Iterable[NDArray[_Floats] | None]) -> NDArray[_Floats] | None:
    """All parts in one, or None where there are none."""
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None


def embed_features(bundle: Bundle, signals_LN: Iterable[_Float32]) -> _Float32:
    """The features (E, F) alone, of prepared ECGs in their order."""
    batches = _batches(ecg_windows(signal, bundle.manifest.ecg) for signal in signals_LN)
    return np.concatenate([bundle.embed_ecgs(batch).features_BF for batch in batches])


def _batches(windows: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Stacks of records that follow one another and have equally many windows."""
    for _, alike in groupby(windows, key=len):
        while batch := list(islice(alike, _BATCH)):
            yield np.stack(batch)
