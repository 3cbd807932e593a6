"""The session of the operator's pages: an admin key's alone, beside the other one, closed here or everywhere."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app.access.keys import create_key, list_keys, revoke_key
from app.access.sessions import ADMIN_COOKIE, SESSION_COOKIE, Sessions
from app.http.dependencies import require_admin_page
from app.http.problems import Forbidden, Unauthorised


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture
def query(file):
    return create_key(file, ("query",), "ward")


@pytest.fixture
def both(file):
    return create_key(file, ("query", "admin"), "operator")


@pytest.fixture
def running(start_app, file, query, both):
    with start_app(keys_file=file) as running:
        yield running


def log_in(running, key, **headers):
    return running.client.post("/admin/login", data={"key": key}, headers=headers)


def test_only_an_admin_key_opens_it(running, query, both):
    for key, problem in ((query, "scope admin"), ("e2e_wrong", "not valid")):
        refused = log_in(running, key)
        assert refused.status_code == 401
        assert problem in refused.text
        assert "set-cookie" not in refused.headers
    opened = log_in(running, both)
    assert (opened.status_code, opened.headers["location"]) == (303, "/admin?logged_in=true")
    cookie = opened.headers["set-cookie"]
    assert cookie.startswith(f"{ADMIN_COOKIE}=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert both not in cookie


def test_a_refused_log_in_is_counted_among_the_recent_refusals(running, query, both):
    for key in (query, "e2e_wrong"):
        log_in(running, key)
    log_in(running, both)
    told = running.client.get("/v1/refusals").json()["refusals"]
    assert {(one["code"], one["route"], one["count"]) for one in told} == {
        ("scope_missing", "/admin/login", 1),
        ("key_wrong", "/admin/login", 1),
    }


def test_it_carries_admin_and_not_query_and_the_other_session_the_reverse(running, both):
    log_in(running, both)
    assert running.client.get("/v1/jobs").status_code == 200
    assert running.client.get("/v1/index").status_code == 401
    running.client.cookies.clear()
    running.client.post("/login", data={"key": both})
    assert running.client.get("/v1/index").status_code == 200
    assert running.client.get("/v1/jobs").status_code == 403
    log_in(running, both)
    assert [running.client.get(path).status_code for path in ("/v1/index", "/v1/jobs")] == [200, 200]


def test_a_cookie_under_the_other_name_is_worth_nothing(running, both):
    running.client.post("/login", data={"key": both})
    token = running.client.cookies[SESSION_COOKIE]
    running.client.cookies.clear()
    running.client.cookies.set(ADMIN_COOKIE, token)
    assert running.client.get("/v1/jobs").status_code == 401


def test_another_sites_page_writes_nothing_with_it(running, both, file):
    assert log_in(running, both, Origin="http://elsewhere.example").status_code == 403
    log_in(running, both)
    body = {"name": "x", "scopes": ["query"]}
    for headers in ({"Origin": "http://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert running.client.post("/v1/keys", json=body, headers=headers).json()["code"] == "cross_site"
        for path in ("/admin/logout", "/logout/everywhere"):
            assert running.client.post(path, headers=headers).status_code == 403
    assert len(list_keys(file)) == 2
    assert running.client.get("/v1/jobs").status_code == 200


def test_a_header_counts_before_a_session(running, query, both):
    log_in(running, both)
    assert running.client.get("/v1/jobs", headers={"X-API-Key": query}).status_code == 403


def test_log_out_ends_it_also_for_who_kept_the_cookie(running, both):
    log_in(running, both)
    kept = running.client.cookies[ADMIN_COOKIE]
    assert running.client.post("/admin/logout").status_code == 303
    assert ADMIN_COOKIE not in running.client.cookies
    running.client.cookies.set(ADMIN_COOKIE, kept)
    assert running.client.get("/v1/jobs").status_code == 401


def test_log_out_everywhere_ends_both_kinds_in_every_browser_and_nobody_elses(running, query, both):
    running.client.post("/login", data={"key": query})
    other = running.client.cookies[SESSION_COOKIE]
    running.client.cookies.clear()
    elsewhere = []
    for path, cookie in (("/login", SESSION_COOKIE), ("/admin/login", ADMIN_COOKIE)):
        running.client.post(path, data={"key": both})
        elsewhere.append((cookie, running.client.cookies[cookie]))
        running.client.cookies.clear()
    running.client.post("/login", data={"key": both})
    assert running.client.post("/logout/everywhere").status_code == 303
    assert not running.client.cookies
    for (cookie, token), path in zip(elsewhere, ("/v1/index", "/v1/jobs"), strict=True):
        running.client.cookies.clear()
        running.client.cookies.set(cookie, token)
        assert running.client.get(path).status_code == 401
    running.client.cookies.clear()
    running.client.cookies.set(SESSION_COOKIE, other)
    assert running.client.get("/v1/index").status_code == 200


def test_it_ends_with_its_key_and_after_idle_minutes(running, both, file):
    now_s = 0.0
    running.service.admin_sessions = Sessions(
        running.service.admin_sessions.lifetime_s, renewed=True, now=lambda: now_s
    )
    log_in(running, both)
    for _ in range(3):
        now_s += 14 * 60
        assert running.client.get("/v1/jobs").status_code == 200
    now_s += 15 * 60
    assert running.client.get("/v1/jobs").status_code == 401
    log_in(running, both)
    revoke_key(file, next(key.id for key in list_keys(file) if key.name == "operator"))
    assert running.client.get("/v1/jobs").status_code == 401


def asking(service, **headers):
    cookies = {ADMIN_COOKIE: headers.pop("token")} if "token" in headers else {}
    host = {"host": "127.0.0.1"}
    return SimpleNamespace(headers=host | headers, cookies=cookies, method="POST", state=SimpleNamespace())


def test_a_page_knows_its_operator_or_says_that_the_log_in_is_due(running, both):
    service = running.service
    log_in(running, both)
    request = asking(service, token=running.client.cookies[ADMIN_COOKIE])
    key = require_admin_page(request, service)
    assert (key.name, key.scopes, request.state.key_id) == ("operator", ("admin",), key.id)
    with pytest.raises(Unauthorised):
        require_admin_page(asking(service), service)
    with pytest.raises(Forbidden):
        require_admin_page(asking(service, **{"sec-fetch-site": "cross-site"}), service)


def test_without_keys_the_page_is_this_machines_own(start_app):
    with start_app() as running:
        assert require_admin_page(asking(running.service), running.service) is None
        with pytest.raises(Forbidden):
            require_admin_page(asking(running.service, host="elsewhere.example"), running.service)
