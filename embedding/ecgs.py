"""ECG files to prepared records, once: read by guarded children, kept in a store by what they hold.

A file that cannot be used is skipped with its reason; it never stops a run. Letters: L leads, N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedding.local import Reader, Refused, attempt, in_order, reading
from embedding.sources import SourceFile, Sources, hashed, spec_hash, unchanged
from embedding.store import ArrayStore
from ground.disk import sha256
from inputs.ecg.prepare import ecg_windows, prepare_ecg
from inputs.ecg.read import gather_files
from inputs.specs import EcgSpec
from models.device import Machine

Prepare = Callable[[Path, Any, Reader], NDArray[Any]]
"""A file, a specification and who reads, to an array: `ecg_array`, `embedding.prepared.clip_bytes`."""


def prepared_ecgs(
    paths: Mapping[str, Path], spec: EcgSpec, folder: Path, machine: Machine
) -> tuple[dict[str, NDArray[np.float32]], Sources]:
    """Prepared records (L, N) by id, memory-mapped from `folder`, of the ECGs that can be used."""
    with ArrayStore(folder / f"ecgs-{spec_hash(spec)}", np.float32) as store:
        usable = fill_store(store, hash_ecgs(paths), ecg_array, spec, machine, stage="prepare ECGs", hash_of=ecg_sha256)
        return {name: np.asarray(store[source.sha256]) for name, source in usable.files.items()}, usable


def hash_ecgs(paths: Mapping[str, Path]) -> Sources:
    """ECGs by id, those left out whose files cannot be opened."""
    return hashed(paths, ecg_sha256)


def ecg_sha256(path: Path) -> str:
    """Of the hashes of a file and, for a WFDB header, of the files that it names. Raises InputError or OSError."""
    digest = sha256()
    for part in gather_files(path):
        digest.update(sha256(part.data).digest())
    return digest.hexdigest()


def ecg_array(path: Path, spec: EcgSpec, reader: Reader) -> NDArray[np.float32]:
    """The whole prepared record (L, N), long enough for a window. Raises InputError."""
    signal_LN = prepare_ecg(reader.read_ecg(gather_files(path)), spec).signal_LN
    ecg_windows(signal_LN, spec)
    return signal_LN


def fill_store(
    store: ArrayStore,
    sources: Sources,
    prepare: Prepare,
    spec: Any,
    machine: Machine,
    *,
    stage: str,
    hash_of: Callable[[Path], str],
) -> Sources:
    """Prepares what the store does not hold yet; returns the sources that it has arrays for. `hash_of` named them."""
    waiting = list({s.sha256: s for s in sources.files.values() if s.sha256 not in store}.values())
    passing: dict[str, str] = {}
    with reading(machine.workers) as reader:

        def work(source: SourceFile) -> NDArray[Any] | Refused:
            read = partial(prepare, source.path, spec, reader)
            return attempt(lambda: unchanged(source.path, source.sha256, hash_of, read))

        with in_order(work, waiting, workers=machine.workers, ahead=4 * machine.workers) as results:
            for done, (source, result) in enumerate(results, start=1):
                if not isinstance(result, Refused):
                    store.add(source.sha256, result)
                elif result.lasting:
                    store.add_note(source.sha256, result.reason)
                else:
                    passing[source.sha256] = result.reason
                machine.progress(done, len(waiting), stage)
    store.sync()
    reasons = {name: passing.get(s.sha256) or store.note(s.sha256) for name, s in sources.files.items()}
    unusable = {name: reason for name, reason in reasons.items() if reason}
    usable = {name: source for name, source in sources.files.items() if name not in unusable}
    return Sources(usable, sources.skipped | unusable)
