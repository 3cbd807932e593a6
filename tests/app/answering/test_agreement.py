"""What contradicts itself in an answer is said in the answer: in JSON, on the page and by the command."""

from __future__ import annotations

import numpy as np
import pytest

from app.answering.agreement import contradictions, lvef_disagrees
from cli.console import out
from cli.query import print_answer
from models.bundle import LvefEstimate, LvefVerdict, PredictionSet
from models.labels import LvefClasses

CLASSES = LvefClasses()
REDUCED, MILD, PRESERVED = range(3)


def verdict(percent=None, *, low=None, high=None, overall=None, per_class=None):
    def said(classes):
        return None if classes is None else PredictionSet(classes, 0.9, 100)

    estimate = None if percent is None else LvefEstimate(percent, low, high)
    return LvefVerdict(np.full(3, 1 / 3, np.float32), 0, said(overall), said(per_class), estimate=estimate)


def codes(lvef, near=()):
    return [warning.code for warning in contradictions(lvef, CLASSES, near)]


@pytest.mark.parametrize(
    ("percent", "allowed", "warns"),
    [
        (55.0, (REDUCED,), True),
        (55.0, (REDUCED, MILD), True),
        (55.0, (REDUCED, PRESERVED), False),
        (45.0, (REDUCED, MILD), False),
        (30.0, (PRESERVED,), True),
        (40.0, (REDUCED,), False),  # the edge belongs below
        (40.04, (REDUCED,), False),  # shown as 40.0
        (40.06, (REDUCED,), True),  # shown as 40.1
        (50.0, (PRESERVED,), False),
        (49.96, (PRESERVED,), False),  # shown as 50.0
        (49.9, (PRESERVED,), True),
    ],
)
def test_a_number_in_a_class_that_is_ruled_out_is_warned_about(percent, allowed, warns):
    assert (lvef_disagrees(verdict(percent, overall=allowed), CLASSES) is not None) == warns


def test_the_set_within_classes_decides_where_there_is_one():
    assert codes(verdict(55.0, overall=(REDUCED,), per_class=(REDUCED, PRESERVED))) == []
    assert codes(verdict(55.0, overall=(REDUCED, PRESERVED), per_class=(REDUCED,))) == ["lvef_disagrees"]


def test_without_a_number_a_set_or_an_interval_nothing_is_compared():
    near = [30.0] * 5
    assert codes(None, near) == []
    assert codes(verdict(overall=(REDUCED,)), near) == []
    assert codes(verdict(55.0), near) == []
    assert codes(verdict(55.0, low=50.0, high=60.0, overall=(PRESERVED,))) == []
    assert codes(verdict(55.0, low=50.0, high=60.0), near) == ["neighbours_disagree"]


def test_neighbours_are_compared_with_the_interval_as_it_is_shown():
    assert codes(verdict(55.0, low=50.04, high=60.0), [50.0] * 5) == []
    assert codes(verdict(55.0, low=50.06, high=60.0), [50.0] * 5) == ["neighbours_disagree"]
    assert codes(verdict(55.0, low=50.0, high=60.0), [49.96, None, *[49.97] * 4]) == []


def test_the_sentence_names_number_class_and_what_is_left():
    warning = lvef_disagrees(verdict(47.2, overall=(REDUCED, PRESERVED)), CLASSES)
    assert warning.message == (
        "The two predictions of LVEF contradict each other: the number, 47.2 %, is mildly reduced (> 40 % and < 50 %), "
        "but the prediction set of its classes holds only reduced (<= 40 %) or preserved (>= 50 %). "
        "Take both with care."
    )


BINS = {"coverage": 0.9, "bins": [{"below_percent": None, "half_width_percent": 6.0, "n_calibration": 90}]}
NUMBER = {"weight_F": [0.0] * 4, "bias": 50.0}
SET_OF_REDUCED = {"coverage": 0.9, "n_calibration": 157, "quantile": 0.5}  # 0.7, 0.2, 0.1: reduced alone


@pytest.fixture
def running(start_app, make_probes):
    """Its index has 16 studies of known LVEF, 50 % each."""
    with start_app() as running:
        running.bundle.probes = make_probes(lvef={"sets": SET_OF_REDUCED, "number": NUMBER | {"interval": BINS}})
        yield running


def says(running, percent):
    running.bundle.says_more = {"lvef_percent_B": lambda B: np.full(B, percent, np.float32)}


def warned(answer):
    return {warning["code"]: warning["message"] for warning in answer["warnings"]}


def page_and_command(running):
    page = running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={"k": "20"}).text
    with out.capture() as capture:
        print_answer(running.search(1, k=20).json())
    return page, " ".join(capture.get().split())


def test_an_answer_whose_neighbours_and_numbers_agree_warns_of_nothing(running, make_probes):
    running.bundle.probes = make_probes(lvef={"number": NUMBER | {"interval": BINS}})
    says(running, 52.0)
    assert not {"neighbours_disagree", "lvef_disagrees"} & set(warned(running.search(1, k=20).json()))


def test_both_contradictions_stand_in_json_on_the_page_and_in_the_terminal(running):
    says(running, 62.0)
    said = warned(running.search(1, k=20).json())
    assert said["neighbours_disagree"].startswith(
        "The median LVEF of similar studies of 9 patients, 50 %, lies outside the predicted 56 to 68 %."
    )
    assert "62 %, is preserved (>= 50 %)" in said["lvef_disagrees"]
    page, command = page_and_command(running)
    assert page.count('<div class="warning"><p>The median LVEF of similar studies of 9 patients, 50 %') == 1
    assert page.count('<div class="warning"><p>The two predictions of LVEF contradict each other') == 1
    assert page.index("contradict each other") < page.index('id="lvef-title"')
    assert "warning: The median LVEF of similar studies of 9 patients, 50 %, lies outside" in command
    assert "warning: The two predictions of LVEF contradict each other" in command


def test_predictions_alone_have_no_neighbours_to_disagree_with(running):
    says(running, 62.0)
    answer = running.client.post("/v1/predict", files={"files": b"1"}).json()
    assert set(warned(answer)) & {"neighbours_disagree", "lvef_disagrees"} == {"lvef_disagrees"}
    vectors = running.client.post("/v1/embed", files={"files": b"1"}).json()
    assert "lvef_disagrees" not in warned(vectors), "vectors alone say nothing of LVEF"


def test_of_fewer_than_five_known_neighbours_no_disagreement_is_said(running):
    says(running, 62.0)
    assert "neighbours_disagree" not in warned(running.search(1, k=4).json())


def test_neighbours_that_were_chosen_by_their_lvef_disagree_with_nothing(running):
    says(running, 62.0)
    for chosen in ({"lvef_max": 50}, {"lvef_min": 50}, {"shd": "false"}):
        answer = running.search(1, k=20, **chosen).json()
        assert len(answer["neighbours"]) == 16
        assert set(warned(answer)) & {"neighbours_disagree", "lvef_disagrees"} == {"lvef_disagrees"}
    assert "neighbours_disagree" in warned(running.search(1, k=20, age_min=60, one_per_patient="true").json())
