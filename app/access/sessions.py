"""Log-ins on the pages: a cookie value stands for a key."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
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
MOST_DROPPED = 200
"""Of those that have ended, by each log-in: a hundred thousand at once would hold everybody up."""


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
        self._open: OrderedDict[str, tuple[str, float]] = OrderedDict()  # the first to end first
        self._of_key: dict[str, dict[str, None]] = {}  # in the order they were opened in

    def open(self, key: HasId) -> str:
        """A new cookie value for this key. What it costs does not grow with how many log-ins there are."""
        now = self._now()
        for _ in range(MOST_DROPPED):
            if not self._open or self._open[first := next(iter(self._open))][1] > now:
                break
            self._drop(first)
        own = self._of_key.get(key.id, {})
        if len(own) >= SESSIONS_PER_KEY:
            self._drop(next(iter(own)))
        token = secrets.token_urlsafe(32)
        kept = hashed(token)
        self._open[kept] = (key.id, now + self.lifetime_s)
        self._of_key.setdefault(key.id, {})[kept] = None
        return token

    def key_id(self, token: str) -> str | None:
        """The key id behind a cookie value, or None."""
        key_id = self.glance(token)
        if key_id is not None and self._renewed:
            self._open[hashed(token)] = (key_id, self._now() + self.lifetime_s)
            self._open.move_to_end(hashed(token))
        return key_id

    def glance(self, token: str) -> str | None:
        """The same; nobody uses the log-in by asking so."""
        key_id, ends = self._open.get(hashed(token), ("", 0.0))
        return key_id if self._now() < ends else None

    def close(self, token: str) -> None:
        """Forget a log-in."""
        if (kept := hashed(token)) in self._open:
            self._drop(kept)

    def close_all(self, key_id: str) -> None:
        """Forget every log-in with a key, wherever its browsers are."""
        for kept in list(self._of_key.get(key_id, ())):
            self._drop(kept)

    def _drop(self, kept: str) -> None:
        key_id, _ = self._open.pop(kept)
        del self._of_key[key_id][kept]
        if not self._of_key[key_id]:  # keys come and go
            del self._of_key[key_id]


def hashed(token: str) -> str:
    """What is kept of a cookie value: who reads this process's memory learns no value that works."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
