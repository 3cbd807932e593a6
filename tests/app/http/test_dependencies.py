"""Who gets in: keys in headers, the page's session, other sites' pages."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from fastapi import FastAPI, Request

from app.access.keys import create_key, list_keys, revoke_key
from app.settings import Settings

OPEN = ["/healthz", "/readyz", "/metrics", "/static/page.css"]
QUERY = [
    "/v1/index",
    "/v1/info",
    "/v1/studies/g0-s1",
    "/v1/studies/g0-s1/similar",
    "/v1/studies/g0-s1/views/v1/thumbnail",
    "/v1/studies/g0-s1/views/v1/cine",
    "/docs",
    "/openapi.json",
]


@pytest.fixture
def keys_file(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture
def query_key(keys_file):
    return create_key(keys_file, ("query",), "reader")


@pytest.fixture
def admin_key(keys_file):
    return create_key(keys_file, ("admin",), "operator")


@pytest.fixture
def index_dir(tmp_path, write_generation):
    """Its views have cines."""
    write_generation(tmp_path / "index", alone_VD=lambda row: np.eye(2, 8, dtype=np.float32))
    return tmp_path / "index"


@pytest.fixture
def running(start_app, keys_file, query_key, admin_key):
    with start_app(keys_file=keys_file) as running:
        yield running


def test_health_needs_no_key_and_everything_else_does(running, query_key):
    assert [running.client.get(path).status_code for path in OPEN] == [200] * len(OPEN)
    assert [running.client.get(path).status_code for path in QUERY] == [401] * len(QUERY)
    headers = {"X-API-Key": query_key}
    assert [running.client.get(path, headers=headers).status_code for path in QUERY] == [200] * len(QUERY)
    assert running.search(1).status_code == 401


def test_either_header_carries_the_key(running, query_key):
    for headers in ({"X-API-Key": query_key}, {"Authorization": f"Bearer {query_key}"}):
        response = running.client.post("/v1/search", files={"files": b"1"}, headers=headers)
        assert response.status_code == 200
    refused = running.client.get("/v1/index", headers={"Authorization": f"Basic {query_key}"})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["code"] == "key_required"


def test_a_scope_is_needed_and_not_implied(running, query_key, admin_key):
    response = running.client.post("/v1/index/rebuild", headers={"X-API-Key": query_key})
    assert (response.status_code, response.json()["code"]) == (403, "scope_missing")
    response = running.client.get("/v1/index", headers={"X-API-Key": admin_key})
    assert (response.status_code, response.json()["code"]) == (403, "scope_missing")
    page = running.client.get("/", headers={"X-API-Key": admin_key})
    assert page.status_code == 403
    assert "This key lacks the scope query." in page.text
    assert 'type="file"' not in page.text


def test_a_revoked_key_is_refused_at_once_and_so_is_its_session(running, keys_file, query_key):
    headers = {"X-API-Key": query_key}
    assert running.client.post("/login", data={"key": query_key}).status_code == 303
    assert running.client.get("/v1/index").status_code == 200
    revoke_key(keys_file, next(key.id for key in list_keys(keys_file) if key.name == "reader"))
    assert running.client.get("/v1/index", headers=headers).status_code == 401
    assert running.client.get("/v1/index").status_code == 401


def test_a_key_made_while_the_server_runs_is_accepted(running, keys_file):
    late = create_key(keys_file, ("query",), "late")
    assert running.client.get("/v1/index", headers={"X-API-Key": late}).status_code == 200


def test_the_log_in_gives_a_cookie_that_scripts_and_other_sites_cannot_use(running, query_key):
    response = running.client.post("/login", data={"key": query_key})
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert query_key not in cookie
    thumbnail = running.client.get("/v1/studies/g0-s1/views/v1/thumbnail")
    assert (thumbnail.status_code, thumbnail.headers["content-type"]) == (200, "image/jpeg")


def test_the_session_stays_on_https_unless_the_operator_says_otherwise(start_app, keys_file, query_key):
    for settings, secure in ({"session_cookie_secure": True}, True), ({"session_cookie_secure": False}, False):
        with start_app(keys_file=keys_file, **settings) as running:
            for path in ("/login", "/logout"):
                cookie = running.client.post(path, data={"key": query_key}).headers["set-cookie"]
                assert ("secure" in cookie.lower().split("; ")) == secure, path
    assert Settings(bundle_dir="b", index_dir="i").session_cookie_secure


def test_what_forwarded_headers_claim_is_not_believed(serve_app):
    app = FastAPI()

    @app.get("/seen")
    async def seen(request: Request):
        return {"scheme": request.url.scheme, "client": request.client.host}

    with serve_app(app, Settings(bundle_dir="b", index_dir="i")) as url:
        claims = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
        assert httpx.get(f"{url}/seen", headers=claims).json() == {"scheme": "http", "client": "127.0.0.1"}


def test_the_session_does_not_carry_admin(start_app, keys_file):
    both = create_key(keys_file, ("query", "admin"), "both")
    with start_app(keys_file=keys_file) as running:
        running.client.post("/login", data={"key": both})
        assert running.client.get("/v1/index").status_code == 200
        assert running.client.post("/v1/index/rebuild").status_code == 403


def test_logging_out_ends_the_session(running, query_key):
    running.client.post("/login", data={"key": query_key})
    cookies = dict(running.client.cookies)
    running.client.post("/logout")
    assert not running.client.cookies
    running.client.cookies.update(cookies)  # as somebody who kept a copy
    assert running.client.get("/v1/index").status_code == 401


def test_the_log_in_reads_next_to_nothing_and_only_its_own_form(running, query_key):
    assert running.client.post("/login", data={"key": "x" * 2000}).status_code == 413
    for sent in ({"data": {"key": query_key, "more": "1"}}, {"data": {"other": "1"}}, {"files": {"key": b"1"}}, {}):
        response = running.client.post("/login", **sent)
        assert response.status_code in (400, 413)
        assert query_key not in response.text
    bytes_that_are_no_text = {
        "content": b"key=\xff%ff",
        "headers": {"content-type": "application/x-www-form-urlencoded"},
    }
    assert running.client.post("/login", **bytes_that_are_no_text).status_code == 400


def test_nothing_that_was_shown_stays_after_logging_out(running, query_key):
    running.client.post("/login", data={"key": query_key})
    for path in QUERY:
        assert running.client.get(path).headers["cache-control"] == "no-store", path


def test_nobody_is_sent_to_a_name_that_the_caller_gave_this_host(running, query_key):
    headers = {"X-API-Key": query_key, "Host": "evil.example"}
    for path in ("/v1/info/", "/v1/index/", "/docs/", "/login/"):
        response = running.client.get(path, headers=headers)
        assert response.status_code == 404
        assert "evil.example" not in str(response.headers)


def test_one_callers_flood_leaves_places_for_the_others(start_app, wait_until, keys_file, query_key):
    ward = create_key(keys_file, ("query",), "ward")
    with start_app(keys_file=keys_file, queue_size=4) as running, ThreadPoolExecutor(8) as pool:
        running.bundle.go_on.clear()

        def ask(key):
            return running.client.post("/v1/search", files={"files": b"1"}, headers={"X-API-Key": key})

        flood = [pool.submit(ask, query_key) for _ in range(6)]
        statuses = lambda: [one.result().status_code for one in flood if one.done()]  # noqa: E731
        wait_until(lambda: len(statuses()) >= 3)
        assert statuses() == [429] * 3
        answered = pool.submit(ask, ward)
        # The flood's three and the ward's, wherever they are.
        wait_until(lambda: sum(running.bundle.batches) + running.service.batcher.waiting == 4)
        running.bundle.go_on.set()
        assert answered.result().status_code == 200
        assert sorted(one.result().status_code for one in flood) == [200] * 3 + [429] * 3


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", "/v1/index?x=1"),
        ("GET", "/v1/info?x=1"),
        ("GET", "/v1/jobs/1?x=1"),
        ("GET", "/v1/studies/g0-s1?x=1"),
        ("POST", "/v1/index/rebuild?source=main"),
        ("POST", "/?exclude_patient=P1"),
    ],
)
def test_a_parameter_without_an_effect_is_refused_and_not_ignored(running, admin_key, query_key, method, address):
    key = admin_key if "jobs" in address or "rebuild" in address else query_key
    files = {"files": b"1"} if address.startswith("/?") else None
    response = running.client.request(method, address, headers={"X-API-Key": key}, files=files)
    assert response.status_code == 422
    assert "takes no parameters" in response.text
    assert not running.bundle.batches


def test_a_body_that_is_no_json_is_said_to_be_none_without_counting_its_letters(running, admin_key):
    headers = {"X-API-Key": admin_key, "Content-Type": "application/json"}
    response = running.client.post("/v1/index/rebuild", content=b"{source", headers=headers)
    assert (response.status_code, response.json()["detail"]) == (422, "body: not valid JSON.")


def test_a_wrong_key_gets_no_session(running, admin_key):
    for wrong, status in (("e2e_wrong", 401), (admin_key, 403)):
        response = running.client.post("/login", data={"key": wrong})
        assert response.status_code == status
        assert "set-cookie" not in response.headers
        assert wrong not in response.text


@pytest.mark.parametrize("headers", [{"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_another_sites_page_cannot_act_here(running, query_key, headers):
    running.client.post("/login", data={"key": query_key})
    response = running.client.post("/v1/search", files={"files": b"1"}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (403, "cross_site")
    assert running.client.post("/", files={"files": b"1"}, headers=headers).status_code == 403
    assert running.client.post("/login", data={"key": query_key}, headers=headers).status_code == 403


def test_the_pages_own_forms_are_let_in_as_browsers_send_them(running, query_key):
    assert running.client.get("/").headers["referrer-policy"] == "same-origin", "else forms carry `Origin: null`"
    own = str(running.client.base_url).rstrip("/")
    for headers in ({"Origin": own}, {"Sec-Fetch-Site": "same-origin", "Origin": own}, {"Sec-Fetch-Site": "none"}):
        assert running.client.post("/login", data={"key": query_key}, headers=headers).status_code == 303


def test_an_origin_that_is_hidden_is_another_site(running, query_key):
    response = running.client.post("/login", data={"key": query_key}, headers={"Origin": "null"})
    assert (response.status_code, response.json()["code"]) == (403, "cross_site")


@pytest.mark.parametrize("headers", [{"Host": "["}, {"Origin": "http://["}])
def test_an_address_that_cannot_be_parsed_is_403_and_no_defect(running, query_key, headers):
    response = running.client.post("/login", data={"key": query_key}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (403, "foreign_host")


def test_only_uploads_may_be_large(running):
    for path in ("/login", "/v1/index/rebuild", "/nowhere"):
        response = running.client.post(path, data={"key": "x" * 70_000})
        assert (path, response.status_code) == (path, 413 if path != "/nowhere" else 404)
    assert running.client.post("/v1/search", files={"files": b"1" * 70_000}).status_code == 401


def test_without_keys_a_foreign_name_for_this_machine_is_refused(start_app):
    with start_app() as running:
        response = running.client.get("/v1/index", headers={"Host": "rebound.example"})
        assert (response.status_code, response.json()["code"]) == (403, "foreign_host")
        assert running.client.get("/v1/index").status_code == 200
