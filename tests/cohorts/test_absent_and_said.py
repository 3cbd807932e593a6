"""Tables and columns that may be absent, what is said beside an ECG's file, and hashes that stay what they were."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sound_tables import Tables

from cohorts import CohortError, check_cohort, open_cohort, shd_labels, write_cohort_tables
from ground.findings import SHD_FLAGS
from inputs.ecg.source import EcgSource
from inputs.opened import PlacedFile
from inputs.records import ReadHints


def codes(root: Path) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(problem.code, problem.table, problem.rows) for problem in check_cohort(root).problems]


def test_a_cohort_of_the_first_layout_keeps_its_hashes():
    cohort = open_cohort(Path(__file__).parents[1] / "data/first_layout/cohort")
    assert (cohort.sha256, cohort.tables_sha256) == (
        "c990c88ab376d24e88ea40dc604c1307b199cebdad365cc7637ade7b06e42118",
        "22b887fb861964c2b066986e2aba966f5632ba52138e8a4463b099bf43aae9f4",
    )


# ---- absent


@pytest.mark.parametrize("there", [0, 1, 10])
def test_a_flag_without_a_column_is_unknown(tables: Tables, tmp_path: Path, there: int):
    tables.studies = tables.studies.drop(columns=list(SHD_FLAGS[there:]))
    studies = open_cohort(tables.write(tmp_path)).tables.studies
    assert studies[list(SHD_FLAGS[there:])].isna().all(axis=None)
    known = [None if pd.isna(value) else bool(value) for value in shd_labels(studies)]
    assert known == ([None] * 3 if there == 0 else [None, True, None])
    assert codes(tmp_path) == []


def test_echos_and_studies_may_be_absent(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    (tmp_path / "echos.csv").unlink()
    cohort = open_cohort(tmp_path)
    assert (cohort.tables.lacks, len(cohort.pairs), len(cohort.labels)) == ("views", 3, 3)
    (tmp_path / "studies.csv").unlink()
    cohort = open_cohort(tmp_path)
    assert (cohort.tables.lacks, len(cohort.pairs), len(cohort.labels)) == ("studies", 0, 0)
    assert codes(tmp_path) == []
    assert check_cohort(tmp_path).windows == ()


def test_tables_that_are_not_written_are_not_there(tables: Tables, tmp_path: Path):
    write_cohort_tables(tmp_path, tables.ecgs, None, None, tables.splits)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ecgs.csv", "splits.csv"]


@pytest.mark.parametrize("name", ["ecgs", "splits"])
def test_ecgs_and_splits_must_be_there(tables: Tables, tmp_path: Path, name: str):
    (tables.write(tmp_path) / f"{name}.csv").unlink()
    assert codes(tmp_path) == [("table_missing", name, ())]


def test_echos_without_a_table_of_studies_are_unmatched(tables: Tables, tmp_path: Path):
    (tables.write(tmp_path) / "studies.csv").unlink()
    assert codes(tmp_path) == [("study_unmatched", "echos", (1, 2, 3))]


def test_a_table_behind_a_broken_link_is_not_taken_for_absent(tables: Tables, tmp_path: Path):
    (tables.write(tmp_path) / "studies.csv").unlink()
    (tmp_path / "studies.csv").symlink_to("gone")
    assert codes(tmp_path)[0] == ("table_missing", "studies", ())


def test_an_absent_table_is_another_cohort_than_an_empty_one(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    whole = open_cohort(tmp_path).sha256
    (tmp_path / "echos.csv").unlink()
    without = open_cohort(tmp_path).sha256
    write_cohort_tables(tmp_path, tables.ecgs, tables.echos.iloc[:0], tables.studies, tables.splits)
    assert len({whole, without, open_cohort(tmp_path).sha256}) == 3


# ---- said beside a file


def source(root: Path, ecg_id: str) -> PlacedFile:
    return open_cohort(root).tables.ecg_sources()[ecg_id]


@pytest.mark.parametrize("table_format", ["csv", "parquet"])
def test_what_is_said_becomes_what_a_reader_is_told(tables: Tables, tmp_path: Path, table_format: str):
    said = {
        "row": [0, None, None],
        "dataset": ["tracings", "", ""],
        "rate_hz": [400.0, 257.5, None],
        "unit": ["uV", "", "mV"],
        "leads": ["DI, DII,V1", "", ""],
        "exam": ["", "19", ""],
    }
    tables.ecgs = tables.ecgs.assign(**said)
    root = tables.write(tmp_path, table_format)
    assert codes(root) == []
    first, second, third = (source(root, ecg_id) for ecg_id in ("1", "2", "3"))
    assert isinstance(first, EcgSource)
    assert (first.row, first.dataset) == (0, "tracings")
    assert first.hints == ReadHints(rate_hz=400.0, unit="uV", leads=("DI", "DII", "V1"))
    assert (second.row, second.hints) == (None, ReadHints(rate_hz=257.5, exam="19"))
    assert third.hints == ReadHints(unit="mV")


def test_whole_numbers_that_a_gap_made_floats_are_rows_too(tables: Tables, tmp_path: Path):
    tables.ecgs = tables.ecgs.assign(row=pd.Series([2.0, None, 72474.0]))
    assert open_cohort(tables.write(tmp_path)).tables.ecgs["row"].tolist() == [2, pd.NA, 72474]


def test_without_such_columns_an_ecg_is_its_file(tables: Tables, tmp_path: Path):
    assert type(source(tables.write(tmp_path), "1")) is PlacedFile


WRONG = {
    "negative row": ({"row": ["0", "-1", ""]}, "row_unreadable"),
    "half a row": ({"row": ["0", "1.5", ""]}, "row_unreadable"),
    "endless row": ({"row": ["0", "9" * 30, ""]}, "row_unreadable"),
    "a word for a row": ({"row": ["0", "first", ""]}, "row_unreadable"),
    "a rate of zero": ({"rate_hz": ["500", "0", ""]}, "rate_out_of_range"),
    "no rate": ({"rate_hz": ["500", "fast", ""]}, "number_unreadable"),
    "no voltage": ({"unit": ["mV", "kg", ""]}, "unit_not_voltage"),
    "no lead": ({"leads": ["I,II", "pulse", ""]}, "leads_unknown"),
    "a lead twice": ({"leads": ["I,II", "I,DI", ""]}, "leads_unknown"),
    "a long exam": ({"exam": ["1", "1" * 101, ""]}, "exam_long"),
    "row and exam": ({"row": ["0", "1", ""], "exam": ["", "7", ""]}, "row_and_exam"),
    "a dataset without row": ({"dataset": ["", "tracings", ""]}, "dataset_without_row"),
    "a control character": ({"row": ["", "1", ""], "dataset": ["", "a\x1b[1m", ""]}, "name_control"),
}


@pytest.mark.parametrize(("said", "code"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_said_is_found_by_row(tables: Tables, tmp_path: Path, said: dict[str, list[str]], code: str):
    tables.ecgs = tables.ecgs.assign(**said)
    root = tables.write(tmp_path)
    assert codes(root) == [(code, "ecgs", (2,))]
    with pytest.raises(CohortError) as refused:
        open_cohort(root)
    assert refused.value.code == code


# ---- windows


def test_the_pairing_windows_count_pairs_patients_ecgs_and_studies(tables: Tables, tmp_path: Path):
    tables.ecgs.loc[3] = ["007", "4", "2021-03-02T10:00:00", "ecg/4.hea"]
    tables.ecgs.loc[4] = ["007", "5", "2021-03-06T10:00:00", "ecg/5.hea"]
    tables.ecgs.loc[1, "acquired_at"] = "2021-04-25T10:00:00"
    found = check_cohort(tables.write(tmp_path)).windows
    assert [(w.days, w.pairs, w.patients, w.ecgs, w.studies) for w in found] == [
        (1, 3, 2, 3, 2),
        (7, 4, 2, 4, 2),
        (30, 5, 3, 5, 3),
    ]


def test_no_window_is_told_where_times_cannot_be_compared(tables: Tables, tmp_path: Path):
    tables.ecgs["acquired_at"] = tables.ecgs["acquired_at"] + "Z"
    assert check_cohort(tables.write(tmp_path)).windows == ()
