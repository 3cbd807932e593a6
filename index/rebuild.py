"""The rebuild job: a folder of echo studies in, a new generation of the index out.

Reader and mapper are `embedding.clips`: it brings every clip's vector and pictures into the cache, which makes
unchanged studies cheap and a killed job resumable. Here each study's vectors are pooled and written as a generation. A
file that cannot be used is listed and does not stop the job.

Letters: S views of a study.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts import ECHO_TABLES, Cohort, CohortError, OpenCohort, open_cohort, shd_label, tables_sha256
from embedding.clips import CLIPS_PER_BATCH, ClipRow, EmbeddedClips, cine_made_by, embed_clips, open_view_cache
from embedding.given_views import GivenViews, check_views, given_views
from embedding.local import Reader, reading
from embedding.view_cache import EmbeddedView, ViewCache
from ground.disk import words_of
from ground.errors import Refusal
from ground.findings import MEASUREMENTS, SHD_FLAGS
from ground.hang_up import end_when_hung_up
from ground.progress import Failure, Report, lines_to
from index.base import IndexNotWritten, IndexProblem
from index.catalogue.cards import CataloguedView, StudyCard
from index.generation import BuildParameters, GenerationWriter
from index.store import IndexStore
from models.bundle import Bundle, read_manifest
from models.device import Machine


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

    def in_short(self) -> dict[str, Any]:
        """Without most of the clips that were left out, where they are many; their number is told."""
        told = replace(self, skipped=self.skipped[:MOST_SKIPPED_TOLD])
        return told.to_dict() | {"skipped_in_all": len(self.skipped)}


MOST_SKIPPED_TOLD = 200
"""To a job. The generation's `report.json` names all."""

Publishing = Callable[["RebuildReport"], AbstractContextManager[object]]


def rebuild_index(
    bundle_dir: Path, cohort_dir: Path, index_dir: Path, machine: Machine, *, publishing: Publishing = nullcontext
) -> RebuildReport:
    """Embed every study of a cohort folder and make the result the current generation.

    `publishing` is entered, with what will be reported, for the instant in which the generation becomes the current
    one.

    Raises BundleError, CohortError, IndexBusy when another rebuild runs, and IndexNotWritten when the disk is full or
    read-only or no study can be used.
    """
    bundle = Bundle.load(bundle_dir, device=str(machine.device), parts=("echo",))
    cohort = open_cohort(cohort_dir)
    cohort.check_amplitude(bundle.manifest.ecg.amplitude)
    with reading(machine.workers) as reader:
        return write_index(bundle, cohort, IndexStore(index_dir), reader, machine, publishing=publishing)


def is_current(bundle_dir: Path, cohort_dir: Path, index_dir: Path) -> bool:
    """Whether a sound index of this bundle and these cohort tables is there. Clips are not looked at."""
    _, bundle_sha256 = read_manifest(bundle_dir)
    try:
        generation = IndexStore(index_dir).open_current(bundle_sha256)
    except IndexProblem:
        return False
    generation.close()
    built_from = generation.manifest.build.get("cohort_tables_sha256")
    return generation.degraded is None and built_from == tables_sha256(cohort_dir, ECHO_TABLES)


def write_index(
    bundle: Bundle,
    cohort: OpenCohort,
    store: IndexStore,
    reader: Reader,
    machine: Machine,
    *,
    publishing: Publishing = nullcontext,
) -> RebuildReport:
    """`rebuild_index` with everything opened."""
    started = time.monotonic()
    _check_studies(cohort.tables)
    check_views(bundle.manifest, cohort.tables)
    build: BuildParameters = {
        "search": "flat",
        "device": str(bundle.device),
        "clips_per_batch": CLIPS_PER_BATCH,
        "cohort_tables_sha256": cohort.echo_tables_sha256,
        **({"simulated": True} if _is_simulated(cohort) else {}),
    }
    with (
        store.write(
            bundle_id=bundle.id, bundle_sha256=bundle.sha256, dim=bundle.embedding_dim, build=build
        ) as generation,
        _cache(store.root, bundle, cohort.tables) as cache,
    ):
        clips = _embed_views(bundle, cohort.tables, cache, reader, machine)
        echos = _records(cohort.tables.echos)
        machine.progress(len(echos), len(echos), f"Writing generation {generation.generation_id}")
        skipped = [SkippedView(*key, clips.skipped[key]) for key in map(_key, echos) if key in clips.skipped]
        views = _Views(
            cohort.tables,
            clips,
            cache,
            given_views(cohort.tables, cohort.tables.studies["study_id"], store.root),
            cine_made_by(bundle.manifest.echo),
        )
        n_studies, n_views = _write_studies(bundle, cohort.tables, views, generation, skipped)
        report = RebuildReport(
            generation=generation.generation_id,
            bundle=bundle.id,
            studies=n_studies,
            views=n_views,
            embedded=clips.embedded,
            reused=clips.reused,
            skipped=tuple(skipped),
            seconds=round(time.monotonic() - started, 3),
        )
        generation.add_file("report.json", (json.dumps(report.to_dict(), indent=2) + "\n").encode())
        generation.publishing = publishing(report)
    return report


def _check_studies(cohort: Cohort) -> None:
    """Raises IndexNotWritten, before a folder is made, for a cohort of no studies, or of studies without any view."""
    if cohort.lacks is None:
        return
    what, table, tables = "studies", "studies", "table studies"
    if cohort.lacks == "views":
        what, table, tables = "views of its studies", "echos", "table echos (clips) and no table views (vectors)"
    where = f": its folder has no {tables}" if table in cohort.absent else ""
    raise IndexNotWritten(f"The cohort has no {what}, so there is nothing to index{where}.")


def _is_simulated(cohort: OpenCohort) -> bool:
    """A `cohort.json` that cannot be read stops no rebuild that needs nothing of it."""
    try:
        return cohort.about.is_simulated
    except CohortError:
        return False


ViewKey = tuple[str, str]
"""(study_id, view_id)"""


def _key(row: Mapping[str, Any]) -> ViewKey:
    return row["study_id"], row["view_id"]


def _embed_views(
    bundle: Bundle, cohort: Cohort, cache: ViewCache, reader: Reader, machine: Machine
) -> EmbeddedClips[ViewKey]:
    """Bring every clip of the cohort into the cache."""
    rows: list[ClipRow[ViewKey]] = []
    outside: dict[ViewKey, str] = {}
    for row in _records(cohort.echos):
        try:
            rows.append(ClipRow(_key(row), cohort.file_path(row["path"])))
        except CohortError as error:
            outside[_key(row)] = error.sentence
    clips = embed_clips(bundle, rows, cache, reader, machine, stage="Embedding views", pictures=True)
    clips.skipped.update(outside)
    return clips


class _Views:
    """The views of studies, whether their vectors are a clip's in the cache or the cohort's own."""

    def __init__(
        self,
        cohort: Cohort,
        clips: EmbeddedClips[ViewKey],
        cache: ViewCache,
        given: GivenViews,
        cines_made_by: str,
    ) -> None:
        self._of_clips = {str(study_id): rows for study_id, rows in cohort.echos.groupby("study_id", sort=False)}
        self._given_rows = cohort.given_views
        self._given_places = self._given_rows.groupby("study_id", sort=False).indices
        self._sha256_of, self._cache, self._given = clips.sha256_of, cache, given
        self._cines_made_by = cines_made_by

    def __contains__(self, study_id: str) -> bool:
        return study_id in self._of_clips or study_id in self._given

    def usable(self, study_id: str, skipped: list[SkippedView]) -> Iterator[tuple[dict[str, Any], EmbeddedView]]:
        """Rows and vectors in the order of their table; a clip that the cache has lost is listed."""
        if study_id in self._given:
            rows = _records(self._given_rows.iloc[self._given_places[study_id]])
            yield from zip(rows, map(EmbeddedView, self._given[study_id]), strict=True)
            return
        rows = _records(self._of_clips[study_id]) if study_id in self._of_clips else []
        for row in rows:
            if _key(row) not in self._sha256_of:
                continue
            view = self._cache.get(self._sha256_of[_key(row)])
            if view is None:
                lost = "Its vector was lost from the damaged embedding cache; rebuild again."
                skipped.append(SkippedView(*_key(row), lost))
            else:
                yield row, view

    def cine(self, row: Mapping[str, Any]) -> bytes:
        """Of a usable view; empty where it has none."""
        file_sha256 = self._sha256_of.get(_key(row))
        return b"" if file_sha256 is None else self._cache.cine(file_sha256, self._cines_made_by) or b""


def _cache(folder: Path, bundle: Bundle, cohort: Cohort) -> ViewCache:
    """Of the index folder; without clips one that nothing is kept in, since there may be no encoder to name it by."""
    return ViewCache(None, "") if cohort.echos.empty else open_view_cache(folder, bundle)


def _write_studies(
    bundle: Bundle, cohort: Cohort, views: _Views, generation: GenerationWriter, skipped: list[SkippedView]
) -> tuple[int, int]:
    """Pool and write every study that has a view; how many studies and views were written. What is not is listed.

    Raises IndexNotWritten where there is none.
    """
    n_studies = n_views = 0
    for study in _records(cohort.studies):
        usable = list(views.usable(study["study_id"], skipped))
        if not usable:
            listed = study["study_id"] in views
            reason = "None of its views could be used." if listed else "No echo views are listed for it."
            skipped.append(SkippedView(study["study_id"], "", reason))
            continue
        pooled = bundle.pool_study(np.stack([embedded.vector_V for _, embedded in usable]))
        try:
            card = _card(n_studies, study, [row for row, _ in usable], pooled.pool_weights_V)
        except (ValueError, TypeError, ArithmeticError):  # whatever a row holds, it costs no other study
            skipped.append(SkippedView(study["study_id"], "", "Its row in the table of studies cannot be kept."))
            continue
        pictures = {row["view_id"]: view.thumbnail_jpeg for row, view in usable if view.thumbnail_jpeg}
        cines = {row["view_id"]: webp for row, _ in usable if (webp := views.cine(row))}
        generation.add(card, pooled.embedding_D, pictures, cines, pooled.view_embeddings_VD)
        n_studies += 1
        n_views += len(usable)
    if not n_studies:
        why = Counter(skip.reason for skip in skipped if skip.view_id).most_common(1)
        because = f" Most often: {why[0][0]}" if why else ""
        raise IndexNotWritten(f"None of the {len(cohort.studies)} studies could be indexed.{because}")
    return n_studies, n_views


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
        measurements={name: value for name in MEASUREMENTS if (value := known.get(name)) is not None},
    )


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(column): value for column, value in row.items()} for row in table.to_dict("records")]


def main(argv: Sequence[str] | None = None) -> int:
    """The rebuild as the program that the service's jobs run: it prints the lines of `ground.progress`.

    Exit code 1 after a line that says why; whoever asked for the job reads it, so it names no path of the server.
    SIGTERM ends it in order: nothing half-written is left.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    options = argparse.ArgumentParser(prog="python -m index.rebuild", description="A new generation of the index.")
    for name in ("--bundle", "--cohort", "--index"):
        options.add_argument(name, type=Path, required=True)
    options.add_argument("--device", default="auto")
    options.add_argument("--workers", type=int, default=2)
    given = options.parse_args(argv)
    try:
        machine = Machine.named(given.device, workers=given.workers, progress=lines_to(sys.stdout))
        rebuild_index(given.bundle, given.cohort, given.index, machine, publishing=_reported)
    except Refusal as refusal:
        sys.stdout.write(Failure(refusal.in_full).to_line())
        return 1
    except OSError as error:
        words = words_of(error)
        if words is None:
            raise
        sys.stdout.write(Failure(f"{words}.").to_line())
        return 1
    return 0


@contextmanager
def _reported(report: RebuildReport) -> Iterator[None]:
    """Once the generation is the current one the report is out, whoever ends the process and when."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    sys.stdout.write(Report(report.in_short()).to_line())
    sys.stdout.flush()


if __name__ == "__main__":
    end_when_hung_up(sys.stdout.fileno())  # with the service that reads what it says
    raise SystemExit(main())
