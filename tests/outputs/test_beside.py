"""Two answers beside each other: what differs, to the rounded number that is shown."""

from __future__ import annotations

from outputs.beside import compared_rows, shared_sentence
from outputs.report import MeasuredEcg, SearchAnswer


def answer(rate=None, probability=None, studies=("a", "b")):
    said = {
        "request_id": "r", "bundle": "b", "device": "cpu", "timing_ms": {}, "disclaimer": "Research.",
        "generation": "000001", "warnings": [],
        "ecg": {
            "format": "wfdb", "rate_hz": 500.0, "duration_s": 10.0, "leads": ["I"], "resampled_to_hz": 400.0,
            "sha256": "ab" * 32,
        },
    }  # fmt: skip
    if rate is not None:
        said["measured"] = {"heart_rate_bpm": rate, "not_reliable": []}
    if probability is not None:
        classes = [{"label": "reduced", "range": "<= 40 %", "probability": 0.25}]
        said["predictions"] = {"lvef": {"classes": classes, "predicted": "reduced"}}
    if studies is not None:
        row = {"acquired_at": None, "age": None, "sex": None, "lvef_percent": None, "shd": None, "similarity": 0.1}
        said["neighbours"] = [
            {"study_id": study, "rank": rank, "n_views": 0, "views": []} | row for rank, study in enumerate(studies, 1)
        ]
    return SearchAnswer.model_validate(said)


def rows(first, second):
    return {row.name: (row.first, row.second, row.change) for row in compared_rows(first, second)}


def test_the_change_is_that_of_the_numbers_that_are_shown():
    assert rows(answer(60.4), answer(71.6))["Heart rate"] == ("60/min", "72/min", "+12/min")
    assert rows(answer(71.6), answer(60.4))["Heart rate"] == ("72/min", "60/min", "-12/min")
    assert rows(answer(60.4), answer(59.6))["Heart rate"] == ("60/min", "60/min", "none")


def test_what_one_of_them_lacks_has_no_change():
    one, other, change = rows(answer(60.0, 0.2), answer(None))["Heart rate"]
    assert (one, change) == ("60/min", "")
    assert one != other
    assert rows(answer(60.0, 0.2), answer(None))["LVEF, most probable"][0] == "reduced"


def test_every_interval_that_both_have_is_compared_and_one_that_neither_has_is_left_out():
    one, other = (
        answer().model_copy(update={"measured": MeasuredEcg(**measured, not_reliable=[])})
        for measured in (
            {"pr_ms": 160, "qrs_ms": 90, "qt_ms": 400, "qtc_ms": 400},
            {"pr_ms": 200, "qrs_ms": 90, "qt_ms": 380, "qtc_ms": 420},
        )
    )
    compared = rows(one, other)
    assert {name: compared[name][2] for name in ("PR", "QRS", "QT", "QTc")} == {
        "PR": "+40 ms", "QRS": "none", "QT": "-20 ms", "QTc": "+20 ms",
    }  # fmt: skip
    assert list(compared)[:4] == ["PR", "QRS", "QT", "QTc"], "without rate and axis, which neither has"


def test_studies_in_common_are_counted_and_a_withheld_answer_has_none():
    assert shared_sentence(answer(studies="abc"), answer(studies="bcde")) == (
        "Of the 3 and 4 similar studies 2 are the same."
    )
    for two in ((answer(studies=None), answer()), (answer(), answer(studies=None))):
        assert "withheld" in shared_sentence(*two)
