"""Blocking work off the event loop, so shared that no caller keeps the others waiting."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from app.answering.admission import share_of

Result = TypeVar("Result")


@dataclass(eq=False)
class _Call:
    work: Callable[[], Any]
    result: asyncio.Future[Any]
    ended: asyncio.Future[None]
    started: bool = False


def started_pool(threads: int, *, name: str) -> ThreadPoolExecutor:
    """Threads that are all there: a pool that starts one when it is needed may find that the machine has none left."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    together = threading.Barrier(threads + 1)
    for _ in range(threads):
        pool.submit(together.wait)
    together.wait()
    return pool


class FairThreads:
    """A few threads that callers take turns at; none has all of them, unless there is only one.

    How much may wait is somebody else's business (`app.answering.admission`). Used from the event loop alone.
    """

    def __init__(self, threads: int, *, name: str) -> None:
        self._pool = started_pool(threads, name=name)
        self._threads = threads
        self._waiting: dict[str, deque[_Call]] = {}  # who comes first here has waited longest for a turn
        self._running: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return sum(map(len, self._waiting.values()))

    async def run(self, work: Callable[[], Result], caller: str, *, told: bool = False) -> Result:
        """`work()` on one of the threads.

        One that is cancelled while it waits is never run. One that is cancelled while it runs is waited for, whoever
        has gone: what it holds is in memory until then, and must be counted. told: its result is then given all the
        same, as of a change that nobody else would learn of.
        """
        loop = asyncio.get_running_loop()
        call = _Call(work, loop.create_future(), loop.create_future())
        self._waiting.setdefault(caller, deque()).append(call)
        self._start_what_may_run()
        try:
            result: Result = await (asyncio.shield(call.result) if told else call.result)
        except asyncio.CancelledError:
            self._take_back(call, caller)
            while call.started and not call.ended.done():
                with contextlib.suppress(asyncio.CancelledError):  # a time limit, and a caller who leaves as well
                    await asyncio.wait([call.ended])
            if not (told and call.started):
                raise
            result = call.result.result()
        finally:
            del call  # an error knows this place: with the error in it, a circle would keep what `work` holds
        return result

    def close(self) -> None:
        """Cancel what waits and let what runs end."""
        for calls in self._waiting.values():
            for call in calls:
                call.result.cancel()
        self._waiting.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start_what_may_run(self) -> None:
        while self._running.total() < self._threads:
            caller = next((one for one in self._waiting if self._running[one] < share_of(self._threads)), None)
            if caller is None:
                return
            calls = self._waiting.pop(caller)
            call = calls.popleft()
            if calls:
                self._waiting[caller] = calls  # at the end: others first
            self._start(call, caller)

    def _start(self, call: _Call, caller: str) -> None:
        loop = call.result.get_loop()
        try:
            done = self._pool.submit(call.work)
        except RuntimeError as error:  # the pool is closed
            call.result.set_exception(error)
            return
        self._running[caller] += 1
        call.started = True

        def tell(done: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                loop.call_soon_threadsafe(self._ended, call, caller, done)

        done.add_done_callback(tell)

    def _ended(self, call: _Call, caller: str, done: Future[Any]) -> None:
        self._running[caller] -= 1
        if not self._running[caller]:
            del self._running[caller]
        call.ended.set_result(None)
        if not call.result.done():
            if done.cancelled():
                call.result.cancel()
            elif (error := done.exception()) is not None:
                call.result.set_exception(error)
            else:
                call.result.set_result(done.result())
        self._start_what_may_run()

    def _take_back(self, call: _Call, caller: str) -> None:
        calls = self._waiting.get(caller)
        if calls is not None and call in calls:
            calls.remove(call)
            if not calls:
                del self._waiting[caller]
