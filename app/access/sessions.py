"""Log-ins on the page: a cookie value stands for a key."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from ground.disk import sha256

MAX_SESSIONS = 1000


class HasId(Protocol):
    """What a log-in stands for: a key, by its id."""

    @property
    def id(self) -> str: ...


class Sessions:
    """Log-ins on the page: a random cookie value stands for a key id until it ends or the key is revoked."""

    def __init__(self, lifetime_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self.lifetime_s = lifetime_s
        self._now = now
        self._open: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def open(self, key: HasId) -> str:
        """A new cookie value for this key."""
        token = secrets.token_urlsafe(32)
        while len(self._open) >= MAX_SESSIONS:
            self._open.popitem(last=False)
        self._open[_kept(token)] = (key.id, self._now() + self.lifetime_s)
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
