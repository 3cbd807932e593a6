"""What was refused lately, by reason: on whatever way somebody came, and about nobody."""

from __future__ import annotations

import socket

import httpx
import pytest

from app.access.keys import create_key


@pytest.fixture
def admin(tmp_path):
    return {"X-API-Key": create_key(tmp_path / "keys.json", ("query", "admin"), "operator")}


@pytest.fixture
def running(start_app, tmp_path, admin):
    with start_app(keys_file=tmp_path / "keys.json") as running:
        yield running


def test_refusals_are_counted_by_reason_and_about_nobody(running, admin):
    for _ in range(3):
        running.client.get("/v1/studies/SECRET-ID", headers=admin)
    running.client.get("/v1/index")
    told = running.client.get("/v1/refusals", headers=admin)
    assert "SECRET-ID" not in told.text
    most, *others = told.json()["refusals"]
    assert {name: most[name] for name in ("code", "method", "route", "count")} == {
        "code": "unknown_study",
        "method": "GET",
        "route": "/v1/studies/{study_id}",
        "count": 3,
    }
    assert [(one["code"], one["count"]) for one in others] == [("key_required", 1)]
    assert told.json()["minutes"] == 60


def test_the_page_and_what_never_became_a_request_are_counted_too(running, admin):
    running.client.post("/", files={"files": ("a", b"SECRET")}, headers=admin)
    running.client.post("/", files={"files": ("a", b"1")}, data={"k": "0"}, headers=admin)
    running.client.post("/", files={"files": ("a", b"1")})
    address = httpx.URL(str(running.client.base_url))
    with socket.create_connection((address.host, address.port)) as connection:
        connection.sendall(b"SECRET\r\n\r\n")
        connection.recv(1000)
    told = running.client.get("/v1/refusals", headers=admin)
    assert "SECRET" not in told.text
    assert {(one["method"], one["route"], one["code"]) for one in told.json()["refusals"]} == {
        ("POST", "/", "not_an_ecg"),
        ("POST", "/", "invalid_parameter"),
        ("POST", "/", "key_required"),
        ("other", "unmatched", "bad_request"),
    }
