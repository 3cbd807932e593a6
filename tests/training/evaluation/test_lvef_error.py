"""How wrong LVEF as a number is: by hand, beside who always says the mean, and on the card beside others' figures."""

import numpy as np
import pandas as pd
import pytest

from models.lvef_number import IntervalBin, LvefInterval, LvefNumber
from training.data.embedded import EmbeddedEcgs
from training.evaluation.card import metrics_section
from training.evaluation.evaluate import EvaluationReport
from training.evaluation.lvef_error import REFERENCES, lvef_error_report
from training.evaluation.probe_reports import ProbeReport

BINS = (
    IntervalBin(below_percent=50.0, half_width_percent=9.0, n_calibration=40),
    IntervalBin(below_percent=None, half_width_percent=4.0, n_calibration=90),
)
NUMBER = LvefNumber(weight_F=(1.0,), bias=0.0, interval=LvefInterval(coverage=0.9, bins=BINS))


def ecgs(lvef, said=None, patients=None):
    names = [f"p{n}" for n in range(len(lvef))] if patients is None else patients
    labels = pd.DataFrame({"patient_id": names, "lvef_percent": lvef}, index=[f"e{n}" for n in range(len(lvef))])
    features = np.zeros((len(lvef), 1), np.float32)
    said = None if said is None else np.array(said, np.float32)
    return EmbeddedEcgs(labels, features, None, None, None, split="test", lvef_percent_E=said)


TRAIN = ecgs([60.0, 50.0, np.nan])
TEST = ecgs([30.0, 60.0, 58.0, np.nan], [40.0, 57.0, 53.0, 10.0], ["a", "b", "b", "c"])


def test_errors_are_of_the_ecgs_of_known_lvef_and_the_mean_is_that_of_the_train_ecgs():
    found = lvef_error_report(TRAIN, TEST, NUMBER)
    assert (found.n, found.patients, found.mean_percent, found.coverage) == (3, 2, 55.0, 0.9)
    assert found.mean_absolute_error.value == pytest.approx((10 + 3 + 5) / 3)
    assert found.mean_predictor_error.value == pytest.approx((25 + 5 + 3) / 3)
    assert found.inside.value == pytest.approx(1 / 3)  # 10 > 9, 3 <= 4, 5 > 4
    low, high = found.mean_absolute_error.interval
    assert (low, high) == pytest.approx((4.0, 10.0)), "patient a alone has 10, patient b alone 4"


def test_without_an_interval_or_without_train_patients_the_error_is_still_measured():
    found = lvef_error_report(None, TEST, NUMBER.model_copy(update={"interval": None}))
    assert found.mean_absolute_error.value == pytest.approx(6.0)
    assert (found.mean_percent, found.mean_predictor_error, found.inside, found.coverage) == (None,) * 4


@pytest.mark.parametrize(
    ("test", "number", "reason"),
    [
        (ecgs([30.0]), NUMBER, "the bundle gives no LVEF as a number"),
        (TEST, None, "the bundle gives no LVEF as a number"),
        (ecgs([np.nan], [50.0]), NUMBER, "needs ECGs of known LVEF, and the test patients have none"),
    ],
)
def test_what_cannot_be_measured_says_why(test, number, reason):
    assert reason in lvef_error_report(TRAIN, test, number)


def report(error):
    nothing = ProbeReport(lvef_classes=None, lvef_lowest_class=None, shd=None)
    return EvaluationReport(
        bundle_id="b", split="test", simulated_cohort=True, patients=2, ecgs=3, studies=2, skipped_ecgs={},
        skipped_clips={}, lvef_lowest_class_range="<= 40 %", linear_probe_from="bundle", linear_probe=nothing,
        knn_probe=None, flags=(), phenotypes=(), few_shot=(), retrieval=(), lvef_error=error,
    )  # fmt: skip


def test_the_card_has_the_error_and_the_mean_beside_it_and_names_the_figures_of_others_as_such():
    card = metrics_section(report(lvef_error_report(TRAIN, TEST, NUMBER)))
    lines = card.splitlines()
    place = lines.index("| LVEF as a number, mean absolute error in percentage points | 6.000 (4.000 to 10.000) |")
    assert lines[place + 1].startswith("| the same, always saying the mean | 11.000 (")
    assert "LVEF as a number: 3 ECGs of 2 patients" in card
    assert (
        "the train patients' ECGs, 55.0 %. The interval, promised to 90% of patients, held LVEF in a share of" in card
    )
    reference = next(line for line in lines if line.startswith("For reference and not for comparison"))
    assert "11.6 (ECG alone, 245 ECGs of MIMIC-IV" in reference
    assert all(source in reference for _, source in REFERENCES)


def test_a_card_without_a_number_names_nobody_elses():
    card = metrics_section(report(None))
    assert "as a number" not in card
    assert "For reference" not in card
