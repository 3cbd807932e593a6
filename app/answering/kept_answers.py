"""Answers that people go back to: kept in memory for a stated time, in a stated number of bytes, each for its owner.

An owner is a log-in or, without keys, one browser; nobody else learns that an answer is there. Nothing is written to
disk, and what is kept holds neither the upload nor its name.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from app.answering.admission import share_of
from ground.errors import Refusal

Kept = TypeVar("Kept")


class AnswerGone(Refusal):
    """It was never there, is another's, or its time is over: which of these is not told."""

    def __init__(self, minutes: float) -> None:
        super().__init__(
            "answer_gone",
            "This answer is not, or no longer, there for you.",
            hint=f"Answers are kept for {minutes:g} minutes, fewer where there are many, and only for the log-in or browser "
            "that they were given to: upload the ECG again.",
        )


@dataclass(frozen=True)
class _Place(Generic[Kept]):
    owner: str = field(repr=False)
    bytes: int
    ends: float
    what: Kept


class KeptAnswers(Generic[Kept]):
    """What was answered, by a name that cannot be guessed. Used on the event loop alone.

    When they are too many bytes the oldest go first: an owner's own where that owner has three quarters of the room,
    else anybody's.
    """

    def __init__(self, max_bytes: int, lifetime_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._lifetime_s = lifetime_s
        self._now = now
        self._places: OrderedDict[str, _Place[Kept]] = OrderedDict()  # the oldest first

    def keep(self, owner: str, what: Kept, n_bytes: int) -> str:
        """Its name, for `get`. What is larger than an owner's share is kept alone, if it fits at all."""
        self._drop_ended()
        while self._bytes(owner) + n_bytes > share_of(self._max_bytes) and self._bytes(owner):
            self._drop_oldest(owner)
        while self._bytes() + n_bytes > self._max_bytes and self._places:
            self._drop_oldest()
        name = secrets.token_urlsafe(16)
        if n_bytes <= self._max_bytes:
            self._places[name] = _Place(owner, n_bytes, self._now() + self._lifetime_s, what)
        return name

    def get(self, owner: str, name: str) -> Kept:
        """Raises AnswerGone."""
        self._drop_ended()
        place = self._places.get(name)
        if place is None or not secrets.compare_digest(place.owner, owner):
            raise AnswerGone(self._lifetime_s / 60)
        return place.what

    def forget(self, owner: str) -> None:
        """All of an owner's: it has logged out."""
        for name in [name for name, place in self._places.items() if place.owner == owner]:
            del self._places[name]

    def _bytes(self, owner: str | None = None) -> int:
        return sum(place.bytes for place in self._places.values() if owner is None or place.owner == owner)

    def _drop_oldest(self, owner: str | None = None) -> None:
        del self._places[next(name for name, place in self._places.items() if owner is None or place.owner == owner)]

    def _drop_ended(self) -> None:
        """All live equally long, so that the first to end are the first that were kept."""
        now = self._now()
        while self._places and (oldest := next(iter(self._places.values()))).ends <= now:
            assert oldest
            self._places.popitem(last=False)
