"""What holds for every request, whatever its address: an id, limits on the body, headers, one log line, no leaks.

Plain ASGI, because it must also limit bodies that are streamed and see callers that leave.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import BodyTimeout, BodyTooLarge, Problem
from app.logs import where
from app.metrics import Metrics

log = structlog.get_logger(__name__)

CALLER_LEFT = 499
"""Only for our own log and counters: nobody is there to be answered."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser sends our own forms with `Origin: null`
    "Cross-Origin-Resource-Policy": "same-origin",
}


UPLOAD_PATHS = frozenset({"/", "/v1/search", "/v1/predict", "/v1/embed"})
SMALL_BODY_BYTES = 64 * 2**10
"""For every other address: what arrives there may be read before the key is looked at."""


class RequestFrame:
    """ASGI middleware around the whole application. Only UPLOAD_PATHS take bodies of up to `max_body_bytes`."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, body_timeout_s: float, metrics: Metrics) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = secrets.token_hex(8)
        max_bytes = self._max_body_bytes
        if scope["path"] not in UPLOAD_PATHS:
            max_bytes = min(max_bytes, SMALL_BODY_BYTES)
        body = _LimitedBody(scope, receive, max_bytes, self._body_timeout_s)
        reply = _Reply(send, state["request_id"])
        started = time.perf_counter()
        try:
            await self._app(scope, body.receive, reply.send)
        except ClientDisconnect:
            reply.status = CALLER_LEFT
        except Exception as error:
            log.error("unexpected_error", request_id=state["request_id"], **where(error))  # noqa: TRY400 - a traceback names paths
            await reply.problem(Problem("unexpected_error", "The service failed; its operator can look the id up."))
        finally:
            self._note(scope, state, reply.status, time.perf_counter() - started)

    def _note(self, scope: Scope, state: MutableMapping[str, Any], status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", "unmatched")
        self._metrics.observe_request(route, status, seconds)
        log.info(
            "request",
            request_id=state["request_id"],
            method=scope["method"],
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            **{name: state[name] for name in ("key_id", "upload_sha256", "code") if name in state},
        )


class _LimitedBody:
    """A request's body: at most so many bytes, all there by a deadline."""

    def __init__(self, scope: Scope, receive: Receive, max_bytes: int, timeout_s: float) -> None:
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        self._receive = receive
        self._max_bytes = max_bytes
        self._deadline = time.monotonic() + timeout_s
        self._received = int(announced) if announced.isdecimal() and int(announced) > max_bytes else 0
        self._complete = announced == "0" and "transfer-encoding" not in headers

    async def receive(self) -> Message:
        if self._complete:  # what comes now is the end of the connection, and may take its time
            return await self._receive()
        if self._received > self._max_bytes:  # as announced: not a byte of it is read
            raise BodyTooLarge(self._max_bytes)
        try:
            async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise BodyTimeout from None
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._received > self._max_bytes:
                raise BodyTooLarge(self._max_bytes)
        return message


class _Reply:
    """The response on its way out."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self._started = False
        self.status = CALLER_LEFT

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._request_id
            headers.setdefault("Cache-Control", "no-store")
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
        await self._send(message)

    async def problem(self, problem: Problem) -> None:
        if self._started:
            return
        content = json.dumps(problem.body(self._request_id)).encode()
        headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(content))]
        await self.send({"type": "http.response.start", "status": problem.status_code, "headers": headers})
        await self.send({"type": "http.response.body", "body": content})
