"""A cohort's clips as vectors: the same cohort with the table `views` of a bundle's echo encoder, and without clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts import open_checked_cohort
from cohorts.adapters import VECTORS, Imported, Source, import_cohort
from cohorts.views import VIEW_COLUMNS, VIEWS_FILE, write_views
from embedding.clips import ClipRow, embed_clips, open_view_cache
from embedding.local import reading
from embedding.view_cache import ViewCache
from ground.disk import held_folder
from ground.errors import Refusal
from models.bundle import Bundle, BundleError
from models.device import Machine

_ROWS_AT_ONCE = 4096


def export_views(bundle_dir: Path, cohort_dir: Path, out: Path, machine: Machine) -> tuple[Imported, dict[str, int]]:
    """Write the cohort folder `out`, and how many clips were left out for which reason.

    Vectors are kept in `<out>.work` and found again by a later run. Raises BundleError for a bundle without an echo
    encoder, CohortError for a cohort without clips or an `out` that is there.
    """
    bundle = Bundle.load(bundle_dir, device=str(machine.device), parts=("echo",))
    source = bundle.manifest.view_source
    if source is None or not bundle.manifest.gives("view_vectors"):
        raise BundleError("this bundle has no echo encoder, so it makes no view vectors")
    if out.exists():
        raise Refusal("folder_exists", f"{out.name} is there already; a cohort is written to a new folder.")
    tables = open_checked_cohort(cohort_dir).tables
    if tables.echos.empty:
        raise Refusal("no_clips", "The cohort has no clips, so there is nothing to make vectors of.")
    clips = [ClipRow(place, tables.file_path(path)) for place, path in enumerate(tables.echos["path"])]
    with (
        open_view_cache(out.with_name(f"{out.name}.work"), bundle) as cache,
        reading(machine.workers) as reader,
        held_folder(f".{out.name}.", suffix=".tmp", parent=out.parent) as folder,
    ):
        embedded = embed_clips(bundle, clips, cache, reader, machine)
        if not embedded.sha256_of:
            raise Refusal("no_clips", "No clip of the cohort can be read.")
        rows = tables.echos.iloc[list(embedded.sha256_of)].reindex(columns=[*VIEW_COLUMNS], fill_value="")
        hashes = pd.Series(list(embedded.sha256_of.values()))
        write_views(folder / VIEWS_FILE, rows, _kept(cache, hashes), source)
        imported = import_cohort(VECTORS, Source(folder / VIEWS_FILE, roots={"cohort": cohort_dir}), out)
    return imported, dict(Counter(embedded.skipped.values()))


def _kept(cache: ViewCache, hashes: pd.Series) -> Iterator[NDArray[np.float32]]:
    for first in range(0, len(hashes), _ROWS_AT_ONCE):
        views = [cache.get(file_sha256) for file_sha256 in hashes[first : first + _ROWS_AT_ONCE]]
        if any(view is None for view in views):
            raise Refusal("views_lost", "Vectors were lost from the damaged file that keeps them.", hint="Begin again.")
        yield np.stack([view.vector_V for view in views if view is not None])
