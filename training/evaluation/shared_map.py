"""A flat map of the shared space: ECGs and studies laid out by UMAP (arXiv 1802.03426), near where they are alike.

Letters: N points, D dimensions.
"""

from __future__ import annotations

import warnings
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ground.extras import require
from training.evaluation.metrics import ReportPart

_MOST_POINTS = 2000
"""Of each kind: more would hide one another on a page, and take minutes."""
_FEWEST_POINTS = 4
_NEIGHBOURS = 15

_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]


class MapPoints(ReportPart):
    """Points of one kind. The axes have no unit, only nearness counts. `of` is how many there were to choose from."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    lvef_percent: tuple[float | None, ...]
    of: int


class SharedMap(ReportPart):
    """ECGs and studies, laid out together."""

    ecgs: MapPoints
    studies: MapPoints


def require_umap() -> ModuleType:
    """ExtraMissing, in one sentence, where UMAP is not installed. Numba compiles it on import, which takes seconds."""
    with warnings.catch_warnings():  # of what no reader of a plot can mend
        warnings.simplefilter("ignore")
        return require("umap", "The map of the shared space")


def shared_map(ecg_ED: _Float32, ecg_lvef_E: _Float64, study_SD: _Float32, study_lvef_S: _Float64) -> SharedMap | None:
    """Unit embeddings of both kinds, with LVEF (NaN where unknown), on one map. None where they are too few for one."""
    draw = np.random.default_rng(0)
    ecg_rows, study_rows = (
        np.sort(draw.choice(len(rows), min(len(rows), _MOST_POINTS), replace=False)) for rows in (ecg_ED, study_SD)
    )
    points_ND = np.concatenate([ecg_ED[ecg_rows], study_SD[study_rows]])
    if len(points_ND) < _FEWEST_POINTS:
        return None
    umap = require_umap()
    with warnings.catch_warnings():  # its PCA start warns of what no reader of a plot can mend
        warnings.simplefilter("ignore")
        layout = umap.UMAP(
            n_neighbors=min(_NEIGHBOURS, len(points_ND) - 1), metric="cosine", init="pca", random_state=0, n_jobs=1
        )
        layout_N2 = layout.fit_transform(points_ND)

    def points(rows_N2: NDArray[np.float32], lvef_N: _Float64, of: int) -> MapPoints:
        known = [None if np.isnan(value) else float(value) for value in lvef_N]
        x, y = rows_N2.T.astype(np.float64).round(3).tolist()
        return MapPoints(x=tuple(x), y=tuple(y), lvef_percent=tuple(known), of=of)

    return SharedMap(
        ecgs=points(layout_N2[: len(ecg_rows)], ecg_lvef_E[ecg_rows], len(ecg_ED)),
        studies=points(layout_N2[len(ecg_rows) :], study_lvef_S[study_rows], len(study_SD)),
    )
