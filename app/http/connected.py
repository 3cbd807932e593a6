"""Work that is given up when its caller leaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

Result = TypeVar("Result")


async def while_connected(request: Request, work: Coroutine[Any, Any, Result], *, told: bool = False) -> Result:
    """`work`, given up when the caller leaves (ClientDisconnect), or sends a body that is too large or does not come
    (BodyTooLarge, BodyTimeout): what has not been read of it until now is dropped. told: where it ends all the same, as
    a change that is being written, its end counts, also when the service ends meanwhile."""
    answering = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_until_gone(request))
    tasks: Sequence[asyncio.Future[Any]] = (answering, leaving)
    try:
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if not (told and await _has_ended(answering)):
                raise
        if told:
            await _has_ended(answering)
        if answering.done() and not answering.cancelled():
            return answering.result()
        leaving.result()  # raises what the rest of the body was refused for
        raise ClientDisconnect
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A refusal knows this place, and this place its task: such a circle would keep an upload in memory.
        del answering, leaving, tasks, task


async def _has_ended(answering: asyncio.Future[Any]) -> bool:
    """Whether it has an end that counts, once it was given up."""
    answering.cancel()  # nothing happens where it has ended
    while not answering.done():
        with contextlib.suppress(asyncio.CancelledError):  # it ends soon, and what it has done must be told
            await asyncio.wait([answering])
    return not answering.cancelled()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
