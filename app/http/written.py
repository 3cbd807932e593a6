"""How answers are written to a connection that is about to end."""

from __future__ import annotations

import asyncio
import json
import weakref
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.http.headers import SECURITY_HEADERS
from app.http.problems import PROBLEM_TYPE, Problem


class Ending(Protocol):
    """A connection that can end in two ways."""

    transport: asyncio.Transport
    is_deaf: bool
    """Nothing more is taken from this caller, who may send all the same."""
    said_end: bool
    """Nothing more may be written."""

    def end_unread(self) -> None:
        """Say that nothing more will come, and take for a while what still does."""


class UntilRead:
    """A cycle's transport, which a caller who is still sending is not cut off from."""

    def __init__(self, protocol: Ending, cycle: RequestResponseCycle) -> None:
        # Each holding the other, a request and its headers would stay in memory until the rare search for such circles.
        self._protocol, self._cycle = protocol, weakref.ref(cycle)
        self.write = protocol.transport.write

    def is_closing(self) -> bool:
        return self._protocol.said_end or self._protocol.transport.is_closing()

    def close(self) -> None:
        """The answer is complete, or will never be."""
        cycle = self._cycle()
        if cycle is not None and cycle.response_complete and (cycle.more_body or self._protocol.is_deaf):
            self._protocol.end_unread()
        else:
            self._protocol.transport.close()


def answer_in_bytes(refusal: Problem, request_id: str) -> bytes:
    """The whole answer to a request that reached no route."""
    body = json.dumps(refusal.body(request_id)).encode()
    headers = SECURITY_HEADERS | {
        "Content-Type": PROBLEM_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Request-ID": request_id,
        "Connection": "close",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return STATUS_LINE[refusal.status_code] + lines.encode() + b"\r\n" + body
