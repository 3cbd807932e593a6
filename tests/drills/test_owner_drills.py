"""Two servers on one index folder, and a generation that is away for a moment: over HTTP, against real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time

import pytest
from served import serving, start, write_random_index

from ground.progress import silent
from simulator.cohort import simulate_cohort

pytestmark = pytest.mark.drill


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohorts") / "invented"
    simulate_cohort(folder, patients=12, seed=3, workers=2, progress=silent)
    return folder


def wait_for_end(served, job_id: str) -> dict:
    end = time.monotonic() + 120
    while (job := served.request("GET", f"/v1/jobs/{job_id}")[1])["state"] == "running":
        assert time.monotonic() < end, job
        time.sleep(0.2)
    return job


@pytest.mark.parametrize("same_port", [True, False], ids=["the same port", "another port"])
def test_a_second_server_leaves_the_firsts_rebuild_alone(tmp_path, cohort, same_port):
    options = ("--cohort", f"invented={cohort}")
    with serving(tmp_path, *options) as first:
        status, job = first.request("POST", "/v1/index/rebuild")
        assert status == 202
        rebuilding = json.loads((tmp_path / "index" / "jobs" / f"{job['id']}.json").read_text())["pid"]
        os.kill(rebuilding, signal.SIGSTOP)  # however long the second server takes to start, it meets a running job
        if same_port:
            second = start(tmp_path, first.port, tmp_path / "second.log", *options)
            assert second.wait(60) != 0
        else:
            with serving(tmp_path, *options) as second:
                assert second.request("GET", f"/v1/jobs/{job['id']}")[1]["state"] == "running"
                status, problem = second.request("POST", "/v1/index/rebuild")
                assert (status, problem["code"], problem["job_id"]) == (409, "job_running", job["id"])
                status, problem = second.request("DELETE", f"/v1/jobs/{job['id']}")
                assert (status, problem["code"]) == (409, "job_elsewhere")
        os.kill(rebuilding, signal.SIGCONT)
        ended = wait_for_end(first, job["id"])
        assert (ended["state"], ended["report"]["skipped"]) == ("done", [])
        assert first.request("GET", "/v1/index")[1]["generation"] == "000002"


def test_the_job_of_a_server_that_was_killed_is_nobodys_and_the_next_rebuild_goes_on(tmp_path, cohort):
    options = ("--cohort", f"invented={cohort}")
    with serving(tmp_path, *options) as killed:
        _, job = killed.request("POST", "/v1/index/rebuild")
        end = time.monotonic() + 60
        while killed.request("GET", f"/v1/jobs/{job['id']}")[1]["progress"]["done"] < 8:
            assert time.monotonic() < end
            time.sleep(0.05)
        told = killed.request("GET", f"/v1/jobs/{job['id']}")[1]["progress"]["done"]
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
        with serving(tmp_path, *options) as second:
            assert second.request("GET", f"/v1/jobs/{job['id']}")[1]["state"] == "interrupted"
            status, again = second.request("POST", "/v1/index/rebuild")
            assert status == 202
            ended = wait_for_end(second, again["id"])
            assert ended["state"] == "done"
            assert ended["report"]["reused"] >= told


def test_a_generation_that_is_away_at_the_swap_is_served_when_it_is_back(tmp_path):
    with serving(tmp_path) as served:
        assert served.request("GET", "/v1/index")[1]["generation"] == "000001"
        elsewhere = shutil.copytree(served.index, tmp_path / "elsewhere")
        assert write_random_index(elsewhere, seed=1) == "000002"
        new = served.index / "generations" / "000002"
        shutil.copytree(elsewhere / "generations" / "000002", new)
        os.rename(new / "catalogue.sqlite", tmp_path / "away")
        shutil.copy(elsewhere / "CURRENT", served.index / "CURRENT.new")
        os.replace(served.index / "CURRENT.new", served.index / "CURRENT")
        time.sleep(3)
        assert served.request("GET", "/v1/index")[1]["generation"] == "000001"
        assert served.request("GET", "/readyz")[1]["degraded"]
        os.rename(tmp_path / "away", new / "catalogue.sqlite")
        end = time.monotonic() + 30
        while served.request("GET", "/v1/index")[1]["generation"] != "000002":
            assert time.monotonic() < end
            time.sleep(0.2)
        assert "degraded" not in served.request("GET", "/readyz")[1]
        refusals = [line for line in served.log.read_text().splitlines() if "refused" in json.loads(line)["event"]]
        assert len(refusals) <= 1
