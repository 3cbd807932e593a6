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
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.answering.batcher import Batcher
from app.answering.lane import Found, Query
from app.answering.snapshots import Snapshot
from app.answering.workers import FairThreads
from ground.disk import sha256
from index.catalogue.cards import StudyCard
from inputs.ecg.gate.gate import LeadQuality
from inputs.ecg.judged import judge_ecg
from inputs.ecg.measured.measure import MeasuredEcg, measure_traced
from inputs.ecg.measured.rate_check import rate_warning
from inputs.ecg.prepare import ecg_windows
from inputs.ecg.quality import window_starts
from inputs.records import NO_HINTS, DeviceSaid, EcgRecording, InputWarning, ReadHints, UploadedFile


@dataclass(frozen=True)
class Question:
    """What is asked of one ECG. `k` studies, 0 for predictions alone.

    hints: what helps to read its file. measured: whether the answer holds what is measured from the tracing.
    device_said: whether it holds what the electrocardiograph wrote beside the signal. withhold: whether findings of
    quality may forbid an answer.
    """

    k: int = 0
    exclude_patient: str | None = None
    hints: ReadHints = NO_HINTS
    measured: bool = True
    device_said: bool = False
    withhold: bool = True


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


@dataclass(frozen=True)
class EcgFacts:
    """What an answer says of the recording. The samples are not kept: they may be large, and an answer may wait."""

    source_format: str
    rate_hz: float
    duration_s: float
    lead_names: tuple[str, ...]
    warnings: tuple[InputWarning, ...]
    """Of reading, of preparation, of the gate, and of a filter that found nothing."""
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


@dataclass(frozen=True, eq=False)
class Answer:
    """Everything an answer is made of. `sha256` is the upload's; `cards` are in the order of `found.ids_K`.

    found: None where the answer is withheld. view_similarities: for each card the cosine of the ECG with each view
    alone; empty where the generation has no such vectors.
    """

    sha256: str
    snapshot: Snapshot
    ecg: EcgFacts
    found: Found | None
    cards: Sequence[StudyCard]
    timing_ms: dict[str, float]
    view_similarities: Sequence[NDArray[np.float32]] = ()


class Reader(Protocol):
    """What parses uploads: `inputs.guarded.reader.GuardedReader`."""

    def read_ecg(self, files: Sequence[UploadedFile], hints: ReadHints) -> EcgRecording: ...


class Snapshots(Protocol):
    """Who knows what queries work on: `app.answering.snapshots.Retriever`, which looks out for new generations."""

    @property
    def current(self) -> Snapshot: ...


@dataclass(frozen=True)
class Pipeline:
    """The parts an ECG goes through. Raises InputError, QueueFull, BatcherClosed, NotSearchable or NoEmbeddings."""

    reader: Reader
    reading: FairThreads
    retriever: Snapshots
    batcher: Batcher[Query, Found]

    async def answer(self, upload: Upload, question: Question, caller: str) -> Answer:
        clock = _Clock()
        query, ecg = await self.reading.run(lambda: self._read(upload, question, clock), caller)
        if ecg.withheld and question.withhold:
            return Answer(upload.sha256, query.snapshot, ecg, None, (), clock.timing_ms())
        with clock.stage("queue"):
            found, waited_s = await self.batcher.submit(query)
        clock.set(queue=waited_s, embed=found.embed_s, search=found.search_s)
        with clock.stage("catalogue"):
            cards, alone = await asyncio.to_thread(_cards, found, query.snapshot)
        return Answer(upload.sha256, query.snapshot, ecg, found, cards, clock.timing_ms(), alone)

    def _read(self, upload: Upload, question: Question, clock: _Clock) -> tuple[Query, EcgFacts]:
        """Both on one thread, so that there are never more recordings in memory than threads."""
        with clock.stage("read"):
            recording = self.reader.read_ecg(upload.files, question.hints)
        with clock.stage("prepare"):
            return _prepare(recording, self.retriever.current, question)


_NOT_EXCLUDED = InputWarning(
    "patient_not_found", "No study of the index is of the patient that exclude_patient names, so none was left out."
)


def _prepare(recording: EcgRecording, snapshot: Snapshot, question: Question) -> tuple[Query, EcgFacts]:
    allowed_N = None
    not_found: tuple[InputWarning, ...] = ()
    if question.k:
        allowed_N = snapshot.searchable.catalogue.allowed(exclude_patient=question.exclude_patient)
        not_found = () if question.exclude_patient is None or allowed_N is not None else (_NOT_EXCLUDED,)
    spec = snapshot.embedder.ecg
    judged = judge_ecg(recording, spec)
    signal_LN = judged.prepared.signal_LN
    measured = measure_traced(judged.traced) if question.measured else None
    of_rate = None if measured is None else rate_warning(judged.prepared.recording, measured)
    warnings = (*judged.warnings, *(() if of_rate is None else (of_rate,)), *not_found)
    ecg = EcgFacts(
        recording.source_format,
        recording.rate_hz,
        recording.duration_s,
        recording.lead_names,
        warnings,
        judged.withheld,
        judged.lead_quality(spec.leads),
        tuple(start / spec.rate_hz for start in window_starts(signal_LN.shape[1], spec)),
        spec.window_samples / spec.rate_hz,
        measured,
        recording.said if question.device_said else None,
    )
    return Query(snapshot, ecg_windows(signal_LN, spec), question.k, allowed_N), ecg


def _cards(found: Found, snapshot: Snapshot) -> tuple[Sequence[StudyCard], Sequence[NDArray[np.float32]]]:
    """And how similar each of their views is alone."""
    vector_D = found.verdict.embedding_D
    if not len(found.ids_K) or vector_D is None:
        return (), ()
    cards = snapshot.searchable.catalogue.cards(found.ids_K)
    return cards, snapshot.searchable.view_similarities(cards, vector_D)


class _Clock:
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
