"""What nobody expected, and a request that the server no longer waits for."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.http.defects import DefectsAsProblems


def answered(raised: BaseException, *, begun: bool = False) -> list[dict]:
    sent: list[dict] = []

    async def app(_scope, _receive, send):
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise raised

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "state": {"request_id": "0f"}}
    asyncio.run(DefectsAsProblems(app)(scope, None, send))
    return sent


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [(ZeroDivisionError("SECRET"), 500, "unexpected_error"), (asyncio.CancelledError(), 503, "draining")],
)
def test_the_answer_is_a_problem_like_any_other(raised, status, code):
    start, body = answered(raised)
    assert start["status"] == status
    problem = json.loads(body["body"])
    assert (problem["code"], problem["request_id"]) == (code, "0f")
    assert b"SECRET" not in body["body"]
    assert int(dict(start["headers"])[b"content-length"]) == len(body["body"])


@pytest.mark.parametrize("raised", [ZeroDivisionError(), asyncio.CancelledError()])
def test_an_answer_that_has_begun_is_not_begun_again(raised):
    assert [message["type"] for message in answered(raised, begun=True)] == ["http.response.start"]
