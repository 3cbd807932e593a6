"""Answers that stay the same for long: written once, in a thread, however many ask for them at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

Written = TypeVar("Written")


class Kept(Generic[Written]):
    """One answer, until its key is another. Used on the event loop alone."""

    def __init__(self) -> None:
        self._key: object = None
        self._writing: asyncio.Task[Written] | None = None

    async def get(self, key: object, write: Callable[[], Written]) -> Written:
        """What `write` made for this key. Its exceptions are raised to those who wait, and the next one tries again."""
        if self._writing is None or self._key != key:
            self._key, self._writing = key, asyncio.create_task(asyncio.to_thread(write))
        writing = self._writing
        try:
            return await asyncio.shield(writing)  # a caller who leaves ends nobody else's waiting
        except Exception:
            if self._writing is writing:
                self._writing = None
            raise
