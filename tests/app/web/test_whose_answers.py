"""Whose a kept answer is, who takes the room, and what its address may ask."""

from __future__ import annotations

import html
import re

import pytest

from app.access.keys import create_key
from app.access.sessions import SESSION_COOKIE
from app.answering.kept_answers import AnswerGone, KeptAnswers


@pytest.fixture
def keys(tmp_path):
    return {name: create_key(tmp_path / "keys.json", ("query",), name) for name in ("one", "other")}


@pytest.fixture
def running(start_app, tmp_path, keys):
    with start_app(keys_file=tmp_path / "keys.json") as running:
        yield running


def log_in(running, key):
    running.client.cookies.clear()
    running.client.post("/login", data={"key": key})


def answered(running, **headers):
    sent = running.client.post("/", files={"files": b"1"}, headers=headers)
    assert sent.status_code == 303
    return sent.headers["location"]


def test_a_cookie_beside_a_key_in_a_header_makes_nobody_another_owner(running, keys):
    running.client.cookies.set(SESSION_COOKIE, "x" * 43)
    address = answered(running, **{"X-API-Key": keys["one"]})
    running.client.cookies.clear()
    assert running.client.get(address, headers={"X-API-Key": keys["one"]}).status_code == 200
    assert running.client.get(address, headers={"X-API-Key": keys["other"]}).status_code == 404


def test_who_logs_out_leaves_no_answer_and_everywhere_means_everywhere(running, keys):
    log_in(running, keys["one"])
    address = answered(running)
    assert running.client.get(address).status_code == 200
    dead = running.client.cookies[SESSION_COOKIE]
    running.client.post("/logout/everywhere")
    for key in keys.values():
        running.client.cookies.clear()
        cookie = {"Cookie": f"{SESSION_COOKIE}={dead}"}
        assert running.client.get(address, headers={"X-API-Key": key, **cookie}).status_code == 404
    log_in(running, keys["one"])
    assert running.client.get(address).status_code == 404


def test_a_caller_of_many_owners_takes_three_quarters_of_the_room_and_no_more():
    kept = KeptAnswers(100, 60.0)
    yours = kept.keep("you", "yours", 25, "you")
    mine = [kept.keep(f"browser {number}", number, 25, "me") for number in range(40)]
    assert kept.get("you", yours) == "yours"
    assert [kept.get(f"browser {number}", mine[number]) for number in (37, 38, 39)] == [37, 38, 39]
    with pytest.raises(AnswerGone):
        kept.get("browser 36", mine[36])
    kept.forget_all_of("me")
    with pytest.raises(AnswerGone):
        kept.get("browser 39", mine[39])


def test_many_small_ones_make_room_for_a_large_one():
    kept = KeptAnswers(40_000, 60.0)
    small = [kept.keep("me", number, 1) for number in range(30_000)]
    assert len(set(small)) == 30_000
    large = kept.keep("me", "large", 29_999)
    assert kept.get("me", large) == "large"
    assert kept.get("me", small[-1]) == 29_999
    with pytest.raises(AnswerGone):
        kept.get("me", small[-2])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("lvef_max=40&lvef_max=90", "comes twice"),
        ("lvef_mx=40", "Is lvef_max meant?"),
        ("layout=7x7", "layout must be one of"),
    ],
)
def test_an_answers_address_drops_no_parameter_without_a_word(running, keys, asked, said):
    log_in(running, keys["one"])
    address = answered(running)
    for ending in ("", ".json", ".csv"):
        page = running.client.get(f"{address}{ending}?{asked}")
        assert page.status_code == 422
        assert said in page.text
    assert running.client.get("/studies/g0-s1?foo=1").status_code == 422


def test_beside_a_filter_that_is_refused_no_study_is_shown(running, keys):
    log_in(running, keys["one"])
    page = running.client.get(f"{answered(running)}?lvef_min=60&lvef_max=20")
    assert page.status_code == 422
    assert '"LVEF at least" must not be above "LVEF at most".' in html.unescape(page.text)
    assert "No studies are shown" in page.text
    assert not re.search(r'href="/studies/', page.text)
