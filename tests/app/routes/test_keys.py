"""Keys over HTTP: told without their secrets, made within one's own scopes, taken back at once."""

from __future__ import annotations

import errno
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from wire import everything

from app.access import keys
from app.access.key_changes import make_key
from app.access.keys import create_key, list_keys
from ground.disk import locked


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture
def admin(file):
    return {"X-API-Key": create_key(file, ("query", "admin"), "operator")}


@pytest.fixture
def running(start_app, file, admin):
    with start_app(keys_file=file) as running:
        yield running


@pytest.fixture
def made_slowly(monkeypatch):
    """Keys wait for the event before they are made; the list says how many were begun."""
    go_on, begun = threading.Event(), []

    def slow(*given, **named):
        begun.append(1)
        assert go_on.wait(20)
        return make_key(*given, **named)

    monkeypatch.setattr("app.routes.keys.make_key", slow)
    return go_on, begun


@pytest.fixture
def ward(running, file):
    """The id of a key that somebody is logged in with."""
    assert running.client.post("/login", data={"key": create_key(file, ("query",), "ward")}).status_code == 303
    return list_keys(file)[-1].id


@pytest.fixture
def written_slowly(monkeypatch, running):
    """Writing the keys file waits for the first event, and sets the second when it begins."""
    go_on, begun, write = threading.Event(), threading.Event(), keys._write

    def slow(*given):
        begun.set()
        assert go_on.wait(20)
        write(*given)

    monkeypatch.setattr(keys, "_write", slow)
    return go_on, begun


def make(running, headers, **body):
    return running.client.post("/v1/keys", headers=headers, json={"name": "ward", "scopes": ["query"]} | body)


def test_a_key_is_made_told_once_used_and_taken_back(running, admin, file):
    made = make(running, admin, expires_in_days=30)
    assert made.status_code == 201
    secret, key_id = made.json()["key"], made.json()["id"]
    use = {"X-API-Key": secret}
    assert running.client.get("/v1/index", headers=use).status_code == 200
    listed = running.client.get("/v1/keys", headers=admin)
    assert listed.json()["enforced"]
    operator, ward = listed.json()["keys"]
    assert (ward["name"], ward["scopes"], ward["valid"]) == ("ward", ["query"], True)
    assert ward["last_used"] >= ward["created"] < ward["expires"]
    assert {"revoked", "sha256", "key"}.isdisjoint(ward)
    assert secret not in listed.text
    assert list_keys(file)[1].sha256 not in listed.text
    assert "last_used" in operator
    gone = running.client.delete(f"/v1/keys/{key_id}", headers=admin)
    assert (gone.status_code, gone.json()["valid"], "revoked" in gone.json()) == (200, False, True)
    assert running.client.get("/v1/index", headers=use).status_code == 401
    assert [one["valid"] for one in running.client.get("/v1/keys", headers=admin).json()["keys"]] == [True, False]
    assert running.client.delete(f"/v1/keys/{key_id}", headers=admin).status_code == 404


def test_a_keys_sessions_end_with_it(running, admin):
    made = make(running, admin).json()
    running.client.post("/login", data={"key": made["key"]})
    assert running.client.get("/v1/index").status_code == 200
    running.client.delete(f"/v1/keys/{made['id']}", headers=admin)
    assert running.client.get("/v1/index").status_code == 401
    assert not running.service.sessions._open


def test_the_asking_key_stays_and_gives_no_scope_that_it_lacks(running, admin, file):
    own = running.client.get("/v1/keys", headers=admin).json()["keys"][0]["id"]
    refused = running.client.delete(f"/v1/keys/{own}", headers=admin)
    assert (refused.status_code, refused.json()["code"]) == (409, "own_key")
    narrow = {"X-API-Key": make(running, admin, scopes=["admin"]).json()["key"]}
    refused = make(running, narrow)
    assert (refused.status_code, refused.json()["code"]) == (409, "scope_not_yours")
    assert len(list_keys(file)) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "a\nb"},
        {"scopes": []},
        {"scopes": ["root"]},
        {"expires_in_days": 0},
        {"expires_in_days": 10**9},
        {"id": "mine"},
    ],
)
def test_what_is_no_key_is_not_made(running, admin, file, wrong):
    assert make(running, admin, **wrong).json()["code"] == "invalid_parameter"
    assert len(list_keys(file)) == 1


def test_where_the_file_is_read_only_the_answer_has_the_command(running, admin, monkeypatch):
    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(keys, "locked", read_only)
    refused = make(running, admin, expires_in_days=7)
    assert (refused.status_code, refused.json()["code"]) == (409, "keys_read_only")
    assert refused.json()["command"] == "echo2ecg keys create --name ward --scope query --days 7"


def test_without_keys_nobody_makes_one_over_http(start_app):
    with start_app() as running:
        assert running.client.get("/v1/keys").json() == {"enforced": False, "keys": []}
        refused = make(running, {})
        assert (refused.status_code, refused.json()["code"]) == (409, "no_keys_file")


def test_changes_that_wait_for_each_other_keep_nobody_else_waiting_and_are_few(running, admin, made_slowly, wait_until):
    go_on, begun = made_slowly
    url = f"{running.client.base_url}/v1/keys"
    with ThreadPoolExecutor(16) as threads:
        body = {"name": "ward", "scopes": ["query"]}
        asked = [threads.submit(httpx.post, url, headers=admin, json=body, timeout=20) for _ in range(16)]
        wait_until(lambda: sum(one.done() for one in asked) == 4)
        assert [one.result().status_code for one in asked if one.done()] == [429] * 4, "three quarters of 16 wait"
        assert len(begun) == 1
        for path in ("/v1/studies/g0-s1", "/v1/index"):
            assert running.client.get(path, headers=admin).status_code == 200
        go_on.set()
        assert sorted(one.result().status_code for one in asked) == [201] * 12 + [429] * 4


def test_no_change_is_made_for_who_has_left_before_its_turn(running, admin, file, made_slowly, wait_until):
    go_on, begun = made_slowly
    url, body = f"{running.client.base_url}/v1/keys", {"name": "ward", "scopes": ["query"]}
    with ThreadPoolExecutor(6) as threads:
        asked = [threads.submit(httpx.post, url, headers=admin, json=body, timeout=0.7) for _ in range(6)]
        assert all(isinstance(one.exception(), httpx.ReadTimeout) for one in asked)
    wait_until(lambda: running.service.changing_keys.waiting == 0)
    go_on.set()
    wait_until(lambda: not running.service.operating._inside)
    assert len(begun) == 1
    assert len(list_keys(file)) == 1, "the one that had its turn waited for more, and found its caller gone"


def test_a_key_that_is_revoked_between_two_looks_asks_as_nobody_who_may_do_everything(running, admin, monkeypatch):
    asked_by, ring = [], running.service.keys
    known, looks = ring.glance, []

    def noted(*given, by, **named):
        asked_by.append(by)
        return make_key(*given, by=by, **named)

    def gone_at_the_second(key_id):
        looks.append(key_id)
        return known(key_id) if len(looks) == 1 else None

    monkeypatch.setattr("app.routes.keys.make_key", noted)
    monkeypatch.setattr(ring, "glance", gone_at_the_second)
    assert make(running, admin).status_code == 201
    assert [by.name for by in asked_by] == ["operator"]


def test_a_keys_file_that_has_not_changed_is_not_taken_apart_again(running, admin, monkeypatch):
    assert running.client.get("/v1/keys", headers=admin).status_code == 200
    monkeypatch.setattr(keys._KeysFile, "model_validate_json", lambda _: pytest.fail("taken apart again"))
    assert running.client.get("/v1/keys", headers=admin).status_code == 200
    assert running.client.delete("/v1/keys/nothing", headers=admin).status_code == 404


@pytest.mark.parametrize("left", [True, False])
def test_a_revocation_that_has_begun_is_told_and_ends_log_ins_whatever_becomes_of_its_request(
    running, admin, file, ward, written_slowly, wait_until, left
):
    """It is being written; its caller leaves, or sends a body that is too large."""
    go_on, begun = written_slowly
    url = running.client.base_url
    with socket.create_connection((url.host, url.port), timeout=20) as connection:
        head = f"DELETE /v1/keys/{ward} HTTP/1.1\r\nHost: {url.host}\r\nX-API-Key: {admin['X-API-Key']}\r\n"
        body = "Content-Length: 0" if left else "Transfer-Encoding: chunked"
        connection.sendall(f"{head}Connection: close\r\n{body}\r\n\r\n".encode())
        assert begun.wait(10)
        if not left:
            connection.sendall(b"%x\r\n" % 100_000 + b"x" * 100_000)
        if left:
            connection.close()
            time.sleep(0.2)
        go_on.set()
        if not left:
            assert everything(connection).startswith(b"HTTP/1.1 200 ")
    wait_until(lambda: not running.service.operating._inside)
    assert [key.name for key in list_keys(file)] == ["operator"]
    assert not running.service.sessions._open


def test_a_form_that_is_left_while_its_key_is_made_makes_no_second_one(
    running, admin, file, written_slowly, wait_until
):
    assert running.client.post("/admin/login", data={"key": admin["X-API-Key"]}).status_code == 303
    token = re.search(r'name="once" autocomplete="off" value="([^"]*)"', running.client.get("/admin").text)[1]
    go_on, begun = written_slowly
    form = {"name": "ward", "scope": "query", "once": token}
    with pytest.raises(httpx.ReadTimeout):
        running.client.post("/admin/keys", data=form, timeout=1.0)
    assert begun.is_set()
    go_on.set()
    wait_until(lambda: not running.service.operating._inside)
    again = running.client.post("/admin/keys", data=form)
    assert again.status_code == 409
    assert [key.name for key in list_keys(file)] == ["operator", "ward"]


def ended_while(start_app, file, admin, wait_until, until):
    """The status of a key that is asked for when a service ends that waits a second, once `until()` holds."""
    with ThreadPoolExecutor(1) as threads:
        with start_app(keys_file=file, drain_timeout_s=1.0) as running:
            body = {"name": "ward", "scopes": ["query"]}
            asked = threads.submit(
                httpx.post, f"{running.client.base_url}/v1/keys", headers=admin, json=body, timeout=20
            )
            wait_until(lambda: until(running))
        return asked.result().status_code


def test_a_key_that_waits_for_the_file_when_the_service_ends_is_not_made_and_one_that_is_written_is_told(
    start_app, file, admin, monkeypatch, wait_until
):
    with locked(file.with_name(f".{file.name}.lock"), wait_s=1, owned_as=file):
        status = ended_while(start_app, file, admin, wait_until, lambda running: running.service.changing_keys._running)
    assert (status, len(list_keys(file))) == (503, 1)
    begun, write = threading.Event(), keys._write

    def slow(*given):
        begun.set()
        time.sleep(2.0)
        write(*given)

    monkeypatch.setattr(keys, "_write", slow)
    status = ended_while(start_app, file, admin, wait_until, lambda _: begun.is_set())
    assert (status, len(list_keys(file))) == (201, 2)
