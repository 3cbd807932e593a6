"""Who is logged out or revoked while a request's body still comes, or it waits for its turn, has asked for nothing."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest
from wire import UPLOAD, everything

from app.access.keys import create_key, list_keys, revoke_key


@pytest.fixture
def keys_file(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture
def key(keys_file):
    create_key(keys_file, ("admin",), "who stays")
    return create_key(keys_file, ("query", "admin"), "who goes")


@pytest.fixture
def running(start_app, keys_file, key, tmp_path):
    with start_app(keys_file=keys_file, cohorts={"main": tmp_path / "cohort"}) as running:
        yield running


def form(running, **more):
    """The form for a key, as this browser would send it."""
    page = running.client.get("/admin").text
    once = re.search(r'name="once" autocomplete="off" value="([^"]*)"', page)[1]
    return urlencode({"once": once, "name": "left behind", "scope": "admin"} | more).encode()


def begun(running, path, body, headers):
    """A connection on which all of a request but its last byte was sent."""
    url = running.client.base_url
    connection = socket.create_connection((url.host, url.port), timeout=20)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {url.host}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    )
    connection.sendall(head.encode() + body[:-1])
    return connection


def revoke(running, keys_file):
    (gone,) = [one for one in list_keys(keys_file) if one.name == "who goes"]
    revoke_key(keys_file, gone.id)


def log_out_everywhere(running, _):
    assert running.client.post("/logout/everywhere").status_code == 303


@pytest.mark.parametrize("end", [revoke, log_out_everywhere])
@pytest.mark.parametrize("beside", ["", "X-API-Key: x\r\n", "Authorization: Bearer x\r\n"])
@pytest.mark.parametrize("what", ["a key", "a rebuild"])
def test_a_form_of_the_operators_page(running, keys_file, key, command, wait_until, what, end, beside):
    """`beside`: a header that opens nothing, such as a proxy may add to every request."""
    assert running.client.post("/admin/login", data={"key": key}).status_code == 303
    cookies = "; ".join(f"{name}={value}" for name, value in running.client.cookies.items())
    path, body = ("/admin/keys", form(running)) if what == "a key" else ("/admin/rebuild", b"source=main")
    headers = f"{beside}Cookie: {cookies}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    with begun(running, path, body, headers) as connection:
        wait_until(lambda: running.service.operating._inside.total() == 1)
        end(running, keys_file)
        there = [one.id for one in list_keys(keys_file)]
        connection.sendall(body[-1:])
        answer = everything(connection).decode()
    assert answer.startswith("HTTP/1.1 401 ")
    assert "Nothing was changed." in answer
    assert "who stays" not in answer, "the log-in form, and not the operator's page"
    assert [one.id for one in list_keys(keys_file)] == there
    assert not list((running.settings.index_dir / "jobs").glob("*.json"))


def test_an_ecg(running, keys_file, key, wait_until):
    body = UPLOAD.partition(b"\r\n\r\n")[2]
    headers = f"X-API-Key: {key}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    with begun(running, "/v1/search", body, headers) as connection:
        wait_until(lambda: running.service.admission._inside.total() == 1)
        revoke(running, keys_file)
        connection.sendall(body[-1:])
        assert everything(connection).startswith(b"HTTP/1.1 401 ")
    assert not running.bundle.batches


class HeldTurn:
    """The jobs' turn, which somebody else has until it is let go."""

    def __init__(self) -> None:
        self.go_on, self.asked = asyncio.Event(), threading.Event()

    async def __aenter__(self) -> None:
        self.asked.set()
        async with asyncio.timeout(20):
            while not self.go_on.is_set():
                await asyncio.sleep(0.01)

    async def __aexit__(self, *_: object) -> None:
        return


@pytest.mark.parametrize("end", [revoke, log_out_everywhere])
@pytest.mark.parametrize("path", ["/admin/rebuild", "/v1/index/rebuild", "/admin/jobs/{}/cancel", "/v1/jobs/{}"])
def test_a_rebuild_that_waits_to_be_started_or_cancelled(running, keys_file, key, command, monkeypatch, path, end):
    command.snippet = "import time; time.sleep(60)"
    client = running.client
    assert client.post("/admin/login", data={"key": key}).status_code == 303
    job = client.post("/v1/index/rebuild").json()["id"] if "{}" in path else ""
    jobs, turn = running.service.jobs, HeldTurn()
    there, path = jobs._changing, path.format(job)
    monkeypatch.setattr(jobs, "_changing", turn)
    with ThreadPoolExecutor(1) as threads:
        form = {"source": "main"} if path == "/admin/rebuild" else None
        asked = threads.submit(client.request, "DELETE" if path == f"/v1/jobs/{job}" else "POST", path, data=form)
        assert turn.asked.wait(10)
        end(running, keys_file)
        turn.go_on.set()
        assert asked.result().status_code == 401
    monkeypatch.setattr(jobs, "_changing", there)
    assert jobs.running == (job or None)
    assert len(command.cohorts) == (1 if job else 0)
