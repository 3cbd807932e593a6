"""Echo clips to view vectors, once: guarded children decode, threads prepare, the bundle embeds in batches.

What the cache holds is neither read nor embedded again: unchanged clips are cheap and a killed run goes on. Pictures
for people, a still and a moving one, are made beside the vector where they are asked for. A file that cannot be used
is listed with its reason and stops nothing.

Letters: V numbers of a view vector, C colours, T frames, H rows, W columns, N clips.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from embedding.local import Reader, Refused, attempt, in_order
from embedding.prepared import normalised_clip, read_clip, read_clip_to_show
from embedding.sources import clip_sha256, spec_hash, unchanged
from embedding.store import ArrayStore
from embedding.view_cache import EmbeddedView, ViewCache
from ground.disk import sha256
from inputs.echo.cine import CINE_FRAMES, cine_webp
from inputs.echo.kinds import NO_CLIPS
from inputs.echo.prepare import prepare_clip, small_clip, still_jpeg
from inputs.errors import InputError
from inputs.opened import File
from inputs.records import EchoClip
from inputs.specs import EchoSpec
from models.bundle import Bundle
from models.device import Machine

CLIPS_PER_BATCH = 8
CACHE_FILE = "embeddings.sqlite"
_CACHE_LAYOUT = "5"
_CINE_LAYOUT = "3"
"""Raised when cines of the same clip change."""

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True)
class ClipRow(Generic[_Key]):
    """A clip of a shard: what it is called there, its file, and its hash where somebody has computed it already."""

    key: _Key
    path: File
    sha256: str = ""


@dataclass
class EmbeddedClips(Generic[_Key]):
    """Which clips the cache now holds, by key, and why others are not there; both in the order of the rows.

    no_clips: those skipped that are rightly none, such as still images and reports.
    """

    sha256_of: dict[_Key, str] = field(default_factory=dict)
    skipped: dict[_Key, str] = field(default_factory=dict)
    no_clips: set[_Key] = field(default_factory=set)
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


def cine_made_by(spec: EchoSpec) -> str:
    """Names what a cine depends on besides the file: which frames are read. Another encoder finds it again."""
    return f"{_CINE_LAYOUT} {max(spec.frames_needed, CINE_FRAMES)} {spec.stride}"


def embed_clips(
    bundle: Bundle,
    rows: Sequence[ClipRow[_Key]],
    cache: ViewCache,
    reader: Reader,
    machine: Machine,
    *,
    stage: str = "embed views",
    decoded: ArrayStore | None = None,
    pictures: bool = False,
) -> EmbeddedClips[_Key]:
    """Brings every clip of a shard into the cache.

    Progress counts clips that are settled: in the cache, or skipped. Whatever was told survives a kill of the process.
    `decoded` may hold clips that were prepared already, as `clip_bytes` under their file's hash. With `pictures` every
    clip has a thumbnail and a cine afterwards; one that lacks its cine alone is read again, and not embedded.
    """
    once, again = _each_once(rows)
    shard = _Shard(bundle, cache, reader, machine, stage, decoded, pictures)
    result = shard.embed(once)
    if cache.begun_again:  # views counted as reused may have gone with the damaged file
        result = shard.embed(once)
    for key, first in again.items():
        if first in result.sha256_of:
            result.sha256_of[key] = result.sha256_of[first]
            result.reused += 1
        else:
            result.skipped[key] = result.skipped[first]
    in_order_of_rows = [row.key for row in rows]
    result.sha256_of = {key: result.sha256_of[key] for key in in_order_of_rows if key in result.sha256_of}
    result.skipped = {key: result.skipped[key] for key in in_order_of_rows if key in result.skipped}
    return result


def _each_once(rows: Sequence[ClipRow[_Key]]) -> tuple[list[ClipRow[_Key]], dict[_Key, _Key]]:
    """Rows without those whose hash an earlier one has, and for each of these the key of that earlier one."""
    first_of: dict[str, _Key] = {}
    once, again = [], {}
    for row in rows:
        if row.sha256 and row.sha256 in first_of:
            again[row.key] = first_of[row.sha256]
        else:
            once.append(row)
            first_of[row.sha256] = row.key
    return once, again


@dataclass(frozen=True)
class _Shard:
    """What all clips of a shard go through."""

    bundle: Bundle
    cache: ViewCache
    reader: Reader
    machine: Machine
    stage: str
    decoded: ArrayStore | None
    pictures: bool

    def embed(self, rows: Sequence[ClipRow[_Key]]) -> EmbeddedClips[_Key]:
        result: EmbeddedClips[_Key] = EmbeddedClips()
        batch: _Batch[_Key] = _Batch(self.bundle, self.cache, result)
        ahead = self.machine.workers + CLIPS_PER_BATCH
        told = 0
        with in_order(self._prepare, rows, workers=self.machine.workers, ahead=ahead) as clips:
            for row, clip in clips:
                if isinstance(clip, Refused):
                    result.skipped[row.key] = clip.reason
                    if clip.code in NO_CLIPS:
                        result.no_clips.add(row.key)
                elif clip.prepared_CTHW is None:
                    result.sha256_of[row.key] = clip.sha256
                    result.reused += 1
                else:
                    batch.add(row.key, clip)
                told = self._tell(result, len(rows), told)
        batch.embed()
        self._tell(result, len(rows), told)
        return result

    def _tell(self, result: EmbeddedClips[_Key], total: int, told: int) -> int:
        """What is settled is told, and not what waits for its batch: a kill would lose it."""
        settled = len(result.sha256_of) + len(result.skipped)
        if settled > told:
            self.machine.progress(settled, total, self.stage)
        return settled

    def _prepare(self, row: ClipRow[_Key]) -> _Clip | Refused:
        return attempt(lambda: self._prepared(row))

    def _prepared(self, row: ClipRow[_Key]) -> _Clip | Refused:
        """Hash a file and, if it is new, decode and prepare it. Raises InputError."""
        file_sha256 = row.sha256 or clip_sha256(row.path)
        spec = self.bundle.manifest.echo
        kept = self.cache.get(file_sha256)
        lacks_cine = self.pictures and self.cache.cine(file_sha256, cine_made_by(spec)) is None
        is_kept = kept is not None and bool(kept.thumbnail_jpeg or not self.pictures)
        if is_kept:
            if lacks_cine:
                with suppress(InputError):  # what is kept stays, whatever has become of reading the file
                    self._put_cine(file_sha256, small_clip(self._read(row.path, file_sha256, read_clip_to_show)))
            return _Clip(file_sha256)
        if self.decoded is not None and file_sha256 in self.decoded:
            if reason := self.decoded.note(file_sha256):
                return Refused(reason, lasting=True)
            return _Clip(file_sha256, normalised_clip(self.decoded[file_sha256], spec))
        clip = self._read(row.path, file_sha256, read_clip_to_show if lacks_cine else read_clip)
        prepared_CTHW, small = prepare_clip(clip, spec), small_clip(clip)
        if lacks_cine:
            self._put_cine(file_sha256, small)
        return _Clip(file_sha256, prepared_CTHW, still_jpeg(small))

    def _read(self, path: File, file_sha256: str, read: Callable[[File, EchoSpec, Reader], EchoClip]) -> EchoClip:
        spec = self.bundle.manifest.echo
        return unchanged(path, file_sha256, clip_sha256, lambda: read(path, spec, self.reader))

    def _put_cine(self, file_sha256: str, small: EchoClip) -> None:
        self.cache.put_cine(file_sha256, cine_made_by(self.bundle.manifest.echo), cine_webp(small))


class _Batch(Generic[_Key]):
    """Clips that wait for the encoder, each once, whatever names it has."""

    def __init__(self, bundle: Bundle, cache: ViewCache, result: EmbeddedClips[_Key]) -> None:
        self._bundle, self._cache, self._result = bundle, cache, result
        self._clips: dict[str, _Clip] = {}
        self._names: dict[str, list[_Key]] = {}
        self._embedded: set[str] = set()

    def add(self, key: _Key, clip: _Clip) -> None:
        if clip.sha256 in self._embedded:  # it was being prepared when its twin was embedded
            self._result.sha256_of[key] = clip.sha256
            self._result.reused += 1
            return
        self._clips.setdefault(clip.sha256, clip)
        self._names.setdefault(clip.sha256, []).append(key)
        if len(self._clips) == CLIPS_PER_BATCH:
            self.embed()

    def embed(self) -> None:
        if not self._clips:
            return
        fresh = _embedded(self._bundle, list(self._clips.values()))
        self._cache.put(fresh)
        self._embedded |= fresh.keys()
        for file_sha256, keys in self._names.items():
            if file_sha256 not in fresh:
                self._result.skipped |= dict.fromkeys(keys, "The encoder gave no finite vector.")
                continue
            self._result.sha256_of |= dict.fromkeys(keys, file_sha256)
            self._result.embedded += 1
            self._result.reused += len(keys) - 1
        self._clips, self._names = {}, {}


def _embedded(bundle: Bundle, clips: list[_Clip]) -> dict[str, EmbeddedView]:
    """Vectors by file hash; a clip whose vector is not finite is left out."""
    vectors_NV = bundle.embed_clips(np.stack([clip.prepared_CTHW for clip in clips if clip.prepared_CTHW is not None]))
    return {
        clip.sha256: EmbeddedView(vector_V, clip.thumbnail_jpeg)
        for clip, vector_V in zip(clips, vectors_NV, strict=True)
        if np.isfinite(vector_V).all()
    }
