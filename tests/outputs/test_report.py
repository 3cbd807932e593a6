"""The one shape of an answer: read back from its JSON as it was, whoever wrote it."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from outputs.report import SearchAnswer

VIEWS = [
    {"view_id": "v1", "view": None, "pool_weight": 0.25, "thumbnail_url": "/v1/studies/s/views/v1/thumbnail"},
    {"view_id": "v2", "view": "A4C", "pool_weight": 0.75, "thumbnail_url": "/v1/studies/s/views/v2/thumbnail"},
]
ANSWER = {
    "request_id": "0123456789abcdef",
    "bundle": "b",
    "device": "cpu",
    "ecg": {
        "format": "dicom",
        "rate_hz": 500.0,
        "duration_s": 10.0,
        "leads": ["I", "II"],
        "resampled_to_hz": 400.0,
        "sha256": "ab" * 32,
    },
    "warnings": [{"code": "flat_lead", "message": "Lead II is flat.", "leads": ["II"]}],
    "timing_ms": {"total": 1.5},
    "disclaimer": "Research software.",
    "generation": "000001",
    "measured": {"heart_rate_bpm": 71.0, "regular": True, "not_reliable": ["pr_ms"]},
    "predictions": {
        "lvef": {
            "prediction_set": ["reduced"],
            "coverage": 0.9,
            "coverage_kind": "mixed",
            "overall_only": ["mildly reduced"],
            "overall_set": ["reduced"],
            "n_calibration": 30,
            "classes": [{"label": "reduced", "range": "<= 40 %", "probability": 0.7}],
            "predicted": "reduced",
        },
        "shd": {
            "probability": 0.6,
            "threshold": 0.4,
            "positive": True,
            "flags": [
                {
                    "flag": "lvwt_gte_13_flag",
                    "words": "left ventricular wall 13 mm or thicker",
                    "probability": 0.1,
                    "base_rate": 0.05,
                    "finding": "not_raised",
                }
            ],
        },
        "not_predicted": ["mitral_regurgitation_flag"],
        "ood": {"score": 0.3, "percentile": 42.0},
    },
    "neighbours": [
        {
            "study_id": "s",
            "acquired_at": "2020-03-01T09:30:00Z",
            "age": 61.0,
            "sex": None,
            "lvef_percent": 35.0,
            "shd": None,
            "rank": 1,
            "similarity": 0.9,
            "percentile": 99.2,
            "n_views": 2,
            "views": VIEWS,
        }
    ],
    "neighbour_summary": {
        "studies": 10,
        "patients": 10,
        "lvef": {
            "name": "lvef_percent",
            "words": "LVEF",
            "unit": "%",
            "neighbours": {"median": 35.0, "low": 30.0, "high": 41.5, "n": 9},
            "index": {"median": 56.0, "low": 49.0, "high": 61.0, "n": 243},
        },
        "shd": {"neighbours": {"share": 0.9, "n": 10}, "index": {"share": 0.4, "n": 236}},
    },
}


def changed(**parts):
    return json.loads(json.dumps(ANSWER)) | parts


def without(answer, *names):
    return {name: value for name, value in answer.items() if name not in names}


def written(answer):
    return json.loads(SearchAnswer.model_validate_json(json.dumps(answer)).model_dump_json(exclude_unset=True))


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        without(ANSWER, "predictions"),
        without(ANSWER, "measured"),
        without(ANSWER, "neighbour_summary"),
        changed(neighbour_summary=without(ANSWER["neighbour_summary"], "lvef")),
        changed(neighbour_summary=without(ANSWER["neighbour_summary"], "studies", "patients")),
        changed(neighbours=[without(ANSWER["neighbours"][0], "percentile")]),
        changed(neighbours=[]),
        changed(predictions=without(ANSWER["predictions"], "ood")),
        changed(predictions=ANSWER["predictions"] | {"shd": without(ANSWER["predictions"]["shd"], "flags")}),
        changed(neighbours=[ANSWER["neighbours"][0] | {"acquired_at": "2020-03-01T09:30:00"}]),
    ],
)
def test_json_is_read_and_written_again_as_it_was(answer):
    assert json.dumps(written(answer)) == json.dumps(answer), "the order of members too"


def test_what_a_newer_service_adds_is_passed_over():
    newer = changed(afterthoughts=[], ecg=ANSWER["ecg"] | {"heart_rate_bpm": 71})
    assert written(newer) == ANSWER


def test_a_flag_of_an_older_service_still_has_words():
    answer = changed()
    del answer["predictions"]["shd"]["flags"][0]["words"]
    (flag,) = SearchAnswer.model_validate(answer).predictions.shd.flags
    assert flag.words == "left ventricular wall 13 mm or thicker"
    assert written(answer) == answer


def test_what_every_answer_has_may_not_be_missing():
    with pytest.raises(ValidationError):
        SearchAnswer.model_validate(without(ANSWER, "warnings"))


def test_the_view_that_counts_most_comes_first_under_its_name_or_its_id():
    (hit,) = SearchAnswer.model_validate(ANSWER).neighbours
    assert [view.name for view in hit.heaviest_views] == ["A4C", "v1"]
