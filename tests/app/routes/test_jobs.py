"""Rebuilds as the operator sees them: a list, and one as it goes on."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from itertools import islice

import httpx
import pytest

from app.access.keys import create_key, list_keys, revoke_key
from app.job_streams import MOST_OF_A_CALLER
from app.jobs import RebuildJobs

SLEEPS = "import time; time.sleep(60)"
TELLS = """
import json, time
for done in range(1, 4):
    print(json.dumps({"done": done, "total": 3, "message": ""}), flush=True)
    time.sleep(0.6)
print(json.dumps({"report": {"studies": 3}}), flush=True)
"""


@pytest.fixture
def running(start_app, tmp_path):
    with start_app(cohorts={"main": tmp_path / "cohort"}) as running:
        yield running


def start(running, **headers):
    response = running.client.post("/v1/index/rebuild", headers=headers)
    assert response.status_code == 202, response.text
    return response.json()["id"]


def events(lines):
    """(name, data) of each event, and None for a comment."""
    name = None
    for line in lines:
        if line.startswith(":"):
            yield None
        elif line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_jobs_are_listed_newest_first_without_what_is_long(running, command, wait_until):
    assert running.client.get("/v1/jobs").json() == {"jobs": []}
    command.snippet = 'print(\'{"report": {"studies": 1}}\')'
    ids = []
    for _ in range(3):
        ids.append(start(running))
        wait_until(lambda: running.client.get(f"/v1/jobs/{ids[-1]}").json()["state"] == "done")
    jobs = running.client.get("/v1/jobs").json()["jobs"]
    assert [job["id"] for job in jobs] == ids[::-1]
    assert {job["state"] for job in jobs} == {"done"}
    assert all({"report", "pid"}.isdisjoint(job) for job in jobs)
    assert "report" in running.client.get(f"/v1/jobs/{ids[0]}").json()


def test_a_running_job_is_listed_as_it_is_and_what_is_no_job_is_not(running, command, index_dir):
    command.snippet = SLEEPS
    job_id = start(running)
    (index_dir / "jobs" / "copy.json").write_text((index_dir / "jobs" / f"{job_id}.json").read_text())
    (index_dir / "jobs" / f"{'ab' * 8}.json").write_text("{")
    (job,) = running.client.get("/v1/jobs").json()["jobs"]
    assert (job["id"], job["state"]) == (job_id, "running")


def test_a_job_is_followed_to_its_end(running, command):
    command.snippet = TELLS
    job_id = start(running)
    with running.client.stream("GET", f"/v1/jobs/{job_id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        told = list(events(response.iter_lines()))
    assert [name for name, _ in told] == ["progress"] * (len(told) - 1) + ["end"]
    assert {job["progress"]["done"] for _, job in told} >= {1, 2, 3}
    assert (told[-1][1]["state"], "report" in told[-1][1]) == ("done", False)
    again = running.client.get(f"/v1/jobs/{job_id}/events").text
    assert list(events(again.splitlines())) == [told[-1]]


def test_an_unknown_job_is_not_followed(running):
    refused = running.client.get(f"/v1/jobs/{'ab' * 8}/events")
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_job")


def test_one_caller_follows_so_many_and_who_leaves_gives_the_place_back(running, command, wait_until):
    command.snippet = SLEEPS
    address = f"/v1/jobs/{start(running)}/events"
    with ExitStack() as open_streams:
        kept = []  # httpx ends a stream whose lines nobody holds any more
        for _ in range(MOST_OF_A_CALLER):
            kept.append(open_streams.enter_context(running.client.stream("GET", address)).iter_lines())
            assert next(kept[-1]) == "event: progress"
        refused = running.client.get(address)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        assert "retry-after" in refused.headers
    wait_until(lambda: not running.service.job_streams._callers)
    with running.client.stream("GET", address) as response:
        assert response.status_code == 200


def test_a_service_that_ends_waits_for_no_stream(start_app, command, tmp_path):
    command.snippet = SLEEPS
    told = []

    def follow(client, address):
        with client.stream("GET", address) as response:
            told.extend(response.iter_lines())

    with start_app(cohorts={"main": tmp_path}) as running:
        following = threading.Thread(target=follow, args=(running.client, f"/v1/jobs/{start(running)}/events"))
        following.start()
        running.service.draining = True
        following.join(10)
        assert not following.is_alive()


def test_a_revoked_keys_stream_ends(start_app, command, tmp_path):
    command.snippet = SLEEPS
    file = tmp_path / "keys.json"
    secret = create_key(file, ("admin",), "operator")
    create_key(file, ("admin",), "other")
    with start_app(cohorts={"main": tmp_path}, keys_file=file) as running:
        key = {"X-API-Key": secret}
        with running.client.stream("GET", f"/v1/jobs/{start(running, **key)}/events", headers=key) as response:
            lines = response.iter_lines()
            assert next(lines) == "event: progress"
            revoke_key(file, list_keys(file)[0].id)
            assert "event: end" not in list(lines)


def test_only_an_admin_key_sees_jobs(start_app, tmp_path):
    file = tmp_path / "keys.json"
    secret = create_key(file, ("query",), "ward")
    with start_app(keys_file=file) as running:
        for address in ("/v1/jobs", f"/v1/jobs/{'ab' * 8}/events", "/v1/keys", "/v1/refusals"):
            assert running.client.get(address).status_code == 401
            refused = running.client.get(address, headers={"X-API-Key": secret})
            assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


@pytest.mark.parametrize("path", ["/v1/jobs", f"/v1/jobs/{'0' * 16}"])
def test_who_reads_jobs_takes_operators_places_and_leaves_some(running, monkeypatch, path):
    go_on, jobs, really = threading.Event(), running.service.jobs, RebuildJobs.get

    async def slowly(*_: object) -> list[object]:
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        return [] if path == "/v1/jobs" else await really(jobs, "no")

    monkeypatch.setattr(jobs, "newest", slowly)
    monkeypatch.setattr(jobs, "get", slowly)
    url = f"{running.client.base_url}{path}"
    with ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(httpx.get, url, timeout=20) for _ in range(16)]
        refused = [one.result().status_code for one in islice(as_completed(asked), 4)]
        assert refused == [429] * 4
        assert running.client.get("/healthz").status_code == 200
        go_on.set()
        answers = Counter(one.result().status_code for one in asked)
    assert answers == {429: 4, 200 if path == "/v1/jobs" else 404: 12}
