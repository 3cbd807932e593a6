"""Many ECGs to a table of answers, a row each: the very pipeline of the service, without the service.

Each ECG goes through the models alone, as one that is asked about alone: in company its numbers would differ in their
last digits from run to run. Rows lie in a journal until the table is whole, and those of a table that is whole are
asked again only where something changed.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from app.answering.answered import predict_answer, search_answer
from app.answering.batcher import Batcher
from app.answering.lane import Found, Query, retrieve
from app.answering.pipeline import Pipeline, Question, Upload
from app.answering.snapshots import Snapshot, open_generation
from app.answering.workers import FairThreads
from cli.advice import for_one_of_many
from cli.predict_inputs import Input
from cli.predict_journal import Journal
from ground.disk import sha256
from ground.errors import Refusal
from index.base import IndexMissing
from index.store import IndexStore
from inputs.ecg.prepare import compile_solver
from inputs.ecg.read import gather_files
from inputs.errors import InputError, UnreadableFile
from inputs.guarded.reader import GuardedReader
from inputs.opened import open_regular_file
from inputs.records import UploadedFile
from models.bundle import Bundle, BundleError, read_manifest
from models.device import Machine
from outputs.table import (
    SEPARATOR,
    TABLE_SUFFIXES,
    TABLE_VERSION,
    Row,
    Status,
    answered,
    columns,
    read_sealed,
    refused,
    sealed,
    write_table,
)

_NOT_FINAL = frozenset({"reading_failed", "file_changed", "file_not_opened"})
"""Codes of refusals that say nothing final about a file: a child died or was late, a right was missing."""


@dataclass(frozen=True)
class Asked:
    """What is asked of every ECG: of `k` studies in an index, None for predictions alone; whether quality forbids."""

    index: Path | None = None
    k: int = 10
    withhold: bool = True


@dataclass(frozen=True)
class Predicted:
    """What a table holds: rows by their status, by status and code of a reason, and how many an earlier run made."""

    rows: Counter[str]
    reasons: Counter[tuple[str, str]]
    were_there: int
    trained_on: str | None


def journal_of(output: Path) -> Path:
    return output.with_name(output.name + ".part")


def check_output(output: Path) -> None:
    """Before anything is worked on. Raises Refusal."""
    if output.suffix.lower() not in TABLE_SUFFIXES:
        raise Refusal("output_unknown", f"A table is written as {' or '.join(TABLE_SUFFIXES)}, not as {output.name}.")
    if output.is_dir():
        raise Refusal("output_is_folder", f"{output.name} is a folder; name a file in it.")
    if output.exists() and not _is_such_a_table(output):
        raise Refusal("output_exists", f"{output.name} is there and no table of answers, so it is not written over.")
    if not output.parent.is_dir():
        raise Refusal("output_folder_missing", f"The folder of the table is not there: {output.parent}.")


def _is_such_a_table(output: Path) -> bool:
    """As far as its first bytes show: somebody's list of ECGs, or an ECG, is none."""
    if not output.is_file():
        return False
    with output.open("rb") as file:
        start = file.read(64)
    first = ",".join(list(columns((), 0))[:3]).encode()
    return start.startswith(b"PAR1") if output.suffix.lower() == ".parquet" else start.startswith(first)


def check_gives(bundle_dir: Path, index: Path | None) -> None:
    """BundleError where such a bundle has nothing to answer with, by its manifest alone."""
    manifest, _ = read_manifest(bundle_dir)
    if index is not None and not (manifest.gives("ecg_embeddings") and manifest.gives("study_embeddings")):
        raise BundleError("this bundle finds no studies: it gives no embeddings to search with; leave --index out")
    if index is None and not manifest.gives("predictions"):
        raise BundleError(
            "this bundle has no probes, so it predicts nothing; `echo2ecg bundle fit` fits them on a cohort, and with "
            "--index it finds similar studies without them"
        )


def predict_table(inputs: Sequence[Input], bundle_dir: Path, output: Path, machine: Machine, asked: Asked) -> Predicted:
    """Write a row for each input, in their order. Whoever is killed goes on where the journal ends.

    Raises Refusal for what concerns all of them, OSError for what this machine lacks.
    """
    check_output(output)
    check_gives(bundle_dir, asked.index)
    embedder = Bundle.load(bundle_dir, device=str(machine.device), parts=("ecg",))
    with Journal(journal_of(output)) as journal:
        probes = embedder.probes
        own = () if probes is None else (tuple(probes.own_yes_no), tuple(probes.own_numbers))
        kinds = columns(embedder.lvef.labels, 0 if asked.index is None else asked.k, *own)
        run = _Run(inputs, _snapshot(embedder, asked.index), asked, journal, machine)
        if output.exists():
            journal.take(read_sealed(output, kinds))
        rows, reasons = Counter[str](), Counter[tuple[str, str]]()
        asyncio.run(run.answer_all())

        def told() -> Iterator[Row]:
            for row in run.rows():
                status, codes = str(row["status"]), str(row.get("reason_codes", ""))
                rows[status] += 1
                reasons.update((status, code) for code in codes.split(SEPARATOR) if code)
                yield row

        write_table(output, kinds, told())
        journal.remove()
    return Predicted(rows, reasons, run.were_there, embedder.trained_on)


def _snapshot(embedder: Bundle, index: Path | None) -> Snapshot:
    if index is None:
        return Snapshot(embedder, None, IndexMissing("No index was named."))
    return Snapshot(embedder, open_generation(IndexStore(index), embedder))


class _ModelFailed(Exception):
    """What the models raise is no ECG's fault."""


def _alone(queries: Sequence[Query]) -> list[Found]:
    try:
        return retrieve(queries)
    except Exception as error:
        raise _ModelFailed from error


@dataclass(frozen=True)
class _Fixed:
    """One generation for a whole table."""

    current: Snapshot


class _Run:
    """Inputs to rows, in the journal where they are final and an ECG's content names them, else here."""

    def __init__(
        self, inputs: Sequence[Input], snapshot: Snapshot, asked: Asked, journal: Journal, machine: Machine
    ) -> None:
        self._inputs = inputs
        self._snapshot = snapshot
        self._asked = asked
        self._journal = journal
        self._machine = machine
        self._made: list[str | Row] = [""] * len(inputs)
        """By place: a key of the journal, or the row of what could not be read."""
        self._about = _about(snapshot, asked)
        self._done = 0
        self.were_there = 0

    def rows(self) -> Iterator[Row]:
        for each, made in zip(self._inputs, self._made, strict=True):
            row = sealed(made, self._journal.row(made)) if isinstance(made, str) else made
            name = each.name.encode("utf-8", "backslashreplace").decode()
            yield {"input": name, **({"id": each.id} if each.id else {}), **row}

    async def answer_all(self) -> None:
        """Raises what ends the run; what is wrong with one ECG is its row."""
        workers = self._machine.workers
        compile_solver()
        reader = GuardedReader(workers=workers)
        reading = FairThreads(workers, name="reading")
        # One at a time: see the head of this file.
        batcher: Batcher[Query, Found] = Batcher(_alone, max_batch=1, queue_size=2 * workers)
        pipeline = Pipeline(reader, reading, _Fixed(self._snapshot), batcher)
        places = iter(range(len(self._inputs)))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(2 * workers):  # as many are read ahead as are worked on
                    group.create_task(self._answer_some(places, pipeline))
        except ExceptionGroup as failed:
            first = failed.exceptions[0]
            raise (first.__cause__ if isinstance(first, _ModelFailed) and first.__cause__ else first) from None
        finally:
            reader.close()
            reading.close()
            batcher.close()

    async def _answer_some(self, places: Iterator[int], pipeline: Pipeline) -> None:
        for place in places:
            each = self._inputs[place]
            self._made[place] = await self._answer(each, pipeline)
            self._done += 1
            self._machine.progress(self._done, len(self._inputs), each.path.name)

    async def _answer(self, each: Input, pipeline: Pipeline) -> str | Row:
        upload = await asyncio.to_thread(_upload, each.path)
        if isinstance(upload, InputError):
            return _refused(upload)
        key = await asyncio.to_thread(self._key, upload, each)
        if key in self._journal:
            self.were_there += self._journal.was_there(key)
        else:
            self._journal.add(key, await self._row(upload, each, pipeline, key))
        return key

    async def _row(self, upload: Upload, each: Input, pipeline: Pipeline, caller: str) -> Row:
        """caller: another for each, so that all threads are this run's."""
        k = 0 if self._asked.index is None else self._asked.k
        question = Question(k, hints=each.hints, withhold=self._asked.withhold)
        try:
            answer = await pipeline.answer(upload, question, caller)
            row = answered(search_answer(answer, "") if k else predict_answer(answer, ""))
            return {**row, "reason": for_one_of_many(str(row["reason"]))} if "reason" in row else row
        except InputError as error:
            return _refused(error, sha256=upload.sha256)
        except (Refusal, OSError, MemoryError, _ModelFailed):
            raise
        except Exception as defect:  # the service, too, fails that one request
            sentence = f"This ECG met a defect of this software ({type(defect).__name__})."
            return refused("failed", "unexpected_error", sentence, sha256=upload.sha256)

    def _key(self, upload: Upload, each: Input) -> str:
        """Of everything that decides a row."""
        parts = [(file.name, len(file.data)) for file in upload.files]
        return sha256(json.dumps([self._about, asdict(each.hints), parts, upload.sha256]).encode()).hexdigest()[:32]


def _about(snapshot: Snapshot, asked: Asked) -> Sequence[object]:
    """What decides the rows of all inputs."""
    generation, embedder = snapshot.generation, snapshot.embedder
    found = None if generation is None else (generation.manifest.model_dump(mode="json"), asked.k)
    return TABLE_VERSION, version("echo2ecg"), embedder.sha256, embedder.device_name, found, asked.withhold


def _upload(path: Path) -> Upload | InputError:
    """What would be sent: the file and those that it names beside it. What cannot be opened is refused."""
    try:
        return Upload(tuple(gather_files(path)))
    except InputError as error:
        return Upload((UploadedFile(path.name, b""),)) if error.code == "file_empty" else error
    except OSError:
        return UnreadableFile("file_not_opened", "The file cannot be read.")
    except Exception:  # of a damaged header, in many ways: the child that reads it says what is wrong
        return _alone_as_it_is(path)


def _alone_as_it_is(path: Path) -> Upload | InputError:
    try:
        with open_regular_file(path) as file:
            return Upload((UploadedFile(path.name, file.read()),))
    except InputError as error:
        return error
    except OSError:
        return UnreadableFile("file_not_opened", "The file cannot be read.")


def _refused(error: InputError, *, sha256: str = "") -> Row:
    status: Status = "failed" if error.code in _NOT_FINAL else "refused"
    return refused(status, error.code, for_one_of_many(error.in_full), sha256=sha256)
