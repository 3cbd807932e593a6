"""Rebuilds that are followed: few streams, one look at the disk for all of them, an end when the job has its own."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from app import job_streams
from app.job_files import StoredJob
from app.job_streams import MOST_OF_A_CALLER, MOST_STREAMS, JobStreams
from app.refusals import JobUnknown, TooManyStreams
from ground.progress import Step


class Jobs:
    """One job, told by the disk or by memory, and how often the disk was asked."""

    def __init__(self, *, own: bool) -> None:
        self.own = own
        self.job = StoredJob(id="ab" * 8, source="main", state="running", created_at=datetime.now(UTC))
        self.gone = False
        self.looks: list[float] = []

    def is_own(self, job_id: str) -> bool:
        return self.own

    async def get(self, job_id: str) -> StoredJob:
        self.looks.append(time.monotonic())
        await asyncio.sleep(0.01)
        if self.gone:
            raise JobUnknown
        return self.job.model_copy()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(job_streams, "TICK_S", 0.02)
    monkeypatch.setattr(job_streams, "LOOK_EVERY_S", 0.2)


async def everything(streams, jobs, goes_on=lambda: True):
    return [None if job is None else (job.state, job.progress.done) async for job in streams.follow("ab" * 8, goes_on)]


def test_each_change_is_told_once_and_the_end_ends_it():
    async def follow():
        jobs = Jobs(own=True)
        following = asyncio.create_task(everything(JobStreams(jobs), jobs))
        for done in (1, 1, 2):
            await asyncio.sleep(0.1)
            jobs.job.progress = Step(done, 2, "")
        await asyncio.sleep(0.1)
        jobs.job.state = "done"
        return await following

    assert asyncio.run(follow()) == [("running", 0), ("running", 1), ("running", 2), ("done", 2)]


def test_a_job_that_has_ended_is_told_once():
    jobs = Jobs(own=True)
    jobs.job.state = "failed"
    assert asyncio.run(everything(JobStreams(jobs), jobs)) == [("failed", 0)]


def test_all_streams_of_a_job_share_a_look_at_the_disk_and_one_who_leaves_ends_nobody_elses():
    async def follow():
        jobs = Jobs(own=False)
        streams = JobStreams(jobs)
        following = [asyncio.create_task(everything(streams, jobs)) for _ in range(20)]
        await asyncio.sleep(0.005)
        following[0].cancel()
        await asyncio.sleep(0.6)
        jobs.job.state = "done"
        ended = await asyncio.gather(*following[1:])
        assert following[0].cancelled()
        return jobs.looks, ended

    looks, ended = asyncio.run(follow())
    assert ended == [[("running", 0), ("done", 0)]] * 19
    assert all(later - earlier >= 0.19 for earlier, later in pairwise(looks)), looks


def test_silence_is_broken_by_a_sign_of_life(monkeypatch):
    monkeypatch.setattr(job_streams, "SILENCE_S", 0.1)

    async def follow():
        jobs = Jobs(own=True)
        following = asyncio.create_task(everything(JobStreams(jobs), jobs))
        await asyncio.sleep(0.5)
        jobs.job.state = "done"
        return await following

    told = asyncio.run(follow())
    assert (told[0], told[1], told[-1]) == (("running", 0), None, ("done", 0))
    assert 1 <= told.count(None) <= 5


def test_it_ends_with_the_service_with_its_key_and_with_its_job():
    async def until(stop):
        jobs = Jobs(own=False)
        on = True
        following = asyncio.create_task(everything(JobStreams(jobs), jobs, lambda: on))
        await asyncio.sleep(0.1)
        if stop == "job":
            jobs.gone = True
        else:
            on = False
        return await asyncio.wait_for(following, 5)

    assert asyncio.run(until("key")) == asyncio.run(until("job")) == [("running", 0)]


def test_nobody_has_all_places_and_places_are_given_back():
    streams = JobStreams(Jobs(own=True))
    with ExitStack() as mine:
        for _ in range(MOST_OF_A_CALLER):
            mine.enter_context(streams.enter("a"))
        with pytest.raises(TooManyStreams), streams.enter("a"):
            pass
        with streams.enter("b"):
            pass
    with ExitStack() as all_of_them:
        for number in range(MOST_STREAMS):
            all_of_them.enter_context(streams.enter(f"c{number}"))
        with pytest.raises(TooManyStreams), streams.enter("d"):
            pass
    with streams.enter("d"):
        pass
    assert not streams._callers
