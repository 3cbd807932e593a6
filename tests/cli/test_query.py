"""The answer of a service as tables: what it says, and nothing where the service said nothing."""

from __future__ import annotations

import httpx
import pytest

from cli.console import out
from cli.query import QueryRefused, ask, print_answer

CLASSES = [
    {"label": "reduced", "range": "<= 40 %", "probability": 0.7},
    {"label": "mildly reduced", "range": "> 40 % and < 50 %", "probability": 0.2},
    {"label": "preserved", "range": ">= 50 %", "probability": 0.1},
]
ANSWER = {
    "request_id": "r",
    "ecg": {
        "format": "dicom",
        "rate_hz": 500.0,
        "duration_s": 10.0,
        "leads": ["I", "II"],
        "resampled_to_hz": 400.0,
        "sha256": "ab" * 32,
    },
    "warnings": [],
    "predictions": {
        "lvef": {"classes": CLASSES, "predicted": "reduced"},
        "shd": {"probability": 0.6, "threshold": 0.4, "positive": True},
    },
    "neighbours": [],
    "bundle": "b",
    "generation": "g",
    "device": "cpu",
    "timing_ms": {"total": 1.0},
    "disclaimer": "Research software.",
}


def printed(answer):
    with out.capture() as capture:
        print_answer(answer)
    return " ".join(capture.get().split())


def test_sets_flags_and_the_percentile_are_shown():
    lvef = ANSWER["predictions"]["lvef"] | {
        "prediction_set": ["reduced", "mildly reduced"],
        "coverage": 0.9,
        "n_calibration": 157,
    }
    flag = {"flag": "lvef_lte_45_flag", "probability": 0.35, "base_rate": 0.1, "finding": "raised"}
    shd = ANSWER["predictions"]["shd"] | {"flags": [flag]}
    ood = {"score": 1.2, "percentile": 99.4}
    text = printed(ANSWER | {"predictions": {"lvef": lvef, "shd": shd, "ood": ood}})
    assert "LVEF: reduced or mildly reduced. Such sets are sized to hold the truth for 90 % of patients" in text
    assert "LVEF 45 % or less" in text
    assert "_flag" not in text
    assert "raised" in text
    assert "More unusual than 99.4 % of held-out ECGs" in text


@pytest.mark.parametrize("word", ["hold the truth", "_flag", "45 % or less", "unusual"])
def test_an_answer_of_an_older_bundle_shows_no_more_than_it_has(word):
    assert word not in printed(ANSWER)


def test_what_a_newer_service_adds_is_passed_over():
    newer = ANSWER | {"withheld": [], "ecg": ANSWER["ecg"] | {"heart_rate_bpm": 71}}
    assert printed(newer) == printed(ANSWER)


HIT = {
    "study_id": "s", "acquired_at": None, "age": None, "sex": None, "lvef_percent": 35.0, "shd": None, "rank": 1,
    "similarity": 0.9, "n_views": 0, "views": [],
}  # fmt: skip


def test_neighbours_show_their_percentile_where_the_service_says_one():
    text = printed(ANSWER | {"neighbours": [HIT | {"percentile": 99.16}]})
    assert "Percentile" in text
    assert "99.2" in text
    assert "so many are less similar to this ECG. It tells a place in this index, not that a study is near" in text
    assert "Percentile" not in printed(ANSWER | {"neighbours": [HIT]})


def test_what_the_neighbours_have_in_common_stands_beside_the_index():
    lvef = {
        "name": "lvef_percent",
        "words": "LVEF",
        "unit": "%",
        "neighbours": {"median": 31.0, "low": 28.5, "high": 40.0, "n": 9},
        "index": {"median": 56.0, "low": 49.0, "high": 61.0, "n": 243},
    }
    shd = {"neighbours": {"share": 0.9, "n": 10}, "index": {"share": 0.412, "n": 236}}
    text = printed(ANSWER | {"neighbour_summary": {"studies": 10, "patients": 6, "lvef": lvef, "shd": shd}})
    assert "10 studies of 6 patients. Of each patient the most similar study counts." in text
    for said in ("LVEF, %", "31 (28.5 to 40)", " 9 ", "56 (49 to 61)", "243", "90 %", "41 %", "236"):
        assert said in text
    assert "beside the whole index" not in printed(ANSWER)


def test_an_answer_that_is_none_is_one_sentence():
    with pytest.raises(QueryRefused, match="not one that this version") as refused:
        print_answer({"status": "ok"})
    assert "\n" not in refused.value.in_full


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        (httpx.Response(200, text="<html>"), "What answered at that address is not this service."),
        (httpx.Response(200, json=[1]), "What answered at that address is not this service."),
        (httpx.Response(302, headers={"location": "/login"}), "What answered at that address is not this service."),
        (httpx.Response(502, text="Bad gateway"), "The service answered 502."),
        (httpx.Response(500, json=["a list"]), "The service answered 500."),
        (httpx.Response(500, text="{", headers={"content-type": "application/json"}), "The service answered 500."),
        (httpx.Response(422, json={"detail": "No lead V3.", "hint": "Send it."}), "No lead V3. Send it."),
    ],
)
def test_whatever_answers_a_person_reads_a_sentence(response, sentence, tmp_path, monkeypatch):
    (tmp_path / "ecg.dcm").write_bytes(b"x")
    response.request = httpx.Request("POST", "http://127.0.0.1:1/v1/search")
    monkeypatch.setattr(httpx, "post", lambda *_, **__: response)
    with pytest.raises(QueryRefused) as refused:
        ask("http://127.0.0.1:1", [tmp_path / "ecg.dcm"], {})
    assert refused.value.in_full == sentence
