"""Prepared arrays to named vectors, one row per ECG or study.

Letters in array names: B batch, W windows, L leads, N samples, V views, D numbers of a vector.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle

Vectors = dict[str, NDArray[np.float32]]
"""Arrays of the .npz by name, one row per ECG, study or clip."""


def ecg_vectors(bundle: Bundle, windows_BWLN: NDArray[np.float32]) -> Vectors:
    """`features` (B, F), and unit `embeddings` (B, D) unless the bundle lacks the alignment."""
    if not bundle.manifest.gives("ecg_embeddings"):
        return {"features": bundle.ecg_features(windows_BWLN)}
    answer = bundle.embed_ecgs(windows_BWLN)
    assert answer.embeddings_BD is not None
    return {"features": answer.features_BF, "embeddings": answer.embeddings_BD}


def study_vectors(bundle: Bundle, views_BVD: NDArray[np.float32], present_BV: NDArray[np.bool_]) -> Vectors:
    """`study_tokens`, `pool_weights` (B, V), and unit `embeddings` unless the bundle lacks the alignment."""
    studies = bundle.pool_studies(views_BVD, present_BV)
    vectors = {"study_tokens": studies.tokens_BP, "pool_weights": studies.pool_weights_BV}
    return vectors if studies.embeddings_BD is None else {**vectors, "embeddings": studies.embeddings_BD}
