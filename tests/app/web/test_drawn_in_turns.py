"""Pages and documents of answers are made in turns: no caller keeps others out, and none is made for who has left."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest
from wire import everything

from app.access.keys import create_key
from app.http.problems import Problem
from app.schemas import SearchQuery
from app.web.kept import KeptUpload
from app.web.page import narrowing_of
from inputs.errors import UnreadableFile
from inputs.records import DeviceSaid
from outputs.report import AnswerWarning


@pytest.fixture
def keys(tmp_path):
    return {name: create_key(tmp_path / "keys.json", ("query",), name) for name in ("one", "other")}


@pytest.fixture
def running(start_app, tmp_path, keys):
    with start_app(keys_file=tmp_path / "keys.json", queue_size=8) as running:
        yield running


@pytest.fixture
def drawing(monkeypatch):
    """Documents that wait for `go_on` while they are made; `begun` says how many were begun."""

    class Drawing:
        begun = 0
        go_on = threading.Event()

        def pdf(self, *_):
            Drawing.begun += 1
            assert Drawing.go_on.wait(20)
            return b"%PDF"

    drawing = Drawing()
    monkeypatch.setattr("app.web.answers.answer_pdf", drawing.pdf)
    yield drawing
    drawing.go_on.set()


def kept_answer(running, key):
    sent = running.client.post("/", files={"files": b"1"}, headers={"X-API-Key": key})
    assert sent.status_code == 303
    return sent.headers["location"]


def test_who_asks_for_many_documents_waits_for_its_turn_and_others_do_not(running, keys, drawing, wait_until):
    address = f"{kept_answer(running, keys['one'])}.pdf"
    with ThreadPoolExecutor(10) as threads, httpx.Client(base_url=running.client.base_url, timeout=20) as client:
        asked = [threads.submit(client.get, address, headers={"X-API-Key": keys["one"]}) for _ in range(10)]
        wait_until(lambda: sum(one.done() for one in asked) == 4)
        assert [one.result().status_code for one in asked if one.done()] == [429] * 4, "three quarters of 8 wait"
        for path in ("/v1/index", "/studies/g0-s1", kept_answer(running, keys["other"])):
            assert client.get(path, headers={"X-API-Key": keys["other"]}).status_code == 200, path
        assert drawing.begun == 1, "one of the threads is for others"
        drawing.go_on.set()
        assert sorted(one.result().status_code for one in asked) == [200] * 6 + [429] * 4


def test_the_page_of_components_waits_for_its_turn_like_any_other(start_app, drawing, monkeypatch, wait_until):
    monkeypatch.setattr("app.web.components._written", drawing.pdf)
    with start_app(ui_page=True, queue_size=4) as running, ThreadPoolExecutor(6) as threads:
        asked = [threads.submit(httpx.get, f"{running.client.base_url}/ui", timeout=20) for _ in range(6)]
        wait_until(lambda: sum(one.done() for one in asked) == 3)
        assert drawing.begun == 1
        drawing.go_on.set()
        assert sorted(one.result().status_code for one in asked) == [200] * 3 + [429] * 3


def test_an_answer_that_waits_to_be_written_holds_no_studies(start_app, monkeypatch, wait_until):
    with start_app() as running, ThreadPoolExecutor(4) as threads:
        go_on, fetched = threading.Event(), []
        catalogue = type(running.service.retriever.current.searchable.catalogue)
        of_class = catalogue.cards

        def cards(self, rows):
            fetched.append(len(rows))
            assert go_on.wait(20)
            return of_class(self, rows)

        monkeypatch.setattr(catalogue, "cards", cards)
        ask = f"{running.client.base_url}/v1/search"
        asked = [threads.submit(httpx.post, ask, files={"files": b"1"}, timeout=20) for _ in range(2)]
        similar = f"{running.client.base_url}/v1/studies/g0-s1/similar"
        asked += [threads.submit(httpx.get, similar, timeout=20) for _ in range(2)]
        wait_until(lambda: running.service.writing.waiting == 3)
        assert len(fetched) == 1, "of one caller one answer is written at a time"
        go_on.set()
        assert [one.result().status_code for one in asked] == [200] * 4


def test_nothing_is_made_for_who_has_left(running, keys, drawing, wait_until):
    address = f"{kept_answer(running, keys['one'])}.pdf"
    address, key = f"{running.client.base_url}{address}", {"X-API-Key": keys["one"]}
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(httpx.get, address, headers=key, timeout=0.5) for _ in range(4)]
        assert all(isinstance(one.exception(), httpx.ReadTimeout) for one in asked)
    wait_until(lambda: running.service.drawing.waiting == 0)
    drawing.go_on.set()
    wait_until(lambda: not running.service.admission._inside)
    assert drawing.begun == 1


def test_the_operators_page_is_shown_while_the_service_is_full(start_app, drawing, wait_until):
    with start_app(queue_size=4) as running:
        sent = running.client.post("/", files={"files": b"1"})
        address = f"{sent.headers['location']}.pdf"
        cookies = dict(running.client.cookies)
        with ThreadPoolExecutor(3) as threads:
            asked = [
                threads.submit(httpx.get, f"{running.client.base_url}{address}", cookies=cookies, timeout=20)
                for _ in range(3)
            ]
            wait_until(lambda: running.service.admission._inside.total() == 3)
            assert running.client.get(address).status_code == 429
            drawing.go_on.set()
            assert running.client.get("/admin").status_code == 200
            assert [one.result().status_code for one in asked] == [200] * 3


def test_of_the_operators_pages_few_wait_and_none_for_who_has_left(start_app, drawing, monkeypatch, wait_until):
    monkeypatch.setattr("app.web.admin._written", drawing.pdf)
    with start_app() as running, ThreadPoolExecutor(20) as threads:
        address = f"{running.client.base_url}/admin"
        asked = [threads.submit(httpx.get, address, timeout=1.0) for _ in range(20)]
        wait_until(lambda: sum(one.done() for one in asked) >= 8)
        left = [one for one in asked if isinstance(one.exception(), httpx.ReadTimeout)]
        assert [one.result().status_code for one in asked if one not in left] == [429] * 8, "three quarters of 16 wait"
        wait_until(lambda: running.service.drawing.waiting == 0)
        drawing.go_on.set()
        assert drawing.begun == 1


def test_an_answer_for_a_log_in_that_has_ended_meanwhile_is_not_kept(running, keys, wait_until):
    running.client.post("/login", data={"key": keys["one"]})
    running.bundle.go_on.clear()
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(running.client.post, "/", files={"files": b"1"})
        wait_until(lambda: sum(running.bundle.batches) == 1)
        httpx.post(f"{running.client.base_url}/logout", cookies=dict(running.client.cookies))
        running.bundle.go_on.set()
        assert asked.result().status_code == 401
    assert not running.service.kept._places


def test_the_ecgs_of_one_upload_share_the_time_that_an_answer_may_take(start_app, monkeypatch):
    def read(_, files, hints):
        if len(files) > 1:
            raise UnreadableFile("several_ecgs", "The upload holds several.")
        time.sleep(0.3)
        raise UnreadableFile("not_an_ecg", "This is not an ECG.")

    with start_app(answer_timeout_s=1.0) as running:
        monkeypatch.setattr(type(running.service.pipeline.reader), "read_ecg", read)
        sent = running.client.post("/", files=[("files", (f"{name}.csv", b"1")) for name in "abcdefgh"])
        assert sent.status_code == 303
        page = running.client.get(sent.headers["location"]).text
    assert 1 <= page.count("This is not an ECG") <= 3
    assert page.count("This is not an ECG") + page.count("took longer than the service allows") == 8


def test_what_is_kept_of_several_is_counted_with_all_its_words():
    asked = {"view": "\N{GRINNING FACE}" * 4000}
    upload = KeptUpload(("a" * 22, Problem("a", "b" * 5000, hint="c" * 5000)), asked)
    assert upload.n_bytes > 4 * 4000 + 10_000


def test_what_was_asked_is_kept_as_it_was_understood():
    blank = " " * 4000 + "\u3000"
    filled = {"k": "5", "sex": "F", "lvef_min": "35", "age_max": "70.25", "view": "A4C", "exclude_patient": "a b"}
    filled["acquired_after"] = "2026-01-02"
    padded = {name: f"{blank}{value}{blank}" for name, value in filled.items()}
    query = SearchQuery.model_validate(padded | {"one_per_patient": "on", "shd": "0"})
    assert narrowing_of(query) == filled | {"sex": "female", "one_per_patient": "true", "shd": "false"}


@pytest.mark.parametrize("body", [b"x" * 65_537, b""])
@pytest.mark.parametrize("ending", ["", ".pdf", "/samples?lead=I"])
def test_a_body_that_no_page_asks_for_is_refused_and_its_connection_ends(running, keys, ending, body):
    address = kept_answer(running, keys["one"])
    url = running.client.base_url
    head = f"GET {address}{ending} HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: 70000\r\nConnection: close\r\n"
    head += f"X-API-Key: {keys['one']}\r\n\r\n"
    with socket.create_connection((url.host, url.port), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        assert everything(connection).startswith(b"HTTP/1.1 413 "), "and it ends"


def test_the_operators_page_is_shown_beside_the_refusal_of_a_body(start_app):
    with start_app() as running:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        refused = running.client.post("/admin/rebuild", content=b"source=" + b"a" * 2000, headers=form)
        assert refused.status_code == 413
        assert "<h1>" in refused.text


def test_what_the_device_said_counts_with_all_its_letters(running, keys):
    kept_answer(running, keys["one"])
    (place,) = running.service.kept._places.values()
    ecg = place.what.ecg
    statements = tuple(f"{number} \N{ANATOMICAL HEART}{'a' * 190}" for number in range(32))
    said = replace(ecg, facts=replace(ecg.facts, said=DeviceSaid(statements=statements)))
    assert replace(place.what, ecg=said).n_bytes - place.what.n_bytes > 32 * 4 * 190


def test_a_refused_narrowing_is_noted(start_app):
    with start_app() as running:
        address = running.client.post("/", files={"files": b"1"}).headers["location"]
        assert running.client.get(f"{address}?lvef_min=abc").status_code == 422
        (told,) = running.client.get("/v1/refusals").json()["refusals"]
        assert (told["route"], told["code"]) == ("/answers/{name}", "invalid_parameter")


def test_a_pdf_names_the_fields_of_the_page_and_no_parameters_of_the_interface(running, keys, monkeypatch):
    address = kept_answer(running, keys["one"])
    ((name, place),) = running.service.kept._places.items()
    told = AnswerWarning(code="parameter_ignored", message="start_s was not used.", leads=[], severity="note")
    report = place.what.report.model_copy(update={"warnings": [told]})
    kept = replace(place.what, report_json=report.model_dump_json(exclude_unset=True).encode())
    running.service.kept._places[name] = replace(place, what=kept)
    seen = []
    monkeypatch.setattr("app.web.answers.answer_pdf", lambda report, *_: seen.append(report) or b"%PDF")
    assert running.client.get(f"{address}.pdf", headers={"X-API-Key": keys["one"]}).content == b"%PDF"
    assert [warning.message for warning in seen[0].warnings] == ['"Read from second" was not used.']
