"""Pairs of one split as arrays, and the batches made of them.

Letters: P pairs, B pairs of a batch, L leads, N samples, T patches, K patches that are seen, V views, D dimensions of a
view vector.
Knows arrays and numbers only: files, cohorts and models are other modules' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PairedArrays:
    """ECGs, studies and which belong together.

    signals_LN: one prepared record per ECG, float32, lengths may differ; views_VD: one float32 array per study, at
    least one view each. ecg_P and study_P index into them; patient_P numbers the patients.
    """

    signals_LN: Sequence[NDArray[np.float32]]
    views_VD: Sequence[NDArray[np.float32]]
    ecg_P: NDArray[np.int64]
    study_P: NDArray[np.int64]
    patient_P: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.ecg_P) == len(self.study_P) == len(self.patient_P):
            raise ValueError("ecg_P, study_P and patient_P must have one entry per pair")

    def __len__(self) -> int:
        return len(self.ecg_P)


def batches_per_epoch(patient_P: NDArray[np.int64], batch_size: int) -> int:
    """As many as the pairs fill; with fewer patients than a batch has places, a batch has one pair of each."""
    return -(-len(patient_P) // min(batch_size, len(np.unique(patient_P))))


def pairs_per_epoch(patient_P: NDArray[np.int64], batch_size: int) -> int:
    """Pairs that one epoch shows."""
    return int(np.minimum(np.bincount(patient_P), batches_per_epoch(patient_P, batch_size)).sum())


def epoch_batches(
    patient_P: NDArray[np.int64], batch_size: int, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Every pair once, shuffled, no patient twice in a batch; sizes differ by at most one and never pass `batch_size`.

    Of a patient with more pairs than there are batches, an epoch shows as many as there are batches, drawn anew each
    time: more batches would make all of them smaller, and so the task easier, because of one patient.
    Pairs are sorted by shuffled patient and dealt round: a patient's pairs lie together and are no more than there
    are batches, so no batch gets two of them.
    """
    count = batches_per_epoch(patient_P, batch_size)
    patient_order = generator.permutation(int(patient_P.max()) + 1)
    shuffled = generator.permutation(len(patient_P))
    dealt = shuffled[np.argsort(patient_order[patient_P[shuffled]], kind="stable")]
    _, first_P, pairs_P = np.unique(patient_order[patient_P[dealt]], return_index=True, return_counts=True)
    dealt = dealt[np.arange(len(dealt)) - np.repeat(first_P, pairs_P) < count]
    batches = [dealt[start::count] for start in range(count)]
    return [batches[i] for i in generator.permutation(count)]


def random_windows(
    signals_LN: Sequence[NDArray[np.float32]], window_samples: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """windows_BLN: one window from a uniformly random place of each record."""
    windows = np.empty((len(signals_LN), signals_LN[0].shape[0], window_samples), np.float32)
    for row, signal in enumerate(signals_LN):
        start = int(generator.integers(signal.shape[1] - window_samples + 1))
        windows[row] = signal[:, start : start + window_samples]
    return windows


def pad_views(views_VD: Sequence[NDArray[np.float32]], max_views: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """views_BVD, zero where padded, and view_present_BV; of more than `max_views` the first count."""
    kept = [views[:max_views] for views in views_VD]
    longest = max(len(views) for views in kept)
    padded = np.zeros((len(kept), longest, kept[0].shape[1]), np.float32)
    present = np.zeros((len(kept), longest), bool)
    for row, views in enumerate(kept):
        padded[row, : len(views)] = views
        present[row, : len(views)] = True
    return padded, present


def choose_patches(
    windows: int, patches: int, hidden_share: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    """visible_BK: for each window the numbers, in order, of the patches that are not hidden; at least one is not."""
    kept = max(1, round((1 - hidden_share) * patches))
    order_BT = generator.random((windows, patches)).argsort(axis=1)
    return np.sort(order_BT[:, :kept], axis=1)
