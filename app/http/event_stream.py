"""Server-sent events: an answer that goes on for as long as there is something to tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

EVENT_STREAM_TYPE = "text/event-stream"
STILL_HERE = ": still here\n\n"


class EventStream(StreamingResponse):
    """`events` as they come, each a whole text of `event_text` or STILL_HERE.

    `place` is entered when the answer begins, so that what it raises is answered as a problem, and left when the answer
    or its caller has gone.
    """

    media_type = EVENT_STREAM_TYPE

    def __init__(self, events: AsyncIterator[str], place: AbstractContextManager[None]) -> None:
        super().__init__(events, headers={"X-Accel-Buffering": "no"})  # a proxy must not wait for more
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            await super().__call__(scope, receive, send)


def event_text(name: str, data: str) -> str:
    """One event; `data` is one line, as JSON is."""
    return f"event: {name}\ndata: {data}\n\n"
