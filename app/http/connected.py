"""Work that is given up when its caller leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

Result = TypeVar("Result")


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """`work`, given up when the caller leaves (ClientDisconnect).

    Call it when the body has been read: only then does the next message mean that the caller has gone.
    """
    answering = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_until_gone(request))
    tasks: Sequence[asyncio.Future[Any]] = (answering, leaving)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if answering in done:
            return answering.result()
        raise ClientDisconnect
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
