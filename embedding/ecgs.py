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
from inputs.ecg.source import EcgSource
from inputs.opened import File
from inputs.records import EcgRecording, UploadedFile
from inputs.specs import EcgSpec
from models.device import Machine

Prepare = Callable[[File, Any, Reader], NDArray[Any]]
"""A file, a specification and who reads, to an array: `ecg_array`, `embedding.prepared.clip_bytes`."""


def prepared_ecgs(
    paths: Mapping[str, File], spec: EcgSpec, folder: Path, machine: Machine
) -> tuple[dict[str, NDArray[np.float32]], Sources]:
    """Prepared records (L, N) by id, memory-mapped from `folder`, of the ECGs that can be used."""
    with ArrayStore(folder / f"ecgs-{spec_hash(spec)}", np.float32) as store, reading(machine.workers) as reader:
        sources = hash_ecgs(paths, reader, machine)
        hash_of = partial(ecg_sha256, reader=reader)
        usable = fill_store(store, sources, ecg_array, spec, machine, stage="prepare ECGs", hash_of=hash_of)
        return {name: np.asarray(store[source.sha256]) for name, source in usable.files.items()}, usable


def hash_ecgs(paths: Mapping[str, File], reader: Reader | None = None, machine: Machine | None = None) -> Sources:
    """ECGs by id, those left out whose files cannot be opened. Rows of arrays need who cuts them out, and take long."""
    of_rows = [path for path in paths.values() if isinstance(path, EcgSource) and path.row is not None]
    done = 0

    def hash_of(path: File) -> str:
        nonlocal done
        done += 1
        if of_rows and machine is not None:
            machine.progress(done, len(paths), "look at ECGs")
        return ecg_sha256(path, reader)

    return hashed(paths, hash_of)


def ecg_sha256(path: File, reader: Reader | None = None) -> str:
    """Of the hashes of a file and, for a WFDB header, of the files that it names, and of what is said beside it.

    Of a row of an array that row alone, which `reader` cuts out. Raises InputError or OSError.
    """
    digest = sha256()
    for part in _parts(path, reader):
        digest.update(sha256(part.data).digest())
    digest.update(path.said() if isinstance(path, EcgSource) else b"")
    return digest.hexdigest()


def read_source(path: File, reader: Reader) -> EcgRecording:
    """One ECG as it was recorded, with what is said beside its file. Raises InputError."""
    if not isinstance(path, EcgSource):
        return reader.read_ecg(gather_files(path))
    return path.as_meant(reader.read_ecg(_parts(path, reader), path.reading_hints))


def ecg_array(path: File, spec: EcgSpec, reader: Reader) -> NDArray[np.float32]:
    """The whole prepared record (L, N), long enough for a window. Raises InputError."""
    signal_LN = prepare_ecg(read_source(path, reader), spec).signal_LN
    ecg_windows(signal_LN, spec)
    return signal_LN


def _parts(path: File, reader: Reader | None) -> list[UploadedFile]:
    """What an upload of the ECG would hold: its files or, of an array of many, a file of the one row."""
    if not isinstance(path, EcgSource) or path.row is None:
        return gather_files(path)
    if reader is None:
        raise ValueError("rows of arrays are cut out by a reader")
    return [UploadedFile("row.npy", reader.cut_row(path, path.row, path.dataset))]


def fill_store(
    store: ArrayStore,
    sources: Sources,
    prepare: Prepare,
    spec: Any,
    machine: Machine,
    *,
    stage: str,
    hash_of: Callable[[File], str],
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
