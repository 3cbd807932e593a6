"""Filters of POST /v1/search: what they leave, what an answer says of them, and what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from app.schemas import SearchQuery
from index.catalogue.filters import Filters
from index.store import IndexStore


@pytest.fixture
def running(start_app):
    with start_app() as running:
        yield running


def found(answer):
    """Row numbers, in the order of the answer."""
    return [int(hit["study_id"].removeprefix("g0-s")) for hit in answer["neighbours"]]


# Of twenty studies: those of odd rows are of women, of the others the sex is unknown; LVEF is 50 %, in every fifth row
# unknown; the age is 60 and the row; the day is the row's and one of January; two rows are a patient.
NARROWED = {
    "sex": ({"sex": "F"}, {"sex": "female"}, [row for row in range(20) if row % 2]),
    "lvef": (
        {"lvef_min": 50, "lvef_max": 50},
        {"lvef_min": 50.0, "lvef_max": 50.0},
        [row for row in range(20) if row % 5],
    ),
    "age": ({"age_min": 65, "age_max": "66.5"}, {"age_min": 65.0, "age_max": 66.5}, [5, 6]),
    "days": (
        {"acquired_after": "2026-01-03", "acquired_before": "2026-01-05"},
        {"acquired_after": "2026-01-03", "acquired_before": "2026-01-05"},
        [2, 3, 4],
    ),
    "a time": ({"acquired_before": "2026-01-02T03:00+02:00"}, {"acquired_before": "2026-01-02T03:00:00+02:00"}, [0, 1]),
    "shd": ({"shd": "false"}, {"shd": False}, [row for row in range(20) if row % 5]),
    "view": ({"view": " a4c "}, {"view": "a4c"}, list(range(20))),
    "several": (
        {"shd": "no", "sex": "female", "age_max": 70},
        {"age_max": 70.0, "sex": "female", "shd": False},
        [1, 3, 7, 9],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NARROWED)
def test_an_answer_holds_the_studies_that_match_and_says_what_was_asked(running, name):
    asked, applied, rows = NARROWED[name]
    answer = running.search(3, k=20, **asked).json()
    everything = found(running.search(3, k=20).json())
    assert found(answer) == [row for row in everything if row in rows]
    assert answer["filters"] == {"applied": applied, "studies": len(rows)}
    assert [hit["rank"] for hit in answer["neighbours"]] == list(range(1, len(rows) + 1))


def test_what_is_not_asked_is_not_said(running):
    assert "filters" not in running.search(1).json()
    assert "filters" not in running.search(1, exclude_patient="p3", one_per_patient="false").json()
    assert "filters" not in running.client.post("/v1/predict", files={"files": b"1"}).json()


def test_of_each_patient_the_most_similar_study_alone(running):
    everything = found(running.search(3, k=20).json())
    first: dict[int, int] = {}
    for row in everything:
        first.setdefault(row // 2, row)
    expected = list(first.values())
    for k in (1, 4, 10, 20):
        answer = running.search(3, k=k, one_per_patient="true").json()
        assert found(answer) == expected[:k]
        assert answer["filters"] == {"applied": {"one_per_patient": True}, "studies": 20}
    answer = running.search(3, k=20, one_per_patient="true", exclude_patient="p3", sex="F").json()
    women = [row for row in everything if row % 2 and row // 2 != 3]
    assert found(answer) == women
    assert answer["filters"] == {"applied": {"sex": "female", "one_per_patient": True}, "studies": 9}
    assert answer["neighbour_summary"]["patients"] == answer["neighbour_summary"]["studies"] == 9


def test_queries_of_every_kind_in_one_batch_get_their_own_studies(running, wait_until):
    asked = [{}, {"one_per_patient": "true"}, {"sex": "F"}, {"k": 3}, {"sex": "F", "one_per_patient": "true"}]
    alone = [found(running.search(5, **params).json()) for params in asked]
    assert len({tuple(rows) for rows in alone}) == 4, "each patient has one study of a woman"
    running.bundle.batches.clear()
    running.bundle.go_on.clear()
    with ThreadPoolExecutor(11) as pool:
        first = pool.submit(running.search, 5)
        wait_until(lambda: running.bundle.batches)
        rest = [pool.submit(running.search, 5, **params) for params in asked * 2]
        wait_until(lambda: running.service.batcher.waiting == 10)
        running.bundle.go_on.set()
        answers = [found(one.result().json()) for one in rest]
    assert found(first.result().json()) == alone[0]
    assert running.bundle.batches == [1, 10]
    assert answers == alone * 2


def test_the_index_beside_the_neighbours_is_the_whole_one_whatever_is_filtered(running):
    whole = running.search(3, k=20).json()["neighbour_summary"]
    narrowed = running.search(3, k=20, sex="F", lvef_min=10).json()["neighbour_summary"]
    assert narrowed["lvef"]["index"] == whole["lvef"]["index"]
    assert narrowed["lvef"]["neighbours"]["n"] == 8


def test_where_no_study_matches_the_answer_is_empty_and_says_so(running):
    predictions = running.search(1).json()["predictions"]
    for asked in ({"lvef_max": 20}, {"view": "PLAX"}, {"sex": "M"}, {"sex": "M", "one_per_patient": "true"}):
        response = running.search(1, **asked)
        answer = response.json()
        assert response.status_code == 200
        assert (answer["neighbours"], answer["filters"]["studies"]) == ([], 0)
        assert "no_study_matches" in {warning["code"] for warning in answer["warnings"]}
        assert "neighbour_summary" not in answer
        assert answer["predictions"] == predictions
    assert "no_study_matches" not in running.search(1, sex="F").text


def test_a_patient_that_is_unknown_is_said_to_be_also_beside_a_filter(running):
    codes = {
        patient: [w["code"] for w in running.search(1, sex="F", exclude_patient=patient).json()["warnings"]]
        for patient in ("p3", "nobody")
    }
    assert "patient_not_found" in codes["nobody"]
    assert "patient_not_found" not in codes["p3"]


def test_a_patient_whose_studies_all_match_no_filter_is_known_all_the_same(running):
    warnings = running.search(1, age_min=70, exclude_patient="p0").json()["warnings"]
    assert "patient_not_found" not in {warning["code"] for warning in warnings}


REFUSED = [
    {"lvef_min": 50, "lvef_max": 40}, {"lvef_min": -1}, {"lvef_max": "nan"}, {"age_max": "inf"}, {"age_min": 131},
    {"sex": "SECRET"}, {"shd": "SECRET"}, {"view": "SE\nCRET"}, {"view": ""}, {"view": "SECRET" * 20},
    {"acquired_after": "1767225600"}, {"acquired_after": "2026-02-30"}, {"acquired_after": "0001-01-01"},
    {"acquired_after": "2026-01-05", "acquired_before": "2026-01-04"}, {"one_per_patient": "SECRET"},
]  # fmt: skip


def test_a_filter_out_of_range_is_422_in_one_sentence(running):
    for asked in REFUSED:
        response = running.search(1, **asked)
        problem = response.json()
        assert (response.status_code, problem["code"]) == (422, "invalid_parameter"), asked
        assert "CRET" not in response.text
        assert problem["detail"].endswith(".")
    assert not running.bundle.batches


def test_a_time_without_a_zone_is_refused_where_the_index_has_times_with_one(running):
    response = running.search(1, acquired_after="2026-01-05T10:00")
    assert (response.status_code, response.json()["code"]) == (422, "time_zone_missing")
    assert not running.bundle.batches


MEANT = {
    "lvef_maximum": "Is lvef_max meant?",
    "LVEF_MAX": "Is lvef_max meant?",
    "one_per_patients": "Is one_per_patient meant?",
    "acquired_beforehand": "Is acquired_before meant?",
    "exclude-patient": "Is exclude_patient meant?",
    "SECRET": None,
    "x" * 1000: None,
}


def test_of_an_unknown_parameter_the_nearest_known_one_is_suggested(running):
    for sent, hint in MEANT.items():
        response = running.search(1, **{sent: "1"})
        problem = response.json()
        assert (response.status_code, problem["code"], problem.get("hint")) == (422, "invalid_parameter", hint)
        assert sent not in response.text


def test_a_route_suggests_its_own_parameters_alone(running):
    refused = running.client.post("/v1/predict?lvef_maximum=4", files={"files": b"1"}).json()
    assert "hint" not in refused
    refused = running.client.post("/v1/predict?rate=4", files={"files": b"1"}).json()
    assert refused["hint"] == "Is rate_hz meant?"


def test_every_filter_is_a_parameter_of_the_search_and_of_the_form(running):
    assert set(vars(Filters())) <= set(SearchQuery.model_fields)
    parameters = running.client.get("/openapi.json").json()["paths"]["/v1/search"]["post"]["parameters"]
    assert {*vars(Filters()), "one_per_patient"} <= {parameter["name"] for parameter in parameters}


def test_neighbours_are_the_brute_force_nearest_of_those_allowed(running, index_dir):
    answer = running.search(3, k=5, age_min=66, one_per_patient="true").json()
    embedding = np.array(running.client.post("/v1/embed", files={"files": b"3"}).json()["embedding"])
    similarity_N = IndexStore(index_dir).open_current().index.vectors_ND @ embedding
    of_patients = {p: max((similarity_N[row], -row) for row in (2 * p, 2 * p + 1) if row >= 6) for p in range(3, 10)}
    expected = [-row for _, row in sorted(of_patients.values(), reverse=True)[:5]]
    assert found(answer) == expected
