"""Echo clips to view vectors, once: guarded children decode, threads prepare, the bundle embeds in batches.

What the cache holds is neither read nor embedded again: unchanged clips are cheap and a killed run goes on. A file that
cannot be used is listed with its reason and stops nothing.

Letters: V numbers of a view vector, C colours, T frames, H rows, W columns, N clips.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from embedding.local import Reader, Refused, attempt, in_order
from embedding.prepared import normalised_clip, read_clip
from embedding.sources import clip_sha256, spec_hash
from embedding.store import ArrayStore
from embedding.view_cache import EmbeddedView, ViewCache
from ground.disk import sha256
from inputs.echo.prepare import prepare_clip, thumbnail_jpeg
from inputs.specs import EchoSpec
from models.bundle import Bundle
from models.device import Machine

CLIPS_PER_BATCH = 8
CACHE_FILE = "embeddings.sqlite"
_CACHE_LAYOUT = "1"

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True)
class ClipRow(Generic[_Key]):
    """A clip of a shard: what it is called there, its file, and its hash where somebody has computed it already."""

    key: _Key
    path: Path
    sha256: str = ""


@dataclass
class EmbeddedClips(Generic[_Key]):
    """Which clips the cache now holds, by key, and why others are not there."""

    sha256_of: dict[_Key, str] = field(default_factory=dict)
    skipped: dict[_Key, str] = field(default_factory=dict)
    embedded: int = 0
    reused: int = 0


@dataclass(frozen=True)
class _Clip:
    """A clip read and prepared, or one that needs neither (`prepared_CTHW` is None: the cache has it)."""

    sha256: str
    prepared_CTHW: NDArray[np.float32] | None = None
    thumbnail_jpeg: bytes = b""


def open_view_cache(folder: Path | None, bundle: Bundle) -> ViewCache:
    """The cache of a work or index folder for this bundle; without a folder one that ends with the run.

    View vectors that an older version kept in a store beside it are taken over, and that store is removed.
    """
    if folder is None:
        return ViewCache(None, embedder_of(bundle))
    folder.mkdir(parents=True, exist_ok=True)
    cache = ViewCache(folder / CACHE_FILE, embedder_of(bundle))
    older = folder / f"views-{bundle.echo_encoder_sha256[:12]}-{spec_hash(bundle.manifest.echo)}"
    if older.is_dir():
        with ArrayStore(older, np.float32) as store:
            kept = {key: EmbeddedView(np.array(store[key])) for key in store if not store.note(key)}
        cache.put({key: view for key, view in kept.items() if key not in cache})
        shutil.rmtree(older)
    return cache


def embedder_of(bundle: Bundle) -> str:
    """Names what a view vector depends on besides the file."""
    spec = json.dumps(bundle.manifest.echo.model_dump(mode="json"), sort_keys=True)
    return sha256(f"{_CACHE_LAYOUT} {bundle.echo_encoder_sha256} {spec}".encode()).hexdigest()


def embed_clips(
    bundle: Bundle,
    rows: Sequence[ClipRow[_Key]],
    cache: ViewCache,
    reader: Reader,
    machine: Machine,
    *,
    stage: str = "embed views",
    decoded: ArrayStore | None = None,
    thumbnails: bool = False,
) -> EmbeddedClips[_Key]:
    """Brings every clip of a shard into the cache.

    `decoded` may hold clips that were prepared already, as `clip_bytes` under their file's hash. With `thumbnails` a
    clip counts as kept only where it has one.
    """
    embedded = _embed_once(bundle, rows, cache, reader, machine, stage, decoded, thumbnails)
    if cache.begun_again:  # views counted as reused may have gone with the damaged file
        embedded = _embed_once(bundle, rows, cache, reader, machine, stage, decoded, thumbnails)
    return embedded


def _embed_once(
    bundle: Bundle,
    rows: Sequence[ClipRow[_Key]],
    cache: ViewCache,
    reader: Reader,
    machine: Machine,
    stage: str,
    decoded: ArrayStore | None,
    thumbnails: bool,
) -> EmbeddedClips[_Key]:
    result: EmbeddedClips[_Key] = EmbeddedClips()
    waiting: list[tuple[_Key, _Clip]] = []

    def embed() -> None:
        fresh = _embedded(bundle, [clip for _, clip in waiting])
        cache.put(fresh)
        for key, clip in waiting:
            if clip.sha256 in fresh:
                result.sha256_of[key] = clip.sha256
                result.embedded += 1
            else:
                result.skipped[key] = "The encoder gave no finite vector."
        waiting.clear()

    def prepare(row: ClipRow[_Key]) -> _Clip | Refused:
        return attempt(lambda: _prepared(row, bundle.manifest.echo, cache, reader, decoded, thumbnails))

    clips = in_order(prepare, rows, workers=machine.workers, ahead=machine.workers + CLIPS_PER_BATCH)
    for done, (row, clip) in enumerate(clips, start=1):
        if isinstance(clip, Refused):
            result.skipped[row.key] = clip.reason
        elif clip.prepared_CTHW is None:
            result.sha256_of[row.key] = clip.sha256
            result.reused += 1
        else:
            waiting.append((row.key, clip))
            if len(waiting) == CLIPS_PER_BATCH:
                embed()
        machine.progress(done, len(rows), stage)
    if waiting:
        embed()
    return result


def _prepared(
    row: ClipRow[_Key],
    spec: EchoSpec,
    cache: ViewCache,
    reader: Reader,
    decoded: ArrayStore | None,
    thumbnails: bool,
) -> _Clip | Refused:
    """Hash a file and, if it is new, decode and prepare it. Raises InputError."""
    file_sha256 = row.sha256 or clip_sha256(row.path)
    kept = cache.get(file_sha256)
    if kept is not None and (kept.thumbnail_jpeg or not thumbnails):
        return _Clip(file_sha256)
    if decoded is not None and file_sha256 in decoded:
        if reason := decoded.note(file_sha256):
            return Refused(reason, lasting=True)
        return _Clip(file_sha256, normalised_clip(decoded[file_sha256], spec))
    clip = read_clip(row.path, spec, reader)
    return _Clip(file_sha256, prepare_clip(clip, spec), thumbnail_jpeg(clip))


def _embedded(bundle: Bundle, clips: list[_Clip]) -> dict[str, EmbeddedView]:
    """Vectors by file hash; a clip whose vector is not finite is left out."""
    vectors_NV = bundle.embed_clips(np.stack([clip.prepared_CTHW for clip in clips if clip.prepared_CTHW is not None]))
    return {
        clip.sha256: EmbeddedView(vector_V, clip.thumbnail_jpeg)
        for clip, vector_V in zip(clips, vectors_NV, strict=True)
        if np.isfinite(vector_V).all()
    }
