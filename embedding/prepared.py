"""A cohort's files to arrays, once: read and prepared in spawned processes, kept in stores keyed by content.

A file that cannot be used is skipped with its reason; it never stops a run. No torch here: the spawned processes
import this module.

Letters: L leads, N samples, T frames, H rows, W columns, C colours.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from embedding.store import ArrayStore
from ground.disk import sha256, sha256_of, short_name_of
from ground.progress import Progress
from inputs.ecg.prepare import ecg_windows, prepare_ecg
from inputs.ecg.read import gather_files, read_ecg_path
from inputs.echo.prepare import prepare_clip
from inputs.echo.read import read_echo
from inputs.errors import InputError
from inputs.specs import EcgSpec, EchoSpec

_Spec = TypeVar("_Spec", EcgSpec, EchoSpec)


@dataclass(frozen=True)
class SourceFile:
    """A file and the sha256 of what it holds (of a WFDB header: also of the files that it names)."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Sources:
    """Files by the id that the cohort's tables give them, and why the others are left out."""

    files: dict[str, SourceFile]
    skipped: dict[str, str]

    def reasons(self) -> dict[str, int]:
        return dict(Counter(self.skipped.values()))


def spec_hash(spec: BaseModel) -> str:
    """Short name of a specification: what was prepared by another one is another thing."""
    return short_name_of(spec.model_dump_json())


def hash_ecgs(paths: Mapping[str, Path]) -> Sources:
    return _hashed(paths, lambda path: [part.data for part in gather_files(path)])


def hash_clips(paths: Mapping[str, Path]) -> Sources:
    return _hashed(paths, None)


def _hashed(paths: Mapping[str, Path], parts: Callable[[Path], list[bytes]] | None) -> Sources:
    files: dict[str, SourceFile] = {}
    skipped: dict[str, str] = {}
    for name, path in paths.items():
        try:
            if parts is None:
                digest = sha256_of(path)
            else:
                whole = sha256()
                for data in parts(path):
                    whole.update(sha256(data).digest())
                digest = whole.hexdigest()
        except InputError as error:
            skipped[name] = error.sentence
        except OSError:
            skipped[name] = "The file cannot be opened."
        else:
            files[name] = SourceFile(path, digest)
    return Sources(files, skipped)


def fill_store(
    store: ArrayStore,
    sources: Sources,
    prepare: Callable[[Path, _Spec], NDArray[Any]],
    spec: _Spec,
    *,
    workers: int,
    stage: str,
    progress: Progress,
) -> Sources:
    """Prepares what the store does not hold yet; returns the sources that it has arrays for."""
    waiting = {source.sha256: source.path for source in sources.files.values() if source.sha256 not in store}
    for done, (key, result) in enumerate(prepared(waiting, prepare, spec, workers=workers), start=1):
        if isinstance(result, str):
            store.add_note(key, result)
        else:
            store.add(key, result)
        progress(done, len(waiting), stage)
    store.sync()
    unusable = {name: store.note(s.sha256) for name, s in sources.files.items() if store.note(s.sha256)}
    usable = {name: source for name, source in sources.files.items() if name not in unusable}
    return Sources(usable, sources.skipped | unusable)


def prepared(
    paths: Mapping[str, Path], prepare: Callable[[Path, _Spec], NDArray[Any]], spec: _Spec, *, workers: int
) -> Iterator[tuple[str, NDArray[Any] | str]]:
    """(key, array or reason) in order. `workers` spawned processes, few files ahead; 0 works in this process."""
    if workers == 0 or not paths:
        yield from ((key, _attempt(prepare, path, spec)) for key, path in paths.items())
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(paths)), mp_context=context) as pool:
        ahead: deque[tuple[str, Future[NDArray[Any] | str]]] = deque()
        for key, path in paths.items():
            ahead.append((key, pool.submit(_attempt, prepare, path, spec)))
            if len(ahead) > 4 * workers:
                key, future = ahead.popleft()
                yield key, future.result()
        for key, future in ahead:
            yield key, future.result()


def _attempt(prepare: Callable[[Path, _Spec], NDArray[Any]], path: Path, spec: _Spec) -> NDArray[Any] | str:
    try:
        return prepare(path, spec)
    except InputError as error:
        return error.sentence


def ecg_array(path: Path, spec: EcgSpec) -> NDArray[np.float32]:
    """The whole prepared record (L, N), long enough for a window."""
    signal_LN = prepare_ecg(read_ecg_path(path), spec).signal_LN
    ecg_windows(signal_LN, spec)
    return signal_LN


def clip_array(path: Path, spec: EchoSpec) -> NDArray[np.float32]:
    """The prepared clip (C, T, H, W)."""
    return prepare_clip(read_echo(path, max_frames=spec.frames_needed, every=spec.stride), spec)


def clip_bytes(path: Path, spec: EchoSpec) -> NDArray[np.uint8]:
    """The prepared clip before normalisation, (T, H, W, C) uint8: a quarter of the size, and nothing is lost."""
    prepared_CTHW = clip_array(path, spec)
    grey_levels: NDArray[np.float32] = prepared_CTHW.transpose(1, 2, 3, 0) * _row(spec.std) + _row(spec.mean)
    return np.rint(grey_levels).astype(np.uint8)


def normalised_clip(clip_THWC: NDArray[np.uint8], spec: EchoSpec) -> NDArray[np.float32]:
    """What `clip_array` gave, from what `clip_bytes` kept."""
    normalised: NDArray[np.float32] = (clip_THWC.astype(np.float32) - _row(spec.mean)) / _row(spec.std)
    return np.ascontiguousarray(normalised.transpose(3, 0, 1, 2))


def _row(values: Iterable[float]) -> NDArray[np.float32]:
    return np.array(tuple(values), np.float32)
