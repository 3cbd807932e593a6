"""What a query works on: a model and the generation that belongs to it, swapped when a new one appears.

`Retriever` keeps the snapshot that new queries take; a swap is one assignment, and the old generation is closed when
its last query ends.
"""

from __future__ import annotations

import threading
import weakref

import structlog

from ground.errors import Refusal
from index.base import IndexDamaged, IndexMismatch, IndexMissing, IndexNewer, IndexProblem
from index.generation import Generation
from index.store import IndexStore
from models.bundle import Embedder

log = structlog.get_logger(__name__)

INDEX_CODES = frozenset({IndexMissing.kind, IndexDamaged.kind, IndexNewer.kind, IndexMismatch.kind})
"""What may be wrong with the index, as stable codes."""


class NotSearchable(Refusal):
    """There is no generation to search; `code` is one of INDEX_CODES."""

    def __init__(self, code: str, sentence: str, *, hint: str = "") -> None:
        super().__init__(code, sentence, hint=hint or "Run `echo2ecg index rebuild`.")


class Snapshot:
    """A model and, once one was built, the generation that belongs to it; never changes.

    Whoever works with it holds a reference; the generation is closed when the last one goes. Without a generation,
    `problem` says why there is none.
    """

    def __init__(self, embedder: Embedder, generation: Generation | None, problem: IndexProblem | None = None) -> None:
        assert (generation is None) == (problem is not None)
        if generation is not None:
            weakref.finalize(self, generation.close)
        self.embedder = embedder
        self.generation = generation
        self._problem = problem

    @property
    def searchable(self) -> Generation:
        """The generation to search. NotSearchable when there is none."""
        if self.generation is None:
            assert self._problem is not None
            raise NotSearchable(self.problem_code, str(self._problem), hint=self._problem.hint)
        return self.generation

    @property
    def problem_code(self) -> str:
        """One of INDEX_CODES: why there is nothing to search. Empty when there is."""
        if self._problem is None:
            return ""
        return self._problem.code if self._problem.code in INDEX_CODES else IndexDamaged.kind


class Retriever:
    """Holds the snapshot that new queries take and notices new generations."""

    def __init__(self, embedder: Embedder, store: IndexStore) -> None:
        self._store = store
        self._seen_id: str | None = None
        self._looked = False
        self._refreshing = threading.Lock()
        not_looked = IndexMissing("There is no index yet.")
        self._current = Snapshot(embedder, None, not_looked)
        self.index_problem: IndexProblem | None = not_looked
        """Why the newest generation is not served; None when it is."""

    @property
    def current(self) -> Snapshot:
        """The snapshot of the moment: a query takes it once and uses nothing else."""
        return self._current

    def refresh(self) -> bool:
        """Open what CURRENT names if that has changed, and swap to it. Blocks: not for the event loop.

        A generation that is damaged or belongs to another bundle is refused; what was served is served on.
        """
        with self._refreshing:
            current_id = self._store.current_id()
            if self._looked and current_id == self._seen_id:
                return False
            embedder = self._current.embedder
            try:
                fresh = Snapshot(embedder, self._open(embedder))
            except IndexProblem as problem:
                self._looked, self._seen_id = True, current_id
                self.index_problem = problem
                if self._current.generation is None:
                    self._current = Snapshot(embedder, None, problem)
                reason = type(problem).__name__
                log.error("generation_refused", generation=current_id, reason=reason)  # noqa: TRY400 - a traceback names paths
                return False
            self._looked, self._seen_id = True, current_id
            self._current = fresh
            self.index_problem = None
            log.info("generation_swapped", generation=fresh.searchable.id, degraded=fresh.searchable.degraded)
            return True

    def _open(self, embedder: Embedder) -> Generation:
        generation = self._store.open_current(embedder.sha256)
        if embedder.device_name.startswith("cuda"):
            generation.index.place_on(embedder.device_name)  # where it cannot, `notice` says why and the CPU answers
        return generation
