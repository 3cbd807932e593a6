"""Ids and names of views are fit for terminals, addresses, file systems and logs, or the cohort is refused unquoted."""

from __future__ import annotations

from pathlib import Path

import pytest
from sound_tables import Tables

from cohorts import CohortError, check_cohort, open_checked_cohort, open_cohort

UNFIT = {
    "name_control": [
        "x\x1b]0;pwned\x07\x1b[31mred",
        "a\nSet-Cookie: x=1",
        "a\r\nb",
        "a\tb",
        "a\x7fb",
        "a\x85b",
        "a\u2028b",
        "a\u2029b",
        "\u00e9\u202eb",
        "a\u2066b",
        "a\u200bb",
        "a\ufeffb",
        "a\ue000b",
    ],
    "name_invisible": [
        "P\u034fX",
        "P\u3164",
        "\uffa0",
        "P\ufe0fX",
        "P\u2800",
        "a\u115fb",
        "a\u180bb",
        "a\U000e0100b",
        "a\U0001d159b",
    ],
    "name_not_composed": ["Jose\u0301", "\u1100\u1161", "\u212bngstrom"],
    "name_slash": ["a/views/b/thumbnail", "../..", "C:\\x", "/"],
    "name_dots": [".", ".."],
    "name_spaces": [" unfit", "unfit ", "\u00a0unfit", "unfit\u3000"],
    "name_long": ["Z" * 201, "Z" * 20_000],
}
FIT = [
    "007",
    "0x1F",
    "a.b",
    "...",
    "Jos\u00e9 Mu\u00f1oz",
    "x\u0323\u0301",
    "\uac00",
    "\u5fc3\u30a8\u30b3\u30fc 1",
    "a\u00a0b",
    "<script>",
    "[red]",
    "=1+1",
    "Z" * 200,
]
COLUMNS = [
    ("ecgs", "patient_id"),
    ("ecgs", "ecg_id"),
    ("echos", "study_id"),
    ("echos", "view_id"),
    ("echos", "view"),
    ("studies", "patient_id"),
    ("studies", "study_id"),
    ("splits", "patient_id"),
]


def named(tables: Tables, table: str, column: str, name: str) -> Tables:
    frame = getattr(tables, table)
    frame.loc[1, column] = name
    return tables


@pytest.mark.parametrize("table_format", ["csv", "parquet"])
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_an_unfit_name_is_found_by_table_column_and_row_in_every_column_of_names(
    tables: Tables, tmp_path: Path, table: str, column: str, table_format: str
):
    named(tables, table, column, "a\u202eb").write(tmp_path, table_format)
    found = [problem for problem in check_cohort(tmp_path).problems if problem.code == "name_control"]
    assert [(problem.table, problem.rows) for problem in found] == [(table, (2,))]
    assert found[0].sentence.startswith(f"{column} holds a control character")


@pytest.mark.parametrize(("code", "name"), [(code, name) for code, names in UNFIT.items() for name in names])
def test_an_unfit_name_is_refused_without_being_quoted(tables: Tables, tmp_path: Path, code: str, name: str):
    named(tables, "echos", "view_id", name).write(tmp_path)
    assert code in [problem.code for problem in check_cohort(tmp_path).problems]
    for opens in (open_cohort, open_checked_cohort):
        with pytest.raises(CohortError) as refused:
            opens(tmp_path)
        assert refused.value.sentence.startswith("view_id ")
        assert "(table echos, row 2)" in refused.value.sentence
        assert refused.value.sentence.isprintable()
        assert len(name) < 3 or name.strip() not in refused.value.in_full


@pytest.mark.parametrize("name", FIT)
def test_a_name_of_any_script_or_sign_is_fit(tables: Tables, tmp_path: Path, name: str):
    named(tables, "echos", "view_id", name)
    named(tables, "echos", "view", name).write(tmp_path)
    assert check_cohort(tmp_path).problems == ()
    assert open_cohort(tmp_path).tables.echos["view_id"].tolist()[1] == name


def test_every_row_with_an_unfit_name_is_counted(tables: Tables, tmp_path: Path):
    tables.echos["study_id"] = tables.studies["study_id"] = ["a/1", "s2", "a/1/2"]
    tables.write(tmp_path)
    found = {(problem.table, problem.code): problem.rows for problem in check_cohort(tmp_path).problems}
    assert found == {("echos", "name_slash"): (1, 3), ("studies", "name_slash"): (1, 3)}


def test_a_view_need_not_be_named(tables: Tables, tmp_path: Path):
    assert check_cohort(named(tables, "echos", "view", "").write(tmp_path)).problems == ()


@pytest.mark.parametrize("twin", ["p\u00e91", "P\u00c91", "\uff30\u00e91", "P\u00e9\u00b9"])
def test_a_patient_under_two_spellings_is_doubted_in_every_table_and_not_refused(
    tables: Tables, tmp_path: Path, twin: str
):
    for frame in (tables.ecgs, tables.echos, tables.studies, tables.splits):
        frame.loc[0, "patient_id"] = "P\u00e91"
    tables.splits.loc[3] = [twin, "test"]
    report = check_cohort(tables.write(tmp_path))
    assert report.problems == ()
    found = {warning.table: warning for warning in report.warnings}
    assert {table: (warning.code, warning.rows) for table, warning in found.items()} == {
        "ecgs": ("id_alike", (1,)),
        "echos": ("id_alike", (1,)),
        "studies": ("id_alike", (1,)),
        "splits": ("id_alike", (1, 4)),
    }
    assert found["splits"].sentence.startswith("Another patient_id differs only in case")


@pytest.mark.parametrize(("table", "column"), [("ecgs", "ecg_id"), ("studies", "study_id")])
def test_ecgs_and_studies_with_ids_alike_are_doubted_too(tables: Tables, tmp_path: Path, table: str, column: str):
    frame = getattr(tables, table)
    frame[column] = ["a", "A", "b"]
    if table == "studies":
        tables.echos[column] = frame[column]
    found = {w.table: (w.code, w.rows) for w in check_cohort(tables.write(tmp_path)).warnings}
    assert found[table] == ("id_alike", (1, 2))


def test_one_patient_composed_and_in_parts_does_not_pass_as_two(tables: Tables, tmp_path: Path):
    for row, name, split in ((3, "P\u00e9", "train"), (4, "Pe\u0301", "test")):
        tables.splits.loc[row] = [name, split]
    report = check_cohort(tables.write(tmp_path))
    assert [(p.code, p.table, p.rows) for p in report.problems] == [("name_not_composed", "splits", (5,))]
    assert [(w.code, w.rows) for w in report.warnings] == [("id_alike", (4, 5))]
