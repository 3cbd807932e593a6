"""What an imported cohort is good for: opened, every file read in a guarded child, an index built and asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from evaluated import random_bundle

from cohorts import open_cohort
from cohorts.opened import OpenCohort
from embedding.ecgs import ecg_array
from embedding.every_file import unreadable_files
from ground.progress import silent
from index.rebuild import write_index
from index.store import IndexStore
from inputs.ecg.prepare import ecg_windows
from inputs.guarded.reader import GuardedReader
from models.bundle import Bundle
from models.device import Machine
from training.recipes import Recipe

HERE = Machine(torch.device("cpu"), 1, silent)


def opened_and_read(folder: Path) -> OpenCohort:
    """The cohort, whose every file was read."""
    cohort = open_cohort(folder)
    assert list(unreadable_files(cohort.tables, HERE)) == []
    return cohort


def tiny_bundle(folder: Path, recipe: Recipe) -> Bundle:
    """Of random weights."""
    return Bundle.load(random_bundle(folder, recipe, with_probes=True), device="cpu")


def indexed(cohort: OpenCohort, bundle: Bundle, folder: Path) -> IndexStore:
    """An index of all views of the cohort."""
    store = IndexStore(folder)
    with GuardedReader() as reader:
        report = write_index(bundle, cohort, store, reader, HERE)
    assert (report.skipped, report.views) == ((), len(cohort.tables.echos))
    return store


def found_for_the_first_ecg(cohort: OpenCohort, bundle: Bundle, store: IndexStore, k: int = 3) -> list[str]:
    """Study ids that the cohort's first ECG is answered with."""
    file = next(iter(cohort.tables.ecg_sources().values()))
    with GuardedReader() as reader:
        signal_LN = ecg_array(file, bundle.ecg, reader)
    vector_1D = bundle.embed_ecgs(ecg_windows(signal_LN, bundle.ecg)[None]).embeddings_BD
    return nearest(store, bundle, np.asarray(vector_1D, np.float32), k)


def nearest(store: IndexStore, bundle: Bundle, vector_1D: np.ndarray | None = None, k: int = 3) -> list[str]:
    """Ids of the studies nearest to a vector, or to that of the first study."""
    generation = store.open_current(bundle.sha256)
    hits = generation.index.search(np.array(generation.index.vectors_ND[:1]) if vector_1D is None else vector_1D, k)
    return [card.study_id for card in generation.catalogue.cards(hits.ids_BK[0])]
