"""How much may be in the service at once, and how much of it may be one caller's.

A caller is a key; without keys everybody is the same one. Nobody ever takes the last place: who floods the service, by
mistake or not, is told to come back later while others are still let in.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.answering.batcher import QueueFull


def share_of(whole: int) -> int:
    """The most that one caller takes of `whole`: three quarters and never all, unless there is only one."""
    return max(1, whole - max(1, whole // 4))


class Admission:
    """Counts ECGs and the bytes of their uploads, from before a body arrives until its answer. Event loop only."""

    def __init__(self, places: int, max_bytes: int, retry_after_s: Callable[[], int]) -> None:
        self._places = places
        self._max_bytes = max_bytes
        self._retry_after_s = retry_after_s
        self._inside: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    async def emptied(self) -> None:
        """Returns when nothing is inside."""
        while self._inside:
            await asyncio.sleep(0.02)

    @contextmanager
    def enter(self, caller: str, upload_bytes: int) -> Iterator[None]:
        """A place for one ECG. Raises QueueFull.

        An upload that is larger than a caller's share counts as that share, so that it is let in when nothing else of
        this caller is there.
        """
        upload_bytes = min(upload_bytes, share_of(self._max_bytes))
        full = (
            self._inside.total() >= self._places
            or self._inside[caller] >= share_of(self._places)
            or self._bytes.total() + upload_bytes > self._max_bytes
            or self._bytes[caller] + upload_bytes > share_of(self._max_bytes)
        )
        if full:
            raise QueueFull(self._retry_after_s())
        self._inside[caller] += 1
        self._bytes[caller] += upload_bytes
        try:
            yield
        finally:
            self._inside[caller] -= 1
            self._bytes[caller] -= upload_bytes
            if not self._inside[caller]:  # callers come and go
                del self._inside[caller], self._bytes[caller]
