"""The rebuild job: a folder of echo studies in, a new generation of the index out.

Reader (guarded children decode, threads prepare) -> mapper (the bundle embeds, in batches) -> writer (a generation).
Between mapper and writer stands the embedding cache: what is in it is neither read nor embedded again, which makes
unchanged studies cheap and a killed job resumable. A file that cannot be used is listed and does not stop the job.

Letters: V numbers of a view vector, S views of a study.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts import (
    Cohort,
    load_cohort,
    shd_label,
    tables_sha256,
)
from cohorts.tables import TableName
from embedding.cache import EmbeddedView, EmbeddingCache
from ground.disk import sha256, sha256_of_open
from ground.errors import Refusal
from ground.findings import SHD_FLAGS
from ground.progress import Failure, Progress, Report, lines_to
from index.base import IndexNotWritten, IndexProblem
from index.catalogue.cards import CataloguedView, StudyCard
from index.generation import BuildParameters
from index.store import IndexStore
from inputs.echo.prepare import prepare_clip, thumbnail_jpeg
from inputs.errors import InputError, UnreadableFile
from inputs.guarded.reader import GuardedReader
from inputs.opened import open_regular_file
from inputs.specs import EchoSpec
from models.bundle import Bundle, read_manifest

CLIPS_PER_BATCH = 8
_CACHE_LAYOUT = "1"
_TABLES_READ: tuple[TableName, ...] = ("echos", "studies")
"""All that a rebuild reads: ECGs and splits may change without a new index."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class SkippedView:
    """A clip that is not in the index, or a whole study (`view_id` empty), and why."""

    study_id: str
    view_id: str
    reason: str


@dataclass(frozen=True)
class RebuildReport:
    """What a rebuild did. `studies` and `views` are in the index; views were `embedded` now or `reused`."""

    generation: str
    bundle: str
    studies: int
    views: int
    embedded: int
    reused: int
    skipped: tuple[SkippedView, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def rebuild_index(
    bundle_dir: Path,
    cohort_dir: Path,
    index_dir: Path,
    *,
    device: str = "auto",
    workers: int = 2,
    progress: Progress = lambda done, total, message: None,
) -> RebuildReport:
    """Embed every study of a cohort folder and make the result the current generation.

    `workers` clips are decoded at a time while the bundle embeds others. Raises BundleError, CohortError, IndexBusy
    when another rebuild runs, and IndexNotWritten when the disk is full or read-only or no study can be used.
    """
    bundle = Bundle.load(bundle_dir, device=device, parts=("echo",))
    with GuardedReader(workers=workers) as reader:
        return write_index(
            bundle, load_cohort(cohort_dir), IndexStore(index_dir), reader, workers=workers, progress=progress
        )


def is_current(bundle_dir: Path, cohort_dir: Path, index_dir: Path) -> bool:
    """Whether a sound index of this bundle and these cohort tables is there. Clips are not looked at."""
    _, bundle_sha256 = read_manifest(bundle_dir)
    try:
        generation = IndexStore(index_dir).open_current(bundle_sha256)
    except IndexProblem:
        return False
    generation.close()
    built_from = generation.manifest.build.get("cohort_tables_sha256")
    return generation.degraded is None and built_from == tables_sha256(cohort_dir, _TABLES_READ)


def write_index(
    bundle: Bundle,
    cohort: Cohort,
    store: IndexStore,
    reader: GuardedReader,
    *,
    workers: int,
    progress: Progress,
) -> RebuildReport:
    """`rebuild_index` with everything opened."""
    started = time.monotonic()
    build: BuildParameters = {
        "search": "flat",
        "device": str(bundle.device),
        "clips_per_batch": CLIPS_PER_BATCH,
        "cohort_tables_sha256": tables_sha256(cohort.root, _TABLES_READ),
    }
    with (
        store.write(
            bundle_id=bundle.id, bundle_sha256=bundle.sha256, dim=bundle.embedding_dim, build=build
        ) as generation,
        EmbeddingCache(store.root / "embeddings.sqlite", _embedder(bundle)) as cache,
    ):
        views = _embed_views(bundle, cohort, cache, reader, workers, progress)
        if cache.begun_again:  # views counted as reused may have gone with the damaged file
            views = _embed_views(bundle, cohort, cache, reader, workers, progress)
        skipped = list(views.skipped)
        progress(len(cohort.echos), len(cohort.echos), f"Writing generation {generation.generation_id}")
        rows_by_study = {str(study_id): rows for study_id, rows in cohort.echos.groupby("study_id", sort=False)}
        n_studies = n_views = 0
        for study in _records(cohort.studies):
            usable = list(_usable_views(rows_by_study.get(study["study_id"]), views.sha256_by_view, cache, skipped))
            if not usable:
                listed = study["study_id"] in rows_by_study
                reason = "None of its views could be used." if listed else "No echo views are listed for it."
                skipped.append(SkippedView(study["study_id"], "", reason))
                continue
            pooled = bundle.pool_study(np.stack([embedded.vector_V for _, embedded in usable]))
            card = _card(n_studies, study, [row for row, _ in usable], pooled.pool_weights_V)
            generation.add(card, pooled.embedding_D, {row["view_id"]: view.thumbnail_jpeg for row, view in usable})
            n_studies += 1
            n_views += len(usable)
        if not n_studies:
            why = Counter(skip.reason for skip in skipped if skip.view_id).most_common(1)
            because = f" Most often: {why[0][0]}" if why else ""
            raise IndexNotWritten(f"None of the {len(cohort.studies)} studies could be indexed.{because}")
        report = RebuildReport(
            generation=generation.generation_id,
            bundle=bundle.id,
            studies=n_studies,
            views=n_views,
            embedded=views.embedded,
            reused=views.reused,
            skipped=tuple(skipped),
            seconds=round(time.monotonic() - started, 3),
        )
        generation.add_file("report.json", (json.dumps(report.to_dict(), indent=2) + "\n").encode())
    return report


@dataclass
class _EmbeddedViews:
    """Which clips the cache now holds, by (study_id, view_id)."""

    sha256_by_view: dict[tuple[str, str], str]
    skipped: list[SkippedView]
    embedded: int = 0
    reused: int = 0


@dataclass(frozen=True)
class _Clip:
    """A clip read and prepared, or one that needs neither (`prepared_CTHW` is None: the cache has it)."""

    sha256: str
    prepared_CTHW: NDArray[np.float32] | None = None
    thumbnail_jpeg: bytes = b""


def _embed_views(
    bundle: Bundle, cohort: Cohort, cache: EmbeddingCache, reader: GuardedReader, workers: int, progress: Progress
) -> _EmbeddedViews:
    """Bring every clip of the cohort into the cache."""
    views = _EmbeddedViews({}, [])
    waiting: list[tuple[tuple[str, str], _Clip]] = []

    def embed() -> None:
        fresh = _embedded(bundle, [clip for _, clip in waiting])
        cache.put(fresh)
        for key, clip in waiting:
            if clip.sha256 in fresh:
                views.sha256_by_view[key] = clip.sha256
                views.embedded += 1
            else:
                views.skipped.append(SkippedView(*key, "The encoder gave no finite vector."))
        waiting.clear()

    def read(row: dict[str, Any]) -> _Clip | InputError:
        try:
            return _read_clip(cohort.file_path(row["path"]), bundle.manifest.echo, cache, reader)
        except InputError as error:
            return error
        except OSError:
            return UnreadableFile("file_not_read", "The file cannot be read.")

    rows = _records(cohort.echos)
    for done, (row, clip) in enumerate(_ahead(read, rows, workers, workers + CLIPS_PER_BATCH), start=1):
        key = (row["study_id"], row["view_id"])
        if isinstance(clip, InputError):
            views.skipped.append(SkippedView(*key, clip.sentence))
        elif clip.prepared_CTHW is None:
            views.sha256_by_view[key] = clip.sha256
            views.reused += 1
        else:
            waiting.append((key, clip))
            if len(waiting) == CLIPS_PER_BATCH:
                embed()
        progress(done, len(rows), "Embedding views")
    if waiting:
        embed()
    return views


def _read_clip(path: Path, spec: EchoSpec, cache: EmbeddingCache, reader: GuardedReader) -> _Clip:
    """Hash a file and, if it is new, decode and prepare it. Raises InputError."""
    with open_regular_file(path) as file:
        sha256 = sha256_of_open(file)
    if sha256 in cache:
        return _Clip(sha256)
    clip = reader.read_echo(path, max_frames=spec.frames_needed, every=spec.stride)
    return _Clip(sha256, prepare_clip(clip, spec), thumbnail_jpeg(clip))


def _embedded(bundle: Bundle, clips: list[_Clip]) -> dict[str, EmbeddedView]:
    """Vectors by file hash; a clip whose vector is not finite is left out."""
    vectors_SV = bundle.embed_clips(np.stack([clip.prepared_CTHW for clip in clips if clip.prepared_CTHW is not None]))
    return {
        clip.sha256: EmbeddedView(vector_V, clip.thumbnail_jpeg)
        for clip, vector_V in zip(clips, vectors_SV, strict=True)
        if np.isfinite(vector_V).all()
    }


def _usable_views(
    rows: pd.DataFrame | None,
    sha256_by_view: dict[tuple[str, str], str],
    cache: EmbeddingCache,
    skipped: list[SkippedView],
) -> Iterator[tuple[dict[str, Any], EmbeddedView]]:
    """The views of one study that the cache holds, in the order of the table."""
    for row in [] if rows is None else _records(rows):
        key = (row["study_id"], row["view_id"])
        if key not in sha256_by_view:
            continue
        view = cache.get(sha256_by_view[key])
        if view is None:
            skipped.append(SkippedView(*key, "Its vector was lost from the damaged embedding cache; rebuild again."))
        else:
            yield row, view


def _card(
    row_id: int, study: dict[str, Any], views: list[dict[str, Any]], pool_weights_S: NDArray[np.float32]
) -> StudyCard:
    known = {name: None if pd.isna(value) else value for name, value in study.items()}
    flags = {name: None if known[name] is None else bool(known[name]) for name in SHD_FLAGS}
    return StudyCard(
        row_id=row_id,
        study_id=study["study_id"],
        patient_id=study["patient_id"],
        acquired_at=None if known["acquired_at"] is None else known["acquired_at"].to_pydatetime(),
        age=known["age"],
        sex=known["sex"] or None,
        lvef_percent=known["lvef_percent"],
        lvedv_ml=known["lvedv_ml"],
        lvesv_ml=known["lvesv_ml"],
        flags=flags,
        shd=shd_label(flags),
        views=tuple(
            CataloguedView(view["view_id"], view.get("view") or None, float(weight))
            for view, weight in zip(views, pool_weights_S, strict=True)
        ),
    )


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(column): value for column, value in row.items()} for row in table.to_dict("records")]


def _embedder(bundle: Bundle) -> str:
    """Names what a view vector depends on besides the file."""
    spec = json.dumps(bundle.manifest.echo.model_dump(mode="json"), sort_keys=True)
    return sha256(f"{_CACHE_LAYOUT} {bundle.echo_encoder_sha256} {spec}".encode()).hexdigest()


def _ahead(
    work: Callable[[_Item], _Result], items: Iterable[_Item], workers: int, depth: int
) -> Iterator[tuple[_Item, _Result]]:
    """Results in order, at most `depth` of them made ahead: clips are large."""
    started: deque[tuple[_Item, Future[_Result]]] = deque()
    threads = ThreadPoolExecutor(workers, thread_name_prefix="read-echo")
    try:
        for item in items:
            started.append((item, threads.submit(work, item)))
            if len(started) > depth:
                first, result = started.popleft()
                yield first, result.result()
        while started:
            first, result = started.popleft()
            yield first, result.result()
    finally:
        threads.shutdown(cancel_futures=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The rebuild as the program that the service's jobs run: it prints the lines of `ground.progress`.

    Exit code 1 after a line that says why; whoever asked for the job reads it, so it names no path of the server.
    """
    options = argparse.ArgumentParser(prog="python -m index.rebuild", description="A new generation of the index.")
    for name in ("--bundle", "--cohort", "--index"):
        options.add_argument(name, type=Path, required=True)
    options.add_argument("--device", default="auto")
    options.add_argument("--workers", type=int, default=2)
    given = options.parse_args(argv)
    try:
        report = rebuild_index(
            given.bundle,
            given.cohort,
            given.index,
            device=given.device,
            workers=given.workers,
            progress=lines_to(sys.stdout),
        )
    except Refusal as refusal:
        sys.stdout.write(Failure(refusal.in_full).to_line())
        return 1
    except OSError as error:
        if error.strerror:  # the text of the whole error may name a file
            sys.stdout.write(Failure(error.strerror).to_line())
        raise
    sys.stdout.write(Report(report.to_dict()).to_line())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
