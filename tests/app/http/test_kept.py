"""What stays the same is written once, however many ask, and again where it failed or is another."""

from __future__ import annotations

import asyncio
import threading

import pytest

from app.http.kept import Kept


def test_many_who_ask_at_once_wait_for_one_writing():
    written, go_on = [], threading.Event()

    def write():
        go_on.wait()
        written.append(1)
        return len(written)

    async def ask():
        kept = Kept()
        asking = [asyncio.create_task(kept.get("a", write)) for _ in range(20)]
        await asyncio.sleep(0.05)
        asking[0].cancel()
        go_on.set()
        assert await asyncio.gather(*asking[1:]) == [1] * 19
        assert asking[0].cancelled()
        assert await kept.get("a", write) == 1
        assert await kept.get("b", write) == 2

    asyncio.run(ask())


def test_what_failed_is_tried_again():
    answers = iter([ValueError("no"), "yes"])

    def write():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask():
        kept = Kept()
        with pytest.raises(ValueError, match="no"):
            await kept.get("a", write)
        assert await kept.get("a", write) == "yes"

    asyncio.run(ask())
