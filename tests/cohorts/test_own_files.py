"""A cohort's own files, whatever they are, end in a refusal that names the file: no traceback, no wait, no flood."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sound_tables import Tables

from cohorts import CohortError, check_cohort, open_cohort, tables_sha256
from inputs import limits

TABLES = ("ecgs", "echos", "studies", "splits")


def as_parquet(root: Path, name: str, **columns: pa.Array) -> Path:
    """Write a table of the cohort in `root` as Parquet, some of its columns replaced."""
    table = pa.Table.from_pandas(pd.read_csv(root / f"{name}.csv", dtype=str, keep_default_na=False))
    for column, cells in columns.items():
        table = table.set_column(table.column_names.index(column), column, cells)
    (root / f"{name}.csv").unlink()
    pq.write_table(table, root / f"{name}.parquet")
    return root


def refused(root: Path) -> tuple[str, str]:
    """Code and table of the one problem, which whoever opens the cohort is told too."""
    (problem,) = check_cohort(root).problems
    with pytest.raises(CohortError) as raised:
        open_cohort(root)
    assert raised.value.code == problem.code
    assert str(root) not in raised.value.in_full
    return problem.code, problem.table


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_pipe_in_place_of_a_table_is_refused_without_waiting(tables: Tables, tmp_path: Path, name: str, kind: str):
    tables.write(tmp_path, kind)
    (tmp_path / f"{name}.{kind}").unlink()
    os.mkfifo(tmp_path / f"{name}.{kind}")
    assert refused(tmp_path) == ("table_unreadable", name)
    with pytest.raises(CohortError, match=f"{name}.{kind} cannot be read as a table"):
        tables_sha256(tmp_path)


def test_a_table_behind_a_link_is_read(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    (tmp_path / "splits.csv").rename(tmp_path / "elsewhere")
    (tmp_path / "splits.csv").symlink_to("elsewhere")
    assert check_cohort(tmp_path).problems == ()


def test_an_about_of_any_depth_is_refused_by_the_check(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    (tmp_path / "cohort.json").write_text("[" * 200_000)
    assert [problem.code for problem in check_cohort(tmp_path).problems] == ["about_unreadable"]
    with pytest.raises(CohortError, match=r"cohort\.json is not a JSON object"):
        _ = open_cohort(tmp_path).about


def test_a_pipe_in_place_of_the_about_is_refused_without_waiting(tables: Tables, tmp_path: Path):
    os.mkfifo(tables.write(tmp_path) / "cohort.json")
    assert [problem.code for problem in check_cohort(tmp_path).problems] == ["about_unreadable"]
    for asked in ("about", "sha256"):
        with pytest.raises(CohortError, match=r"cohort\.json is not a JSON object"):
            getattr(open_cohort(tmp_path), asked)


def test_an_about_larger_than_its_limit_is_refused(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    for letters, codes in ((limits.MAX_COHORT_ABOUT_BYTES - 11, []), (2**20 - 10, ["about_unreadable"])):
        (tmp_path / "cohort.json").write_text(f'{{"name":"{"x" * letters}"}}')
        assert [problem.code for problem in check_cohort(tmp_path).problems] == codes


CELLS = {
    "list": pa.array([["61.5"]] * 3),
    "struct": pa.array([{"a": "61.5"}] * 3),
    "map": pa.array([[("a", "61.5")]] * 3, pa.map_(pa.string(), pa.string())),
    "binary": pa.array([b"61.5"] * 3),
    "time of day": pa.array([1, 2, 3], pa.time32("s")),
}


@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("column", ["age", "acquired_at", "sex", "low_ef"])
def test_a_parquet_column_of_something_else_than_cells_is_refused(
    tables: Tables, tmp_path: Path, column: str, cells: pa.Array
):
    tables.write(tmp_path)
    column = next(c for c in tables.studies if c.endswith("_flag")) if column == "low_ef" else column
    assert refused(as_parquet(tmp_path, "studies", **{column: cells})) == ("column_type", "studies")


IDS = CELLS | {
    "float": pa.array([1.0, 2.0, 3.0]),
    "truth": pa.array([True, False, True]),
    "decimal": pa.array([1, 2, 3]).cast(pa.decimal128(25, 2)),
    "time": pa.array([1, 2, 3], pa.timestamp("us")),
}


@pytest.mark.parametrize("cells", IDS.values(), ids=IDS)
def test_parquet_ids_are_text_or_whole_numbers(tables: Tables, tmp_path: Path, cells: pa.Array):
    assert refused(as_parquet(tables.write(tmp_path), "ecgs", ecg_id=cells)) == ("id_not_text", "ecgs")


def test_whole_numbers_are_kept_as_ids_to_the_last_digit_beside_a_missing_one(tables: Tables, tmp_path: Path):
    as_parquet(tables.write(tmp_path), "ecgs", ecg_id=pa.array([2**60 + 1, None, 3]))
    assert [(p.code, p.rows) for p in check_cohort(tmp_path).problems] == [("id_missing", (2,))]
    (tmp_path / "ecgs.parquet").unlink()
    as_parquet(tables.write(tmp_path), "ecgs", ecg_id=pa.array([2**60 + 1, 2, 3]))
    assert list(open_cohort(tmp_path).tables.ecgs["ecg_id"]) == [str(2**60 + 1), "2", "3"]


def test_parquet_text_in_other_types_is_read_like_text(tables: Tables, tmp_path: Path):
    ids = pa.array(["1", "2", "3"])
    for cells in (ids.cast(pa.large_string()), ids.dictionary_encode(), ids.cast(pa.string_view())):
        as_parquet(tables.write(tmp_path), "ecgs", ecg_id=cells)
        assert list(open_cohort(tmp_path).tables.ecgs["ecg_id"]) == ["1", "2", "3"]
        (tmp_path / "ecgs.parquet").unlink()


@pytest.mark.parametrize("table_format", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("limit", "says"), [("MAX_COHORT_ROWS", "more than 3 rows"), ("MAX_COHORT_CELLS", "more than 6 cells")]
)
def test_a_table_of_one_row_too_many_is_refused(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table_format: str, limit: str, says: str
):
    monkeypatch.setattr(limits, limit, 3 if limit == "MAX_COHORT_ROWS" else 6)
    tables.write(tmp_path, table_format)
    found = {problem.table: problem for problem in check_cohort(tmp_path).problems}
    assert "splits" not in found
    tables.splits.loc[3] = ["007", "train"]
    tables.write(tmp_path, table_format)
    found = {problem.table: problem for problem in check_cohort(tmp_path).problems}
    assert found["splits"].code == "table_too_large"
    assert says in found["splits"].sentence


def test_rows_of_a_csv_are_counted_over_all_its_pieces(tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cohorts.columns._CELLS_AT_ONCE", 4)
    assert check_cohort(tables.write(tmp_path)).problems == ()
    monkeypatch.setattr(limits, "MAX_COHORT_ROWS", 2)
    assert {problem.code for problem in check_cohort(tmp_path).problems} == {"table_too_large"}


def test_one_long_text_said_many_times_is_measured_as_it_would_be_written_out(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tables.splits = pd.DataFrame({"patient_id": ["P" * 100] * 3000, "split": "train"})
    tables.write(tmp_path, "parquet")
    assert (tmp_path / "splits.parquet").stat().st_size < 10_000
    monkeypatch.setattr(limits, "MAX_COHORT_TABLE_BYTES", 200_000)
    assert refused(tmp_path) == ("table_too_large", "splits")


def test_a_table_file_larger_than_its_limit_is_refused(tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tables.write(tmp_path)
    most = max((tmp_path / f"{name}.csv").stat().st_size for name in TABLES)
    monkeypatch.setattr(limits, "MAX_COHORT_TABLE_BYTES", most)
    assert check_cohort(tmp_path).problems == ()
    monkeypatch.setattr(limits, "MAX_COHORT_TABLE_BYTES", most - 1)
    assert refused(tmp_path) == ("table_too_large", "studies")


@pytest.mark.parametrize("before", ["", "\n\n", "\r\n \r\n", "\ufeff"])
def test_a_csv_header_longer_than_its_limit_is_refused(tables: Tables, tmp_path: Path, before: str):
    tables.write(tmp_path)
    rows = (tmp_path / "splits.csv").read_text()
    (tmp_path / "splits.csv").write_text(before + rows.replace("\n", ",x" * 1000 + "\n"))
    assert check_cohort(tmp_path).problems == ()
    (tmp_path / "splits.csv").write_text(before + rows.replace("split\n", "split" + ",x" * 40_000 + "\n", 1))
    assert refused(tmp_path) == ("table_too_large", "splits")


@pytest.mark.parametrize(("table", "column"), [("splits", "split"), ("ecgs", "ecg_id"), ("echos", "view")])
@pytest.mark.parametrize("table_format", ["csv", "parquet"])
def test_a_column_that_comes_twice_is_refused(
    tables: Tables, tmp_path: Path, table: str, column: str, table_format: str
):
    tables.write(tmp_path, table_format)
    frame = getattr(tables, table)
    doubled = pd.concat([frame, frame[[column]].iloc[::-1].reset_index(drop=True)], axis=1)
    if table_format == "csv":
        doubled.to_csv(tmp_path / f"{table}.csv", index=False)
    else:
        arrays = [pa.array(doubled.iloc[:, i]) for i in range(doubled.shape[1])]
        pq.write_table(pa.Table.from_arrays(arrays, names=list(doubled.columns)), tmp_path / f"{table}.parquet")
    assert refused(tmp_path) == ("column_twice", table)


def test_a_column_that_nobody_reads_may_come_twice(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    doubled = tables.splits.assign(note="x", again="y").rename(columns={"again": "note"})
    doubled.to_csv(tmp_path / "splits.csv", index=False)
    assert check_cohort(tmp_path).problems == ()
