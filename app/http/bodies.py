"""How large a request's body may be, and by when it must have arrived.

A route says so itself: `takes_upload` marks those that take ECGs, `takes_at_most` those that take next to nothing;
every other body must be small. Plain ASGI, because streamed bodies are limited too, and nothing of a body that is too
large is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import BodyTimeout, BodyTooLarge

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

SMALL_BODY_BYTES = 64 * 2**10
"""For every route that does not say otherwise: what arrives there may be read before the key is looked at."""
_MARK = "max_body_bytes"
_ENDLESS = 2**63
"""Stands for a length that is none: larger than any limit."""


def takes_upload(endpoint: Endpoint) -> Endpoint:
    """Declares that a route takes bodies of up to the service's `max_body_bytes`. Stands below the route's own line."""
    vars(endpoint)[_MARK] = _ENDLESS
    return endpoint


def takes_at_most(max_bytes: int) -> Callable[[Endpoint], Endpoint]:
    """Declares a limit of the route's own. Stands below the route's own line."""

    def mark(endpoint: Endpoint) -> Endpoint:
        vars(endpoint)[_MARK] = max_bytes
        return endpoint

    return mark


def announced_bytes(headers: Headers) -> int | None:
    """What Content-Length says; None where there is none. A length that is no number counts as endless."""
    announced = headers.get("content-length")
    if announced is None:
        return None
    digits = announced.strip(" \t").lstrip("0") or "0"
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 19 else _ENDLESS


class BodyLimits:
    """Raises BodyTooLarge and BodyTimeout to whoever reads the body."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            receive = _LimitedBody(scope, receive, lambda: self._max_bytes(scope), self._timeout_s).receive
        await self._app(scope, receive, send)

    def _max_bytes(self, scope: Scope) -> int:
        """Known when the body is asked for: by then the router has written the endpoint into the scope."""
        return min(self._max_body_bytes, getattr(scope.get("endpoint"), _MARK, SMALL_BODY_BYTES))


class _LimitedBody:
    """A request's body: at most so many bytes, all there by a deadline."""

    def __init__(self, scope: Scope, receive: Receive, max_bytes: Callable[[], int], timeout_s: float) -> None:
        headers = Headers(scope=scope)
        announced = announced_bytes(headers)
        self._receive = receive
        self._max_bytes = max_bytes
        self._deadline = time.monotonic() + timeout_s
        self._announced = announced or 0
        self._received = 0
        self._complete = not announced and "transfer-encoding" not in headers

    async def receive(self) -> Message:
        if self._complete:  # what comes now is the end of the connection, and may take its time
            return await self._receive()
        max_bytes = self._max_bytes()
        if max(self._announced, self._received) > max_bytes:  # as announced: not a byte of it is read
            raise BodyTooLarge(max_bytes, of_upload=max_bytes > SMALL_BODY_BYTES)
        try:
            async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise BodyTimeout from None
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._received > max_bytes:
                raise BodyTooLarge(max_bytes, of_upload=max_bytes > SMALL_BODY_BYTES)
        return message
