"""One index generation: a folder with vectors, catalogue and a manifest that lets every byte be verified.

    manifest.json      what it holds, which bundle made it, sha256 and size of every other file
    manifest.sha256    the manifest's own hash, as `sha256sum --check` reads it
    index.faiss        the vectors, always in CPU form (another search engine has another file)
    catalogue.sqlite   cards, thumbnails and cines
    views.f16          the vector of each view alone; not in one from before it was kept
    report.json        of the job that made it

Knows nothing of other generations or of which one is current: that is `index.store`.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ground.disk import flush_file, flush_folder, sha256, sha256_of_open, write_flushed
from ground.schema import is_newer_json
from index.backends import UNNAMED_BACKEND, backend_named
from index.base import IndexDamaged, IndexMismatch, IndexNewer, StudyIndex
from index.catalogue.cards import StudyCard
from index.catalogue.spread import Usual
from index.catalogue.sqlite import Catalogue, CatalogueWriter
from index.percentile import SimilaritySample
from index.view_vectors import FILE as VIEW_VECTORS
from index.view_vectors import ViewVectors, ViewVectorsWriter

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
MANIFEST_HASH = "manifest.sha256"
_CATALOGUE = "catalogue.sqlite"
_STUDIES_AT_ONCE = 1024
MOST_VIEW_NAMES = 100

BuildParameters = Mapping[str, str | int | float | bool | None]


class FileEntry(BaseModel):
    """Size in bytes and sha256 of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of its bytes.")
    size: int = Field(ge=0, description="In bytes.")


class GenerationManifest(BaseModel):
    """What a generation holds, who made it and how well it answers."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    schema_version: int = Field(ge=1, description="Of the format.")
    id: str = Field(description="Its number.")
    created: datetime = Field(description="When it was made.")
    code_version: str = Field(description="Of the software that made it.")
    bundle_id: str = Field(description="The model that made it.")
    bundle_sha256: str = Field(description="Of the manifest of that model.")
    dim: int = Field(description="Numbers in a vector.")
    metric: str = Field(description="How vectors are compared.")
    backend: str = UNNAMED_BACKEND
    """Of `index.backends`; manifests from before there was a choice do not say it."""
    count: int = Field(description="How many studies it holds.")
    build: dict[str, str | int | float | bool | None] = Field(description="What it was made with.")
    recall_at_10: float
    """Share of the ten best found, against a plain numpy search, for `recall_queries` queries to the written file."""
    recall_queries: int = Field(description="Queries that recall was measured with.")
    files: dict[str, FileEntry] = Field(description="By name.")


class Generation:
    """One verified generation, open for reading. `degraded` says in a sentence why it is not the current one, if so."""

    def __init__(
        self,
        manifest: GenerationManifest,
        index: StudyIndex,
        catalogue: Catalogue,
        degraded: str | None,
        view_vectors: ViewVectors | None = None,
    ) -> None:
        self.id = manifest.id
        self.manifest = manifest
        self.index = index
        self.catalogue = catalogue
        self.degraded = degraded
        self.view_vectors = view_vectors
        """None where an older version wrote it, or nobody gave any."""

    @classmethod
    def open(cls, folder: Path, *, expect_bundle_sha256: str | None = None, degraded: str | None = None) -> Generation:
        """Verify every byte, then load. Raises IndexDamaged, IndexNewer, or IndexMismatch where another bundle made it.

        Another bundle's is refused by its manifest: whoever asks again and again reads nothing more of it.
        """
        manifest = read_manifest(folder)
        if expect_bundle_sha256 is not None and manifest.bundle_sha256 != expect_bundle_sha256:
            raise IndexMismatch(
                f"Generation {manifest.id} was built by bundle {manifest.bundle_id}, which is not the bundle in use: "
                "rebuild the index with this bundle or serve the other one."
            )
        _verify_files(folder, manifest)
        try:
            engine = backend_named(manifest.backend)
            index = engine.open(folder / engine.file_name)
            catalogue = Catalogue.open(folder / _CATALOGUE)
        except IndexDamaged as error:
            raise IndexDamaged(f"Generation {manifest.id} is damaged. {error}") from error
        if (index.dim, index.count, catalogue.count) != (manifest.dim, manifest.count, manifest.count):
            catalogue.close()
            raise IndexDamaged(f"Generation {manifest.id} is damaged: vectors, catalogue and manifest disagree.")
        try:
            view_vectors = _view_vectors(folder, manifest, catalogue)
        except IndexDamaged as error:
            catalogue.close()
            raise IndexDamaged(f"Generation {manifest.id} is damaged. {error}") from error
        return cls(manifest, index, catalogue, degraded, view_vectors)

    def vector(self, row_id: int) -> NDArray[np.float32]:
        """The pooled vector (D,) of a study. From any thread: what was opened does not change. KeyError."""
        (places,) = np.nonzero(self.index.ids_N == row_id)
        if not len(places):
            raise KeyError(row_id)
        vector_D: NDArray[np.float32] = self.index.vectors_ND[places[0]].copy()
        return vector_D

    def view_similarities(self, cards: Sequence[StudyCard], vector_D: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The cosine of a unit vector with each view alone, (V,) for each study; empty where there are no such vectors.

        Raises IndexDamaged where they cannot be read any more.
        """
        if self.view_vectors is None:
            return []
        try:
            alone = [self.view_vectors.of_study(card.row_id) for card in cards]
        except IndexDamaged:
            self.catalogue.damaged = True
            raise
        return [_cosines(vectors_VD, vector_D) for vectors_VD in alone]

    def held(self) -> dict[str, dict[str, int] | None]:
        """What it has of its views beside their weights, for people: how many, and bytes; None where it has none."""
        held: dict[str, dict[str, int] | None] = {"cines": None, "view_vectors": None}
        cines, cine_bytes = self.catalogue.cines_held()
        if cines:
            held["cines"] = {"views": cines, "bytes": cine_bytes}
        if self.view_vectors is not None:
            n_bytes = self.manifest.files[VIEW_VECTORS].size
            held["view_vectors"] = {"views": self.view_vectors.count, "bytes": n_bytes}
        return held

    @cached_property
    def sample(self) -> SimilaritySample | None:
        """What percentiles of similarity are told by; None where the index is too small for them."""
        return SimilaritySample.of(self.index)

    @cached_property
    def usual(self) -> Usual:
        """What is usual among its studies."""
        return self.catalogue.usual()

    @cached_property
    def view_names(self) -> tuple[str, ...]:
        """What views of its studies are called, for who chooses one; rare names are left out of many."""
        return self.catalogue.view_names(MOST_VIEW_NAMES)

    def close(self) -> None:
        """Let go of its files. Call it when the last query has ended."""
        self.catalogue.close()
        if self.view_vectors is not None:
            self.view_vectors.close()


class GenerationWriter:
    """Takes studies one by one into a folder that nobody reads yet; made by `IndexStore.write`."""

    def __init__(
        self, folder: Path, generation_id: str, dim: int, on_step: Callable[[str], None], *, backend: str
    ) -> None:
        self.generation_id = generation_id
        self.publishing: AbstractContextManager[object] = nullcontext()
        """Entered for the instant in which the generation becomes the current one."""
        self.catalogue = CatalogueWriter(folder / _CATALOGUE)
        self._folder = folder
        self._on_step = on_step
        self._engine = backend_named(backend)
        self._index = self._engine(dim)
        self._view_vectors = ViewVectorsWriter(folder / VIEW_VECTORS, dim)
        self._has_view_vectors: bool | None = None
        self._waiting: list[tuple[int, NDArray[np.float32]]] = []

    def add(
        self,
        card: StudyCard,
        vector_D: NDArray[np.float32],
        thumbnails: Mapping[str, bytes],
        cines: Mapping[str, bytes] | None = None,
        view_vectors_VD: NDArray[np.float32] | None = None,
    ) -> None:
        """One study: its card, its unit-length vector, its JPEG thumbnails and WebP cines by view_id.

        view_vectors_VD: the unit vector of each view alone, in the order of the card; of every study, or of none.
        """
        if self._has_view_vectors not in (None, view_vectors_VD is not None):
            raise ValueError("view vectors must be given of every study, or of none")
        self._has_view_vectors = view_vectors_VD is not None
        if view_vectors_VD is not None:
            if len(view_vectors_VD) != len(card.views):
                raise ValueError("there must be one view vector for every view")
            self._view_vectors.add(card.row_id, view_vectors_VD)
        self.catalogue.add(card, thumbnails, cines or {})
        self._waiting.append((card.row_id, np.asarray(vector_D, dtype=np.float32)))
        if len(self._waiting) >= _STUDIES_AT_ONCE:
            self._flush_vectors()

    def add_file(self, name: str, content: bytes) -> None:
        """A further file of the generation, such as the report of the job that made it."""
        if not re.fullmatch(r"[a-z_]+\.json", name) or name == MANIFEST:
            raise ValueError("name must be a plain .json name and not the manifest's")
        (self._folder / name).write_bytes(content)

    def complete(self, *, bundle_id: str, bundle_sha256: str, build: BuildParameters) -> str:
        """Write vectors and manifest and flush everything to disk. Returns the manifest's sha256."""
        self._on_step("catalogue written")
        self._flush_vectors()
        vectors = self._folder / self._engine.file_name
        with open(vectors, "wb") as file:
            self._index.save(file.write)
        self._on_step("vectors written")
        recall_at_10, recall_queries = _measured_recall(self._engine.open(vectors), self._index)
        for path in self._folder.iterdir():
            flush_file(path)
        self._on_step("files flushed")
        manifest = GenerationManifest(
            schema_version=SCHEMA_VERSION,
            id=self.generation_id,
            created=datetime.now(UTC),
            code_version=importlib.metadata.version("echo2ecg"),
            bundle_id=bundle_id,
            bundle_sha256=bundle_sha256,
            dim=self._index.dim,
            metric="inner_product",
            backend=self._engine.name,
            count=self._index.count,
            build=dict(build),
            recall_at_10=recall_at_10,
            recall_queries=recall_queries,
            files={path.name: _file_entry(path) for path in sorted(self._folder.iterdir())},
        )
        # Who goes back to a version without a choice of back-ends keeps an index that it can read.
        unsaid = {"backend"} if manifest.backend == UNNAMED_BACKEND else None
        content = (manifest.model_dump_json(indent=2, exclude=unsaid) + "\n").encode()
        write_flushed(self._folder / MANIFEST, content)
        self._on_step("manifest written")
        write_flushed(self._folder / MANIFEST_HASH, _hash_line(content))
        flush_folder(self._folder)
        self._on_step("temporary folder flushed")
        return sha256(content).hexdigest()

    def _flush_vectors(self) -> None:
        if self._waiting:
            row_ids, vectors = zip(*self._waiting, strict=True)
            self._index.add(np.array(row_ids, dtype=np.int64), np.stack(vectors))
            self._waiting.clear()


def read_manifest(folder: Path) -> GenerationManifest:
    """The manifest, compared with its own hash. Raises IndexDamaged or IndexNewer."""
    with _faults_of(folder):
        content = (folder / MANIFEST).read_bytes()
        if (folder / MANIFEST_HASH).read_bytes() != _hash_line(content):
            raise _damaged(folder, "its manifest does not have the recorded hash")
        if is_newer_json(content, SCHEMA_VERSION):  # first: its other fields may mean anything
            raise IndexNewer(folder.name)
        manifest = GenerationManifest.model_validate_json(content)
        if manifest.id != folder.name:
            raise _damaged(folder, "its manifest belongs to another generation")
        return manifest


def _view_vectors(folder: Path, manifest: GenerationManifest, catalogue: Catalogue) -> ViewVectors | None:
    """Raises IndexDamaged where they do not belong to this catalogue."""
    if VIEW_VECTORS not in manifest.files:
        return None
    try:
        return ViewVectors(folder / VIEW_VECTORS, manifest.dim, catalogue.patients.row_ids_N, catalogue.n_views_N())
    except OSError as error:
        raise IndexDamaged("The view vectors cannot be read.") from error


def _cosines(vectors_VD: NDArray[np.float32], vector_D: NDArray[np.float32]) -> NDArray[np.float32]:
    """float16 has moved their lengths a little."""
    lengths_V = np.maximum(np.linalg.norm(vectors_VD, axis=1), 1e-6)
    return np.asarray(vectors_VD @ vector_D / lengths_V, np.float32)


def _verify_files(folder: Path, manifest: GenerationManifest) -> None:
    """Every file that the manifest names, and no other, has the recorded size and hash. Raises IndexDamaged."""
    with _faults_of(folder):
        if {path.name for path in folder.iterdir()} != {MANIFEST, MANIFEST_HASH, *manifest.files}:
            raise _damaged(folder, "files are missing or were added")
        for name, recorded in manifest.files.items():
            if (folder / name).stat().st_size != recorded.size or _file_entry(folder / name) != recorded:
                raise _damaged(folder, f"{name} does not have the recorded size and hash")


@contextmanager
def _faults_of(folder: Path) -> Iterator[None]:
    """Whatever reading a generation meets, as IndexDamaged."""
    try:
        yield
    except FileNotFoundError as error:
        raise _damaged(folder, "a file is missing") from error
    except OSError as error:
        raise _damaged(folder, "a file cannot be read") from error
    except ValueError as error:  # pydantic's among them
        raise _damaged(folder, "its manifest was written by another version of this software") from error


def _damaged(folder: Path, what: str) -> IndexDamaged:
    return IndexDamaged(f"Generation {folder.name} is damaged: {what}.")


def _hash_line(manifest_content: bytes) -> bytes:
    return f"{sha256(manifest_content).hexdigest()}  {MANIFEST}\n".encode()


def _file_entry(path: Path) -> FileEntry:
    with open(path, "rb") as file:
        digest = sha256_of_open(file)
        return FileEntry(sha256=digest, size=file.tell())


def _measured_recall(written: StudyIndex, original: StudyIndex, n_queries: int = 64) -> tuple[float, int]:
    """Share of the ten best by plain numpy over `original` that `written` returns, and the number of queries asked."""
    vectors_ND, row_ids_N = original.vectors_ND, original.ids_N
    if not len(vectors_ND):
        return 1.0, 0
    rng = np.random.default_rng(0)
    queries_BD = vectors_ND[rng.integers(0, len(vectors_ND), n_queries)]
    queries_BD = queries_BD + rng.standard_normal(queries_BD.shape, dtype=np.float32) * 0.02
    queries_BD /= np.linalg.norm(queries_BD, axis=1, keepdims=True)
    k = min(10, len(vectors_ND))
    found = 0
    for query_D, ids_K in zip(queries_BD, written.search(queries_BD, k).ids_BK, strict=True):
        similarity_N = vectors_ND @ query_D
        kth_best = np.partition(similarity_N, -k)[-k]
        found += int(np.count_nonzero(similarity_N[np.isin(row_ids_N, ids_K)] >= kth_best - 1e-6))
    return found / (k * n_queries), n_queries
