"""Log-ins on the page: a cookie value stands for a key."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Protocol

from ground.disk import sha256

SESSION_COOKIE = "echo2ecg_session"
SESSIONS_PER_KEY = 100
"""Browsers that one key may be logged in from; one more ends its oldest log-in, and never another key's."""


class HasId(Protocol):
    """What a log-in stands for: a key, by its id."""

    @property
    def id(self) -> str: ...


class Sessions:
    """Log-ins on the page: a random cookie value stands for a key id until it ends or the key is revoked."""

    def __init__(self, lifetime_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self.lifetime_s = lifetime_s
        self._now = now
        self._open: dict[str, tuple[str, float]] = {}

    def open(self, key: HasId) -> str:
        """A new cookie value for this key."""
        token, now = secrets.token_urlsafe(32), self._now()
        self._open = {kept: session for kept, session in self._open.items() if now < session[1]}
        own = [kept for kept, (key_id, _) in self._open.items() if key_id == key.id]
        for kept in own[: max(0, len(own) + 1 - SESSIONS_PER_KEY)]:  # in the order they were opened in
            del self._open[kept]
        self._open[_kept(token)] = (key.id, now + self.lifetime_s)
        return token

    def key_id(self, token: str) -> str | None:
        """The key id behind a cookie value, or None."""
        key_id, ends = self._open.get(_kept(token), ("", 0.0))
        return key_id if self._now() < ends else None

    def close(self, token: str) -> None:
        """Forget a log-in."""
        self._open.pop(_kept(token), None)


def _kept(token: str) -> str:
    """What is kept of a cookie value: who reads this process's memory learns no value that works."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
