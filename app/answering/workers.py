"""Blocking work off the event loop, with a bound on how much of it may wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.answering.batcher import QueueFull

Result = TypeVar("Result")

RETRY_AFTER_S = 2


class BoundedThreads:
    """A few threads and a bounded queue before them. A call that is cancelled while it waits is never run."""

    def __init__(self, threads: int, *, queue_size: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads = threads
        self._queue_size = queue_size
        self._inside = 0

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return max(0, self._inside - self._threads)

    async def run(self, call: Callable[[], Result]) -> Result:
        """`call()` on one of the threads. Raises QueueFull at once; call from the event loop only."""
        self.check_room()
        self._inside += 1
        loop = asyncio.get_running_loop()
        future = self._pool.submit(call)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._left))
        return await asyncio.wrap_future(future)

    def check_room(self) -> None:
        """Raises QueueFull when one more call would be refused."""
        if self._inside >= self._threads + self._queue_size:
            raise QueueFull(RETRY_AFTER_S)

    def _left(self) -> None:
        self._inside -= 1

    def close(self) -> None:
        """Cancel what waits and let what runs end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
