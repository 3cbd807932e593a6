"""The running service: its parts, how they start, what makes it ready, how they end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol, Self, TypeVar

import structlog

from app.access.forms_sent import FormsSent
from app.access.keys import KeyRing
from app.access.sessions import ADMIN_IDLE_S, Sessions
from app.answering.admission import Admission
from app.answering.batcher import Batcher
from app.answering.explained import Explained, explained, targets_of
from app.answering.kept_answers import KeptAnswers
from app.answering.lane import (
    Found,
    Query,
    retrieve,
    warm_up,
)
from app.answering.pipeline import Answer, AnsweredEcg, Pipeline, Question, Reader, Upload
from app.answering.similar import Similar, similar_studies
from app.answering.snapshots import INDEX_CODES, Retriever
from app.answering.workers import FairThreads, Wanted, started_pool
from app.job_streams import JobStreams
from app.jobs import Command, RebuildJobs, rebuild_command
from app.logs import where
from app.metrics import Metrics
from app.recent_refusals import RecentRefusals
from app.refusals import NoSpace, NotReady, TookTooLong
from app.settings import Settings
from index.store import IndexStore
from inputs.ecg.prepare import compile_solver
from inputs.errors import NO_ROOM_TO_READ
from inputs.guarded.reader import GuardedReader
from models.bundle import Bundle, BundleError, Embedder, Use, check_files_for

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

LANE_SILENT_S = 30.0
"""A lane that has not said for so long that it lives is taken for dead or stuck."""
SMALL_WORK_THREADS = 4
"""For preparation and the catalogue: a few milliseconds each."""
DRAWING_THREADS = WRITING_THREADS = 2
"""For pages and documents of answers, and for what the API says and the operator sees: tens of milliseconds of Python
each, which the event loop must find gaps in."""

MAPS, MAP_S = 3, 10
"""How many maps of what speaks for an answer may be made or wait for that, and about how long one takes."""
OPERATORS_LAST_S = 6.0
"""How long the end waits for what operators asked for: the keys file may be held for 5 s."""
OPERATORS_PLACES = 16
"""For the operator's page, apart from those for ECGs: whoever runs the service must see it when it is full."""


class GuardedChild(Reader, Protocol):
    """A reader in a process of its own."""

    def warm(self) -> None: ...

    def close(self) -> None: ...


def _renew(limit: asyncio.Timeout, time_s: float) -> None:
    limit.reschedule(asyncio.get_running_loop().time() + time_s)


class Service:
    """Everything one server process holds. Built once in `create_app`, started and stopped with the server."""

    def __init__(self, settings: Settings, embedder: Embedder, reader: GuardedChild, command: Command) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.keys = KeyRing(settings.keys_file)
        self.sessions = Sessions(settings.session_hours * 3600)
        self.admin_sessions = Sessions(ADMIN_IDLE_S, renewed=True)
        self.forms_sent = FormsSent()
        self.recent_refusals = RecentRefusals()
        self.kept: KeptAnswers[Any] = KeptAnswers(settings.kept_answers_bytes, settings.kept_answers_minutes * 60)
        self.retriever = Retriever(embedder, IndexStore(settings.index_dir))
        self.batcher: Batcher[Query, Found] = Batcher(
            retrieve,
            max_batch=settings.max_batch,
            queue_size=settings.queue_size,
            observe_batch=self.metrics.observe_batch,
        )
        self.admission = Admission(settings.queue_size, settings.max_upload_bytes, lambda: self.batcher.empty_in_s)
        self.operating = Admission(OPERATORS_PLACES, 1, lambda: 1)
        self.mapping = Admission(MAPS, 1, lambda: MAP_S * (1 + self.explaining.waiting))
        self.reading = FairThreads(settings.reader_workers, name="reading")
        self.drawing = FairThreads(DRAWING_THREADS, name="drawing")
        self.writing = FairThreads(WRITING_THREADS, name="writing")
        self.changing_keys = FairThreads(1, name="keys")
        self.explaining = FairThreads(1, name="explaining")
        self.pipeline = Pipeline(reader, self.reading, self.retriever, self.batcher)
        self.jobs = RebuildJobs(settings.index_dir / "jobs", command, self._turn_to_newest)
        self.job_streams = JobStreams(self.jobs)
        self.draining = False
        self._embedder = embedder
        self._reader = reader
        self.when_warm: Callable[[], None] = lambda: None
        """Called once, before the first request is answered."""
        self._warm = False
        self.failed_to_start = False
        """Nothing mends this; the server ends itself."""
        self._background: list[asyncio.Task[None]] = []
        self.metrics.watch(
            queues={"reader": lambda: self.reading.waiting, "models": lambda: self.batcher.waiting},
            ready=lambda: not self.reasons_not_ready(),
        )

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """With the real bundle and reader. Raises BundleError, also for what a rebuild would only find out later."""
        bundle = Bundle.load(settings.bundle_dir, device=settings.device, parts=("ecg",))
        if not bundle.gives & {"ecg_embeddings", "predictions"}:
            sentence = "this bundle cannot be served: it gives no ECG embeddings to search with and no predictions"
            raise BundleError(sentence, hint="`echo2ecg bundle fit` fits its probes.")
        if settings.cohorts:
            try:
                encodes: tuple[Use, ...] = ("view_vectors",) if bundle.manifest.takes_clips else ()
                check_files_for(settings.bundle_dir, bundle.manifest, *encodes, "study_embeddings")
            except BundleError as error:
                sentence = f"this bundle cannot rebuild an index from the cohorts that the settings name: {error}"
                raise BundleError(f"{sentence}; restore its files, or serve it without cohorts") from error
        reader = GuardedReader(workers=settings.reader_workers)
        return cls(settings, bundle, reader, rebuild_command(settings.bundle_dir, settings.index_dir, settings.device))

    @property
    def alive(self) -> bool:
        """Whether the lane still beats; a long batch is not death."""
        return self.batcher.silent_s < LANE_SILENT_S

    def reasons_not_ready(self) -> list[str]:
        """Stable codes, empty when queries are answered."""
        index_code = self.retriever.current.problem_code
        checks: list[tuple[str, bool]] = [
            ("draining", self.draining),
            ("lane_dead", not self.alive),
            ("start_failed", self.failed_to_start),
            ("starting", not self._warm and not self.failed_to_start),
            (index_code, self._warm and index_code != ""),
        ]
        return [code for code, holds in checks if holds]

    @property
    def degraded(self) -> str | None:
        """One sentence when the service answers, but not from what it should; or why it has no index to search."""
        problem, generation = self.retriever.index_problem, self.retriever.current.generation
        if generation is None and not self.retriever.current.needs_index:
            return None
        if problem is not None:
            return str(problem)
        return None if generation is None else generation.degraded or generation.index.notice

    def close_sessions(self, key_id: str) -> None:
        """Log a key out of every page, wherever its browsers are."""
        for sessions in (self.sessions, self.admin_sessions):
            sessions.close_all(key_id)
        self.kept.forget_all_of(key_id)

    def admit(self, caller: str, upload_bytes: int) -> AbstractContextManager[None]:
        """A place for one ECG of a caller, to be entered before its body is read.

        NotReady while the models warm up or the server ends; entering it raises QueueFull under overload.
        """
        for code in self.reasons_not_ready():
            if code not in INDEX_CODES:  # predictions need no index, and a search says so itself
                raise NotReady(code)
        return self.admission.enter(caller, upload_bytes)

    async def ask(self, upload: Upload, question: Question, caller: str) -> Answer:
        """The answer to one ECG, for page and API alike.

        Raises InputError, FilterRefused, NotSearchable, QueueFull, BatcherClosed, NoSpace, and TookTooLong after
        `answer_timeout_s`.
        """
        return await self.in_time(self.pipeline.answer(upload, question, caller))

    async def ask_again(self, ecg: AnsweredEcg, question: Question) -> Answer:
        """The same ECG beside the studies that `question` allows now. Raises as `ask` does."""
        return await self.in_time(self.pipeline.again(ecg, question))

    async def similar(self, study_id: str, *, k: int, exclude_patient: bool) -> Similar | None:
        """The studies like one of the index, None where there is no such study. Raises as `ask`."""
        snapshot = self.retriever.current
        return await self.in_time(
            similar_studies(snapshot, self.batcher, study_id, k=k, exclude_patient=exclude_patient)
        )

    def explains(self, ecg: AnsweredEcg) -> tuple[str, ...]:
        """What of its answer there are maps of."""
        return targets_of(self.retriever.current, ecg)

    async def explain(self, ecg: AnsweredEcg, target: str, study_id: str | None, caller: str) -> Explained:
        """Which patches speak for a number of its answer, in its caller's turn. Raises as `ask`, and NotExplained.

        Few wait, and one whose turn has come has the time of an answer from then on: else, with more than can be made
        in that time, all were late. One that is given up while it is made stops at its next point.
        """
        snapshot, wanted = self.retriever.current, Wanted()
        limit = asyncio.timeout(self.settings.answer_timeout_s)
        try:
            with self.mapping.enter(caller, 0):
                work = self.explaining.run(
                    lambda: explained(snapshot, ecg, target, study_id, wanted.go_on),
                    caller,
                    wanted=wanted,
                    when_begun=partial(_renew, limit, self.settings.answer_timeout_s),
                )
                return await self.in_time(work, limit)
        finally:
            del limit  # as in `in_time`

    async def draw(self, work: Callable[[], Result], caller: str) -> Result:
        """`work()`, a page or a document, in its caller's turn. Raises TookTooLong and NoSpace as `ask` does."""
        return await self.in_time(self.drawing.run(work, caller))

    async def write(self, work: Callable[[], Result], caller: str) -> Result:
        """The same for an answer of the API and the operator's page, which wait for no drawing."""
        return await self.in_time(self.writing.run(work, caller))

    async def write_answer(self, answer: Answer, write: Callable[[Answer], Result], caller: str) -> Result:
        """What `write` makes of an answer. The metrics then get the time of its stages, the studies' included."""
        written = await self.write(lambda: write(answer), caller)
        self.metrics.observe_stages(answer.timing_ms)
        return written

    async def in_time(self, work: Awaitable[Result], limit: asyncio.Timeout | None = None) -> Result:
        """Raises TookTooLong after `answer_timeout_s`, or at a limit of its own, and NoSpace where a disk is full."""
        limit = limit or asyncio.timeout(self.settings.answer_timeout_s)
        try:
            async with limit:
                return await work
        except OSError as error:  # TimeoutError among them
            if not limit.expired():
                if error.errno in NO_ROOM_TO_READ:
                    raise NoSpace from error
                raise
        finally:
            del limit  # it knows the task, the task its error, and the error this place: nothing of it would go
        raise TookTooLong  # here, and not beside the error of the time limit, for the same reason

    async def start(self) -> None:
        """Returns at once; readiness follows when everything is warm."""
        asyncio.get_running_loop().set_default_executor(started_pool(SMALL_WORK_THREADS, name="small-work"))
        await asyncio.to_thread(self.jobs.recover)
        self._background = [asyncio.create_task(self._warm_up()), asyncio.create_task(self._watch_index())]

    async def stop(self) -> None:
        """Interrupt a rebuild, end the child processes and the lane."""
        self.draining = True
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.jobs.close()
        with contextlib.suppress(TimeoutError):  # a key that was made is shown, and nobody would see it a second time
            await asyncio.wait_for(self.operating.emptied(), OPERATORS_LAST_S)
        self.reading.close()
        self.drawing.close()
        self.writing.close()
        self.changing_keys.close()
        self.explaining.close()
        await asyncio.to_thread(self._reader.close)
        await asyncio.to_thread(self.batcher.close)

    async def refresh(self) -> None:
        """Look for a new generation and swap to it."""
        if await asyncio.to_thread(self.retriever.refresh):
            generation = self.retriever.current.searchable
            self.metrics.set_generation(
                bundle=self._embedder.id,
                generation=generation.id,
                backend=generation.index.backend,
                studies=generation.index.count,
            )

    async def _turn_to_newest(self) -> None:
        """After a rebuild. Raises IndexProblem where what it made cannot be served."""
        await self.refresh()
        if self.retriever.index_problem is not None:
            raise self.retriever.index_problem

    def abandon(self) -> None:
        """End at once what would go on without the server: a rebuild, and the reading children with their files."""
        self.jobs.kill()
        self._reader.close()

    async def _warm_up(self) -> None:
        spec = self._embedder.ecg
        windows_LN = len(spec.leads), spec.window_samples
        try:
            await self.refresh()
            await asyncio.to_thread(compile_solver)
            await asyncio.to_thread(self._reader.warm)
            snapshot = self.retriever.current
            await self.batcher.run_on_lane(lambda: warm_up(snapshot, windows_LN, self.settings.max_batch))
        except Exception as error:
            self.failed_to_start = True
            log.error("start_failed", **where(error))  # noqa: TRY400 - a traceback names paths
            return
        self.when_warm()
        self._warm = True
        log.info("ready", bundle=self._embedder.id, device=self._embedder.device_name, degraded=self.degraded)

    async def _watch_index(self) -> None:
        """A rebuild may also be run from outside. A failure is logged when it begins, and tried again."""
        failing: type[Exception] | None = None
        while True:
            await asyncio.sleep(self.settings.index_poll_s)
            self.kept.drop_ended()
            try:
                await self.refresh()
                if not self.retriever.failing:  # it may have let this time pass
                    failing = None
            except Exception as error:  # an index folder that is away for a moment, for one
                if failing is not type(error):
                    log.error("index_poll_failed", **where(error))  # noqa: TRY400 - a traceback names paths
                failing = type(error)
