"""A limit that uvicorn lacks: how long a connection may take to send a request's header."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class HeaderTimeoutProtocol(HttpToolsProtocol):
    """Closes a connection whose request header is not complete in time, counted from its first byte or connect."""

    header_timeout_s = 10.0

    @classmethod
    def with_timeout(cls, seconds: float) -> type[HeaderTimeoutProtocol]:
        """The class with another limit: uvicorn makes the instances."""
        return type(cls.__name__, (cls,), {"header_timeout_s": seconds})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._header_timer: asyncio.TimerHandle | None = None
        self._expect_header()

    def data_received(self, data: bytes) -> None:
        if self._header_timer is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_header()
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._stop_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _expect_header(self) -> None:
        self._header_timer = self.loop.call_later(self.header_timeout_s, self.transport.close)

    def _stop_timer(self, *_: Any) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
