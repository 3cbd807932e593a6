"""Labels of the user's own in an answer, and what a bundle without LVEF or SHD, or without embeddings, answers."""

from __future__ import annotations

import numpy as np
import pytest

from cli.console import out
from cli.query import print_answer

POINT = {
    "sought_sensitivity": 0.9,
    "threshold": 0.4,
    "calls": {"case": 1, "called_C": (30.0, 45.0), "not_called_C": (120.0, 5.0), "n_C": (150, 50)},
}
SETS = {"coverage": 0.9, "n_calibration": 157, "quantile": 0.5}
YES_NO = {"weight_F": [0.0] * 4, "bias": 0.0, "calibration": {"shift": [0.0]}, "threshold": 0.4, "prevalence": 0.25}
NUMBER = {"weight_F": [0.0] * 4, "bias": 0.0, "half_width": 7.5, "coverage": 0.9, "n_calibration": 60}


@pytest.fixture
def running(start_app, make_probes):
    with start_app() as running:
        own = {
            "own_yes_no": {"amyloid": YES_NO | {"sets": SETS, "operating_point": POINT}},
            "own_numbers": {"ntprobnp": NUMBER},
        }
        running.bundle.probes = make_probes(**own)
        running.bundle.says_more = {"own_BK": lambda B: np.tile(np.array([0.7, 31.25], np.float32), (B, 1))}
        yield running


def test_each_label_has_its_answer_and_what_stands_behind_it(running):
    amyloid, ntprobnp = running.search(1).json()["predictions"]["own"]
    assert (amyloid["label"], amyloid["positive"], amyloid["base_rate"]) == ("amyloid", True, 0.25)
    assert amyloid["probability"] == pytest.approx(0.7, abs=1e-6)
    assert (amyloid["prediction_set"], amyloid["coverage"], amyloid["n_calibration"]) == (["positive"], 0.9, 157)
    assert "value" not in amyloid
    assert ntprobnp == {
        "label": "ntprobnp", "value": 31.25, "low": 23.75, "high": 38.75, "coverage": 0.9, "n_calibration": 60,
    }  # fmt: skip


def test_page_and_command_show_them(running):
    page = running.client.post("/", follow_redirects=True, files={"files": ("1", b"1")}).text
    assert "Labels added when this bundle was fitted" in page
    assert "31.25 (23.75 to 38.75)" in page
    with out.capture() as shown:
        print_answer(running.search(1).json())
    said = " ".join(shown.get().split())
    assert "amyloid: more likely than not (70 %; rule-out limit 40 %). At this limit: sensitivity" in said
    assert "echocardiograms per case" not in said.split("amyloid:")[1]
    assert "ntprobnp: such intervals are sized to hold the truth for 90 % of patients" in said


def test_a_label_whose_limit_excludes_nobody_is_neither_yes_nor_no(running):
    given = running.bundle.probes.model_dump()
    point = given["own_yes_no"]["amyloid"]["operating_point"]
    point["calls"] |= {"called_C": (150.0, 50.0), "not_called_C": (0.0, 0.0)}
    running.bundle.probes = type(running.bundle.probes).model_validate(given)
    answer = running.search(1).json()
    amyloid = answer["predictions"]["own"][0]
    assert "positive" not in amyloid
    assert amyloid["operating_point"]["specificity"] == 0
    assert amyloid["probability"] == pytest.approx(0.7, abs=1e-6)
    page = running.client.post("/", follow_redirects=True, files={"files": ("1", b"1")}).text
    with out.capture() as shown:
        print_answer(answer)
    for said in (" ".join(page.split()), " ".join(shown.get().split())):
        assert "amyloid: this model cannot tell (its limit of 40 % rules nothing out)" in said
        assert "more likely than not" not in said.split("amyloid")[1]


@pytest.mark.parametrize(
    ("probability", "positive", "words"),
    [
        (0.9, True, "more likely than not (90 %; limit 80 %)"),
        (0.7, False, "more likely than not (70 %, below the limit of 80 %)"),
        (0.1, False, "unlikely (10 %, below the limit of 80 %)"),
    ],
)
def test_a_common_label_is_called_at_a_limit_above_one_half(running, probability, positive, words):
    given = running.bundle.probes.model_dump()
    given["own_yes_no"]["amyloid"]["threshold"] = given["own_yes_no"]["amyloid"]["operating_point"]["threshold"] = 0.8
    running.bundle.probes = type(running.bundle.probes).model_validate(given)
    running.bundle.says_more = {"own_BK": lambda B: np.tile(np.array([probability, 31.25]), (B, 1))}
    answer = running.search(1).json()
    assert answer["predictions"]["own"][0]["positive"] is positive
    with out.capture() as shown:
        print_answer(answer)
    assert f"amyloid: {words}." in " ".join(shown.get().split())


@pytest.mark.parametrize(
    ("value", "half_width", "said"),
    [
        (8.5e-5, 7.5e-6, "8.5e-05 (7.75e-05 to 9.25e-05)"),
        (1e9 + 57.123, 20.0, "1000000057 (1000000037 to 1000000077)"),
        (1.2e-9, 0.0, "1.2e-09 (1.2e-09 to 1.2e-09)"),
    ],
)
def test_a_number_is_told_in_figures_whatever_its_unit(running, value, half_width, said):
    given = running.bundle.probes.model_dump()
    given["own_numbers"]["ntprobnp"]["half_width"] = half_width
    running.bundle.probes = type(running.bundle.probes).model_validate(given)
    running.bundle.says_more = {"own_BK": lambda B: np.tile(np.array([0.7, value]), (B, 1))}
    answer = running.search(1).json()
    assert answer["predictions"]["own"][1]["value"] == pytest.approx(value, rel=1e-11)
    with out.capture() as shown:
        print_answer(answer)
    assert said in " ".join(shown.get().split())


def test_a_bundle_of_own_labels_alone_says_nothing_of_lvef_and_shd(running):
    given = running.bundle.probes.model_dump() | {"lvef": None, "shd": None}
    running.bundle.probes = type(running.bundle.probes).model_validate(given)
    running.bundle.says_more |= {"lvef_BC": lambda B: None, "shd_B": lambda B: None}
    answer = running.search(1).json()
    assert answer["predictions"].keys() == {"own"}
    assert {"lvef", "shd"} <= set(answer["bundle_lacks"])
    page = running.client.post("/", follow_redirects=True, files={"files": ("1", b"1")}).text
    assert "Structural heart disease</td>" not in page
    assert "no predictions of LVEF, no predictions of SHD" in page
    print_answer(answer)


def test_flags_of_a_bundle_without_shd_stand_by_themselves(running, make_probes):
    given = make_probes(flags={"aortic_stenosis_flag": 0.5}, schema_version=4).model_dump() | {"schema_version": 5}
    running.bundle.probes = type(running.bundle.probes).model_validate(given | {"lvef": None, "shd": None})
    running.bundle.says_more = {
        "lvef_BC": lambda B: None,
        "shd_B": lambda B: None,
        "flags_BQ": lambda B: np.full((B, 1), 0.2, np.float32),
    }
    (flag,) = running.search(1).json()["predictions"]["flags"]
    assert flag["probability"] == pytest.approx(0.2, abs=1e-6)
    assert (
        "<h3>Single findings</h3>" in running.client.post("/", follow_redirects=True, files={"files": ("1", b"1")}).text
    )


def test_a_bundle_that_predicts_only_is_asked_for_predictions(running):
    running.bundle.gives = frozenset({"ecg_features", "predictions"})
    embed = running.bundle.embed_ecgs
    running.bundle.embed_ecgs = lambda windows: type(embed(windows))(**vars(embed(windows)) | {"embeddings_BD": None})
    refused = running.search(1)
    assert (refused.status_code, refused.json()["code"]) == (404, "no_embeddings")
    answered = running.client.post("/v1/predict", files={"files": ("1", b"1")})
    assert answered.status_code == 200
    assert answered.json()["predictions"]["own"][0]["label"] == "amyloid"
