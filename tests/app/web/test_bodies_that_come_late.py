"""Who is logged out or revoked while the body of a request still comes has asked for nothing: nothing is done."""

from __future__ import annotations

import re
import socket
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
