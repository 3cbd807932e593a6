"""Answers that people go back to: kept in memory for a stated time, in a stated number of bytes, each for its owner.

An owner is a log-in or, without keys, one browser; nobody else learns that an answer is there. Nothing is written to
disk, and what is kept holds neither the upload nor its name.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter, OrderedDict
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
            "This answer is no longer there, or not for you.",
            hint=f"Answers are kept for {minutes:g} minutes, fewer where there are many, and only for the log-in or "
            "browser that they were given to: upload the ECG again.",
        )


@dataclass(frozen=True)
class _Place(Generic[Kept]):
    owner: str = field(repr=False)
    caller: str
    bytes: int
    ends: float
    what: Kept


class KeptAnswers(Generic[Kept]):
    """What was answered, by a name that cannot be guessed. Used on the event loop alone.

    An owner is who may see it again, a caller who takes the room: one caller may be the owner in many browsers. When
    they are too many bytes the oldest go first: a caller's own where that caller has three quarters of the room, else
    anybody's.
    """

    def __init__(self, max_bytes: int, lifetime_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._lifetime_s = lifetime_s
        self._now = now
        self._places: OrderedDict[str, _Place[Kept]] = OrderedDict()  # the oldest first
        self._of_caller: dict[str, OrderedDict[str, None]] = {}
        self._bytes: Counter[str] = Counter()

    def keep(self, owner: str, what: Kept, n_bytes: int, caller: str | None = None) -> str:
        """Its name, for `get`. What is larger than a caller's share is kept alone, if it fits at all.

        caller: the owner where it is not said.
        """
        self.drop_ended()
        name, caller = secrets.token_urlsafe(16), owner if caller is None else caller
        if n_bytes > self._max_bytes:
            return name
        while self._bytes[caller] + n_bytes > share_of(self._max_bytes) and self._bytes[caller]:
            self._drop(next(iter(self._of_caller[caller])))
        while self._bytes.total() + n_bytes > self._max_bytes:
            self._drop(next(iter(self._places)))
        self._places[name] = _Place(owner, caller, n_bytes, self._now() + self._lifetime_s, what)
        self._of_caller.setdefault(caller, OrderedDict())[name] = None
        self._bytes[caller] += n_bytes
        return name

    def get(self, owner: str, name: str) -> Kept:
        """Raises AnswerGone."""
        self.drop_ended()
        place = self._places.get(name)
        if place is None or not secrets.compare_digest(place.owner.encode(), owner.encode()):
            raise AnswerGone(self._lifetime_s / 60)
        return place.what

    def forget(self, owner: str) -> None:
        """All of an owner's: it has logged out."""
        for name in [name for name, place in self._places.items() if place.owner == owner]:
            self._drop(name)

    def forget_all_of(self, caller: str) -> None:
        """Whoever of its owners they were for: it has logged out everywhere, or may come in no more."""
        for name in list(self._of_caller.get(caller, ())):
            self._drop(name)

    def _drop(self, name: str) -> None:
        place = self._places.pop(name)
        del self._of_caller[place.caller][name]
        self._bytes[place.caller] -= place.bytes
        if not self._of_caller[place.caller]:  # callers come and go
            del self._of_caller[place.caller], self._bytes[place.caller]

    def drop_ended(self) -> None:
        """To be called now and then, or the last ones would stay until somebody asks.

        All live equally long, so that the first to end are the first that were kept.
        """
        now = self._now()
        while self._places and self._places[name := next(iter(self._places))].ends <= now:
            self._drop(name)
