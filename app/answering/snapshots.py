"""What a query works on: a model and the generation that belongs to it, swapped when a new one appears.

`Retriever` keeps the snapshot that new queries take; a swap is one assignment, and the old generation is closed when
its last query ends.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable

import structlog

from app.refusals import NoEmbeddings
from ground.errors import Refusal
from index.base import IndexDamaged, IndexMismatch, IndexMissing, IndexNewer, IndexProblem
from index.generation import Generation, GenerationManifest
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
    def needs_index(self) -> bool:
        """Whether an index can be made with its model at all: one that answers of ECGs alone is whole without."""
        return "search" in self.embedder.gives

    @property
    def searchable(self) -> Generation:
        """The generation to search. NotSearchable when there is none, NoEmbeddings where there can be none."""
        if "ecg_embeddings" not in self.embedder.gives or (self.generation is None and not self.needs_index):
            raise NoEmbeddings
        if self.generation is None:
            assert self._problem is not None
            raise NotSearchable(self.problem_code, str(self._problem), hint=self._problem.hint)
        return self.generation

    @property
    def problem_code(self) -> str:
        """One of INDEX_CODES: why there is nothing to search. Empty when there is, and where none is needed."""
        if self._problem is None or not self.needs_index:
            return ""
        return self._problem.code if self._problem.code in INDEX_CODES else IndexDamaged.kind


class _Pauses:
    """When what failed is tried again: after 2 s, then each time after twice as long, at last every minute."""

    FIRST_S, LONGEST_S = 2.0, 60.0

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pause_s = self._due_s = 0.0

    @property
    def failing(self) -> bool:
        return self._pause_s > 0

    @property
    def over(self) -> bool:
        """Whether it may be tried now."""
        return not self.failing or self._clock() >= self._due_s

    def failed(self) -> None:
        self._pause_s = min(2 * self._pause_s, self.LONGEST_S) if self.failing else self.FIRST_S
        self._due_s = self._clock() + self._pause_s

    def forget(self) -> None:
        self._pause_s = 0.0


class Retriever:
    """Holds the snapshot that new queries take and notices new generations.

    What cannot be opened is tried again for as long as it is the current generation, with growing pauses: verifying
    reads every file. `clock` is monotonic, in seconds.
    """

    def __init__(self, embedder: Embedder, store: IndexStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._tried: str | None = None
        """The mark of the generation last looked at."""
        self._served: str | None = None
        """The mark of the generation being served; None where it is not what CURRENT named."""
        self._pauses = _Pauses(clock)
        self._refreshing = threading.Lock()
        not_looked = IndexMissing("There is no index yet.")
        self._current = Snapshot(embedder, None, not_looked)
        self.index_problem: IndexProblem | None = not_looked
        """Why the newest generation is not served; None when it is, or when the one served says so itself."""

    @property
    def current(self) -> Snapshot:
        """The snapshot of the moment: a query takes it once and uses nothing else."""
        return self._current

    @property
    def failing(self) -> bool:
        """Whether the current generation could not be opened and is going to be tried again."""
        return self._pauses.failing

    def on_disk(self, most: int) -> list[tuple[str, GenerationManifest | None]]:
        """As `IndexStore.generations`."""
        return self._store.generations(most)

    def refresh(self) -> bool:
        """Open what CURRENT names unless it is served already, and swap to it. Blocks: not for the event loop.

        A generation that is damaged or belongs to another bundle is refused; what was served is served on. Other
        exceptions come through, and are followed by a pause as well. A model that needs no index lacks nothing without.
        """
        with self._refreshing:
            mark = self._store.current_mark()
            if mark is None and not self._current.needs_index:
                return False
            served = self._current.generation
            if self._served is not None and served is not None and served.catalogue.damaged:
                self._served = self._tried = None  # verified again, and left for an older one where it does not hold
            if mark is not None and mark == self._served:
                if self.index_problem is not None:
                    log.info("generation_current_again", generation=self._current.searchable.id)
                self._tried, self.index_problem = mark, None
                self._pauses.forget()
                return False
            new = mark is not None and mark != self._tried
            if new:
                self._tried = mark
                self._pauses.forget()
            elif not self._pauses.over:
                return False
            try:
                generation = self._open(fall_back=new or self._current.generation is None)
            except IndexProblem as problem:
                self._pauses.failed()
                self._refuse(problem, said_already=not new)
                return False
            except Exception:
                self._pauses.failed()
                raise
            self._swap(generation, mark)
            return True

    def _swap(self, generation: Generation, mark: str | None) -> None:
        self._current = Snapshot(self._current.embedder, generation)
        self.index_problem = None
        if generation.degraded is None:
            self._served = mark
            self._pauses.forget()
        else:
            self._served = None
            self._pauses.failed()
        log.info("generation_swapped", generation=generation.id, degraded=generation.degraded)

    def _refuse(self, problem: IndexProblem, *, said_already: bool) -> None:
        """Remember and log what is wrong with the current generation, once."""
        served = self._current.generation
        if served is None:
            self._current = Snapshot(self._current.embedder, None, problem)
        elif said_already and (served.degraded or self.index_problem):
            return
        if str(problem) != str(self.index_problem):
            log.error("generation_refused", generation=self._store.current_id(), reason=type(problem).__name__)
        self.index_problem = problem

    def _open(self, *, fall_back: bool) -> Generation:
        return open_generation(self._store, self._current.embedder, fall_back=fall_back)


def open_generation(store: IndexStore, embedder: Embedder, *, fall_back: bool = False) -> Generation:
    """The current generation, verified and ready to be searched. Raises IndexProblem.

    fall_back: an older one where the current one does not verify, with `degraded` set.
    """
    generation = store.open_current(embedder.sha256, fall_back=fall_back)
    if embedder.device_name.startswith("cuda"):
        generation.index.place_on(embedder.device_name)  # where it cannot, `notice` says why and the CPU answers
    # Made once, before the swap: no query waits for what reads the whole index.
    _ = generation.sample, generation.usual, generation.view_names
    return generation
