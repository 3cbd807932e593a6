"""Tables of others are read as they stand, or refused: no cell ever moves to another column."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from cohorts import CohortError
from cohorts.adapters.source_tables import columns_of, read_source_table


def table(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode("utf-8-sig"))
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_columns_are_found_by_name_whatever_the_case_and_order(tmp_path, name):
    path = table(tmp_path, '\n,EF, Patient\n\n0," 40,5 ",p1\n1,,p2\n', name)
    found = read_source_table(path, ("patient", "ef"), ("age",))
    assert found.to_dict("list") == {"patient": ["p1", "p2"], "ef": ["40,5", ""]}
    assert columns_of(path) == ["", "EF", " Patient"]


@pytest.mark.parametrize("row", ["p1,a.xml,40,5,120", "p1,a.xml,61", "p1,a.xml,61,120,"])
def test_a_row_with_more_or_fewer_cells_than_the_header_is_refused_by_number(tmp_path, row):
    path = table(tmp_path, f"patient_id,ecg_path,lvef_percent,lvedv_ml\np0,b.xml,55,110\n{row}\n")
    with pytest.raises(CohortError, match=r"Row 2 of t.csv has [35] cells, its header 4") as caught:
        read_source_table(path, ("patient_id", "lvef_percent"))
    assert "decimal comma" in caught.value.hint


@pytest.mark.parametrize("text", ["id;ef\n1;40,5\n", "sep=;\nid;ef\n1;40\n"])
def test_a_table_with_semicolons_is_called_that(tmp_path, text):
    with pytest.raises(CohortError, match=r"t.csv looks semicolon-separated; separate its cells with commas"):
        read_source_table(table(tmp_path, text), ("id", "ef"))


def test_a_wanted_column_that_comes_twice_is_refused_and_another_one_is_not(tmp_path):
    path = table(tmp_path, "id,ef,ef,note,note\n1,40,70,a,b\n")
    with pytest.raises(CohortError, match="more than one column ef"):
        read_source_table(path, ("id", "ef"))
    assert read_source_table(path, ("id",)).to_dict("list") == {"id": ["1"]}


def test_a_table_cut_off_within_its_compression_is_refused(tmp_path):
    path = table(tmp_path, "id,ef\n" + "1,40\n" * 5000, "t.csv.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CohortError, match=r"t.csv.gz cannot be read as a table"):
        read_source_table(path, ("id", "ef"))


def test_a_table_without_rows_has_its_columns(tmp_path):
    assert list(read_source_table(table(tmp_path, "id,ef\n"), ("id", "ef")).columns) == ["id", "ef"]
