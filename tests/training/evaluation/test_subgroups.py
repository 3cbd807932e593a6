"""Groups of ECGs: each is measured as if it were alone, and none is hidden."""

import shutil

import numpy as np
import pandas as pd
import pytest

from cohorts import open_cohort
from training.data.embedded import FlagAnswers
from training.evaluation.answers import YesNoAnswers
from training.evaluation.metrics import yes_no_scores
from training.evaluation.recalibration import recalibration
from training.evaluation.subgroups import ecg_groups, lacking_groups, subgroup_reports

PATIENT = np.arange(300) // 2


def answered(truth=None):
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 300).astype(float) if truth is None else truth
    return YesNoAnswers("SHD", truth, FlagAnswers(np.clip(0.3 * truth + draw.uniform(0, 0.7, 300), 0, 1), 0.5))


def test_a_group_has_the_scores_that_it_would_have_alone():
    asked = answered()
    sex = ["female" if i % 10 < 4 else "male" for i in range(300)]
    women, men = subgroup_reports([asked], PATIENT, {"sex": sex})
    here = np.array(sex) == "female"
    alone = yes_no_scores(
        asked.truth_E[here].astype(int), asked.answers.probability_E[here], PATIENT[here], threshold=0.5
    )
    assert (women.n, women.patients, women.positives) == (alone.n, alone.patients, alone.positives)
    assert women.scores.auroc == alone.auroc
    decided = asked.answers.probability_E[here] > 0.5
    assert women.scores.sensitivity.value == pytest.approx(decided[asked.truth_E[here] == 1].mean())
    assert women.scores.specificity.value == pytest.approx(1 - decided[asked.truth_E[here] == 0].mean())
    assert women.scores.flagged_per_1000.value == pytest.approx(1000 * decided.mean())
    expected = recalibration(asked.truth_E[here].astype(int), asked.answers.probability_E[here], PATIENT[here])
    assert women.scores.calibration == expected
    assert women.n + men.n == 300


@pytest.mark.parametrize(("patients", "few"), [(49, True), (50, False)])
def test_a_group_of_fewer_than_fifty_patients_is_marked_and_shown(patients, few):
    site = ["here" if i < 2 * patients else "there" for i in range(300)]
    here = subgroup_reports([answered()], PATIENT, {"site": site})[0]
    assert (here.patients, here.few_patients) == (patients, few)
    assert here.scores is not None


def test_a_group_that_lacks_an_answer_says_so_and_the_others_are_measured():
    truth = np.random.default_rng(1).integers(0, 2, 300).astype(float)
    truth[:20], truth[20:30] = 0, np.nan
    site = ["a"] * 20 + ["b"] * 10 + ["c"] * 270
    none_ill, nothing_known, measured = subgroup_reports([answered(truth)], PATIENT, {"site": site})
    assert none_ill.not_measured == "needs ECGs of each answer, and all 20 of this group are no"
    assert (nothing_known.n, nothing_known.not_measured) == (0, "no ECG of this group has a known answer")
    assert none_ill.scores is nothing_known.scores is None
    assert measured.not_measured is None


def test_age_bands_stand_from_young_to_old_and_the_unknown_last(cohort_dir, tmp_path):
    folder = tmp_path / "cohort"
    shutil.copytree(cohort_dir, folder)
    studies = pd.read_csv(folder / "studies.csv", dtype=str)
    ages = ["49.9", "50", "64", "65", "80", ""]
    studies["age"] = [ages[i % 6] for i in range(len(studies))]
    studies["sex"] = ["female", ""] * (len(studies) // 2)
    studies.to_csv(folder / "studies.csv", index=False)
    cohort = open_cohort(folder)
    groups = ecg_groups(cohort, cohort.split("train"))
    assert set(groups) == {"sex", "age"}
    assert set(groups["sex"]) == {"female", "unknown"}
    truth = np.tile([0.0, 1.0], 8)
    asked = YesNoAnswers("SHD", truth, FlagAnswers(np.linspace(0, 1, 16), 0.5))
    found = subgroup_reports([asked], np.arange(16), {"age": groups["age"]})
    assert [report.group for report in found] == ["under 50", "50 to 64", "65 to 79", "80 and over", "unknown"]


def test_groups_that_the_cohort_has_a_column_for_are_taken_from_it_and_others_are_told(cohort_dir, tmp_path):
    folder = tmp_path / "cohort"
    shutil.copytree(cohort_dir, folder)
    ecgs = pd.read_csv(folder / "ecgs.csv", dtype=str)
    ecgs["device"] = ["Maker A/5500 ", "bad\x07name"] * (len(ecgs) // 2)
    ecgs["site"] = "one"
    ecgs.to_csv(folder / "ecgs.csv", index=False)
    cohort = open_cohort(folder)
    groups = ecg_groups(cohort, cohort.split("test"))
    assert set(groups["device"]) == {"Maker A/5500", "unknown"}
    assert list(lacking_groups(cohort).values()) == [
        "subgroups by rhythm need columns so named in the cohort's table ecgs"
    ]
    plain = open_cohort(cohort_dir)
    assert list(lacking_groups(plain)) == ["subgroups by rhythm, site, device"]
