"""A rebuild followed as it goes on: one look at it for all who follow, and few who do.

Each stream holds a connection that is never closed for a newcomer (`app.http.origins`): their number is bounded here.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from app.job_files import StoredJob
from app.jobs import RebuildJobs
from app.refusals import JobUnknown, TooManyStreams

MOST_STREAMS, MOST_OF_A_CALLER = 32, 8
TICK_S = 0.25
"""How often a stream looks for news: what its caller is told at most so often."""
LOOK_EVERY_S = 1.0
"""How often a job that only the disk knows is read, for all its streams together."""
SILENCE_S = 15.0
"""After so long without news a stream shows that it lives, and finds out whether its caller does."""


class JobStreams:
    """Who follows which job. Event loop only."""

    def __init__(self, jobs: RebuildJobs) -> None:
        self._jobs = jobs
        self._callers: Counter[str] = Counter()
        self._looks: dict[str, tuple[float, asyncio.Task[StoredJob]]] = {}

    @contextmanager
    def enter(self, caller: str) -> Iterator[None]:
        """A place for one stream. Raises TooManyStreams."""
        if self._callers.total() >= MOST_STREAMS or self._callers[caller] >= MOST_OF_A_CALLER:
            raise TooManyStreams
        self._callers[caller] += 1
        try:
            yield
        finally:
            self._callers[caller] -= 1
            if not self._callers[caller]:
                del self._callers[caller]

    async def follow(self, job_id: str, goes_on: Callable[[], bool]) -> AsyncIterator[StoredJob | None]:
        """The job now and after every change until it has ended or `goes_on` is false; None after a long silence."""
        said, said_at = None, time.monotonic()
        while goes_on():
            try:
                job = await self.look(job_id)
            except JobUnknown:  # forgotten meanwhile
                return
            seen = (job.state, job.progress)
            if seen != said:
                said, said_at = seen, time.monotonic()
                yield job
            elif time.monotonic() - said_at >= SILENCE_S:
                said_at = time.monotonic()
                yield None
            if job.state != "running":
                return
            await asyncio.sleep(TICK_S)

    async def look(self, job_id: str) -> StoredJob:
        """The job as it was at most LOOK_EVERY_S ago. Raises JobUnknown."""
        if self._jobs.is_own(job_id):
            return await self._jobs.get(job_id)
        now = time.monotonic()
        looked_at, look = self._looks.get(job_id, (0.0, None))
        if look is None or (look.done() and now - looked_at >= LOOK_EVERY_S):
            self._looks = {
                other: (at, task)
                for other, (at, task) in self._looks.items()
                if not task.done() or now - at < LOOK_EVERY_S
            }
            look = asyncio.create_task(self._jobs.get(job_id))
            self._looks[job_id] = (now, look)
        return await asyncio.shield(look)  # who leaves ends nobody else's look
