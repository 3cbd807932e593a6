"""Data sets without times, and ECGs that say which study they belong to."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sound_tables import Tables

from cohorts import check_cohort, derive_pairs, open_cohort


def test_an_ecg_that_names_a_study_belongs_to_that_one_alone_however_far_off(tables: Tables, tmp_path: Path):
    again = tables.studies.loc[[0]].assign(study_id="s9", acquired_at="2024-01-01")
    tables.studies = pd.concat([tables.studies, again], ignore_index=True)
    tables.ecgs["study_id"] = ["s9", "", ""]
    pairs = derive_pairs(open_cohort(tables.write(tmp_path)).tables)
    assert pairs[["ecg_id", "study_id"]].to_numpy().tolist() == [["1", "s9"], ["3", "s3"], ["2", "s2"]]
    assert pairs["days_apart"].tolist() == [pytest.approx(1035.583, abs=1e-3), 0, 0]


def test_without_any_time_only_named_studies_are_paired_and_the_others_are_told(tables: Tables, tmp_path: Path):
    for frame in (tables.ecgs, tables.echos, tables.studies):
        frame["acquired_at"] = ""
    tables.ecgs["study_id"] = ["s1", "s2", ""]
    report = check_cohort(tables.write(tmp_path))
    assert report.problems == ()
    told = {finding.code: finding.rows for finding in report.skipped}
    assert told == {"ecg_without_time": (3,), "study_without_time": (3,)}
    pairs = derive_pairs(open_cohort(tmp_path).tables)
    assert pairs[["ecg_id", "study_id"]].to_numpy().tolist() == [["1", "s1"], ["2", "s2"]]
    assert pairs["days_apart"].isna().all()


def test_a_table_without_times_goes_with_one_whose_times_have_a_zone(tables: Tables, tmp_path: Path):
    tables.ecgs["acquired_at"] = ""
    tables.ecgs["study_id"] = ["s1", "s2", "s3"]
    for frame in (tables.echos, tables.studies):
        frame["acquired_at"] += "Z"
    assert check_cohort(tables.write(tmp_path)).problems == ()
    assert len(derive_pairs(open_cohort(tmp_path).tables)) == 3


@pytest.mark.parametrize(("study", "code"), [("s7", "study_unmatched"), ("s2", "patient_differs")])
def test_a_named_study_that_is_not_there_or_of_another_patient_is_found(
    tables: Tables, tmp_path: Path, study: str, code: str
):
    tables.ecgs["study_id"] = [study, "", ""]
    found = [(problem.code, problem.table, problem.rows) for problem in check_cohort(tables.write(tmp_path)).problems]
    assert found == [(code, "ecgs", (1,))]


def test_studies_and_echos_cannot_do_without_the_id_that_an_ecg_may_leave_out(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    for name in ("studies", "echos"):
        table = pd.read_csv(tmp_path / f"{name}.csv", dtype=str)
        table.drop(columns="study_id").to_csv(tmp_path / f"{name}.csv", index=False)
    found = {(problem.code, problem.table) for problem in check_cohort(tmp_path).problems}
    assert found == {("column_missing", "studies"), ("column_missing", "echos")}


@pytest.mark.parametrize(
    ("named", "words"),
    [
        (["s1", "s2", "s3"], "3 pairs named by their ECGs, of 3 ECGs"),
        (["s1", "", ""], "3 pairs within 7 days or named by their ECGs (1), of 3 ECGs"),
        (["", "", ""], "3 pairs within 7 days, of 3 ECGs"),
    ],
)
def test_the_check_says_how_many_pairs_are_named(tables: Tables, tmp_path: Path, named: list[str], words: str):
    tables.ecgs["study_id"] = named
    assert words in check_cohort(tables.write(tmp_path)).summary[1]
