"""Every fault of a cohort is found, counted and named by its rows."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sound_tables import Tables

from inputs.cohort import SHD_FLAGS, SPLITS, CohortReport, check_cohort, load_cohort
from inputs.errors import CohortError


def only_problem(report: CohortReport, code: str) -> tuple[str, int, tuple[int, ...]]:
    assert [p.code for p in report.problems] == [code]
    problem = report.problems[0]
    return problem.table, problem.count, problem.rows


def test_a_patient_in_two_splits_is_named_by_rows_and_refused(tables: Tables, tmp_path: Path):
    tables.splits.loc[3] = ["007", "test"]
    tables.write(tmp_path)
    assert only_problem(check_cohort(tmp_path), "patient_in_two_splits") == ("splits", 2, (1, 4))
    with pytest.raises(CohortError, match="more than one split") as refused:
        load_cohort(tmp_path)
    assert "007" not in str(refused.value)
    assert "row 1, 4" in str(refused.value)


def test_a_patient_named_twice_in_the_same_split_is_no_contradiction(tables: Tables, tmp_path: Path):
    tables.splits.loc[3] = ["007", "train"]
    assert check_cohort(tables.write(tmp_path)).problems == ()


def test_a_view_of_an_unknown_study_is_found(tables: Tables, tmp_path: Path):
    tables.echos.loc[1, "study_id"] = "nobody's"
    report = check_cohort(tables.write(tmp_path))
    assert only_problem(report, "study_unmatched") == ("echos", 1, (2,))
    assert ("study_without_views", 1) in [(s.code, s.count) for s in report.skipped]


def test_a_view_of_another_patients_study_is_found(tables: Tables, tmp_path: Path):
    tables.echos.loc[2, "patient_id"] = "007"
    assert only_problem(check_cohort(tables.write(tmp_path)), "patient_differs") == ("echos", 1, (3,))


def test_missing_files_are_counted_per_table(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    (tmp_path / "ecg/0.hea").unlink()
    (tmp_path / "ecg/2.hea").unlink()
    assert only_problem(check_cohort(tmp_path), "file_missing") == ("ecgs", 2, (1, 3))
    load_cohort(tmp_path)  # the tables are sound: a rebuild lists such files one by one


@pytest.mark.parametrize("path", ["../outside.dcm", "/etc/hostname", "echo/../../outside.dcm"])
def test_paths_that_leave_the_folder_are_refused(tables: Tables, tmp_path: Path, path: str):
    root = tmp_path / "cohort"
    root.mkdir()
    (tmp_path / "outside.dcm").write_bytes(b"x")
    tables.echos.loc[0, "path"] = path
    tables.write(root)
    assert only_problem(check_cohort(root), "path_outside") == ("echos", 1, (1,))
    with pytest.raises(CohortError, match="outside") as refused:
        load_cohort(root).file_path(path)
    assert str(tmp_path) not in str(refused.value)


def test_a_link_out_of_the_folder_is_refused_and_one_within_is_followed(tables: Tables, tmp_path: Path):
    root = tmp_path / "cohort"
    root.mkdir()
    (tmp_path / "outside.dcm").write_bytes(b"x")
    tables.write(root)
    os.remove(root / "echo/1.dcm")
    os.symlink(tmp_path / "outside.dcm", root / "echo/1.dcm")
    os.remove(root / "echo/2.dcm")
    os.symlink(root / "echo/0.dcm", root / "echo/2.dcm")
    assert only_problem(check_cohort(root), "path_outside") == ("echos", 1, (2,))
    assert load_cohort(root).file_path("echo/2.dcm") == (root / "echo/0.dcm").resolve()


def test_a_folder_and_a_pipe_in_place_of_files_are_found(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    os.remove(tmp_path / "ecg/1.hea")
    os.mkfifo(tmp_path / "ecg/1.hea")
    os.remove(tmp_path / "ecg/2.hea")
    os.mkdir(tmp_path / "ecg/2.hea")
    assert only_problem(check_cohort(tmp_path), "file_not_regular") == ("ecgs", 2, (2, 3))


def test_zoned_and_naive_times_in_one_column_are_refused_naming_the_rarer_rows(tables: Tables, tmp_path: Path):
    tables.studies.loc[1, "acquired_at"] = "2021-04-01T10:00:00Z"
    tables.write(tmp_path)
    assert only_problem(check_cohort(tmp_path), "times_mixed") == ("studies", 1, (2,))
    with pytest.raises(CohortError, match="zone"):
        load_cohort(tmp_path)


def test_zoned_and_naive_times_in_different_tables_are_refused(tables: Tables, tmp_path: Path):
    tables.ecgs["acquired_at"] = tables.ecgs["acquired_at"] + "Z"
    assert only_problem(check_cohort(tables.write(tmp_path)), "times_mixed") == ("ecgs", 3, (1, 2, 3))


@pytest.mark.parametrize("text", ["01/03/2021", "soon", "", "2021-13-01"])
def test_times_that_are_not_iso_8601_are_found(tables: Tables, tmp_path: Path, text: str):
    tables.ecgs.loc[2, "acquired_at"] = text
    assert only_problem(check_cohort(tables.write(tmp_path)), "time_unreadable") == ("ecgs", 1, (3,))


@pytest.mark.parametrize(
    ("table", "code"), [("studies", "study_twice"), ("ecgs", "ecg_twice"), ("echos", "view_twice")]
)
def test_duplicates_are_found_at_their_second_row(tables: Tables, tmp_path: Path, table: str, code: str):
    frame = getattr(tables, table)
    setattr(tables, table, pd.concat([frame, frame.iloc[[1]]], ignore_index=True))
    assert only_problem(check_cohort(tables.write(tmp_path)), code) == (table, 1, (4,))


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("lvef_percent", 104.0, "lvef_percent_out_of_range"),
        ("lvef_percent", -3.0, "lvef_percent_out_of_range"),
        ("lvedv_ml", -1.0, "lvedv_ml_out_of_range"),
        ("age", 999.0, "age_out_of_range"),
        ("lvesv_ml", np.inf, "number_not_finite"),
        ("lvef_percent", "NaN", "number_not_finite"),
        ("septum_cm", "thick", "number_unreadable"),
        ("sex", "F", "sex_unknown_value"),
        (SHD_FLAGS[3], "maybe", "flag_unknown_value"),
        ("patient_id", "", "id_missing"),
    ],
)
def test_a_cell_that_cannot_be_is_found_by_row(tables: Tables, tmp_path: Path, column: str, value: object, code: str):
    tables.studies[column] = tables.studies[column].astype(object)
    tables.studies.loc[1, column] = value
    tables.write(tmp_path)
    report = check_cohort(tmp_path)
    assert next((p.code, p.table, p.count, p.rows) for p in report.problems) == (code, "studies", 1, (2,))
    with pytest.raises(CohortError) as refused:
        load_cohort(tmp_path)
    assert refused.value.code == code


def test_an_unknown_split_name_is_found_and_the_known_ones_named(tables: Tables, tmp_path: Path):
    tables.splits.loc[1, "split"] = "dev"
    report = check_cohort(tables.write(tmp_path))
    assert only_problem(report, "split_unknown_name") == ("splits", 1, (2,))
    assert all(split in report.problems[0].sentence for split in SPLITS)


def test_no_pairs_within_the_window_is_a_problem_that_says_the_window(tables: Tables, tmp_path: Path):
    tables.ecgs["acquired_at"] = "2019-01-01T00:00:00"
    report = check_cohort(tables.write(tmp_path), window_days=3)
    assert only_problem(report, "no_pairs") == ("ecgs", 3, ())
    assert "3 days" in report.problems[0].sentence
    assert [(s.code, s.count) for s in report.skipped] == [("ecg_outside_window", 3), ("study_outside_window", 3)]
    with pytest.raises(CohortError, match="3 days"):
        report.raise_if_refused()


def test_the_report_counts_what_was_paired_and_skipped(tables: Tables, tmp_path: Path):
    tables.ecgs.loc[3] = ["stranger", "4", "2021-03-01T10:00:00", "ecg/4.hea"]
    tables.ecgs.loc[4] = ["007", "5", "2021-03-20T10:00:00", "ecg/5.hea"]
    tables.ecgs.loc[5] = ["007", "6", "2021-03-02T10:00:00", "ecg/6.hea"]
    tables.splits.loc[3] = ["ghost", "train"]
    report = check_cohort(tables.write(tmp_path))
    assert report.problems == ()
    assert (report.n_patients, report.n_ecgs, report.n_studies, report.n_views) == (4, 6, 3, 3)
    assert (report.n_pairs, report.n_paired_ecgs, report.n_paired_studies) == (4, 4, 3)
    assert dict(report.pairs_per_split) == {"train": 2, "val": 1, "calibration": 0, "test": 1}
    assert {s.code: s.count for s in report.skipped} == {
        "ecg_without_study": 1,
        "ecg_outside_window": 1,
        "patient_without_split": 1,
        "split_without_patient": 1,
    }
    assert report.summary[1].startswith("4 pairs within 7 days")
    report.raise_if_refused()


def test_many_problems_are_all_listed_and_refusal_says_how_many(tables: Tables, tmp_path: Path):
    tables.studies.loc[0, "lvef_percent"] = 200.0
    tables.splits.loc[3] = ["12", "train"]
    tables.echos.loc[0, "study_id"] = "s9"
    tables.write(tmp_path)
    (tmp_path / "ecg/0.hea").unlink()
    report = check_cohort(tmp_path)
    assert {p.code for p in report.problems} == {
        "lvef_percent_out_of_range",
        "patient_in_two_splits",
        "study_unmatched",
        "file_missing",
    }
    with pytest.raises(CohortError, match="3 more kinds"):
        report.raise_if_refused()


def test_a_long_list_of_rows_is_counted_in_full_and_named_in_part(tmp_path: Path, tables: Tables):
    n = 50
    many = pd.concat([tables.studies.iloc[[0]]] * n, ignore_index=True)
    tables.studies = many.assign(study_id=[f"s{i}" for i in range(n)], lvef_percent=150.0)
    report = check_cohort(tables.write(tmp_path))
    problem = next(p for p in report.problems if p.code == "lvef_percent_out_of_range")
    assert problem.count == 50
    assert problem.rows == tuple(range(1, 11))


def test_missing_and_doubled_tables_and_columns_are_said_by_name(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    (tmp_path / "splits.csv").unlink()
    tables.ecgs.to_parquet(tmp_path / "ecgs.parquet")
    echos = pd.read_csv(tmp_path / "echos.csv").drop(columns="view_id")
    echos.to_csv(tmp_path / "echos.csv", index=False)
    codes = {p.table: p.code for p in check_cohort(tmp_path).problems}
    assert codes == {"splits": "table_missing", "ecgs": "table_twice", "echos": "column_missing"}
    with pytest.raises(CohortError):
        load_cohort(tmp_path)


def test_a_file_that_is_no_table_is_refused_without_its_path(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    (tmp_path / "studies.csv").unlink()
    (tmp_path / "studies.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(CohortError, match="cannot be read as a table") as refused:
        load_cohort(tmp_path)
    assert str(tmp_path) not in str(refused.value)


def test_floating_point_ids_are_refused(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    (tmp_path / "ecgs.csv").unlink()
    tables.ecgs.assign(ecg_id=[1.0, 2.0, np.nan]).to_parquet(tmp_path / "ecgs.parquet")
    with pytest.raises(CohortError, match="write ids as text"):
        load_cohort(tmp_path)
