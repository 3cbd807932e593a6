"""What training and evaluation need of a cohort: pairs and labels by split, prepared ECGs, view vectors of studies.

Letters: L leads, N samples, V views, D length of a view vector, P pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts import Cohort
from embedding.clips import ClipRow, embed_clips, open_view_cache
from embedding.ecgs import prepared_ecgs
from embedding.given_views import check_views, given_views
from embedding.local import reading
from embedding.sources import Sources, hash_clips
from embedding.store import ArrayStore
from ground.progress import silent
from inputs.specs import EcgSpec
from models.bundle import Bundle
from models.device import Machine
from training.data.batches import PairedArrays

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class PreparedEcgs:
    """Of all patients but the test's: records by ecg_id, and how many were left out for which reason."""

    signals: Arrays
    skipped: dict[str, int]


def usable_pairs(pairs: pd.DataFrame, signals: Arrays, views: Arrays) -> pd.DataFrame:
    """The pairs of which both sides could be read."""
    return pairs[pairs["ecg_id"].isin(list(signals)) & pairs["study_id"].isin(list(views))].reset_index(drop=True)


def to_arrays(pairs: pd.DataFrame, signals: Arrays, views: Arrays) -> PairedArrays:
    """Pairs by number instead of by name."""
    ecg_P, ecg_ids = pd.factorize(pairs["ecg_id"])
    study_P, study_ids = pd.factorize(pairs["study_id"])
    patient_P, _ = pd.factorize(pairs["patient_id"])
    return PairedArrays(
        [signals[name] for name in ecg_ids],
        [views[name] for name in study_ids],
        ecg_P.astype(np.int64),
        study_P.astype(np.int64),
        patient_P.astype(np.int64),
    )


def prepared_signals(
    cohort: Cohort, ecg_ids: pd.Series, spec: EcgSpec, folder: Path, machine: Machine
) -> tuple[dict[str, NDArray[np.float32]], Sources]:
    """Prepared records (L, N), memory-mapped, of the ECGs that can be used."""
    return prepared_ecgs(cohort.ecg_sources(ecg_ids), spec, folder, machine)


def prepare_ecgs(
    cohort: Cohort, pairs: Mapping[str, pd.DataFrame], spec: EcgSpec, folder: Path, machine: Machine
) -> PreparedEcgs:
    """Every ECG of the pairs of train, val and calibration patients; test patients' files stay closed."""
    seen = pd.concat([pairs[split] for split in ("train", "val", "calibration")])
    signals, sources = prepared_signals(cohort, seen["ecg_id"], spec, folder, machine)
    return PreparedEcgs(signals, sources.reasons())


def clip_sources(cohort: Cohort, study_ids: pd.Series) -> Sources:
    """Clips of the studies, by the row they have in the cohort's table."""
    wanted = cohort.echos[cohort.echos["study_id"].isin(study_ids)]
    paths = [cohort.file_path(path) for path in wanted["path"].tolist()]
    return hash_clips(dict(zip(wanted.index.astype(str).tolist(), paths, strict=True)))


def clip_views(
    bundle: Bundle,
    cohort: Cohort,
    study_ids: pd.Series,
    folder: Path | None,
    machine: Machine,
    *,
    decoded: ArrayStore | None = None,
) -> tuple[dict[int, NDArray[np.float32]], dict[str, str]]:
    """View vectors (D) of the studies' clips by their row of the cohort's table, in its order, and the clips left out.

    They are kept in `folder`, where there is one, by encoder, echo specification and file content, so that an
    interrupted run goes on where it was.
    """
    clips = clip_sources(cohort, study_ids)
    rows = [ClipRow(name, source.path, source.sha256) for name, source in clips.files.items()]
    vectors: dict[int, NDArray[np.float32]] = {}
    with open_view_cache(folder, bundle) as cache, reading(machine.workers) as reader:
        if all(row.sha256 is not None and cache.get(row.sha256) is not None for row in rows):
            machine = machine.telling(silent)  # nothing is made anew, so there is no progress to tell
        embedded = embed_clips(bundle, rows, cache, reader, machine, decoded=decoded)
        for row in rows:
            view = cache.get(embedded.sha256_of[row.key]) if row.key in embedded.sha256_of else None
            if view is not None:
                vectors[int(row.key)] = view.vector_V
    return vectors, clips.skipped | embedded.skipped


def study_views(
    bundle: Bundle,
    cohort: Cohort,
    study_ids: pd.Series,
    folder: Path,
    machine: Machine,
    *,
    decoded: ArrayStore | None = None,
) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """View vectors (V, D) of those of the studies that have any, in the order of the tables, and the clips left out.

    Of clips as `clip_views` makes them; of studies without clips the cohort gives them. Raises BundleError for those of
    another source.
    """
    check_views(bundle.manifest, cohort)
    given = given_views(cohort, study_ids, folder)
    if cohort.echos.empty:
        return dict(given), {}
    vectors, skipped = clip_views(bundle, cohort, study_ids, folder, machine, decoded=decoded)
    by_study: dict[str, list[NDArray[np.float32]]] = {}
    for row, vector_D in vectors.items():
        by_study.setdefault(str(cohort.echos.at[row, "study_id"]), []).append(vector_D)
    of_clips = {study_id: np.stack(views) for study_id, views in by_study.items()}
    return of_clips | dict(given), skipped
