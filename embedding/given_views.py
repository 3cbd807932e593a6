"""View vectors that a cohort gives instead of clips: the one place that takes them, and says whose they must be.

Letters: V views of a study, W numbers of a view vector.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts import Cohort
from models.bundle import BundleError, BundleManifest

GivenViews = Mapping[str, NDArray[np.float32]]
"""By study_id (V, W), in the order of the cohort's table; mapped from a file, not in memory."""


def check_views(manifest: BundleManifest, cohort: Cohort) -> None:
    """Raises BundleError where a cohort's vectors are of another source than a bundle's, or it has clips in vain."""
    bundles = manifest.view_source
    if not cohort.echos.empty and not manifest.takes_clips and bundles is not None:
        raise BundleError(
            f"this bundle takes the view vectors of {bundles.words} and has no echo encoder for clips.",
            code="no_echo_encoder",
            hint="Give the vectors of that source: `echo2ecg cohort import vectors`.",
        )
    theirs = cohort.view_source
    if cohort.given_views.empty or theirs is None or (bundles is not None and bundles.is_of(theirs)):
        return
    if bundles is None:
        raise BundleError(
            f"the view vectors of this cohort are of {theirs.words}, and this bundle does not say whose it takes.",
            code="view_source_unsaid",
            hint="Import its weights again with `--vectors-of NAME`, if that is whose they were made with.",
        )
    raise BundleError(
        f"the view vectors of this cohort are of {theirs.words}, and this bundle takes those of {bundles.words}.",
        code="view_source_differs",
        hint="`train --recipe vectors` trains on these; `cohort export-vectors` makes this bundle's of clips.",
    )


def given_views(cohort: Cohort, study_ids: Collection[str] | pd.Series, folder: Path | None) -> GivenViews:
    """The vectors of those of the studies that have no clips; read once, into a file in `folder` that has no name.

    The file ends with the arrays. Raises CohortError for a table that cannot be read any more.
    """
    rows = cohort.given_views
    rows = rows[rows["study_id"].isin(study_ids)]
    if rows.empty or cohort.view_source is None:
        return {}
    wanted_N = rows.index.to_numpy()
    with tempfile.TemporaryFile(dir=folder) as file:
        _copy(cohort, wanted_N, file)
        vectors_NW = np.memmap(file, np.float32, "c", shape=(len(rows), cohort.view_source.width))  # keeps it
    places = rows.groupby("study_id", sort=False).indices
    return {str(study_id): _rows(vectors_NW, np.asarray(of_study)) for study_id, of_study in places.items()}


def _copy(cohort: Cohort, wanted_N: NDArray[np.int64], file: IO[bytes]) -> None:
    """Some rows of the table, rising, to a file. Written, not mapped: a full disk is an error then, and no signal."""
    for piece in cohort.view_pieces():
        first, last = np.searchsorted(wanted_N, (piece.first, piece.first + len(piece.lengths_N)))
        file.write(piece.vectors_NW[wanted_N[first:last] - piece.first].tobytes())
    file.flush()


def _rows(vectors_NW: NDArray[np.float32], of_study: NDArray[np.int64]) -> NDArray[np.float32]:
    """A study's rows stand together in most tables; then nothing is copied."""
    first, last = int(of_study[0]), int(of_study[-1]) + 1
    return vectors_NW[first:last] if last - first == len(of_study) else vectors_NW[of_study]
