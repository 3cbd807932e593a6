"""What an answer says of its limits, sets and findings, in the words that page and command share."""

from __future__ import annotations

import pytest

from outputs.report import LvefEstimate, LvefPrediction, MeasuredEcg, OperatingPoint, ShdPrediction
from outputs.sentences import (
    estimate_sentence,
    lvef_sentence,
    measured_line,
    point_sentence,
    set_sentence,
    shd_decision,
    shd_sentence,
)

POINT = OperatingPoint(
    threshold=0.31, sensitivity=0.88, specificity=0.52, ppv=0.7, npv=0.78, echos_per_case=1.43, n_cases=272,
    n_others=242, prevalence=0.56,
)  # fmt: skip
AT_THIS_LIMIT = (
    "At this limit: sensitivity 88 %, specificity 52 %. Where 56 % have it, as among the calibration patients: "
    "PPV of all above it together 70 %, 1.4 echocardiograms per case found, more where it is rarer."
)


def shd(*findings, probability=0.53, **parts):
    flags = [{"flag": "lvwt_gte_13_flag", "probability": 0.1, "finding": one} for one in findings]
    said = {"probability": probability, "threshold": 0.31, "positive": probability > 0.31}
    return ShdPrediction.model_validate(said | {"flags": flags, "operating_point": POINT} | parts)


def lvef(**parts):
    labels = ("reduced", "mildly reduced", "preserved")
    classes = [{"label": label, "range": "<= 40 %", "probability": 0.07} for label in labels]
    return LvefPrediction.model_validate({"classes": classes, "predicted": "preserved"} | parts)


def test_a_limit_names_both_error_rates_and_for_whom_the_predictive_values_hold():
    assert point_sentence(POINT, positive=True) == AT_THIS_LIMIT
    below = point_sentence(POINT, positive=False)
    assert below.endswith("as among the calibration patients: NPV of all below it together 78 %.")
    assert "PPV" not in below, "that belongs to the other answer"


def test_a_limit_that_calls_nobody_has_no_ppv_and_finds_no_case():
    nobody = POINT.model_copy(update={"ppv": None, "echos_per_case": None})
    assert point_sentence(nobody, positive=True) == "At this limit: sensitivity 88 %, specificity 52 %."


def test_an_answer_of_a_service_that_did_not_say_the_prevalence_has_none_made_up():
    said = point_sentence(POINT.model_copy(update={"prevalence": None}), positive=True)
    assert "Where it is as frequent as among the calibration patients: PPV of all above it together 70 %" in said


def test_a_limit_that_rules_nothing_out_says_that_the_model_cannot_tell():
    point = POINT.model_copy(update={"threshold": 0.75, "specificity": 0.0})
    assert shd_decision(shd(probability=0.7, operating_point=point, positive=None)) == "this model cannot tell"
    worth = "this model cannot tell (its limit of 75 % rules nothing out). At this limit: sensitivity 88 %, specificity"
    assert shd_sentence(shd(probability=0.7, operating_point=point, positive=None)).startswith(
        f"Structural heart disease: {worth}"
    )
    assert lvef_sentence(lvef(operating_point=point)).startswith(f"LVEF <= 40 %: {worth}")


def test_an_lvef_class_beside_a_more_probable_one_is_not_ruled_out_instead_of_positive():
    point = POINT.model_copy(update={"threshold": 0.064})
    said = lvef_sentence(lvef(positive=True, operating_point=point))
    assert said == f"LVEF <= 40 %: cannot be ruled out (7 %; rule-out limit 6 %). {AT_THIS_LIMIT}"


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        (("not_raised", "cannot_tell"), "above the rule-out limit, and no single finding is raised"),
        (("not_raised", "raised"), "more likely than not (53 %; rule-out limit 31 %)"),
        ((None,), "more likely than not (53 %; rule-out limit 31 %)"),
        ((), "more likely than not (53 %; rule-out limit 31 %)"),
    ],
    ids=["none raised", "one raised", "no rule", "no flag"],
)
def test_shd_above_its_limit_says_where_no_finding_is_raised(findings, said):
    assert shd_sentence(shd(*findings)) == f"Structural heart disease: {said}. {AT_THIS_LIMIT}"


def test_shd_below_its_limit_is_unlikely_whatever_the_findings_are():
    said = "unlikely (20 %, below the rule-out limit of 31 %)"
    assert shd_decision(shd("not_raised", probability=0.2)) == "unlikely"
    assert said in shd_sentence(shd("not_raised", probability=0.2))


def test_a_threshold_that_was_not_chosen_to_rule_out_is_not_called_so():
    assert shd_decision(shd(operating_point=None)) == "positive (threshold 0.31)"


def test_a_set_of_every_answer_narrows_nothing_down():
    whole = lvef(prediction_set=["reduced", "mildly reduced", "preserved"], coverage=0.9, n_calibration=263)
    assert set_sentence("LVEF", whole).startswith(
        "LVEF: cannot narrow it down. Such sets are sized to hold the truth for 90 % of"
    )
    assert set_sentence("SHD", shd(prediction_set=["negative", "positive"])) == "SHD: cannot narrow it down."


def test_a_set_that_leaves_an_answer_out_names_the_others():
    assert set_sentence("LVEF", lvef(prediction_set=["reduced", "preserved"])) == "LVEF: reduced or preserved."
    assert set_sentence("SHD", shd(prediction_set=["positive"])) == "SHD: present."


def test_what_is_likelier_than_not_is_not_said_to_be_merely_possible_and_nothing_is_certain():
    assert shd_decision(shd("raised", probability=0.36)) == "cannot be ruled out"
    assert shd_decision(shd("raised", probability=0.81)) == "more likely than not"
    assert "(over 99 %; rule-out limit 31 %)" in shd_sentence(shd("raised", probability=0.997))


def test_an_interval_is_called_one():
    said = estimate_sentence(LvefEstimate(percent=50.2, low=33.1, high=67.4, coverage=0.9))
    assert said == "LVEF 50 % (90 % prediction interval: 33 to 67 %)"


def test_qt_names_its_method_and_qtc_its_formula():
    values = {
        "heart_rate_bpm": 61,
        "regular": True,
        "pr_ms": 156,
        "qrs_ms": 70,
        "qt_ms": 358,
        "qtc_ms": 360,
        "axis_deg": 52,
    }
    said = measured_line(MeasuredEcg(**values, not_reliable=[]))
    assert "QT 358 ms by tangent, QTc 360 ms (Fridericia)" in said
