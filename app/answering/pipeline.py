"""An ECG from upload to answer: one of the two straight lines of this project.

Read (in a guarded child process) and prepare, then through the batcher to the retriever's lane (embed, probe, search),
then the catalogue. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from app.answering.batcher import Batcher
from app.answering.lane import Found, Query
from app.answering.snapshots import Snapshot
from app.answering.workers import FairThreads
from app.refusals import EcgOfAnotherModel
from ground.disk import sha256
from index.catalogue.cards import StudyCard
from index.catalogue.filters import NO_FILTERS, Filters
from index.rows import RowSet
from inputs.ecg.gate.gate import LeadQuality
from inputs.ecg.judged import judge_ecg
from inputs.ecg.measured.measure import MeasuredEcg, measure_traced
from inputs.ecg.measured.rate_check import rate_warning
from inputs.ecg.prepare import ecg_windows
from inputs.ecg.quality import window_starts
from inputs.records import NO_HINTS, DeviceSaid, EcgRecording, InputWarning, ReadHints, UploadedFile
from models.bundle import EcgVerdict
from outputs.tracing import Tracing, tracing_of

MOST_WINDOWS_KEPT = 6
"""Of an ECG whose answer may be asked what speaks for it: 50 kB each, and a second of computing."""


@dataclass(frozen=True)
class Question:
    """What is asked of one ECG. `k` studies, 0 for predictions alone.

    filters: what must hold of a study. one_per_patient: whether of each patient the most similar study alone counts.
    hints: what helps to read its file. measured: whether the answer holds what is measured from the tracing.
    device_said: whether it holds what the electrocardiograph wrote beside the signal. withhold: whether findings of
    quality may forbid an answer. traced: whether the ten seconds that can be drawn are kept, 240 kB.
    """

    k: int = 0
    exclude_patient: str | None = None
    filters: Filters = NO_FILTERS
    one_per_patient: bool = False
    hints: ReadHints = NO_HINTS
    measured: bool = True
    device_said: bool = False
    withhold: bool = True
    traced: bool = False


@dataclass(frozen=True)
class Upload:
    """The files of one ECG."""

    files: tuple[UploadedFile, ...]

    @cached_property
    def sha256(self) -> str:
        """Of the file's bytes; of several parts, of their bytes one after another as they were sent.

        Takes as long as the upload is large: ask for it off the event loop first.
        """
        digest = sha256()
        for file in self.files:
            digest.update(file.data)
        return digest.hexdigest()

    @property
    def is_hashed(self) -> bool:
        """Whether `sha256` takes no time any more."""
        return "sha256" in vars(self)


@dataclass(frozen=True)
class EcgFacts:
    """What an answer says of the recording. Its samples are not kept, but for what is drawn where that was asked for:
    they may be large, and an answer may wait."""

    source_format: str
    rate_hz: float
    duration_s: float
    lead_names: tuple[str, ...]
    warnings: tuple[InputWarning, ...]
    """Of reading, of preparation and of the gate."""
    withheld: tuple[str, ...]
    """Codes of those that forbid an answer."""
    lead_quality: tuple[LeadQuality, ...]
    starts_s_W: tuple[float, ...]
    window_s: float
    """What the model sees, from the start of what was prepared."""
    measured: MeasuredEcg | None
    """None where it was not asked for."""
    said: DeviceSaid | None = None
    """None where it was not asked for, or the format has no place for it."""
    tracing: Tracing | None = None
    """None where it was not asked for."""
    windows_WLN: NDArray[np.float32] | None = None
    """What the model sees, for maps of what speaks for its answer; None where there is no tracing, or it is much."""


@dataclass(frozen=True)
class Narrowed:
    """What a search was narrowed to, and how many studies that left, without those of an excluded patient."""

    filters: Filters
    one_per_patient: bool
    studies: int


@dataclass(frozen=True, eq=False)
class Search:
    """Which rows may be found, None for all, and what there is to say of that.

    narrowed: None where nothing of the kind was asked.
    """

    allowed: RowSet | None = None
    narrowed: Narrowed | None = None
    warnings: tuple[InputWarning, ...] = ()


@dataclass(frozen=True, eq=False)
class FoundStudies:
    """Cards in the order of `found.ids_K`, and for each the cosine of the ECG with each of its views alone: empty where
    the generation has no such vectors."""

    cards: Sequence[StudyCard] = ()
    view_similarities: Sequence[NDArray[np.float32]] = ()


@dataclass(frozen=True, eq=False)
class Answer:
    """Everything an answer is made of. `sha256` is the upload's; found: None where the answer is withheld."""

    sha256: str
    snapshot: Snapshot
    ecg: EcgFacts
    found: Found | None
    search: Search
    clock: Clock

    @cached_property
    def studies(self) -> FoundStudies:
        """Fetched by who writes the answer, off the event loop: one that waits for its turn holds none of them yet."""
        with self.clock.stage("catalogue"):
            return FoundStudies() if self.found is None else _studies(self.found, self.snapshot)

    @property
    def timing_ms(self) -> dict[str, float]:
        """Until now."""
        return self.clock.timing_ms()


@dataclass(frozen=True, eq=False)
class AnsweredEcg:
    """What is known of an ECG once it has been answered: enough to search again without it, and nothing of its file."""

    sha256: str
    bundle_sha256: str
    facts: EcgFacts
    verdict: EcgVerdict | None

    @classmethod
    def of(cls, answer: Answer) -> Self:
        verdict = None if answer.found is None else answer.found.verdict
        return cls(answer.sha256, answer.snapshot.embedder.sha256, answer.ecg, verdict)


class Reader(Protocol):
    """What parses uploads: `inputs.guarded.reader.GuardedReader`."""

    def read_ecg(self, files: Sequence[UploadedFile], hints: ReadHints) -> EcgRecording: ...


class Snapshots(Protocol):
    """Who knows what queries work on: `app.answering.snapshots.Retriever`, which looks out for new generations."""

    @property
    def current(self) -> Snapshot: ...


@dataclass(frozen=True)
class Pipeline:
    """The parts an ECG goes through.

    Raises InputError, FilterRefused, QueueFull, BatcherClosed, NotSearchable or NoEmbeddings.
    """

    reader: Reader
    reading: FairThreads
    retriever: Snapshots
    batcher: Batcher[Query, Found]

    async def answer(self, upload: Upload, question: Question, caller: str) -> Answer:
        clock = Clock()
        query, ecg, search = await self.reading.run(lambda: self._read(upload, question, clock), caller)
        if ecg.withheld and question.withhold:
            return Answer(upload.sha256, query.snapshot, ecg, None, search, clock)
        return Answer(upload.sha256, query.snapshot, ecg, await self._find(query, clock), search, clock)

    async def again(self, known: AnsweredEcg, question: Question) -> Answer:
        """The answer to an ECG that was answered before, beside the studies that `question` allows now.

        Raises EcgOfAnotherModel besides.
        """
        clock, snapshot = Clock(), self.retriever.current
        if known.bundle_sha256 != snapshot.embedder.sha256:
            raise EcgOfAnotherModel
        search = await asyncio.to_thread(_search, snapshot, question)
        if known.verdict is None:
            return Answer(known.sha256, snapshot, known.facts, None, search, clock)
        query = Query(snapshot, None, question.k, search.allowed, question.one_per_patient, known.verdict)
        return Answer(known.sha256, snapshot, known.facts, await self._find(query, clock), search, clock)

    async def _find(self, query: Query, clock: Clock) -> Found:
        with clock.stage("queue"):
            found, waited_s = await self.batcher.submit(query)
        clock.set(queue=waited_s, embed=found.embed_s, search=found.search_s)
        return found

    def _read(self, upload: Upload, question: Question, clock: Clock) -> tuple[Query, EcgFacts, Search]:
        """All on one thread, so that there are never more recordings in memory than threads."""
        _ = upload.sha256  # takes as long as the upload is large
        with clock.stage("read"):
            recording = self.reader.read_ecg(upload.files, question.hints)
        with clock.stage("prepare"):
            return _prepare(recording, self.retriever.current, question)


_NOT_EXCLUDED = InputWarning(
    "patient_not_found", "No study of the index is of the patient that exclude_patient names, so none was left out."
)
_NO_STUDY = InputWarning(
    "no_study_matches", "No study of the index matches what the search was narrowed to, so none is shown."
)


def _search(snapshot: Snapshot, question: Question) -> Search:
    if not question.k:
        return Search()
    catalogue, patient = snapshot.searchable.catalogue, question.exclude_patient
    allowed = catalogue.allowed(question.filters, exclude_patient=patient)
    unknown = patient is not None and not catalogue.knows_patient(patient)
    left_with_none = allowed is not None and not allowed.count
    warnings = (*((_NOT_EXCLUDED,) if unknown else ()), *((_NO_STUDY,) if left_with_none else ()))
    narrowed = None
    if question.filters.asked or question.one_per_patient:
        studies = catalogue.count if allowed is None else allowed.count
        narrowed = Narrowed(question.filters, question.one_per_patient, studies)
    return Search(allowed, narrowed, warnings)


def _prepare(recording: EcgRecording, snapshot: Snapshot, question: Question) -> tuple[Query, EcgFacts, Search]:
    search = _search(snapshot, question)
    spec = snapshot.embedder.ecg
    judged = judge_ecg(recording, spec)
    signal_LN = judged.prepared.signal_LN
    measured = measure_traced(judged.traced) if question.measured else None
    of_rate = None if measured is None else rate_warning(judged.prepared.recording, measured)
    warnings = (*judged.warnings, *(() if of_rate is None else (of_rate,)))
    starts_s_W = tuple(start / spec.rate_hz for start in window_starts(signal_LN.shape[1], spec))
    window_s = spec.window_samples / spec.rate_hz
    windows_WLN, tracing = ecg_windows(signal_LN, spec), None
    kept = question.traced and not judged.withheld and len(windows_WLN) <= MOST_WINDOWS_KEPT
    if question.traced:
        tracing = tracing_of(judged.prepared.recording, warnings, [(start_s, window_s) for start_s in starts_s_W])
    ecg = EcgFacts(
        recording.source_format,
        recording.rate_hz,
        recording.duration_s,
        recording.lead_names,
        warnings,
        judged.withheld,
        judged.lead_quality(spec.leads),
        starts_s_W,
        window_s,
        measured,
        recording.said if question.device_said else None,
        tracing,
        windows_WLN.copy() if kept else None,
    )
    return Query(snapshot, windows_WLN, question.k, search.allowed, question.one_per_patient), ecg, search


def _studies(found: Found, snapshot: Snapshot) -> FoundStudies:
    vector_D = found.verdict.embedding_D
    if not len(found.ids_K) or vector_D is None:
        return FoundStudies()
    cards = snapshot.searchable.catalogue.cards(found.ids_K)
    return FoundStudies(cards, snapshot.searchable.view_similarities(cards, vector_D))


class Clock:
    """Milliseconds per stage, in the order of the stages, and in all."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._started = now()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = self._now()
        yield
        self._stages[name] = self._now() - started

    def set(self, **seconds: float) -> None:
        self._stages.update(seconds)

    def timing_ms(self) -> dict[str, float]:
        total = {"total": self._now() - self._started}
        return {stage: round(seconds * 1000, 2) for stage, seconds in (self._stages | total).items()}
