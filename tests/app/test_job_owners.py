"""Whose a job is: servers that share an index folder, servers that died, and what each may do with the other's job."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.refusals import JobUnknown

SLEEPS = "import time; time.sleep(60)"


@pytest.fixture
def running(start_app, tmp_path):
    with start_app(cohorts={"main": tmp_path / "cohort"}) as running:
        yield running


def start(running):
    response = running.client.post("/v1/index/rebuild")
    assert response.status_code == 202, response.text
    return response.json()["id"]


def state(running, job_id):
    return running.client.get(f"/v1/jobs/{job_id}").json()["state"]


def test_stopping_the_server_interrupts_its_job_and_ends_the_process(start_app, command, tmp_path, wait_until):
    command.snippet = SLEEPS
    with start_app(cohorts={"main": tmp_path}) as running:
        job_id = start(running)
        pid = running.service.jobs._process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with start_app() as running:
        assert state(running, job_id) == "interrupted"


def test_a_job_left_by_a_crash_reads_interrupted_and_its_process_is_gone(start_app, index_dir, tmp_path):
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        job = {
            "id": "ab" * 8,
            "source": "main",
            "state": "running",
            "created_at": "2026-01-01T00:00:00Z",
            "progress": {},
            "pid": orphan.pid,
            "pid_started": int(Path(f"/proc/{orphan.pid}/stat").read_text().rsplit(")", 1)[1].split()[19]),
        }
        (index_dir / "jobs").mkdir()
        (index_dir / "jobs" / f"{job['id']}.json").write_text(json.dumps(job))
        with start_app(cohorts={"main": tmp_path}) as running:
            assert orphan.wait(10) == -signal.SIGKILL
            answer = running.client.get(f"/v1/jobs/{job['id']}").json()
            assert answer["state"] == "interrupted"
            assert "pid" not in answer
    finally:
        orphan.kill()
        orphan.wait()


OWNER = """
import asyncio, sys
from pathlib import Path
from app.jobs import RebuildJobs

async def run():
    async def nothing(): ...
    jobs = RebuildJobs(Path(sys.argv[1]), lambda cohort: [sys.executable, "-c", sys.argv[2]], nothing)
    job = await jobs.start("main", Path("cohort"))
    print("job", job.id, job.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(run())
"""


@pytest.fixture
def other_server(index_dir):
    """A process that owns a running job, as another container on the same volume would; the job's id and process."""
    program = [sys.executable, "-c", OWNER, str(index_dir / "jobs"), SLEEPS]
    owner = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    _, job_id, rebuild = next(line for line in owner.stdout if line.startswith("job ")).split()  # a log comes before
    try:
        yield owner, job_id, int(rebuild)
    finally:
        owner.kill()
        owner.communicate()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(rebuild), signal.SIGKILL)


def test_a_second_server_leaves_the_job_of_the_first_alone_shows_it_and_names_it(
    other_server, start_app, tmp_path, index_dir
):
    owner, job_id, rebuild = other_server
    with start_app(cohorts={"main": tmp_path}) as second:
        refused = second.client.post("/v1/index/rebuild")
        assert (refused.status_code, refused.json()["code"], refused.json()["job_id"]) == (409, "job_running", job_id)
        assert second.client.get(f"/v1/jobs/{job_id}").json()["state"] == "running"
        assert second.client.get("/v1/index").json()["running_job"] == job_id
        cancelled = second.client.delete(f"/v1/jobs/{job_id}")
        assert (cancelled.status_code, cancelled.json()["code"]) == (409, "job_elsewhere")
        assert "Another server" in cancelled.json()["detail"]
    assert owner.poll() is None
    os.kill(rebuild, 0)
    assert [json.loads(path.read_text())["state"] for path in (index_dir / "jobs").glob("*.json")] == ["running"]


@pytest.mark.parametrize("met_by", ["asking for it", "another rebuild", "cancelling it", "starting"])
def test_a_killed_servers_job_is_interrupted_by_whoever_meets_it_and_its_process_ended(
    other_server, start_app, tmp_path, command, met_by, wait_until
):
    """The rebuild outlives its server and must not keep the lock."""
    owner, job_id, rebuild = other_server
    command.snippet = SLEEPS
    if met_by == "starting":
        owner.kill()
        owner.wait()
    with start_app(cohorts={"main": tmp_path}) as second:
        if met_by != "starting":
            owner.kill()
            owner.wait()
            os.kill(rebuild, 0)
        if met_by == "another rebuild":
            start(second)
        elif met_by == "cancelling it":
            assert second.client.delete(f"/v1/jobs/{job_id}").json()["code"] == "job_ended"
        assert second.client.get(f"/v1/jobs/{job_id}").json()["state"] == "interrupted"
        wait_until(lambda: not is_running(rebuild))


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_of_many_servers_asked_at_once_exactly_one_rebuilds(start_app, tmp_path, command, index_dir):
    command.snippet = SLEEPS
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(start_app(cohorts={"main": tmp_path})) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda server: server.client.post("/v1/index/rebuild"), servers))
        assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
        job_id = next(answer.json()["id"] for answer in answers if answer.status_code == 202)
        assert {answer.json().get("job_id", job_id) for answer in answers} == {job_id}
    assert len(list((index_dir / "jobs").glob("*.json"))) == 1


def test_locks_do_not_pile_up_and_an_ended_job_holds_none(running, command, index_dir, wait_until, monkeypatch):
    monkeypatch.setattr("app.jobs.KEPT_JOBS", 2)
    command.snippet = ""
    for _ in range(4):
        job_id = start(running)
        wait_until(lambda job_id=job_id: state(running, job_id) == "done")
    assert sorted(path.suffix for path in (index_dir / "jobs").iterdir()) == ["", ".json", ".json"]
    assert "running_job" not in running.client.get("/v1/index").json()


def test_another_process_with_a_reused_number_is_left_alone(start_app, index_dir):
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        job = {"id": "cd" * 8, "source": "main", "state": "running", "created_at": "2026-01-01T00:00:00Z"}
        (index_dir / "jobs").mkdir()
        stored = job | {"progress": {}, "pid": bystander.pid, "pid_started": 1}
        (index_dir / "jobs" / f"{job['id']}.json").write_text(json.dumps(stored))
        with start_app() as running:
            assert running.client.get(f"/v1/jobs/{job['id']}").json()["state"] == "interrupted"
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_newer_versions_job_is_nobodys_leftover(start_app, index_dir):
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        started = int(Path(f"/proc/{bystander.pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
        job = {"id": "ef" * 8, "source": "main", "state": "running", "created_at": "2026-01-01T00:00:00Z"}
        stored = job | {"schema_version": 2, "pid": bystander.pid, "pid_started": started}
        (index_dir / "jobs").mkdir()
        file = index_dir / "jobs" / f"{job['id']}.json"
        file.write_text(json.dumps(stored))
        with start_app() as running:
            assert running.client.get(f"/v1/jobs/{job['id']}").status_code == 404
        assert bystander.poll() is None
        assert json.loads(file.read_text()) == stored
    finally:
        bystander.kill()
        bystander.wait()


def test_one_operator_leaves_room_for_another_to_start_or_end_a_rebuild(running, monkeypatch):
    """Each may wait for seconds, as while another server's job holds the folder's lock."""

    async def slow(*_: object) -> None:
        await asyncio.sleep(1.5)
        raise JobUnknown

    monkeypatch.setattr(running.service.jobs, "cancel", slow)
    url = f"{running.client.base_url}/v1/jobs/{'0' * 16}"
    with ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(httpx.delete, url, timeout=20) for _ in range(16)]
        assert sorted(one.result().status_code for one in asked) == [404] * 12 + [429] * 4
