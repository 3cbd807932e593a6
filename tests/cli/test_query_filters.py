"""`query` sends filters as the service takes them, and shows what was filtered."""

from __future__ import annotations

import httpx
import pytest

from cli import query
from index.catalogue.filters import Filters

ANSWER = {
    "ecg": {
        "format": "muse", "rate_hz": 500.0, "duration_s": 10.0, "leads": ["I"], "resampled_to_hz": 400.0,
        "sha256": "ab" * 32,
    },
    "request_id": "r", "warnings": [], "neighbours": [], "timing_ms": {"total": 3.0}, "bundle": "b",
    "generation": "g", "device": "cpu", "disclaimer": "Research.",
}  # fmt: skip
EVERY = {
    "--lvef-min": ("20", {"lvef_min": "20.0"}),
    "--lvef-max": ("40", {"lvef_max": "40.0"}),
    "--age-min": ("60", {"age_min": "60.0"}),
    "--age-max": ("90.5", {"age_max": "90.5"}),
    "--sex": ("F", {"sex": "F"}),
    "--acquired-after": ("2020-01-01", {"acquired_after": "2020-01-01"}),
    "--acquired-before": ("2020-12-31T10:00+01:00", {"acquired_before": "2020-12-31T10:00+01:00"}),
    "--view": ("A4C", {"view": "A4C"}),
    "--shd": (None, {"shd": "true"}),
    "--no-shd": (None, {"shd": "false"}),
    "--one-per-patient": (None, {"one_per_patient": "true"}),
}


@pytest.fixture
def asked(command, monkeypatch, tmp_path):
    """Run `query` with options: its exit code, the parameters sent, what was printed and the sentence of a refusal."""
    (tmp_path / "a.dcm").write_bytes(b"x")

    def run(*options, response=None):
        sent = []

        def post(url, *, params, **_):
            sent.append(dict(httpx.QueryParams(params)))
            given = response or httpx.Response(200, json=ANSWER)
            given.request = httpx.Request("POST", url)
            return given

        monkeypatch.setattr(query.httpx, "post", post)
        code, printed, sentence = command("query", tmp_path / "a.dcm", *options)
        return code, sent[0] if sent else None, " ".join(printed.split()), sentence

    return run


@pytest.mark.parametrize("option", EVERY)
def test_a_filter_is_sent_as_the_parameter_of_its_name_and_nothing_else_is(asked, option):
    value, sent = EVERY[option]
    code, parameters, *_ = asked(option, *([] if value is None else [value]))
    assert (code, parameters) == (0, {"k": "10"} | sent)


def test_every_filter_has_an_option():
    sent = {name for _, parameters in EVERY.values() for name in parameters}
    assert sent == {*vars(Filters()), "one_per_patient"}


def test_the_sex_may_be_written_in_four_ways(asked):
    assert [asked("--sex", sex)[1]["sex"].lower() for sex in ("f", "M", "female", "Male")] == [
        "f",
        "m",
        "female",
        "male",
    ]


@pytest.mark.parametrize(
    "options",
    [
        ("--lvef-min", "-1"),
        ("--lvef-max", "101"),
        ("--lvef-max", "nan"),
        ("--age-max", "131"),
        ("--sex", "x"),
        ("--acquired-after", "yesterday"),
        ("--acquired-before", "5"),
        ("--view", ""),
        ("--view", "a\nb"),
    ],
)
def test_what_is_out_of_range_is_wrong_usage_and_is_not_sent(asked, options):
    assert asked(*options)[:2] == (2, None)


def test_what_the_service_refuses_is_told_in_options(asked):
    refused = httpx.Response(422, json={"detail": "lvef_min must not be above lvef_max.", "hint": "Is age_min meant?"})
    code, _, _, sentence = asked("--lvef-min", "50", "--lvef-max", "40", response=refused)
    assert (code, sentence) == (1, "--lvef-min must not be above --lvef-max. Is --age-min meant?")


def test_what_was_filtered_stands_above_the_table(asked):
    applied = {"lvef_max": 40.0, "sex": "female", "one_per_patient": True}
    hit = {
        "study_id": "s", "acquired_at": None, "age": None, "sex": "female", "lvef_percent": 35.0, "shd": None,
        "rank": 1, "similarity": 0.9, "n_views": 0, "views": [],
    }  # fmt: skip
    said = ANSWER | {"filters": {"applied": applied, "studies": 12}, "neighbours": [hit]}
    printed = asked(response=httpx.Response(200, json=said))[2]
    line = "Filtered LVEF at most 40 %, female, one study of each patient. 12 studies of the index match."
    assert printed.index(line) < printed.index("Most similar echo studies")
    assert "Filtered" not in asked()[2]


def test_where_no_study_matches_there_is_no_table_but_the_reason(asked):
    none = {"code": "no_study_matches", "message": "No study matches.", "leads": [], "severity": "warning"}
    said = ANSWER | {"filters": {"applied": {"view": "PLAX"}, "studies": 0}, "warnings": [none]}
    code, _, printed, _ = asked(response=httpx.Response(200, json=said))
    assert code == 0
    assert "No study matches." in printed
    assert "with a view PLAX. 0 studies of the index match." in printed
    assert "Most similar echo studies" not in printed
