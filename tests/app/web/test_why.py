"""Which beats and leads speak for an answer: drawn for who has the answer, one map at a time, refused where none is."""

from __future__ import annotations

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from app.answering.explained import explained as made


@pytest.fixture
def running(start_app, request):
    with start_app(queue_size=8, **getattr(request, "param", {})) as running:
        yield running


@pytest.fixture
def answer(running):
    sent = running.client.post("/", files={"files": b"1"})
    assert sent.status_code == 303
    return sent.headers["location"]


def changed(running, **facts):
    """What is kept of the ECG, changed."""
    ((name, place),) = running.service.kept._places.items()
    ecg = place.what.ecg
    ecg = replace(ecg, facts=replace(ecg.facts, **facts)) if facts else replace(ecg, bundle_sha256="0" * 64)
    running.service.kept._places[name] = replace(place, what=replace(place.what, ecg=ecg))


def test_the_answer_leads_to_a_map_of_each_number_and_match(running, answer):
    page = running.client.get(answer).text
    links = re.findall(r'href="(/answers/[^"]*/why[^"]*)"', page)
    assert [link.partition("?")[2] for link in links[:2]] == ["of=lvef_percent", "of=lvef_lowest"]
    assert sum("of=match" in link for link in links) == page.count('<li class="study">') > 0
    for link in links:
        assert running.client.get(link.replace("&amp;", "&")).status_code == 200


def test_what_speaks_for_it_is_drawn_behind_the_trace_and_said(running, answer):
    page = running.client.get(f"{answer}/why?of=lvef_lowest").text
    assert page.count('class="ecg-raises"') == page.count('class="ecg-lowers"') > 0, "a patch in each window"
    assert "<b>V2</b> (67 %), <b>I</b> (33 %)" in page
    assert "Probability 73 %; of a flat line 50 %." in page
    assert "not what is wrong with the heart" in page


@pytest.mark.parametrize("asked", ["", "of=", "of=shd", "of=match", "of=lvef_lowest&study=g0-s1", "of=lvef_lowest&k=5"])
def test_what_it_does_not_know_is_refused(running, answer, asked):
    assert running.client.get(f"{answer}/why?{asked}").status_code == 422


def test_what_there_is_no_map_of_is_said(running, answer, monkeypatch):
    refused = running.client.get(f"{answer}/why?of=match&study=unheard-of")
    assert refused.status_code == 404
    assert "is not in the index" in refused.text
    monkeypatch.setattr("app.answering.explained.targets_of", lambda *_: ("lvef_percent",))
    refused = running.client.get(f"{answer}/why?of=lvef_lowest")
    assert refused.status_code == 404
    assert "There is no map" in refused.text


def test_a_long_ecg_and_one_of_another_model_have_none_and_no_links(running, answer):
    changed(running, windows_WLN=None)
    assert "/why?" not in running.client.get(answer).text
    assert running.client.get(f"{answer}/why?of=lvef_lowest").status_code == 404
    changed(running)
    assert running.client.get(f"{answer}/why?of=lvef_lowest").status_code == 409


def test_a_withheld_ecg_has_none_and_no_model_sees_it(running):
    withheld = running.client.post("/", files={"files": b"666"}).headers["location"]
    page = running.client.get(withheld)
    assert "No predictions and no studies" in page.text
    assert "/why?" not in page.text
    running.bundle.explainer().asked.clear()
    assert running.client.get(f"{withheld}/why?of=lvef_percent").status_code == 404
    assert not running.bundle.explainer().asked


def test_it_is_for_the_browser_that_has_the_answer(running, answer):
    with httpx.Client(base_url=running.client.base_url) as other:
        assert other.get(f"{answer}/why?of=lvef_lowest").status_code == 404


@pytest.fixture
def ask(running, answer):
    """Asks for a map with this browser's cookies."""
    url, cookies = f"{running.client.base_url}{answer}/why?of=lvef_lowest", dict(running.client.cookies)
    return lambda timeout_s=20: httpx.get(url, cookies=cookies, timeout=timeout_s)


def held_up(running):
    """Maps go from point to point until they are let go, or given up."""
    running.bundle.explainer().asked.clear()
    running.bundle.go_on.clear()
    return running.bundle.explainer().asked


def nobody_works(running):
    return not running.service.explaining._running and not running.service.admission._inside


@pytest.mark.parametrize("running", [{"answer_timeout_s": 1.0}], indirect=True)
def test_few_maps_wait_and_one_that_takes_longer_than_an_answer_stops(running, ask, wait_until):
    held_up(running)
    with ThreadPoolExecutor(5) as threads:
        asked = [threads.submit(ask) for _ in range(5)]
        assert sorted(one.result().status_code for one in asked) == [429, 429, 429, 503, 503], "the third is another's"
    wait_until(lambda: nobody_works(running), 2)


@pytest.mark.parametrize("running", [{"answer_timeout_s": 1.5}], indirect=True)
def test_a_map_has_the_time_of_an_answer_from_its_turn_on(running, ask, monkeypatch):
    """With less, each of a row that never ends would begin late, and be given up for nothing."""
    begun = []

    def slow(*given):
        begun.append(given)
        time.sleep(0.9)
        return made(*given)

    monkeypatch.setattr("app.service.explained", slow)
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(ask) for _ in range(2)]
        assert [one.result().status_code for one in asked] == [200, 200]
    assert len(begun) == 2


def test_a_map_stops_when_its_caller_has_left_and_none_is_made_for_who_waited(running, answer, ask, wait_until):
    asked = held_up(running)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(ask, 2.0)
        wait_until(lambda: asked)
        left = threads.submit(ask, 0.5)
        assert all(isinstance(one.exception(), httpx.ReadTimeout) for one in (left, first))
    wait_until(lambda: nobody_works(running), 2)
    assert len(asked) == 1
    assert running.client.get(answer).status_code == 200, "nobody else waits for a map"


def test_a_map_stops_when_the_service_waits_no_longer(start_app, wait_until):
    with ThreadPoolExecutor(1) as threads:
        with start_app(drain_timeout_s=1.0) as running:
            there = running.client.post("/", files={"files": b"1"}).headers["location"]
            url, cookies = f"{running.client.base_url}{there}/why?of=lvef_lowest", dict(running.client.cookies)
            asked = held_up(running)
            given_up = threads.submit(httpx.get, url, cookies=cookies, timeout=20)
            wait_until(lambda: asked)
            ended = time.monotonic()
        assert time.monotonic() - ended < 5
        assert given_up.result().status_code == 503
    assert nobody_works(running)


def test_what_waits_behind_a_map_that_was_given_up_never_begins(start_app, wait_until):
    """On one connection: the service has ended when its turn comes."""
    with start_app(drain_timeout_s=1.0) as running:
        there = running.client.post("/", files={"files": b"1"}).headers["location"]
        url, cookies = running.client.base_url, "; ".join(f"{k}={v}" for k, v in running.client.cookies.items())
        asked = held_up(running)
        connection = socket.create_connection((url.host, url.port), timeout=20)
        for path in (f"{there}/why?of=lvef_lowest", "/v1/index"):
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {url.host}\r\nCookie: {cookies}\r\n\r\n".encode())
        wait_until(lambda: asked)
    with connection, connection.makefile("rb") as answers:
        assert re.findall(rb"HTTP/1.1 (\d+)", answers.read()) == [b"503"]
