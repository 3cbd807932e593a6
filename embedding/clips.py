"""Frozen view vectors: every clip goes through the echo encoder once, however often a cohort is trained on.

Letters: V views, D length of a view vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedding.prepared import (
    SourceFile,
    Sources,
    clip_array,
    normalised_clip,
    prepared,
    spec_hash,
)
from embedding.store import ArrayStore
from ground.progress import Progress
from models.bundle import Bundle

_BATCH = 32


def cache_view_vectors(
    bundle: Bundle,
    clips: Sources,
    folder: Path,
    *,
    workers: int,
    progress: Progress,
    decoded: ArrayStore | None = None,
) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """View vectors (D,) by clip id, and the clips that gave none with the reason.

    Kept under `folder` by encoder, echo specification and file content, so an interrupted run goes on where it was.
    `decoded` may hold clips that were prepared already, as `clip_bytes` under their file's hash.
    """
    spec = bundle.manifest.echo
    with ArrayStore(folder / f"views-{bundle.echo_encoder_sha256[:12]}-{spec_hash(spec)}", np.float32) as store:
        waiting = {s.sha256: s for s in clips.files.values() if s.sha256 not in store}
        results = _clips(waiting, bundle, workers, decoded)
        done = 0
        while batch := list(islice(results, _BATCH)):
            good = [(sha256, clip) for sha256, clip in batch if not isinstance(clip, str)]
            for sha256, reason in batch:
                if isinstance(reason, str):
                    store.add_note(sha256, reason)
            if good:
                vectors = bundle.embed_clips(np.stack([clip for _, clip in good]))
                for (sha256, _), vector in zip(good, vectors, strict=True):
                    store.add(sha256, vector)
            done += len(batch)
            progress(done, len(waiting), "embed views")
        notes = {name: store.note(source.sha256) for name, source in clips.files.items()}
        vectors_by_clip = {
            name: np.array(store[clips.files[name].sha256]) for name, reason in notes.items() if not reason
        }
    return vectors_by_clip, clips.skipped | {name: reason for name, reason in notes.items() if reason}


def _clips(
    waiting: Mapping[str, SourceFile], bundle: Bundle, workers: int, decoded: ArrayStore | None
) -> Iterator[tuple[str, NDArray[Any] | str]]:
    spec = bundle.manifest.echo
    rest = {}
    for sha256, source in waiting.items():
        if decoded is None or sha256 not in decoded:
            rest[sha256] = source.path
        else:
            yield sha256, decoded.note(sha256) or normalised_clip(decoded[sha256], spec)
    yield from prepared(rest, clip_array, spec, workers=workers)
