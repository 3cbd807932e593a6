"""What an answer says beside probabilities, and that it says nothing where the bundle knows nothing."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from cli.console import out
from cli.query import print_answer
from models.lacking import SIMULATED_ONLY
from models.ood import OodOutput

SETS = {"coverage": 0.9, "n_calibration": 157}


def rule(**parts):
    calls = {"case": 1, "called_C": (30.0, 20.0), "not_called_C": (120.0, 10.0), "n_C": (150, 30)}
    auroc = {"auroc": 0.85, "auroc_low": 0.8, "auroc_high": 0.9}
    return {"least_odds_ratio": 3.0, "least_ppv": 0.2, "least_auroc": 0.7, "calls": calls} | auroc | parts


POINT = {
    "sought_sensitivity": 0.9,
    "threshold": 0.45,
    "calls": {"case": 1, "called_C": (30.0, 45.0), "not_called_C": (120.0, 5.0), "n_C": (150, 50)},
}
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


def test_a_flag_without_a_rule_has_its_probability_alone(running):
    assert running.search(1).json()["predictions"]["shd"]["flags"] == [
        {"flag": "lvef_lte_45_flag", "words": "LVEF 45 % or less", "probability": pytest.approx(0.35)},
        {"flag": "aortic_stenosis_flag", "words": "aortic stenosis", "probability": pytest.approx(0.2)},
    ]


@pytest.mark.parametrize(
    ("base_rate", "parts", "finding"),
    [
        (0.14, {}, "raised"),
        (0.16, {}, "not_raised"),
        (0.14, {"auroc_low": 0.69}, "cannot_tell"),
        (0.14, {"calls": rule()["calls"] | {"called_C": (30.0, 5.0), "not_called_C": (120.0, 25.0)}}, "cannot_tell"),
    ],
    ids=["three times the base odds", "less", "no discrimination", "few of those raised have it"],
)
def test_a_flag_is_raised_by_its_rule_and_shown_beside_its_base_rate(running, make_probes, base_rate, parts, finding):
    flag = {"prevalence": base_rate, "rule": rule(**parts)}
    running.bundle.probes = make_probes(flags={"lvef_lte_45_flag": flag})
    running.bundle.says_more = {"flags_BQ": lambda B: np.full((B, 1), 0.34, np.float32)}
    (said,) = running.search(1).json()["predictions"]["shd"]["flags"]
    assert said == {
        "flag": "lvef_lte_45_flag",
        "words": "LVEF 45 % or less",
        "probability": pytest.approx(0.34),
        "base_rate": base_rate,
        "finding": finding,
        **({} if finding == "cannot_tell" else {"raised_ppv": 0.4, "raised_sensitivity": pytest.approx(2 / 3)}),
    }


@pytest.mark.parametrize(("probability", "bound"), [(0.9, "at_most"), (0.7, "at_least"), (0.8, None)])
def test_a_flag_that_the_lvef_classes_bound_is_said_to_be_at_its_bound(running, make_probes, probability, bound):
    """The classes of the stand-in have 0.7, 0.2 and 0.1."""
    flag = {"prevalence": 0.14, "rule": rule(), "lvef_classes": (1, 2)}
    running.bundle.probes = make_probes(flags={"lvef_lte_45_flag": flag})
    running.bundle.says_more = {"flags_BQ": lambda B: np.full((B, 1), probability, np.float32)}
    (said,) = running.search(1).json()["predictions"]["shd"]["flags"]
    assert said.get("bound") == bound
    page = running.client.post("/", follow_redirects=True, files={"files": b"1"}).text
    said = f"{bound.replace('_', ' ')} " if bound else ""
    assert f"LVEF 45 % or less: {said}{100 * probability:.0f} %" in page


def test_a_call_comes_with_its_operating_point(running, make_probes):
    running.bundle.probes = make_probes(shd={"threshold": 0.45, "operating_point": POINT})
    running.bundle.says_more = {}
    shd = running.search(1).json()["predictions"]["shd"]
    assert shd["positive"]
    assert shd["operating_point"] == {
        "threshold": 0.45,
        "sensitivity": 0.9,
        "specificity": 0.8,
        "ppv": 0.6,
        "npv": 0.96,
        "echos_per_case": pytest.approx(1.666667),
        "n_cases": 50,
        "n_others": 150,
        "prevalence": 0.25,
    }


def test_a_limit_above_one_half_calls_nobody_and_shows_no_probability(running, make_probes):
    point = POINT | {"threshold": 0.75}
    running.bundle.probes = make_probes(shd={"threshold": 0.75, "operating_point": point})
    running.bundle.says_more = {}
    shd = running.search(1).json()["predictions"]["shd"]
    assert "positive" not in shd
    assert (shd["threshold"], shd["operating_point"]["npv"]) == (0.75, 0.96)
    page = " ".join(running.client.post("/", follow_redirects=True, files={"files": ("1", b"1")}).text.split())
    assert "this model cannot tell (its limit of 75 % rules nothing out)" in page
    assert "unlikely" not in page
    assert "60 %" not in page


def test_sets_within_a_class_stand_before_the_overall_ones(running, make_probes):
    per_class = {"coverage": 0.9, "quantile_C": (0.5, 0.95, 0.95), "n_calibration_C": (40, 12, 60), "falls_back": (1,)}
    running.bundle.probes = make_probes(lvef={"sets": SETS | {"quantile": 0.85}, "per_class_sets": per_class})
    running.bundle.says_more = {}
    lvef = running.search(1).json()["predictions"]["lvef"]
    assert lvef["prediction_set"] == ["reduced", "mildly reduced", "preserved"]
    assert lvef["overall_set"] == ["reduced", "mildly reduced"]
    assert (lvef["coverage_kind"], lvef["overall_only"], lvef["n_calibration"]) == ("mixed", ["mildly reduced"], 112)


def test_what_the_tracing_shows_stands_beside_what_the_model_says(running):
    measured = running.search(1).json()["measured"]
    assert set(measured) - {"not_reliable"} | set(measured["not_reliable"]) == {
        "heart_rate_bpm", "regular", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms", "axis_deg",
    }  # fmt: skip
    assert not set(measured) & set(measured["not_reliable"])


def test_vectors_alone_cost_no_measuring_of_the_tracing(running, monkeypatch):
    monkeypatch.setattr("app.answering.pipeline.measure_traced", lambda traced: pytest.fail("measured"))
    assert running.client.post("/v1/embed", files={"files": b"1"}).status_code == 200


@pytest.mark.parametrize("place", ["/v1/search", "/v1/predict", "/v1/embed"])
def test_an_unusual_ecg_is_warned_about_wherever_it_is_sent(running, place):
    says_unusual(running, 99.4)
    warnings = running.client.post(place, files={"files": b"1"}).json()["warnings"]
    message = next(warning["message"] for warning in warnings if warning["code"] == "unusual_ecg")
    assert message.startswith("This ECG is unlike the ECGs this model knows; the numbers are for show.")
    assert "more unusual than 99.4 % of held-out ECGs" in message


def test_an_ecg_at_the_95th_percentile_is_not_unusual_yet(running):
    says_unusual(running, 95.0)
    answer = running.search(1).json()
    assert "unusual_ecg" not in [warning["code"] for warning in answer["warnings"]]
    assert answer["predictions"]["ood"] == {"score": 1.7, "percentile": 95.0}


def test_a_bundle_with_the_two_probes_alone_says_nothing_more(running, make_probes):
    running.bundle.probes, running.bundle.says_more = make_probes(schema_version=1), {}
    answer = running.search(1)
    said = answer.json()
    assert set(said["predictions"]) == {"lvef", "shd"}
    assert said.pop("bundle_lacks")
    for word in ("prediction_set", "coverage", "flags", "ood", "unusual_ecg", "null"):
        assert word not in json.dumps({name: said[name] for name in ("predictions", "warnings")})


def test_the_page_shows_sets_flags_and_the_warning_once_and_above_the_numbers(running):
    says_unusual(running, 99.4)
    page = re.sub(r"\s+", " ", running.client.post("/", follow_redirects=True, files={"files": b"1"}).text)
    assert "LVEF: reduced or mildly reduced. Such sets are sized to hold the truth for 90 % of patients" in page
    assert "LVEF 45 % or less" in page
    assert "_flag" not in page
    assert page.count("99.4 %") == 1
    assert page.index('<div class="warning"><p>This ECG is unlike the ECGs this model knows') < page.index(
        'id="lvef-title"'
    )
    assert "Measured from the tracing: rate" in page


def test_a_model_that_saw_simulated_hearts_alone_says_so_above_its_predictions(running):
    places = ("/v1/search", "/v1/predict")
    for place in places:
        assert "trained_on" not in running.client.post(place, files={"files": b"1"}).json()
    running.bundle.trained_on = SIMULATED_ONLY
    for place in places:
        assert running.client.post(place, files={"files": b"1"}).json()["trained_on"] == SIMULATED_ONLY
    with out.capture() as capture:
        print_answer(running.search(1).json())
    page = running.client.post("/", follow_redirects=True, files={"files": b"1"}).text
    for said in (" ".join(page.split()), " ".join(capture.get().split())):
        assert said.count(SIMULATED_ONLY) == 1
        numbers = "Predictions" if "Predictions" in said else 'id="lvef-title"'
        assert said.index(SIMULATED_ONLY) < said.index(numbers)
        assert "42.0 % of held-out simulated ECGs like those" in said


def test_an_unusual_ecg_is_measured_against_simulated_ones_where_those_were_held_out(running):
    says_unusual(running, 99.4)
    running.bundle.trained_on = SIMULATED_ONLY
    page = re.sub(r"\s+", " ", running.client.post("/", follow_redirects=True, files={"files": b"1"}).text)
    assert "more unusual than 99.4 % of held-out simulated ECGs." in page


TOLD = {
    "lvef": {"prevalence_C": (0.19, 0.13, 0.68)},
    "shd": {"prevalence": 0.37, "threshold": 0.45, "operating_point": POINT},
    "flags": {
        "lvef_lte_45_flag": {"prevalence": 0.26, "rule": rule()},
        "aortic_stenosis_moderate_or_greater_flag": {"prevalence": 0.03, "rule": rule(auroc_low=0.69)},
    },
}


@pytest.fixture
def told(running, make_probes):
    """The page and the table of a bundle that has prevalences and rules; none of its flags is raised."""
    running.bundle.probes = make_probes(**TOLD)
    running.bundle.says_more = {"flags_BQ": lambda B: np.tile(np.array([0.1237, 0.3357], np.float32), (B, 1))}
    with out.capture() as capture:
        print_answer(running.search(1).json())
    page = running.client.post("/", follow_redirects=True, files={"files": b"1"}).text
    return {"page": " ".join(re.sub(r"<[^>]*>", " ", page).split()), "table": " ".join(capture.get().split())}


def test_lvef_classes_and_shd_have_base_rates_where_the_bundle_knows_them(running, told):
    predictions = running.search(1).json()["predictions"]
    assert [one["base_rate"] for one in predictions["lvef"]["classes"]] == [0.19, 0.13, 0.68]
    assert predictions["shd"]["base_rate"] == 0.37
    for pair in (r"0\.70\W+0\.19", r"0\.20\W+0\.13", r"0\.10\W+0\.68", r"0\.60\W+0\.37"):
        assert re.search(pair, told["table"])
    for pair in ("base rate 0.19 0.70", "base rate 0.13 0.20", "base rate 0.68 0.10", "60 % base rate 37 %"):
        assert pair in told["page"]


def test_a_flag_that_the_model_cannot_tell_has_its_probability_in_the_json_alone(running, told):
    (untold,) = [f for f in running.search(1).json()["predictions"]["shd"]["flags"] if f["finding"] == "cannot_tell"]
    assert untold["probability"] == pytest.approx(0.3357)
    for said in told.values():
        assert "this model cannot tell" in said
        assert not re.search(r"0\.34|34 %", said)
        assert re.search(r"0\.12|12 %", said), "what is told keeps its own"


def test_not_raised_is_said_once_not_to_mean_normal_and_shd_to_stand_without_a_finding(told):
    for said in told.values():
        assert said.count("Not raised does not mean normal.") == 1
        assert "more likely than not" in said
        assert "Structural heart disease: above the rule-out limit, and no single finding is raised. At this" in said


def test_flags_without_rules_are_not_said_to_be_no_proof(running):
    assert "Not raised" not in running.client.post("/", follow_redirects=True, files={"files": b"1"}).text
