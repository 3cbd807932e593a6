"""What a query works on: a bundle and the generation that belongs to it, swapped when a new one appears.

`Retriever` keeps the snapshot that new queries take; a swap is one assignment, and the old generation is closed when
its last query ends.
"""

from __future__ import annotations

import threading
import weakref

import structlog

from app.http.problems import NotReady
from index.base import IndexDamaged, IndexMismatch, IndexMissing, IndexProblem
from index.generation import Generation
from index.store import IndexStore
from models.bundle import Bundle

log = structlog.get_logger(__name__)


INDEX_CODES: dict[str, type[IndexProblem]] = {
    "index_missing": IndexMissing,
    "index_damaged": IndexDamaged,
    "index_mismatch": IndexMismatch,
}
"""What may be wrong with the index, as stable codes."""


class Snapshot:
    """A bundle and, once one was built, the generation that belongs to it; never changes.

    Whoever works with it holds a reference; the generation is closed when the last one goes. Without a generation,
    `problem` says why there is none.
    """

    def __init__(self, bundle: Bundle, generation: Generation | None, problem: IndexProblem | None = None) -> None:
        assert (generation is None) == (problem is not None)
        if generation is not None:
            weakref.finalize(self, generation.close)
        self.bundle = bundle
        self.generation = generation
        self._problem = problem

    @property
    def searchable(self) -> Generation:
        """The generation to search. NotReady when there is none."""
        if self.generation is None:
            raise NotReady(self.problem_code, str(self._problem), hint="Run `echo2ecg index rebuild`.")
        return self.generation

    @property
    def problem_code(self) -> str:
        """One of INDEX_CODES: why there is nothing to search. Empty when there is."""
        if self.generation is not None:
            return ""
        return next((code for code, kind in INDEX_CODES.items() if isinstance(self._problem, kind)), "index_damaged")


class Retriever:
    """Holds the snapshot that new queries take and notices new generations."""

    def __init__(self, bundle: Bundle, store: IndexStore) -> None:
        self._store = store
        self._seen_id: str | None = None
        self._looked = False
        self._refreshing = threading.Lock()
        not_looked = IndexMissing("There is no index yet.")
        self._current = Snapshot(bundle, None, not_looked)
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
            bundle = self._current.bundle
            try:
                fresh = Snapshot(bundle, self._open(bundle))
            except IndexProblem as problem:
                self._looked, self._seen_id = True, current_id
                self.index_problem = problem
                if self._current.generation is None:
                    self._current = Snapshot(bundle, None, problem)
                reason = type(problem).__name__
                log.error("generation_refused", generation=current_id, reason=reason)  # noqa: TRY400 - a traceback names paths
                return False
            self._looked, self._seen_id = True, current_id
            self._current = fresh
            self.index_problem = None
            log.info("generation_swapped", generation=fresh.searchable.id, degraded=fresh.searchable.degraded)
            return True

    def _open(self, bundle: Bundle) -> Generation:
        generation = self._store.open_current(bundle.sha256)
        if bundle.device.type == "cuda":
            generation.index.place_on(str(bundle.device))  # where it cannot, `notice` says why and the CPU answers
        return generation
