"""An ECG that was answered is searched with again, without its file: the same as asking afresh."""

from __future__ import annotations

import re

import pytest

from app.refusals import EcgOfAnotherModel


@pytest.fixture
def running(start_app):
    with start_app() as running:
        yield running


def asked(running, number=1, **fields):
    """The address of an answer by the page's form."""
    return running.client.post("/", files={"files": str(number).encode()}, data=fields).headers["location"]


def shown(running, address):
    page = running.client.get(address)
    assert page.status_code == 200, page.text
    return re.findall(r"/studies/(g0-s\d+)\?of", page.text)


@pytest.mark.parametrize(
    "narrowed",
    [
        {"k": 3},
        {"k": 20, "sex": "female"},
        {"k": 20, "one_per_patient": "true"},
        {"k": 20, "lvef_max": 60, "age_min": 70, "exclude_patient": "p7"},
    ],
)
def test_the_same_studies_are_found_as_by_asking_afresh(running, narrowed):
    address = asked(running)
    batches = len(running.bundle.batches)
    again = shown(running, f"{address}?" + "&".join(f"{name}={value}" for name, value in narrowed.items()))
    assert len(running.bundle.batches) == batches, "the ECG is not embedded again"
    assert again == [hit["study_id"] for hit in running.search(1, **narrowed).json()["neighbours"]]
    assert again


def test_the_numbers_of_the_model_stay_those_of_the_first_answer(running):
    address = asked(running)
    first = running.client.get(f"{address}.json").json()
    again = running.client.get(f"{address}.json?k=3&sex=female").json()
    assert len(again["neighbours"]) == 3
    for name in ("predictions", "measured", "ecg", "bundle"):
        assert again[name] == first[name]


def test_of_a_withheld_answer_nothing_is_found_however_it_is_asked(running):
    page = running.client.get(f"{asked(running, 666)}?k=3")
    assert page.status_code == 200
    assert "g0-s" not in page.text


def test_once_another_bundle_is_served_it_is_refused_and_the_kept_answer_stays(running):
    address = asked(running)
    before = shown(running, address)
    running.bundle.sha256 = "cd" * 32
    refused = running.client.get(f"{address}?k=3")
    assert refused.status_code == 409
    assert str(EcgOfAnotherModel()) in refused.text
    assert shown(running, address) == before
