"""Log-ins on the pages: a cookie value stands for a key."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Protocol

from ground.disk import sha256

SESSION_COOKIE = "echo2ecg_session"
ADMIN_COOKIE = "echo2ecg_admin"
"""Of the operator's pages: a session of its own, which the other one never becomes."""
BROWSER_COOKIE = "echo2ecg_browser"
"""Without keys: which browser an answer was given to. Nothing else hangs on it."""
OWN_COOKIES = (SESSION_COOKIE, ADMIN_COOKIE, BROWSER_COOKIE)
"""All that is read of a request's cookies."""
ADMIN_IDLE_S = 15 * 60.0
SESSIONS_PER_KEY = 100
"""Browsers that one key may be logged in from; one more ends its oldest log-in, and never another key's."""


class HasId(Protocol):
    """What a log-in stands for: a key, by its id."""

    @property
    def id(self) -> str: ...


class Sessions:
    """A random cookie value stands for a key id until it ends, or its key is revoked or expired.

    It ends `lifetime_s` after the log-in; with `renewed`, so long after its last use.
    """

    def __init__(self, lifetime_s: float, *, renewed: bool = False, now: Callable[[], float] = time.monotonic) -> None:
        self.lifetime_s = lifetime_s
        self._renewed = renewed
        self._now = now
        self._open: dict[str, tuple[str, float]] = {}

    def open(self, key: HasId) -> str:
        """A new cookie value for this key."""
        token, now = secrets.token_urlsafe(32), self._now()
        self._open = {kept: session for kept, session in self._open.items() if now < session[1]}
        own = [kept for kept, (key_id, _) in self._open.items() if key_id == key.id]
        for kept in own[: max(0, len(own) + 1 - SESSIONS_PER_KEY)]:  # in the order they were opened in
            del self._open[kept]
        self._open[hashed(token)] = (key.id, now + self.lifetime_s)
        return token

    def key_id(self, token: str) -> str | None:
        """The key id behind a cookie value, or None."""
        key_id = self.glance(token)
        if key_id is not None and self._renewed:
            self._open[hashed(token)] = (key_id, self._now() + self.lifetime_s)
        return key_id

    def glance(self, token: str) -> str | None:
        """The same; nobody uses the log-in by asking so."""
        key_id, ends = self._open.get(hashed(token), ("", 0.0))
        return key_id if self._now() < ends else None

    def close(self, token: str) -> None:
        """Forget a log-in."""
        self._open.pop(hashed(token), None)

    def close_all(self, key_id: str) -> None:
        """Forget every log-in with a key, wherever its browsers are."""
        self._open = {kept: session for kept, session in self._open.items() if session[0] != key_id}


def hashed(token: str) -> str:
    """What is kept of a cookie value: who reads this process's memory learns no value that works."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
