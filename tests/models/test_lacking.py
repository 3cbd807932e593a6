"""What a bundle lacks is said in one sentence, by whatever schema its probes are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from models.bundle import Bundle
from models.lacking import SIMULATED_ONLY, Lacking, lacking_parts, lacking_sentence, trained_on_sentence
from models.lvef_number import IntervalBin, LvefInterval, LvefNumber
from models.prediction_sets import PerClassSets, PredictionSets
from models.probes import FlagProbe, Probes

FIRST_LAYOUT = Path(__file__).resolve().parents[1] / "data" / "first_layout" / "bundle"
REFIT = "; fit its probes again, on enough patients, with `echo2ecg bundle fit`."
SETS = PredictionSets(coverage=0.9, quantile=0.8, n_calibration=50)
OF_CLASSES = PerClassSets(coverage=0.9, quantile_C=(0.8, 0.8, 0.8), n_calibration_C=(20, 20, 20))


def with_lvef(probes, **parts):
    return probes.model_copy(update={"lvef": probes.lvef.model_copy(update=parts)})


def test_a_stored_bundle_of_before_there_were_numbers_and_findings_is_loaded_and_says_so():
    bundle = Bundle.load(FIRST_LAYOUT, device="cpu", parts=("ecg",))
    assert json.loads((FIRST_LAYOUT / "probes.json").read_text())["schema_version"] < 3
    assert {"lvef_number", "findings", "lvef_operating_point"} <= set(bundle.lacking)
    assert "predictions" not in bundle.lacking
    assert lacking_sentence(bundle.lacking).startswith("This bundle gives no LVEF number, no rules for findings")


@pytest.mark.parametrize("version", [1, 2])
def test_probes_of_an_older_schema_lack_all_that_came_later(probes, version):
    old = Probes.model_validate(probes.model_dump(exclude_none=True) | {"schema_version": version})
    assert lacking_parts(old) == (
        "lvef_number", "findings", "lvef_sets", "shd_sets", "lvef_operating_point", "shd_operating_point", "unusual",
    )  # fmt: skip
    assert lacking_sentence(lacking_parts(old)) == (
        "This bundle gives no LVEF number, no rules for findings, no prediction sets, no operating points "
        f"and no measure of how unusual an ECG is{REFIT}"
    )


def test_without_probes_only_the_predictions_are_said_to_be_lacking():
    assert lacking_parts(None) == ("predictions",)
    assert lacking_sentence(("predictions",)) == f"This bundle gives no predictions{REFIT}"


def test_a_part_of_a_part_is_lacking_where_that_part_is_there(probes):
    number = LvefNumber(weight_F=probes.feature_mean_F, bias=50.0)
    bins = (IntervalBin(below_percent=None, half_width_percent=9.0, n_calibration=90),)
    assert "lvef_interval" not in lacking_parts(probes)
    assert "lvef_interval" in lacking_parts(with_lvef(probes, number=number))
    whole = number.model_copy(update={"interval": LvefInterval(coverage=0.9, bins=bins)})
    assert not {"lvef_number", "lvef_interval"} & set(lacking_parts(with_lvef(probes, number=whole)))
    assert "lvef_class_sets" not in lacking_parts(probes)
    assert "lvef_class_sets" in lacking_parts(with_lvef(probes, sets=SETS))
    both = lacking_parts(with_lvef(probes, sets=SETS, per_class_sets=OF_CLASSES))
    assert not {"lvef_sets", "lvef_class_sets"} & set(both)
    assert "shd_sets" in both


def test_a_flag_about_lvef_that_the_classes_do_not_bound_is_said(probes):
    flag = {name: getattr(probes.shd, name) for name in ("weight_F", "bias", "calibration", "threshold")}
    of = {classes: FlagProbe(**flag, lvef_classes=classes) for classes in (None, (1, 2))}
    for name, classes, lacks in (
        ("lvef_lte_45_flag", None, True),
        ("lvef_lte_45_flag", (1, 2), False),
        ("x", None, False),
    ):
        found = lacking_parts(probes.model_copy(update={"flags": {name: of[classes]}}))
        assert ("lvef_flag_bounds" in found) is lacks


def test_what_one_question_alone_lacks_is_said_of_it():
    assert lacking_sentence(("shd_sets",)) == f"This bundle gives no prediction sets of SHD{REFIT}"
    assert lacking_sentence(("lvef_class_sets", "shd_class_sets")) == f"This bundle gives no sets within classes{REFIT}"
    assert lacking_sentence(("lvef_operating_point",)).startswith("This bundle gives no operating points of LVEF;")


def test_every_code_has_words_and_one_that_is_new_is_said_as_it_is():
    assert not [part for part in get_args(Lacking) if "_" in lacking_sentence((part,))]
    assert lacking_sentence(("findings", "valve_areas")) == (
        f"This bundle gives no rules for findings and no valve areas{REFIT}"
    )


def test_a_client_that_says_it_needs_no_torch():
    code = "import sys, outputs.words, outputs.sentences; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


STAMP = {"notice": "Everything in this folder is invented by a simulator.", "simulator_version": "1"}


@pytest.mark.parametrize(
    ("training_data", "said"),
    [
        (STAMP, SIMULATED_ONLY),
        (STAMP | {"probes": {"cohort_of_the_encoders": True}}, SIMULATED_ONLY),
        (STAMP | {"probes": STAMP | {"cohort_of_the_encoders": False}}, SIMULATED_ONLY),
        (STAMP | {"probes": {"name": "a hospital", "cohort_of_the_encoders": False}}, None),
        ({"name": "a hospital", "probes": STAMP | {"cohort_of_the_encoders": False}}, None),
        ({"notice": "Not to be passed on."}, None),
        ({}, None),
    ],
    ids=["simulated", "probes too", "probes on others too", "probes real", "encoders real", "real, terms", "untold"],
)
def test_only_what_saw_no_real_patient_is_said_to_be_trained_on_simulated_hearts(training_data, said):
    assert trained_on_sentence(training_data) == said


def test_the_demo_bundle_says_that_it_was_trained_on_simulated_hearts():
    demo = Path(__file__).resolve().parents[2] / "bundles" / "demo"
    assert Bundle.load(demo, device="cpu", parts=("ecg",)).trained_on == SIMULATED_ONLY
    assert Bundle.load(FIRST_LAYOUT, device="cpu", parts=("ecg",)).trained_on is None
