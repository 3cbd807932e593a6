"""The batcher with a plain function: what goes together, what is refused, what is dropped."""

from __future__ import annotations

import asyncio
import threading

import pytest

from app.answering.batcher import Batcher, BatcherClosed, QueueFull


class Lane:
    """Notes every batch, and holds the lane until told to go on."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go_on = threading.Event()
        self.started = threading.Event()
        self.at_once = 0

    def __call__(self, items):
        self.at_once += 1
        assert self.at_once == 1, "one batch at a time"
        self.batches.append(list(items))
        self.started.set()
        assert self.go_on.wait(5)
        self.at_once -= 1
        return [item * 10 for item in items]


@pytest.fixture
def lane():
    return Lane()


@pytest.fixture
def make_batcher(lane):
    made = []

    def make(**options):
        made.append(Batcher(lane, **({"max_batch": 4, "queue_size": 8} | options)))
        return made[-1]

    yield make
    lane.go_on.set()
    for batcher in made:
        batcher.close()


async def started(lane):
    assert await asyncio.to_thread(lane.started.wait, 5)


async def submit_many(batcher, items):
    tasks = [asyncio.create_task(batcher.submit(item)) for item in items]
    await asyncio.sleep(0)  # every task has run up to its queueing
    return tasks


def test_a_lone_item_goes_at_once_and_alone(make_batcher, lane):
    lane.go_on.set()
    result, waited_s = asyncio.run(make_batcher().submit(7))
    assert result == 70
    assert waited_s < 1
    assert lane.batches == [[7]]


def test_what_waits_when_the_lane_is_free_goes_together(make_batcher, lane):
    async def run():
        batcher = make_batcher()
        first = await submit_many(batcher, [1])
        await started(lane)
        rest = await submit_many(batcher, [2, 3, 4])
        lane.go_on.set()
        return [result for result, _ in await asyncio.gather(*first, *rest)]

    assert asyncio.run(run()) == [10, 20, 30, 40]
    assert lane.batches == [[1], [2, 3, 4]]


def test_max_batch_is_a_hard_cap(make_batcher, lane):
    async def run():
        batcher = make_batcher(max_batch=3)
        tasks = await submit_many(batcher, [0])
        await started(lane)
        tasks += await submit_many(batcher, [1, 2, 3, 4, 5, 6, 7])
        lane.go_on.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())
    assert lane.batches == [[0], [1, 2, 3], [4, 5, 6], [7]]


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(make_batcher, lane):
    async def run():
        batcher = make_batcher(queue_size=2)
        tasks = await submit_many(batcher, [0])
        await started(lane)
        tasks += await submit_many(batcher, [1, 2])
        assert batcher.waiting == 2
        with pytest.raises(QueueFull) as refused:
            await batcher.submit(3)
        assert refused.value.retry_after_s >= 1
        lane.go_on.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())
    assert lane.batches == [[0], [1, 2]]


def test_a_caller_that_left_is_dropped_and_makes_room(make_batcher, lane):
    async def run():
        batcher = make_batcher(queue_size=2)
        first = await submit_many(batcher, [0])
        await started(lane)
        gone, stays = await submit_many(batcher, [1, 2])
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert batcher.waiting == 1
        late = await submit_many(batcher, [3])
        lane.go_on.set()
        await asyncio.gather(*first, stays, *late)

    asyncio.run(run())
    assert lane.batches == [[0], [2, 3]]


def test_a_failing_batch_fails_its_callers_and_nobody_else():
    def work(items):
        if 13 in items:
            raise ValueError("unlucky")
        return items

    async def run():
        batcher = Batcher(work, max_batch=4, queue_size=8)
        with pytest.raises(ValueError, match="unlucky"):
            await batcher.submit(13)
        result, _ = await batcher.submit(14)
        batcher.close()
        return result

    assert asyncio.run(run()) == 14


def test_the_heart_beats_while_idle_and_stops_with_the_thread(make_batcher):
    batcher = make_batcher()
    assert batcher.silent_s < 5
    batcher.close()
    assert batcher.silent_s == float("inf")


def test_a_closed_batcher_takes_nothing_and_cancels_what_waits(make_batcher, lane):
    async def run():
        batcher = make_batcher()
        first = await submit_many(batcher, [0])
        await started(lane)
        waiting = await submit_many(batcher, [1])
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        await asyncio.gather(*waiting, return_exceptions=True)
        assert waiting[0].cancelled()
        lane.go_on.set()
        await asyncio.gather(closing, *first)
        with pytest.raises(BatcherClosed):
            await batcher.submit(2)

    asyncio.run(run())
    assert lane.batches == [[0]]
