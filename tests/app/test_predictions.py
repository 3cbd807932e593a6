"""What an answer says beside probabilities, and that it says nothing where the bundle knows nothing."""

from __future__ import annotations

import re

import numpy as np
import pytest

from models.ood import OodOutput

SETS = {"coverage": 0.9, "n_calibration": 157}
SAYS_MORE = {
    "lvef": {"sets": SETS | {"quantile": 0.85}},  # 0.7, 0.2, 0.1: the first two are within reach
    "shd": {"sets": SETS | {"quantile": 0.5}},  # 0.6 against 0.4: positive alone
    "flags": {"lvef_lte_45_flag": 0.3, "aortic_stenosis_flag": 0.5},
}


@pytest.fixture
def running(start_app, make_probes):
    with start_app() as running:
        running.bundle.probes = make_probes(**SAYS_MORE)
        running.bundle.says_more = {
            "flags_BQ": lambda B: np.tile(np.array([0.35, 0.2], np.float32), (B, 1)),
            "ood": lambda B: OodOutput(np.full(B, 0.31), np.full(B, 42.0)),
        }
        yield running


def says_unusual(running, percentile):
    running.bundle.says_more["ood"] = lambda B: OodOutput(np.full(B, 1.7), np.full(B, percentile))


def test_prediction_sets_name_their_answers_coverage_and_patients(running):
    predictions = running.search(1).json()["predictions"]
    assert predictions["lvef"]["prediction_set"] == ["reduced", "mildly reduced"]
    assert predictions["shd"]["prediction_set"] == ["positive"]
    for said in (predictions["lvef"], predictions["shd"]):
        assert (said["coverage"], said["n_calibration"]) == (0.9, 157)


def test_an_ecg_called_positive_has_positive_in_its_set(running, make_probes):
    """0.4 lies above the threshold of 0.3, but the quantile alone would leave negative only."""
    running.bundle.probes = make_probes(shd={"threshold": 0.3, "sets": SETS | {"quantile": 0.55}})
    running.bundle.says_more = {"shd_B": lambda B: np.full(B, 0.4, np.float32)}
    shd = running.search(1).json()["predictions"]["shd"]
    assert shd["positive"]
    assert shd["prediction_set"] == ["negative", "positive"]


def test_each_flag_with_a_probe_has_its_probability_and_its_own_decision(running):
    assert running.search(1).json()["predictions"]["shd"]["flags"] == [
        {
            "flag": "lvef_lte_45_flag",
            "words": "LVEF 45 % or less",
            "probability": pytest.approx(0.35),
            "threshold": 0.3,
            "positive": True,
        },
        {
            "flag": "aortic_stenosis_flag",
            "words": "aortic stenosis",
            "probability": pytest.approx(0.2),
            "threshold": 0.5,
            "positive": False,
        },
    ]


@pytest.mark.parametrize("place", ["/v1/search", "/v1/predict", "/v1/embed"])
def test_an_unusual_ecg_is_warned_about_wherever_it_is_sent(running, place):
    says_unusual(running, 99.4)
    warnings = running.client.post(place, files={"files": b"1"}).json()["warnings"]
    message = next(warning["message"] for warning in warnings if warning["code"] == "unusual_ecg")
    assert "more unusual than 99.4 % of held-out ECGs like those the model was trained on" in message


def test_an_ecg_at_the_99th_percentile_is_not_unusual_yet(running):
    says_unusual(running, 99.0)
    answer = running.search(1).json()
    assert "unusual_ecg" not in [warning["code"] for warning in answer["warnings"]]
    assert answer["predictions"]["ood"] == {"score": 1.7, "percentile": 99.0}


def test_a_bundle_with_the_two_probes_alone_says_nothing_more(running, make_probes):
    running.bundle.probes, running.bundle.says_more = make_probes(schema_version=1), {}
    answer = running.search(1)
    assert set(answer.json()["predictions"]) == {"lvef", "shd"}
    for word in ("prediction_set", "coverage", "flags", "ood", "unusual_ecg"):
        assert word not in answer.text


def test_flags_without_a_probe_are_named(running):
    assert "not_predicted" not in running.search(1).json()["predictions"]
    running.bundle.says_more["not_predicted"] = lambda B: ("pasp_gte_45_flag",)
    assert running.search(1).json()["predictions"]["not_predicted"] == ["pasp_gte_45_flag"]


def test_a_flag_with_a_rule_is_positive_when_it_is_raised(running, make_probes):
    """Three times the odds of one in ten is 0.25: 0.35 is raised, 0.2 is not."""
    calls = {"case": 1, "called_C": (10.0, 5.0), "not_called_C": (80.0, 5.0), "n_C": (90, 10)}
    rule = {"least_odds_ratio": 3.0, "least_ppv": 0.2, "least_auroc": 0.7, "auroc": 0.8, "auroc_high": 0.9}
    fields = make_probes(**SAYS_MORE).model_dump()
    for flag in fields["flags"].values():
        flag |= {"threshold": None, "prevalence": 0.1, "rule": rule | {"auroc_low": 0.75, "calls": calls}}
    running.bundle.probes = type(running.bundle.probes).model_validate(fields)
    flags = running.search(1).json()["predictions"]["shd"]["flags"]
    assert [(flag["positive"], flag["threshold"]) for flag in flags] == [
        (True, pytest.approx(0.25)),
        (False, pytest.approx(0.25)),
    ]


def test_the_page_shows_sets_flags_and_the_warning(running):
    says_unusual(running, 99.4)
    page = re.sub(r"\s+", " ", running.client.post("/", files={"files": b"1"}).text)
    assert "LVEF: reduced or mildly reduced" in page
    assert "for 90 % of patients like the 157" in page
    assert "<td>LVEF 45 % or less</td>" in page
    assert "_flag" not in page
    assert '<p class="warning">This ECG is more unusual than 99.4 % of held-out ECGs' in page
    assert "More unusual than 99.4 % of held-out ECGs like those the model was trained on" in page
