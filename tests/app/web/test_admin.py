"""The operator's page, as a browser without scripts uses it."""

from __future__ import annotations

import html
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.access.keys import create_key, list_keys
from app.http.code_words import code_words

SLEEPS = """
import json, time
print(json.dumps({"done": 3, "total": 9, "message": "Embedding <views>"}), flush=True)
time.sleep(60)
"""
SUCCEEDS = "print('{\"report\": {}}')"


@pytest.fixture
def keys_file(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture
def admin_key(keys_file):
    return create_key(keys_file, ("query", "admin"), "operator")


@pytest.fixture
def running(start_app, keys_file, admin_key, tmp_path):
    with start_app(keys_file=keys_file, cohorts={"main": tmp_path / "cohort"}) as running:
        yield running


@pytest.fixture
def logged_in(running, admin_key):
    assert running.client.post("/admin/login", data={"key": admin_key}).status_code == 303
    return running


def text_of(page):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def send_form(client, **fields):
    """The form for a key, with the token that the page gives it unless `fields` have one."""
    token = re.search(r'name="once" autocomplete="off" value="([^"]*)"', client.get("/admin").text)[1]
    return client.post("/admin/keys", data={"once": token} | fields)


def job_running(running):
    return running.client.get("/admin").text.count("data-job-events")


def test_without_its_own_session_the_page_is_a_log_in_form_whoever_is_logged_in_to_the_others(running, admin_key):
    running.client.post("/login", data={"key": admin_key})
    page = running.client.get("/admin")
    assert page.status_code == 401
    assert 'action="/admin/login"' in page.text
    assert "Index" not in text_of(page)


def test_a_key_without_the_scope_admin_is_told_so(running, keys_file):
    reader = create_key(keys_file, ("query",), "reader")
    page = running.client.post("/admin/login", data={"key": reader})
    assert page.status_code == 401
    assert "This key does not have the scope admin." in page.text


def test_a_browser_that_drops_the_session_over_plain_http_is_told_why(start_app, keys_file, admin_key):
    with start_app(keys_file=keys_file, session_cookie_secure=True) as running:
        page = running.client.post("/admin/login", data={"key": admin_key}, follow_redirects=True)
    assert page.status_code == 401
    assert "ECHO2ECG_SESSION_COOKIE_SECURE=false" in page.text


def test_the_page_says_how_the_service_is_doing(logged_in, index_dir):
    running = logged_in
    (running.settings.bundle_dir).mkdir()
    (running.settings.bundle_dir / "README.md").write_text("# A card\n<script>alert(1)</script>")
    running.client.post("/v1/embed", files={"files": b"SECRET"}, headers={"X-API-Key": "wrong"})
    page = running.client.get("/admin")
    assert page.status_code == 200
    text = text_of(page)
    assert "ready models answer" in text
    assert "Served generation 000001" in text
    assert "Studies 20" in text
    assert "# A card <script>alert(1)</script>" in html.unescape(page.text).replace("\n", " ")
    assert "<script>alert" not in page.text
    assert f"{code_words('key_required')} key_required" in text
    assert " style=" not in page.text
    assert not re.findall(r"<script(?![^>]* src=\"/static/)", page.text)


def test_what_keeps_the_service_from_answering_is_said_in_words(logged_in):
    logged_in.service.draining = True
    try:
        text = text_of(logged_in.client.get("/admin"))
    finally:
        logged_in.service.draining = False
    assert f"not ready models answer {code_words('draining')} draining" in text


def test_a_damaged_generation_on_disk_is_shown_as_one(logged_in, index_dir, write_generation, wait_until):
    write_generation(index_dir, seed=1)
    wait_until(lambda: "Served generation 000002" in text_of(logged_in.client.get("/admin")))
    (index_dir / "generations" / "000001" / "manifest.json").write_text("{}")
    assert "000001 its manifest does not verify" in text_of(logged_in.client.get("/admin"))


def test_a_rebuild_is_started_followed_with_the_same_session_and_cancelled(logged_in, command, wait_until, tmp_path):
    client, command.snippet = logged_in.client, SLEEPS
    started = client.post("/admin/rebuild", data={"source": "main"})
    assert (started.status_code, started.headers["location"]) == (303, "/admin#rebuild")
    assert command.cohorts == [tmp_path / "cohort"]
    wait_until(lambda: "Embedding <views> 3 of 9" in text_of(client.get("/admin")))
    page = client.get("/admin").text
    assert '<progress aria-label="How far the rebuild is" max="9" value="3">' in page
    assert 'action="/admin/rebuild"' not in page
    events, cancel = re.search(r'data-job-events="([^"]*)"', page)[1], re.search(r'action="([^"]*/cancel)"', page)[1]
    heard, begun = [], threading.Event()

    def follow():
        with client.stream("GET", events) as stream:
            assert stream.status_code == 200
            for line in stream.iter_lines():
                heard.append(line)
                begun.set()

    follower = threading.Thread(target=follow)
    follower.start()
    assert begun.wait(10)
    again = client.post("/admin/rebuild", data={"source": "main"})
    assert again.status_code == 409
    assert "A rebuild is running already." in again.text
    cancelled = client.post(cancel)
    assert (cancelled.status_code, cancelled.headers["location"]) == (303, "/admin#rebuild")
    follower.join(20)
    assert [line for line in heard if line.startswith("event")] == ["event: progress", "event: end"]
    assert json.loads([line for line in heard if line.startswith("data")][-1][6:])["state"] == "cancelled"
    assert job_running(logged_in) == 0
    assert "main cancelled" in text_of(client.get("/admin"))


def test_a_rebuild_that_ended_well_stands_among_jobs_and_sources(logged_in, command, wait_until):
    command.snippet = SUCCEEDS
    logged_in.client.post("/admin/rebuild", data={"source": "main"})
    wait_until(lambda: "main done" in text_of(logged_in.client.get("/admin")))
    assert "main, last rebuilt " in text_of(logged_in.client.get("/admin"))


@pytest.mark.parametrize("source", ["", "other", "x" * 500])
def test_a_source_that_the_settings_do_not_name_is_refused_on_the_page(logged_in, source):
    refused = logged_in.client.post("/admin/rebuild", data={"source": source})
    assert refused.status_code == 422
    assert "The settings name no such source of studies. Known sources: main." in text_of(refused)


def test_a_new_key_is_shown_once_and_works(logged_in, keys_file):
    client = logged_in.client
    made = send_form(client, name="ward <7>", scope=["query"], days="30")
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    assert "location" not in made.headers
    secret = re.search(r'value="(e2e_[^"]*)"', made.text)[1]
    assert client.get("/v1/index", headers={"X-API-Key": secret}).status_code == 200
    entry = list_keys(keys_file)[-1]
    assert (entry.name, entry.scopes) == ("ward <7>", ("query",))
    assert (entry.expires - entry.created).days in (29, 30)
    page = client.get("/admin")
    assert secret not in page.text
    assert "ward <7>" in text_of(page)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "", "scope": "query"}, '"Whose it is": '),
        ({"name": "a", "scope": "root"}, '"What it may do": '),
        ({"name": "a"}, "Tick what the key may do."),
        ({"name": "kept", "scope": "query", "days": "0"}, '"Valid for so many days": '),
        ({"name": "a", "scope": "query", "more": "1"}, "and nothing else"),
        ({"name": "a", "scope": "query", "once": ""}, "and nothing else"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused_and_the_form_keeps_what_was_filled_in(logged_in, keys_file, fields, said):
    before = list_keys(keys_file)
    page = send_form(logged_in.client, **fields)
    assert page.status_code in (400, 422)
    assert said in text_of(page)
    assert list_keys(keys_file) == before
    if fields["name"] == "kept":
        assert 'value="kept"' in page.text


def test_the_same_form_makes_no_second_key_and_says_so(logged_in, keys_file):
    client = logged_in.client
    form = {"name": "ward 7", "scope": "query", "once": "a" * 22}
    secret = re.search(r'value="(e2e_[^"]*)"', send_form(client, **form).text)[1]
    for _ in range(2):
        again = send_form(client, **form)
        assert again.status_code == 409
        assert "This key was made already, and it is not shown again." in text_of(again)
        assert secret not in again.text
    assert [key.name for key in list_keys(keys_file)] == ["operator", "ward 7"]
    assert send_form(client, name="ward 8", scope="query").status_code == 201


def test_a_form_that_made_no_key_may_be_sent_again(logged_in, keys_file):
    form = {"name": "ward 7", "once": "a" * 22}
    assert send_form(logged_in.client, **form).status_code == 422
    assert send_form(logged_in.client, **form, scope="query").status_code == 201
    assert len(list_keys(keys_file)) == 2


def test_two_clicks_at_once_make_one_key(logged_in, keys_file):
    form = {"name": "ward 7", "scope": "query", "once": "a" * 22}
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: logged_in.client.post("/admin/keys", data=form), range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert len(list_keys(keys_file)) == 2


def test_a_key_gives_no_scope_that_it_lacks(running, keys_file):
    running.client.post("/admin/login", data={"key": create_key(keys_file, ("admin",), "second")})
    assert 'value="query"' not in running.client.get("/admin").text
    refused = send_form(running.client, name="a", scope="query")
    assert refused.status_code == 409
    assert "it cannot give it" in refused.text


def test_where_the_keys_file_cannot_be_written_the_command_to_run_is_said(logged_in, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "no")

    monkeypatch.setattr("app.access.keys.write_whole", refuse)
    monkeypatch.setattr("app.web.admin.os.access", lambda *_: False)
    assert "The form gives the command to run instead." in text_of(logged_in.client.get("/admin"))
    page = send_form(logged_in.client, name="ward 7", scope="query")
    assert page.status_code == 409
    command = html.unescape(re.search(r"<pre class=\"code\"><code>(.*?)</code>", page.text)[1])
    assert command == "echo2ecg keys create --name 'ward 7' --scope query"


def test_a_key_is_revoked_and_not_the_one_that_asks(logged_in, keys_file):
    other = create_key(keys_file, ("query",), "other")
    own, key = list_keys(keys_file)
    page = logged_in.client.get("/admin").text
    assert f"/admin/keys/{key.id}/revoke" in page
    assert f"/admin/keys/{own.id}/revoke" not in page
    revoked = logged_in.client.post(f"/admin/keys/{key.id}/revoke")
    assert (revoked.status_code, revoked.headers["location"]) == (303, "/admin#keys")
    assert logged_in.client.get("/v1/index", headers={"X-API-Key": other}).status_code == 401
    assert logged_in.client.post(f"/admin/keys/{own.id}/revoke").status_code == 409
    assert [entry.id for entry in list_keys(keys_file)] == [own.id]


WRITES = ["/admin/rebuild", "/admin/jobs/0123456789abcdef/cancel", "/admin/keys", "/admin/keys/00000000/revoke"]


@pytest.mark.parametrize("address", WRITES)
def test_no_write_is_done_without_a_session_or_for_another_sites_page(logged_in, admin_key, keys_file, address):
    form = {"source": "main", "name": "a", "scope": "query"}
    foreign = logged_in.client.post(address, data=form, headers={"Origin": "http://elsewhere.example"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "cross_site")
    logged_in.client.post("/admin/logout")
    page = logged_in.client.post(address, data=form, headers={"X-API-Key": admin_key})
    assert page.status_code == 401
    assert "The session has ended" in page.text
    assert len(list_keys(keys_file)) == 1
    assert logged_in.service.jobs.running is None


def test_logging_out_everywhere_ends_the_session_of_every_browser(logged_in, serve_app, admin_key):
    first = dict(logged_in.client.cookies)
    assert logged_in.client.post("/logout/everywhere").status_code == 303
    logged_in.client.cookies.update(first)
    assert logged_in.client.get("/admin").status_code == 401


def test_without_keys_the_page_is_this_machines_own_and_every_page_leads_there(start_app):
    with start_app() as running:
        assert '<a href="/admin">Operator</a>' in running.client.get("/").text
        page = running.client.get("/admin")
        assert page.status_code == 200
        assert "answers to this machine alone" in page.text
        assert "Log out" not in page.text
        foreign = running.client.get("/admin", headers={"Host": "elsewhere.example"})
        assert (foreign.status_code, foreign.json()["code"]) == (403, "foreign_host")
        assert (
            "This service runs without keys."
            in running.client.post("/admin/keys", data={"name": "a", "scope": "query", "once": "1" * 22}).text
        )
