"""Many callers, one lane: whatever waits when the lane is free goes through it together.

Work-conserving and without a timer: at low load a batch is one item and nobody waits for company; at high load
batches grow by themselves. The next batch is formed at the moment the lane is free, so it is as large as it can be.
The batcher holds a plain function from a list to a list; it knows nothing of models and nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from ground.errors import Refusal

Item = TypeVar("Item")
Result = TypeVar("Result")

HEARTBEAT_S = 1.0
LAST_BATCH_S = 5.0


class QueueFull(Refusal):
    """As many wait as may wait. `retry_after_s` is when the queue should have emptied."""

    def __init__(self, retry_after_s: int) -> None:
        sentence = "The service has as much work as it can hold."
        super().__init__("busy", sentence, hint=f"Try again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s


class BatcherClosed(Refusal):
    """The batcher has been closed and takes nothing more."""

    def __init__(self) -> None:
        super().__init__("draining", "The service is ending.")


@dataclass(eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    future: Future[tuple[Result, float]]
    since: float


class Batcher(Generic[Item, Result]):
    """Calls `work` on its own thread with 1 to `max_batch` items, never two calls at once.

    `observe_batch` is told the size of every batch.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        max_batch: int,
        queue_size: int,
        observe_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._work = work
        self._max_batch = max_batch
        self._queue_size = queue_size
        self._observe_batch = observe_batch
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._calls: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._beat = time.monotonic()
        self._batch_s = 0.1  # a running mean, only for Retry-After
        self._thread = threading.Thread(target=self._run, name="batch-lane", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many items wait for the lane: counted, not kept."""
        return len(self._queue)

    @property
    def silent_s(self) -> float:
        """Seconds since the lane last said that it lives; grows while one batch runs. Infinite when it is dead."""
        return time.monotonic() - self._beat if self._thread.is_alive() else math.inf

    async def submit(self, item: Item) -> tuple[Result, float]:
        """The item's result and the seconds it waited. Raises QueueFull at once; cancelling takes the item back."""
        waiting: _Waiting[Item, Result] = _Waiting(item, Future(), time.monotonic())
        with self._changed:
            if self._closed:
                raise BatcherClosed
            if len(self._queue) >= self._queue_size:
                raise QueueFull(self.empty_in_s)
            self._queue.append(waiting)
            self._changed.notify()
        try:
            return await asyncio.wrap_future(waiting.future)
        except asyncio.CancelledError:
            self._take_back(waiting)
            raise

    async def run_on_lane(self, call: Callable[[], None]) -> None:
        """Run `call` on the lane's own thread, before what waits. Raises what it raises."""
        done: Future[None] = Future()
        with self._changed:
            if self._closed:
                raise BatcherClosed
            self._calls.append((call, done))
            self._changed.notify()
        await asyncio.wrap_future(done)

    @property
    def empty_in_s(self) -> int:
        """When the queue should have emptied, in whole seconds."""
        batches = math.ceil(len(self._queue) / self._max_batch)
        return max(1, math.ceil(batches * self._batch_s))

    def close(self) -> None:
        """Finish the batch in flight, cancel what waits, end the thread; one that hangs is left to itself."""
        with self._changed:
            self._closed = True
            for waiting in self._queue:
                waiting.future.cancel()
            self._queue.clear()
            for _, done in self._calls:
                done.cancel()
            self._calls.clear()
            self._changed.notify()
        self._thread.join(LAST_BATCH_S)

    def _take_back(self, waiting: _Waiting[Item, Result]) -> None:
        with self._changed:
            if waiting in self._queue:
                self._queue.remove(waiting)

    def _run(self) -> None:
        while True:
            batch = self._next_batch()
            if batch is None:
                return
            self._run_calls()
            if batch:
                self._do(batch)

    def _next_batch(self) -> list[_Waiting[Item, Result]] | None:
        """Up to max_batch items whose callers are still there; None when closed; empty to beat the heart."""
        with self._changed:
            self._beat = time.monotonic()
            if self._closed:
                return None
            if not self._queue and not self._calls:
                self._changed.wait(HEARTBEAT_S)
            batch: list[_Waiting[Item, Result]] = []
            while self._queue and len(batch) < self._max_batch:
                waiting = self._queue.popleft()
                if waiting.future.set_running_or_notify_cancel():
                    batch.append(waiting)
            return batch

    def _run_calls(self) -> None:
        while self._calls:
            call, done = self._calls.popleft()
            if not done.set_running_or_notify_cancel():
                continue
            try:
                done.set_result(call())
            except BaseException as error:
                done.set_exception(error)

    def _do(self, batch: list[_Waiting[Item, Result]]) -> None:
        started = time.monotonic()
        try:
            results = self._work([waiting.item for waiting in batch])
            assert len(results) == len(batch), "work returns one result per item"
        except BaseException as error:
            for waiting in batch:
                waiting.future.set_exception(error)
        else:
            for waiting, result in zip(batch, results, strict=True):
                waiting.future.set_result((result, started - waiting.since))
        self._batch_s += 0.2 * (time.monotonic() - started - self._batch_s)
        self._observe_batch(len(batch))
