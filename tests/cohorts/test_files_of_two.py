"""An ECG or a clip is of one patient: a file that rows of two name is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from sound_tables import Tables

from cohorts import CohortReport, check_cohort


def only_problem(report: CohortReport) -> tuple[str, str, tuple[int, ...]]:
    (problem,) = report.problems
    return problem.code, problem.table, problem.rows


@pytest.mark.parametrize("same", ["ecg/0.hea", "ecg/../ecg/0.hea"])
def test_an_ecg_of_two_patients_is_found_with_the_row_that_it_repeats(tables: Tables, tmp_path: Path, same: str):
    tables.ecgs.loc[2, "path"] = same
    report = check_cohort(tables.write(tmp_path))
    assert only_problem(report) == ("file_of_two_patients", "ecgs", (3,))
    assert report.problems[0].repeats == (1,)


def test_a_clip_of_two_patients_is_found(tables: Tables, tmp_path: Path):
    tables.echos.loc[1, "path"] = tables.echos.loc[0, "path"]
    assert only_problem(check_cohort(tables.write(tmp_path))) == ("file_of_two_patients", "echos", (2,))


def test_exams_and_rows_of_one_file_may_be_of_many_patients(tables: Tables, tmp_path: Path):
    tables.ecgs["path"], tables.ecgs["row"] = "ecg/all.npy", ["0", "1", "2"]
    assert check_cohort(tables.write(tmp_path)).problems == ()
    tables.ecgs["row"] = ["0", "1", "1"]
    assert only_problem(check_cohort(tables.write(tmp_path / "again")))[2] == (3,)
