"""Threads that callers take turns at."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from app.answering.admission import Admission
from app.answering.batcher import QueueFull
from app.answering.workers import FairThreads, GivenUp, Wanted


class Held:
    """Work that waits to be let go, and notes in which order it was begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go_on = threading.Event()

    def __call__(self, name: str):
        def work() -> str:
            self.begun.append(name)
            assert self.go_on.wait(5)
            return name

        return work


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def test_one_caller_never_has_all_threads():
    async def run() -> None:
        threads, held = FairThreads(3, name="t"), Held()
        flood = [asyncio.create_task(threads.run(held(f"flood {n}"), "flood")) for n in range(10)]
        await until(lambda: len(held.begun) == 2)
        await asyncio.sleep(0.05)
        assert (held.begun, threads.waiting) == (["flood 0", "flood 1"], 8)
        ward = asyncio.create_task(threads.run(held("ward"), "ward"))
        await until(lambda: "ward" in held.begun)
        held.go_on.set()
        assert await asyncio.gather(*flood, ward) == [f"flood {n}" for n in range(10)] + ["ward"]
        threads.close()

    asyncio.run(run())


def test_callers_take_turns_whoever_came_first():
    async def run() -> None:
        threads, held = FairThreads(1, name="t"), Held()
        first = asyncio.create_task(threads.run(held("first"), "flood"))
        await until(lambda: held.begun)
        others = [asyncio.create_task(threads.run(held(f"flood {n}"), "flood")) for n in range(3)]
        await asyncio.sleep(0)
        others += [asyncio.create_task(threads.run(held(f"ward {n}"), "ward")) for n in range(2)]
        await asyncio.sleep(0)
        held.go_on.set()
        await asyncio.gather(first, *others)
        assert held.begun == ["first", "flood 0", "ward 0", "flood 1", "ward 1", "flood 2"]
        threads.close()

    asyncio.run(run())


def test_what_is_given_up_while_it_waits_is_never_run_and_gives_its_turn_away():
    async def run() -> None:
        threads, held = FairThreads(1, name="t"), Held()
        first = asyncio.create_task(threads.run(held("first"), "a"))
        await until(lambda: held.begun)
        given_up = asyncio.create_task(threads.run(held("given up"), "b"))
        last = asyncio.create_task(threads.run(held("last"), "c"))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert threads.waiting == 1
        held.go_on.set()
        await asyncio.gather(first, last)
        assert held.begun == ["first", "last"]
        threads.close()

    asyncio.run(run())


def test_what_is_given_up_while_it_runs_keeps_its_thread_and_its_place_until_it_ends():
    """So whoever counts what lies in memory counts it until it is gone, though nobody waits for it any more."""

    async def run() -> None:
        threads, held, admission = FairThreads(1, name="t"), Held(), Admission(2, 10, lambda: 1)

        async def admitted() -> None:
            with admission.enter("a", 7):
                await threads.run(held("given up"), "a")

        given_up = asyncio.create_task(admitted())
        await until(lambda: held.begun)
        last = asyncio.create_task(threads.run(held("last"), "a"))
        for _ in range(3):  # by a time limit, by a caller who leaves, by a server that ends
            given_up.cancel()
            await asyncio.sleep(0.02)
        assert held.begun == ["given up"]
        with pytest.raises(QueueFull), admission.enter("b", 7):
            pass
        held.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        with admission.enter("b", 7):
            assert await last == "last"
        threads.close()

    asyncio.run(run())


def test_what_is_settled_is_told_though_it_was_given_up_and_the_rest_learns_of_it_and_ends():
    async def run() -> None:
        threads, held, settled, unsettled = FairThreads(3, name="t"), Held(), Wanted(), Wanted()

        def work(name: str, wanted: Wanted, *, settles: bool) -> str:
            if settles:
                wanted.settle()
            held(name)()
            wanted.go_on()
            return name

        asked = [
            asyncio.create_task(threads.run(lambda: work("settled", settled, settles=True), "a", wanted=settled)),
            asyncio.create_task(threads.run(lambda: work("not", unsettled, settles=False), "b", wanted=unsettled)),
        ]
        await until(lambda: len(held.begun) == 2)
        for one in asked * 2:
            one.cancel()
            await asyncio.sleep(0.01)
        held.go_on.set()
        assert await asked[0] == "settled"
        with pytest.raises(asyncio.CancelledError):
            await asked[1]
        with pytest.raises(GivenUp):
            unsettled.settle()
        threads.close()

    asyncio.run(run())


def test_an_error_after_it_was_settled_is_told_too():
    async def run() -> None:
        threads, held, wanted = FairThreads(1, name="t"), Held(), Wanted()

        def work() -> None:
            wanted.settle()
            held("work")()
            raise ZeroDivisionError

        asked = asyncio.create_task(threads.run(work, "a", wanted=wanted))
        await until(lambda: held.begun)
        asked.cancel()
        await asyncio.sleep(0.01)
        held.go_on.set()
        with pytest.raises(ZeroDivisionError):
            await asked
        threads.close()

    asyncio.run(run())


def test_what_is_given_up_in_the_moment_in_which_its_turn_comes_is_never_run():
    async def run() -> None:
        threads, held = FairThreads(1, name="t"), Held()
        first = asyncio.create_task(threads.run(held("first"), "a"))
        await until(lambda: held.begun)
        turns: list[str] = []
        waiting = [
            asyncio.create_task(
                threads.run(held(name), "b", wanted=Wanted(), when_begun=lambda n=name: turns.append(n))
            )
            for name in ("given up", "next")
        ]
        await asyncio.sleep(0.01)
        held.go_on.set()
        time.sleep(0.1)  # the thread is free, and the loop has not heard of it yet
        waiting[0].cancel()
        assert await first == "first"
        assert await waiting[1] == "next"
        assert held.begun == ["first", "next"]
        assert turns == ["next"]
        assert waiting[0].cancelled()
        threads.close()

    asyncio.run(run())


def test_what_asks_learns_that_its_threads_are_closed():
    async def run() -> None:
        threads, wanted, begun = FairThreads(1, name="t"), Wanted(), threading.Event()

        def work() -> None:
            begun.set()
            while True:
                time.sleep(0.001)
                wanted.go_on()

        asked = asyncio.create_task(threads.run(work, "a", wanted=wanted))
        await until(begun.is_set)
        threads.close()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asked, 5)

    asyncio.run(run())


def test_closing_keeps_nobody_waiting_for_what_was_never_begun():
    async def run() -> None:
        threads, held = FairThreads(1, name="t"), Held()
        first = asyncio.create_task(threads.run(held("first"), "a"))
        await until(lambda: held.begun)
        waiting = asyncio.create_task(threads.run(held("waiting"), "b"))
        await asyncio.sleep(0)
        threads.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        held.go_on.set()
        assert await first == "first"

    asyncio.run(run())


def test_all_threads_are_there_before_anybody_needs_one(monkeypatch):
    async def run() -> None:
        threads = FairThreads(3, name="t")
        with monkeypatch.context() as none_left:
            none_left.setattr(
                threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no more threads"))
            )
            assert await asyncio.gather(*(threads.run(lambda n=n: n, str(n)) for n in range(6))) == list(range(6))
        threads.close()
        for _ in range(4):  # and one that is closed gives up whatever is asked of it
            with pytest.raises(asyncio.CancelledError):
                await threads.run(lambda: 1, "a")

    asyncio.run(run())


def test_an_error_is_the_callers_and_the_thread_goes_on():
    async def run() -> None:
        threads = FairThreads(1, name="t")
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0, "a")
        assert await threads.run(lambda: 2, "a") == 2
        threads.close()

    asyncio.run(run())
