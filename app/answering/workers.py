"""Blocking work off the event loop, so shared that no caller keeps the others waiting."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from app.answering.admission import share_of

Result = TypeVar("Result")


class GivenUp(Exception):
    """Raised within work that nobody waits for any more."""


class Wanted:
    """What a piece of work and whoever waits for it agree upon, each in its own thread: whether it is still wanted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given_up = self._settled = False

    def go_on(self) -> None:
        """Asked by work between its steps. Raises GivenUp."""
        if self._given_up:
            raise GivenUp

    def settle(self) -> None:
        """Asked by work before it changes what lasts. Raises GivenUp; else it is done, and told, whatever comes."""
        with self._lock:
            self.go_on()
            self._settled = True

    def give_up(self) -> bool:
        """False where it is too late: the work is settled."""
        with self._lock:
            self._given_up = not self._settled
            return self._given_up


def _nothing() -> None:
    return


@dataclass(eq=False)
class _Call:
    work: Callable[[], Any]
    wanted: Wanted | None
    when_begun: Callable[[], None]
    result: asyncio.Future[Any]
    """Cancelled in the very moment in which whoever waits for it gives it up: then it never begins."""
    ended: asyncio.Future[None]
    begun: bool = False
    made: Any = None
    error: BaseException | None = None


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
        self._running: dict[_Call, str] = {}

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return sum(map(len, self._waiting.values()))

    async def run(
        self,
        work: Callable[[], Result],
        caller: str,
        *,
        wanted: Wanted | None = None,
        when_begun: Callable[[], None] = _nothing,
    ) -> Result:
        """`work()` on one of the threads; `when_begun` is called when its turn has come.

        One that is cancelled while it waits is never run. One that is cancelled while it runs is waited for, whoever
        has gone: what it holds is in memory until then, and must be counted. wanted: it learns by this that it was
        given up. Where it is settled its result is given all the same, as of a change that nobody else would learn of.
        """
        loop = asyncio.get_running_loop()
        call = _Call(work, wanted, when_begun, loop.create_future(), loop.create_future())
        self._waiting.setdefault(caller, deque()).append(call)
        self._start_what_may_run()
        try:
            result: Result = await call.result
        except asyncio.CancelledError:
            self._take_back(call, caller)
            settled = wanted is not None and not wanted.give_up()
            while call.begun and not call.ended.done():
                with contextlib.suppress(asyncio.CancelledError):  # a time limit, and a caller who leaves as well
                    await asyncio.wait([call.ended])
            if not (settled and call.begun):
                raise
            if call.error is not None:
                raise call.error from None
            result = call.made
        finally:
            del call  # an error knows this place: with the error in it, a circle would keep what `work` holds
        return result

    def close(self) -> None:
        """Cancel what waits, tell what runs and asks that it is given up, and let the rest end."""
        for calls in self._waiting.values():
            for call in calls:
                call.result.cancel()
        self._waiting.clear()
        for call in self._running:
            if call.wanted is not None and call.wanted.give_up():
                call.result.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start_what_may_run(self) -> None:
        while len(self._running) < self._threads:
            running, share = list(self._running.values()), share_of(self._threads)
            caller = next((one for one in self._waiting if running.count(one) < share), None)
            if caller is None:
                return
            calls = self._waiting.pop(caller)
            call = calls.popleft()
            if calls:
                self._waiting[caller] = calls  # at the end: others first
            if not call.result.done():  # else given up, and not taken back yet
                self._start(call, caller)

    def _start(self, call: _Call, caller: str) -> None:
        loop = call.result.get_loop()
        try:
            done = self._pool.submit(call.work)
        except RuntimeError:  # the pool is closed: as for what waited then
            call.result.cancel()
            return
        self._running[call] = caller
        call.begun = True
        call.when_begun()

        def tell(done: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                loop.call_soon_threadsafe(self._ended, call, done)

        done.add_done_callback(tell)

    def _ended(self, call: _Call, done: Future[Any]) -> None:
        del self._running[call]
        if not done.cancelled():  # what it holds, and not `done` itself: that knows the call, and would keep it
            call.error = done.exception()
            call.made = done.result() if call.error is None else None
        call.ended.set_result(None)
        if not call.result.done():
            if done.cancelled():
                call.result.cancel()
            elif call.error is not None:
                call.result.set_exception(call.error)
            else:
                call.result.set_result(call.made)
        self._start_what_may_run()

    def _take_back(self, call: _Call, caller: str) -> None:
        calls = self._waiting.get(caller)
        if calls is not None and call in calls:
            calls.remove(call)
            if not calls:
                del self._waiting[caller]
