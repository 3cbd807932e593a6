"""Every fault of a cohort is found, counted and named by its rows."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sound_tables import Tables

from cohorts import (
    SPLITS,
    CohortError,
    CohortReport,
    check_cohort,
    open_cohort,
)
from ground.findings import SHD_FLAGS


def only_problem(report: CohortReport, code: str) -> tuple[str, int, tuple[int, ...]]:
    assert [p.code for p in report.problems] == [code]
    problem = report.problems[0]
    return problem.table, problem.count, problem.rows


def test_a_patient_in_two_splits_is_named_by_rows_and_refused(tables: Tables, tmp_path: Path):
    tables.splits.loc[3] = ["007", "test"]
    tables.write(tmp_path)
    assert only_problem(check_cohort(tmp_path), "patient_in_two_splits") == ("splits", 2, (1, 4))
    with pytest.raises(CohortError, match="more than one split") as refused:
        open_cohort(tmp_path)
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
    open_cohort(tmp_path)  # the tables are sound: a rebuild lists such files one by one


@pytest.mark.parametrize("path", ["../outside.dcm", "/etc/hostname", "echo/../../outside.dcm"])
def test_paths_that_leave_the_folder_are_refused(tables: Tables, tmp_path: Path, path: str):
    root = tmp_path / "cohort"
    root.mkdir()
    (tmp_path / "outside.dcm").write_bytes(b"x")
    tables.echos.loc[0, "path"] = path
    tables.write(root)
    assert only_problem(check_cohort(root), "path_outside") == ("echos", 1, (1,))
    with pytest.raises(CohortError, match="outside") as refused:
        open_cohort(root).tables.file_path(path)
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
    assert os.path.realpath(open_cohort(root).tables.file_path("echo/2.dcm")) == os.path.realpath(root / "echo/0.dcm")


def write_record(header: Path, *signal_files: str) -> None:
    lines = [f"{header.stem} {len(signal_files)} 500 5000", *(f"{name} 16 1000/mV" for name in signal_files)]
    header.write_text("\n".join(lines) + "\n")


def test_a_wfdb_record_without_a_signal_file_that_it_names_is_found(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    for number in range(3):
        write_record(tmp_path / f"ecg/{number}.hea", f"{number}.dat", f"{number}b.dat", f"{number}.dat")
        (tmp_path / f"ecg/{number}.dat").write_bytes(b"x")
        (tmp_path / f"ecg/{number}b.dat").write_bytes(b"x")
    assert check_cohort(tmp_path).problems == ()
    (tmp_path / "ecg/1b.dat").unlink()
    assert only_problem(check_cohort(tmp_path), "signal_file_missing") == ("ecgs", 1, (2,))


def test_the_segments_of_a_wfdb_record_must_be_whole_too(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    (tmp_path / "ecg/0.hea").write_text("0/3 1 500 9000\n0_1 3000\n~ 3000\n0_2 3000\n")
    for segment in ("0_1", "0_2"):
        write_record(tmp_path / f"ecg/{segment}.hea", f"{segment}.dat")
        (tmp_path / f"ecg/{segment}.dat").write_bytes(b"x")
    assert check_cohort(tmp_path).problems == ()
    (tmp_path / "ecg/0_2.dat").unlink()
    assert only_problem(check_cohort(tmp_path), "signal_file_missing") == ("ecgs", 1, (1,))
    (tmp_path / "ecg/0_1.hea").unlink()
    assert only_problem(check_cohort(tmp_path), "signal_file_missing") == ("ecgs", 1, (1,))


def test_a_wfdb_record_that_names_itself_as_its_segment_ends_the_check_all_the_same(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    (tmp_path / "ecg/0.hea").write_text("0/1 1 500 3000\n0 3000\n")
    assert check_cohort(tmp_path).problems == ()  # it is refused when it is read


def test_a_wfdb_header_reaches_no_file_by_a_link_out_of_the_cohort_or_in_another_folder(tables: Tables, tmp_path: Path):
    root = tmp_path / "cohort"
    root.mkdir()
    (tmp_path / "outside.dat").write_bytes(b"x")
    tables.write(root)
    write_record(root / "ecg/0.hea", "../../outside.dat")
    write_record(root / "ecg/1.hea", "1.dat")
    os.symlink(tmp_path / "outside.dat", root / "ecg/1.dat")
    write_record(root / "ecg/2.hea", "2.dat")
    os.mkfifo(root / "ecg/2.dat")
    found = {problem.code: problem.rows for problem in check_cohort(root).problems}
    assert found == {"signal_file_outside": (1, 2), "signal_file_not_regular": (3,)}


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
        open_cohort(tmp_path)


def test_zoned_and_naive_times_in_different_tables_are_refused(tables: Tables, tmp_path: Path):
    tables.ecgs["acquired_at"] = tables.ecgs["acquired_at"] + "Z"
    assert only_problem(check_cohort(tables.write(tmp_path)), "times_mixed") == ("ecgs", 3, (1, 2, 3))


@pytest.mark.parametrize(
    "text",
    [
        "01/03/2021",
        "soon",
        "today",
        "now",
        "2021-13-01",
        "2021-01-01T10:00+1",
        "2021-01-01T10:00+130",
        "2021",
        "2021.5",
        "2021-06",
        "2021-6-1",
    ],
)
def test_times_that_are_not_iso_8601_are_found(tables: Tables, tmp_path: Path, text: str):
    tables.ecgs.loc[2, "acquired_at"] = text
    assert only_problem(check_cohort(tables.write(tmp_path)), "time_unreadable") == ("ecgs", 1, (3,))


@pytest.mark.parametrize(
    ("table", "code"), [("studies", "study_twice"), ("ecgs", "ecg_twice"), ("echos", "view_twice")]
)
def test_duplicates_are_found_from_their_second_row_on_with_the_row_that_they_repeat(
    tables: Tables, tmp_path: Path, table: str, code: str
):
    frame = getattr(tables, table)
    setattr(tables, table, pd.concat([frame, frame.iloc[[1, 0, 1]]], ignore_index=True))
    report = check_cohort(tables.write(tmp_path))
    assert only_problem(report, code) == (table, 3, (4, 5, 6))
    assert report.problems[0].repeats == (2, 1, 2)


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
        open_cohort(tmp_path)
    assert refused.value.code == code


def test_lvef_written_as_a_fraction_is_doubted_and_not_refused(tables: Tables, tmp_path: Path):
    tables.studies["lvef_percent"] = [0.61, 1.0, np.nan]
    report = check_cohort(tables.write(tmp_path))
    assert report.problems == ()
    assert [(w.code, w.table, w.rows) for w in report.warnings] == [("lvef_fraction", "studies", (1, 2))]
    tables.studies["lvef_percent"] = [0.61, 55.0, np.nan]
    assert check_cohort(tables.write(tmp_path)).warnings == ()


def test_two_studies_of_a_patient_at_the_same_time_are_doubted_and_not_refused(tables: Tables, tmp_path: Path):
    tables.studies.loc[3] = tables.studies.loc[1].replace("s2", "s2-again")
    tables.studies.loc[4] = tables.studies.loc[1].replace("12", "007").replace("s2", "s-of-another-patient")
    report = check_cohort(tables.write(tmp_path))
    assert report.problems == ()
    assert [(w.code, w.rows, w.repeats) for w in report.warnings] == [("study_again", (4,), (2,))]


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
    outside = (3, (1, 2, 3))
    assert {s.code: (s.count, s.rows) for s in report.skipped} == {
        "ecg_outside_window": outside,
        "study_outside_window": outside,
    }
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
    serves = open_cohort(tmp_path).tables.patients("calibration")  # half of val, as in training
    assert serves == {"12"}
    assert dict(report.pairs_per_split) == {"train": 2, "val": 0, "calibration": 1, "test": 1}
    assert {s.code: (s.table, s.count, s.rows) for s in report.skipped} == {
        "ecg_without_study": ("ecgs", 1, (4,)),
        "ecg_outside_window": ("ecgs", 1, (5,)),
        "ecg_without_split": ("ecgs", 1, (4,)),
        "split_without_patient": ("splits", 1, (4,)),
    }
    assert report.summary[1].startswith("4 pairs within 7 days")
    report.raise_if_refused()


@pytest.mark.parametrize("change", ["one cell", "one table"])
def test_nothing_is_concluded_from_times_that_cannot_be_compared(tables: Tables, tmp_path: Path, change: str):
    tables.ecgs.loc[3] = ["stranger", "4", "2021-03-01T10:00:00", "ecg/4.hea"]
    rows = 1 if change == "one cell" else slice(None)
    tables.ecgs.loc[rows, "acquired_at"] = tables.ecgs.loc[rows, "acquired_at"] + "Z"
    report = check_cohort(tables.write(tmp_path))
    assert {p.code for p in report.problems} == {"times_mixed"}
    assert {s.code for s in report.skipped} == {"ecg_without_study", "ecg_without_split"}  # whatever the times
    assert report.summary == ("4 patients, 4 ECGs, 3 studies, 3 views.",)
    assert report.n_pairs is None


def test_nothing_is_counted_of_a_cohort_that_lacks_a_table(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    (tmp_path / "splits.csv").unlink()
    assert check_cohort(tmp_path).summary == ()


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


@pytest.mark.parametrize(("n", "lists_more"), [(1, False), (3, False), (4, True)])
def test_a_refusal_points_to_the_check_only_where_the_check_says_more(
    tables: Tables, tmp_path: Path, n: int, lists_more: bool
):
    many = pd.concat([tables.studies.iloc[[0]]] * n, ignore_index=True)
    times = [f"2021-03-01T10:00:{second:02}" for second in range(n)]
    broken = many.assign(study_id=[f"b{i}" for i in range(n)], acquired_at=times, lvef_percent=150.0)
    tables.studies = pd.concat([tables.studies, broken], ignore_index=True)
    with pytest.raises(CohortError) as refused:
        check_cohort(tables.write(tmp_path)).raise_if_refused()
    assert refused.value.code == "lvef_percent_out_of_range"
    assert ("cohort check" in refused.value.hint) == lists_more
    assert (" ..." in refused.value.sentence) == lists_more


def test_a_long_list_of_rows_is_given_in_full(tmp_path: Path, tables: Tables):
    n = 50
    many = pd.concat([tables.studies.iloc[[0]]] * n, ignore_index=True)
    tables.studies = many.assign(study_id=[f"s{i}" for i in range(n)], lvef_percent=150.0)
    report = check_cohort(tables.write(tmp_path))
    problem = next(p for p in report.problems if p.code == "lvef_percent_out_of_range")
    assert problem.count == 50
    assert problem.rows == tuple(range(1, 51))


@pytest.mark.parametrize("decimal", [".", ","])
def test_a_table_with_semicolons_is_called_that(tables: Tables, tmp_path: Path, decimal: str):
    tables.write(tmp_path)
    studies = pd.read_csv(tmp_path / "studies.csv")
    studies.to_csv(tmp_path / "studies.csv", sep=";", decimal=decimal, index=False)
    report = check_cohort(tmp_path)
    assert only_problem(report, "table_semicolons") == ("studies", 1, ())
    assert "studies.csv looks semicolon-separated" in report.problems[0].sentence


@pytest.mark.parametrize(("cells", "words"), [("a,11,5", "has 3 cells"), ("5", "has 1 cell,"), ("a,b,", "has 3 cells")])
def test_a_row_with_more_or_fewer_cells_than_the_header_is_refused(
    tables: Tables, tmp_path: Path, cells: str, words: str
):
    tables.write(tmp_path)
    splits = (tmp_path / "splits.csv").read_text()
    (tmp_path / "splits.csv").write_text(splits + f"\n{cells}\n")
    report = check_cohort(tmp_path)
    assert only_problem(report, "row_of_other_length") == ("splits", 1, ())
    assert f"Row 4 of splits.csv {words}" in report.problems[0].sentence


def test_missing_and_doubled_tables_and_columns_are_said_by_name(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    (tmp_path / "splits.csv").unlink()
    tables.ecgs.to_parquet(tmp_path / "ecgs.parquet")
    echos = pd.read_csv(tmp_path / "echos.csv").drop(columns="view_id")
    echos.to_csv(tmp_path / "echos.csv", index=False)
    codes = {p.table: p.code for p in check_cohort(tmp_path).problems}
    assert codes == {"splits": "table_missing", "ecgs": "table_twice", "echos": "column_missing"}
    with pytest.raises(CohortError):
        open_cohort(tmp_path)


def test_the_nearest_column_is_suggested_for_one_that_is_missing(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    studies = pd.read_csv(tmp_path / "studies.csv").rename(columns={"lvedv_ml": "lvdev_ml"}).drop(columns="age")
    for write in (studies.to_csv, studies.to_parquet):
        for there in tmp_path.glob("studies.*"):
            there.unlink()
        write(tmp_path / f"studies.{write.__name__.removeprefix('to_')}", index=False)
        (problem,) = check_cohort(tmp_path).problems
        assert problem.sentence == "The table studies lacks the column age, lvedv_ml. Is lvdev_ml meant?"


def test_a_file_that_is_no_table_is_refused_without_its_path(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    (tmp_path / "studies.csv").unlink()
    (tmp_path / "studies.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(CohortError, match="cannot be read as a table") as refused:
        open_cohort(tmp_path)
    assert str(tmp_path) not in str(refused.value)


def test_floating_point_ids_are_refused(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    (tmp_path / "ecgs.csv").unlink()
    tables.ecgs.assign(ecg_id=[1.0, 2.0, np.nan]).to_parquet(tmp_path / "ecgs.parquet")
    with pytest.raises(CohortError, match="write ids as text"):
        open_cohort(tmp_path)


@pytest.mark.parametrize("content", ["[1]", "{", '"text"'])
def test_what_a_cohort_says_of_itself_must_be_a_json_object(tables: Tables, tmp_path: Path, content: str):
    root = tables.write(tmp_path)
    assert open_cohort(root).about.written == {}
    (root / "cohort.json").write_text(content)
    assert only_problem(check_cohort(root), "about_unreadable")[0] == "cohort.json"
    with pytest.raises(CohortError, match=r"cohort\.json is not a JSON object"):
        _ = open_cohort(root).about


def test_a_cohort_is_simulated_if_it_names_the_simulator(tables: Tables, tmp_path: Path):
    root = tables.write(tmp_path)
    assert not open_cohort(root).about.is_simulated
    (root / "cohort.json").write_text('{"patients": 3, "simulator_version": "1", "notice": "invented"}')
    about = open_cohort(root).about
    assert about.is_simulated
    assert list(about.written) == ["patients", "simulator_version", "notice"]
