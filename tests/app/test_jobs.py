"""Rebuilds as jobs: one at a time, in their own process, remembered on disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.job_files import load_job
from app.jobs import rebuild_command
from ground.progress import Failure, parse_line
from index.rebuild import MOST_SKIPPED_TOLD, RebuildReport, SkippedView

SLEEPS = """
import json, sys, time
print(json.dumps({"done": 3, "total": 9, "message": "s3"}), flush=True)
time.sleep(60)
"""
FAILS = """
import json
print("not json")
print(json.dumps({"error": "There is no space left for a new index generation."}), flush=True)
raise SystemExit(1)
"""
SUCCEEDS = """
import json
print(json.dumps({"done": 1, "total": 1, "message": ""}))
print(json.dumps({"report": {"studies": 20}}), flush=True)
"""

REPORTS_AND_LINGERS = (
    SUCCEEDS
    + """
import time
time.sleep(60)
"""
)


@pytest.fixture
def running(start_app, tmp_path):
    with start_app(cohorts={"main": tmp_path / "cohort"}) as running:
        yield running


def ended(running, job_id):
    job = running.client.get(f"/v1/jobs/{job_id}").json()
    return None if job["state"] == "running" else job


def start(running, **body):
    response = running.client.post("/v1/index/rebuild", **({"json": body} if body else {}))
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"/v1/jobs/{response.json()['id']}"
    return response.json()["id"]


def test_a_job_that_ends_well_says_so_with_its_report(running, command, tmp_path, wait_until):
    command.snippet = SUCCEEDS
    job_id = start(running, source="main")
    wait_until(lambda: ended(running, job_id))
    job = ended(running, job_id)
    assert (job["state"], job["report"], job["source"]) == ("done", {"studies": 20}, "main")
    assert job["progress"] == {"done": 1, "total": 1, "message": ""}
    assert job["ended_at"] >= job["created_at"]
    assert command.cohorts == [tmp_path / "cohort"]


def test_what_is_kept_of_a_job_is_for_the_servers_own_eyes_and_no_answer_waits_for_its_disk(
    running, command, index_dir, wait_until, monkeypatch
):
    monkeypatch.setattr("ground.disk.os.fsync", lambda _: pytest.fail("the event loop waited for the disk"))
    command.snippet = SUCCEEDS
    job_id = start(running, source="main")
    wait_until(lambda: ended(running, job_id))
    assert (index_dir / "jobs" / f"{job_id}.json").stat().st_mode & 0o777 == 0o600


def test_the_new_generation_is_served_when_the_job_reads_done(
    running, command, index_dir, wait_until, write_generation, monkeypatch
):
    command.snippet = "import sys; sys.stdin.read()"
    monkeypatch.setattr(running.service.retriever, "refresh", refresh := Counted(running.service.retriever.refresh))
    write_generation(index_dir, seed=1)
    job_id = start(running)
    wait_until(lambda: ended(running, job_id))
    assert refresh.calls
    assert running.client.get("/v1/index").json()["generation"] == "000002"
    assert running.search(1).json()["neighbours"][0]["study_id"].startswith("g1-")


class Counted:
    def __init__(self, call):
        self._call, self.calls = call, 0

    def __call__(self):
        self.calls += 1
        return self._call()


def test_a_generation_written_from_outside_is_served_too(running, index_dir, wait_until, write_generation):
    write_generation(index_dir, seed=3)
    wait_until(lambda: running.client.get("/v1/index").json()["generation"] == "000002")


def test_of_many_rebuilds_at_once_exactly_one_runs_and_the_others_name_it(running, command, wait_until):
    command.snippet = SLEEPS
    with ThreadPoolExecutor(10) as pool:
        responses = list(pool.map(lambda _: running.client.post("/v1/index/rebuild"), range(20)))
    statuses = sorted(response.status_code for response in responses)
    assert statuses == [202] + [409] * 19
    job_id = next(response.json()["id"] for response in responses if response.status_code == 202)
    refused = [response.json() for response in responses if response.status_code == 409]
    assert {problem["code"] for problem in refused} == {"job_running"}
    assert {problem["job_id"] for problem in refused} == {job_id}
    assert running.client.get("/v1/index").json()["running_job"] == job_id
    running.client.delete(f"/v1/jobs/{job_id}")


def test_a_running_job_tells_its_progress_and_can_be_cancelled(running, command, wait_until):
    command.snippet = SLEEPS
    job_id = start(running)
    wait_until(lambda: running.client.get(f"/v1/jobs/{job_id}").json()["progress"]["done"] == 3)
    pid = running.service.jobs._process.pid
    cancelled = running.client.delete(f"/v1/jobs/{job_id}")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    again = running.client.delete(f"/v1/jobs/{job_id}")
    assert (again.status_code, again.json()["code"]) == (409, "job_ended")
    command.snippet = SUCCEEDS
    start(running)


@pytest.mark.parametrize("how", ["cancelled", "killed"])
def test_a_job_whose_generation_is_published_is_done_however_it_is_ended(running, command, wait_until, how):
    command.snippet = REPORTS_AND_LINGERS
    job_id = start(running)
    wait_until(lambda: running.service.jobs._job.report)
    assert "report" not in running.client.get(f"/v1/jobs/{job_id}").json(), "it has not ended"
    if how == "cancelled":
        assert running.client.delete(f"/v1/jobs/{job_id}").json()["state"] == "done"
    else:
        os.kill(running.service.jobs._process.pid, signal.SIGKILL)
        wait_until(lambda: ended(running, job_id))
    job = ended(running, job_id)
    assert (job["state"], job["report"], job.get("problem")) == ("done", {"studies": 20}, None)


def test_a_body_that_gives_a_name_twice_is_refused(running):
    body = b'{"source": "elsewhere", "source": "main"}'
    response = running.client.post("/v1/index/rebuild", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["detail"]) == (422, "A name in the body comes twice.")


def test_what_else_lies_among_the_jobs_is_no_job(running, command, wait_until, index_dir, tmp_path):
    command.snippet = SUCCEEDS
    job_id = start(running)
    wait_until(lambda: ended(running, job_id))
    jobs = index_dir / "jobs"
    ours = (jobs / f"{job_id}.json").read_text()
    (jobs / f"{job_id}-copy.json").write_text(ours.replace('"done"', '"running"'))
    outside = tmp_path / "outside.json"
    (jobs / "ab12ab12ab12ab12.json").write_text(
        ours.replace(job_id, f"../../{outside.stem}").replace('"done"', '"running"')
    )
    os.mkfifo(jobs / "cd12cd12cd12cd12.json")
    asked = [running.client.get(f"/v1/jobs/{name}12{name}12{name}12{name}12", timeout=5) for name in ("ab", "cd")]
    assert [answer.status_code for answer in asked] == [404, 404]
    start(running)
    assert ended(running, job_id)["state"] == "done"
    assert (jobs / f"{job_id}.json").read_text() == ours
    assert not list(index_dir.parent.rglob("outside.json"))


def test_a_clock_that_goes_back_costs_no_running_job_its_file(running, command, index_dir, wait_until):
    command.snippet = SLEEPS
    (index_dir / "jobs").mkdir(exist_ok=True)
    for number in range(60):
        later = index_dir / "jobs" / f"{number:016x}.json"
        later.write_text("{}")
        os.utime(later, (4e9, 4e9))
    job_id = start(running)
    assert (index_dir / "jobs" / f"{job_id}.json").exists()
    assert len(list((index_dir / "jobs").glob("*.json"))) <= 51
    running.client.delete(f"/v1/jobs/{job_id}")


def test_a_failed_job_says_why_and_the_index_is_served_on(running, command, wait_until):
    command.snippet = FAILS
    job_id = start(running)
    wait_until(lambda: ended(running, job_id))
    job = ended(running, job_id)
    assert (job["state"], job["problem"]) == ("failed", "There is no space left for a new index generation.")
    assert running.search(1).status_code == 200


def test_a_source_is_a_name_from_the_settings_and_never_a_path(running, tmp_path):
    for source in ("other", str(tmp_path / "cohort"), "../cohort"):
        response = running.client.post("/v1/index/rebuild", json={"source": source})
        assert (response.status_code, response.json()["code"]) == (422, "unknown_source")
        assert str(tmp_path) not in response.text
        assert "main" in response.json()["hint"]


def test_with_several_sources_one_must_be_named(start_app, tmp_path, command):
    command.snippet = SUCCEEDS
    with start_app(cohorts={"a": tmp_path / "a", "b": tmp_path / "b"}) as running:
        assert running.client.post("/v1/index/rebuild").status_code == 422
        start(running, source="b")
        assert command.cohorts == [tmp_path / "b"]


@pytest.mark.parametrize("job_id", ["0" * 16, "x", "..", "%2e%2e%2fsecret", "0" * 15 + "G"])
def test_an_unknown_job_is_404(running, job_id):
    assert running.client.get(f"/v1/jobs/{job_id}").status_code == 404
    assert running.client.delete(f"/v1/jobs/{job_id}").status_code in (404, 405)


def test_a_body_that_is_not_json_is_422_without_an_echo(running):
    response = running.client.post(
        "/v1/index/rebuild", content=b'{"source": SECRET', headers={"content-type": "application/json"}
    )
    assert response.status_code == 422
    assert "SECRET" not in response.text


def test_an_index_folder_that_cannot_be_written_refuses_the_rebuild_and_serves_on(running, monkeypatch):
    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("ground.disk.tempfile.mkstemp", read_only)
    response = running.client.post("/v1/index/rebuild")
    assert (response.status_code, response.json()["code"]) == (503, "index_read_only")
    assert running.search(1).status_code == 200
    assert running.client.get("/readyz").status_code == 200


def test_the_job_is_the_rebuild_itself_and_no_command_of_ours():
    line = rebuild_command(Path("/b"), Path("/i"), "cpu")(Path("/c"))
    assert line[:4] == [sys.executable, "-P", "-m", "index.rebuild"]
    options = dict(zip(line[4::2], line[5::2], strict=True))
    assert options == {"--bundle": "/b", "--cohort": "/c", "--index": "/i", "--device": "cpu"}


def test_a_rebuild_that_cannot_be_done_says_why_and_names_no_path_of_the_server(tmp_path):
    bundle = Path(__file__).parents[2] / "bundles" / "demo"
    (tmp_path / "cohort").mkdir()
    for bundle_dir in (bundle, tmp_path / "nothing"):
        line = rebuild_command(bundle_dir, tmp_path / "index", "cpu")(tmp_path / "cohort")
        done = subprocess.run(line, capture_output=True, timeout=120)
        assert done.returncode == 1, done.stderr
        failure = parse_line(done.stdout.splitlines()[-1])
        assert isinstance(failure, Failure)
        assert str(tmp_path) not in failure.sentence
        assert b"Traceback" not in done.stderr


def test_a_job_of_an_earlier_version_is_still_read(start_app, index_dir):
    """Its file, as it was written before a job had a record of its own."""
    job = {
        "id": "0123456789abcdef",
        "source": "main",
        "state": "done",
        "created_at": "2026-01-01T00:00:00Z",
        "ended_at": "2026-01-01T00:01:00Z",
        "progress": {"done": 9, "total": 9, "message": "Writing generation 000001"},
        "report": {"studies": 20, "skipped": []},
        "problem": None,
        "pid": None,
        "pid_started": None,
    }
    (index_dir / "jobs").mkdir()
    (index_dir / "jobs" / f"{job['id']}.json").write_text(json.dumps(job, indent=2))
    shown = {name: value for name, value in job.items() if value is not None}
    with start_app() as running:
        assert running.client.get(f"/v1/jobs/{job['id']}").json() == shown


@pytest.mark.parametrize("moment", ["2026-01-01T00:00:00", "0001-01-01T00:00:00", "yesterday"])
def test_a_file_among_the_jobs_without_a_moment_counts_for_nothing(start_app, index_dir, moment):
    job = {"id": "0123456789abcdef", "source": "main", "state": "done", "created_at": moment}
    (index_dir / "jobs").mkdir()
    (index_dir / "jobs" / f"{job['id']}.json").write_text(json.dumps(job))
    with start_app() as running:
        assert running.client.get("/v1/jobs").json() == {"jobs": []}
        assert running.client.get("/admin").status_code == 200


def test_a_job_ends_and_makes_room_when_its_output_or_the_swap_goes_wrong(running, command, wait_until, monkeypatch):
    monkeypatch.setattr("app.jobs.LINE_BYTES", 1000)
    command.snippet = "import time; print('x' * 100_000, flush=True); time.sleep(60)"
    job_id = start(running)
    wait_until(lambda: ended(running, job_id))
    assert ended(running, job_id)["state"] == "failed"

    async def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(running.service.jobs, "_when_done", broken)
    command.snippet = SUCCEEDS
    job_id = start(running)
    wait_until(lambda: ended(running, job_id))
    assert ended(running, job_id)["state"] == "done"
    assert "could not turn to it" in ended(running, job_id)["problem"]
    start(running)


def test_a_job_that_could_not_be_started_leaves_nothing_that_reads_running(running, monkeypatch, index_dir):
    async def refuse(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("app.jobs.asyncio.create_subprocess_exec", refuse)
    assert running.client.post("/v1/index/rebuild").json()["code"] == "job_not_started"
    assert not list((index_dir / "jobs").glob("*.json"))


def test_queries_go_on_while_a_job_runs(running, command):
    command.snippet = SLEEPS
    job_id = start(running)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(running.search(1).status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 8
    running.client.delete(f"/v1/jobs/{job_id}")


def test_a_job_is_told_of_few_of_many_skipped_clips_and_of_their_number():
    skipped = tuple(SkippedView(f"s{i}", "v", "It is damaged.") for i in range(MOST_SKIPPED_TOLD + 5))
    report = RebuildReport("000001", "b", 1, 1, 1, 0, skipped, 1.0)
    assert len(report.to_dict()["skipped"]) == report.in_short()["skipped_in_all"] == len(skipped)
    assert len(report.in_short()["skipped"]) == MOST_SKIPPED_TOLD


def test_a_job_that_has_ended_is_read_once_for_all_lists_and_again_when_its_file_has_changed(
    running, command, index_dir, wait_until, monkeypatch
):
    command.snippet = SUCCEEDS
    ids = [start(running)]
    wait_until(lambda: ended(running, ids[0]))
    ids.append(start(running))  # the first is no longer known without its file
    wait_until(lambda: ended(running, ids[1]))
    read = []
    monkeypatch.setattr("app.jobs.load_job", lambda path: read.append(path.stem) or load_job(path))
    listed = [running.client.get("/v1/jobs").json() for _ in range(3)]
    assert listed[0] == listed[1] == listed[2]
    assert [job["id"] for job in listed[0]["jobs"]] == ids[::-1]
    assert sorted(read) == sorted(ids)

    file = index_dir / "jobs" / f"{ids[0]}.json"
    file.write_text(file.read_text().replace('"done"', '"failed"'))
    again = running.client.get("/v1/jobs").json()["jobs"]
    assert [job["state"] for job in again] == ["done", "failed"]
    file.unlink()
    assert [job["id"] for job in running.client.get("/v1/jobs").json()["jobs"]] == ids[1:]
