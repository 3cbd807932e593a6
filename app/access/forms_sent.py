"""Forms that may take effect once: each has a token of its own, and that of a form that was sent is remembered."""

from __future__ import annotations

import secrets
from collections import deque

MOST_SENT = 1000
"""So many are remembered; the oldest are forgotten first."""
TOKEN_LETTERS = 22
"""Of `secrets.token_urlsafe(16)`."""


class FormsSent:
    """Tokens of forms that were sent. Not for several threads."""

    def __init__(self, most: int = MOST_SENT) -> None:
        self._sent: deque[str] = deque(maxlen=most)

    @staticmethod
    def token() -> str:
        """A new one, for a form."""
        return secrets.token_urlsafe(16)

    def first(self, token: str) -> bool:
        """Whether no form with this token was sent before; from now on one was."""
        if token in self._sent:
            return False
        self._sent.append(token)
        return True

    def forget(self, token: str) -> None:
        """The form took no effect, so that it may be sent again."""
        if token in self._sent:
            self._sent.remove(token)
