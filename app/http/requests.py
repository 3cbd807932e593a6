"""An id for every request, one log line and one count when it has been answered."""

from __future__ import annotations

import secrets
import time
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.metrics import Metrics
from app.recent_refusals import RecentRefusals

log = structlog.get_logger(__name__)

CALLER_LEFT = 499
"""Only for our own log and counters: nobody is there to be answered."""


class RequestLog:
    """Puts `request_id` into the request's state and into the answer's X-Request-ID.

    Routes may add to the state what the line shall say: `key_id`, `upload_sha256`, `code`.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, refusals: RecentRefusals) -> None:
        self._app = app
        self._metrics = metrics
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = secrets.token_hex(8)
        status = CALLER_LEFT

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                MutableHeaders(scope=message)["X-Request-ID"] = state["request_id"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = CALLER_LEFT
        finally:
            self._note(scope, state, status, time.perf_counter() - started)

    def _note(self, scope: Scope, state: MutableMapping[str, Any], status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", "unmatched")
        self._metrics.observe_request(route, status, seconds)
        if "code" in state:
            self._refusals.note(scope["method"], route, state["code"])
        log.info(
            "request",
            request_id=state["request_id"],
            method=scope["method"],
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            **{name: state[name] for name in ("key_id", "upload_sha256", "code") if name in state},
        )
