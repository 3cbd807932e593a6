"""What nobody expected: one log line for us, and an answer that tells nothing of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import PROBLEM_TYPE, Problem, problem_of
from app.logs import where
from app.refusals import NotReady

log = structlog.get_logger(__name__)


class DefectsAsProblems:
    """An exception that no handler knows becomes a 500, unless the answer has begun. Needs the state's `request_id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except ClientDisconnect:
            raise
        except asyncio.CancelledError:  # the server ends and waits no longer: nothing follows for this task
            if not begun:
                await _send_problem(send, problem_of(NotReady("draining")), scope["state"])
        except Exception as error:
            request_id = scope["state"]["request_id"]
            log.error("unexpected_error", request_id=request_id, **where(error))  # noqa: TRY400 - a traceback names paths
            if not begun:
                problem = Problem("unexpected_error", "The service failed; its operator can look the id up.")
                await _send_problem(send, problem, scope["state"])


async def _send_problem(send: Send, problem: Problem, state: MutableMapping[str, Any]) -> None:
    state["code"] = problem.code
    content = json.dumps(problem.body(state["request_id"])).encode()
    headers = [(b"content-type", PROBLEM_TYPE.encode()), (b"content-length", b"%d" % len(content))]
    headers += [(name.lower().encode(), value.encode()) for name, value in (problem.headers or {}).items()]
    await send({"type": "http.response.start", "status": problem.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": content})
