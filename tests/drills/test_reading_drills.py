"""Harm done to the reading of uploads while a service runs: files that cost much, kills, stops, starvation, kill -9."""

from __future__ import annotations

import collections
import io
import os
import random
import resource
import signal
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from served import RECORD, TABLE, Served, multipart, serving

pytestmark = pytest.mark.drill

KILLS = 3 * int(os.environ.get("ECHO2ECG_DRILL_LOOPS", "20"))


@pytest.fixture
def service(tmp_path):
    with serving(tmp_path, reader_workers="1") as service:
        assert service.ask()[0] == 200
        yield service


def newline_zip(newlines: int = 60_000_000) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6\n" + b"\n" * newlines)
    return stream.getvalue()


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


class Beside:
    """Calls that go on in threads beside a block, and what came of them."""

    def __init__(self, threads: int, call) -> None:
        self.found: collections.Counter = collections.Counter()
        self._call, self._over = call, threading.Event()
        self._threads = [threading.Thread(target=self._go_on) for _ in range(threads)]

    def _go_on(self) -> None:
        while not self._over.is_set():
            self.found[self._call()] += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize(
    ("name", "body"),
    [("newlines in a zip", newline_zip()), ("newlines", b"I,II\n" + b"\n" * 30_000_000)],
    ids=["zip", "bare"],
)
def test_an_ordinary_query_is_answered_soon_beside_ten_clients_with_files_of_newlines(service, name, body):
    upload, headers = multipart(("a", body))
    (child,) = service.children
    before_mb = resident_mb(child)
    worst_mb = [0.0]

    def hostile() -> int:
        return service.request("POST", "/v1/search?rate_hz=500&unit=mV", upload, headers)[0]

    def watched() -> str:
        worst_mb[0] = max(worst_mb[0], resident_mb(child))
        time.sleep(0.01)
        return "watched"

    with Beside(10, hostile) as clients, Beside(1, watched):
        time.sleep(1.5)
        answers = [service.ask() for _ in range(5)]
    assert [status for status, _ in answers] == [200] * 5
    assert 422 in set(clients.found) <= {422, 429}  # 429: their bodies are more than one caller's share
    assert service.children == [child], "no file made it die"
    assert worst_mb[0] - before_mb < 200
    if name == "newlines in a zip":  # bare ones take their time to arrive
        assert max(seconds for _, seconds in answers) < 2.0


def test_children_killed_again_and_again_are_no_defect_and_leave_nothing_open(service):
    def ask() -> int:
        return service.ask()[0]

    before, draw = service.descriptors, random.Random(0)
    with Beside(4, ask) as clients:
        killed, end = 0, time.monotonic() + 120
        while killed < KILLS and time.monotonic() < end:
            for child in service.children:
                try:
                    os.kill(child, signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    continue
            time.sleep(draw.uniform(0.2, 1.2))
    assert killed >= KILLS
    assert set(clients.found) <= {200, 422, 503}, "422 is a child killed over a file"
    assert service.ask()[0] == 200
    end = time.monotonic() + 40  # connections of clients that went are closed by then
    while service.descriptors > before and time.monotonic() < end:
        time.sleep(0.5)
    assert service.descriptors <= before
    assert len(service.children) == 1


def test_a_stopped_and_a_starved_child_are_replaced(service):
    (child,) = service.children
    os.kill(child, signal.SIGSTOP)
    status, seconds = service.ask()
    assert status == 200
    assert seconds < 10
    (child,) = service.children
    resource.prlimit(child, resource.RLIMIT_AS, (120_000_000, 120_000_000))
    assert service.ask()[0] in (200, 422)
    assert service.ask()[0] == 200


def test_a_service_that_may_start_no_process_says_so_and_recovers(service):
    (child,) = service.children
    soft, hard = resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE)
    os.kill(child, signal.SIGKILL)
    while lives(child):
        time.sleep(0.01)
    # Room for the connection of one more client, and none for the pipes of a child.
    resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (service.descriptors + 1, hard))
    status, problem = service.search(TABLE)
    resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert (status, problem["code"]) == (503, "reader_unavailable")
    assert service.ask()[0] == 200


def test_nothing_of_an_upload_outlives_the_kill_of_a_service_and_its_restart(tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with (
        ThreadPoolExecutor(4) as clients,  # they end when the service has
        serving(tmp_path, reader_workers="1", temporary=temporary) as other,
        serving(tmp_path, reader_workers="2", temporary=temporary) as service,
    ):
        assert other.ask()[0] == 200
        mine = set(temporary.glob("echo2ecg-*"))
        children, end = service.children, time.monotonic() + 30
        asking = [clients.submit(ask_until_it_ends, service) for _ in range(4)]
        while not uploads_in(temporary) and time.monotonic() < end:
            pass
        service.process.kill()
        service.process.wait()
        for future in asking:
            future.result()
        assert set(temporary.glob("echo2ecg-*")) > mine, "what the kill left"
        time.sleep(1.0)
        assert not any(lives(child) for child in children)
        with serving(tmp_path, reader_workers="2", temporary=temporary) as again:
            assert set(temporary.glob("echo2ecg-*")) == mine, "the other service's is left alone"
            assert again.ask()[0] == 200
            assert uploads_in(temporary) == []
        assert other.ask()[0] == 200


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ask_until_it_ends(service: Served) -> None:
    while service.ask(*RECORD)[0]:  # which is read from files
        pass


def uploads_in(temporary: Path) -> list[Path]:
    found = []
    for folder, _, names in os.walk(temporary):  # which minds no folder that goes away meanwhile
        found += [Path(folder) / name for name in names]
    return found
