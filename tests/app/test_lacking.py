"""What a bundle lacks is said once in every rendering of its answers, and in /v1/info; never as null or a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.console import out
from cli.query import print_answer
from models.bundle import read_manifest, read_probes
from models.lacking import lacking_parts, lacking_sentence

FIRST_LAYOUT = Path(__file__).resolve().parents[1] / "data" / "first_layout" / "bundle"


@pytest.fixture
def running(start_app, make_probes):
    """Its probes lack what those of a bundle on disk do, which was written before there was more."""
    stored = read_probes(FIRST_LAYOUT, read_manifest(FIRST_LAYOUT)[0])
    with start_app() as running:
        running.bundle.probes = make_probes(schema_version=stored.schema_version)
        assert set(running.bundle.lacking) >= set(lacking_parts(stored)) > {"lvef_number", "findings"}
        yield running


def renderings(running):
    page = " ".join(running.client.post("/", follow_redirects=True, files={"files": b"1"}).text.split())
    with out.capture() as capture:
        print_answer(running.search(1).json())
    return page, " ".join(capture.get().split())


def test_an_older_bundle_is_answered_with_and_page_and_command_say_once_what_it_lacks(running):
    sentence = lacking_sentence(running.bundle.lacking)
    assert "no LVEF number, no rules for findings" in sentence
    for said in renderings(running):
        assert said.count(sentence) == 1
        assert "Predictions" in said or 'id="lvef-title"' in said


def test_search_and_prediction_list_the_parts_and_no_warning_does(running):
    for place in ("/v1/search", "/v1/predict"):
        sent = running.client.post(place, files={"files": b"1"})
        answer = sent.json()
        assert answer["bundle_lacks"] == list(running.bundle.lacking)
        assert [w for w in answer["warnings"] if "bundle" in w["code"] or "bundle fit" in w["message"]] == []
        assert "null" not in str(sent.json()["predictions"])
    assert "bundle_lacks" not in running.client.post("/v1/embed", files={"files": b"1"}).json()


def test_info_says_the_parts_and_the_sentence(running):
    lacks = running.client.get("/v1/info").json()["bundle_lacks"]
    assert lacks == {"parts": list(running.bundle.lacking), "message": lacking_sentence(running.bundle.lacking)}


def test_a_bundle_without_probes_says_that_there_are_no_predictions(running):
    running.bundle.probes = None
    running.bundle.says_more = {"lvef_BC": lambda B: None, "shd_B": lambda B: None}
    assert running.search(1).json()["bundle_lacks"] == ["predictions"]
    for said in renderings(running):
        assert said.count("This bundle gives no predictions; fit its probes again") == 1


def test_a_bundle_that_lacks_nothing_says_nothing_of_it(running, monkeypatch):
    monkeypatch.setattr(type(running.bundle), "lacking", ())
    assert "bundle_lacks" not in running.search(1).json()
    assert "bundle_lacks" not in running.client.get("/v1/info").json()
    for said in renderings(running):
        assert "bundle fit" not in said
