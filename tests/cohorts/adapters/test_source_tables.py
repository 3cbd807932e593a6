"""Tables of others are read as they stand, or refused: no cell ever moves to another column."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from cohorts import CohortError
from cohorts.adapters import cells, source_tables
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


def rows(*cells: str) -> str:
    return "id,ef,note\n" + "".join(f"{cell}\n" for cell in cells)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        (rows("p1,40,a", 'p2,50,"b', "p3,60,c"), 2),
        (rows("p1,40,a", 'p2,50,"b', 'p3,60,"c, d"', "p4,70,e"), 2),
        (rows("p1,40,a", 'p2,50,"', "p3,60,b", 'p4,70,"', "p5,30,c"), 2),
        (rows('p1,"40,a', 'p2,50",b'), 1),
        (rows('"p1', 'p2",40,a'), 1),
    ],
)
def test_a_quote_that_does_not_close_never_swallows_rows(tmp_path, text, row):
    with pytest.raises(CohortError, match=rf"row {row} of t.csv|Row {row} of t.csv") as caught:
        read_source_table(table(tmp_path, text), ("id", "ef"), ("note",))
    assert caught.value.code == "quote_open"
    assert caught.value.hint


def test_text_of_several_lines_stays_where_text_may_stand(tmp_path):
    text = rows('p1,40,"Sinus rhythm, left axis,\nno change, as before"', 'p2,50,"said ""no"""')
    found = read_source_table(table(tmp_path, text), ("id", "ef"), ("note",))
    (piece,) = source_tables.source_rows(table(tmp_path, text), ("id", "note"), free=("note",))
    assert piece["note"].to_list() == found["note"].to_list()
    assert found["note"].to_list() == ["Sinus rhythm, left axis,\nno change, as before", 'said "no"']


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_table_in_another_encoding_is_refused_by_its_name(tmp_path, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes("id,ef,note\np1,40,Größe\n".encode(encoding))
    with pytest.raises(CohortError, match=rf"t.csv is not in UTF-8, but looks like {encoding.upper()}"):
        read_source_table(path, ("id", "ef"))


def test_rows_are_counted_over_all_pieces_of_a_large_table(tmp_path, monkeypatch):
    monkeypatch.setattr(source_tables, "_ROWS_AT_ONCE", 2)
    pieces = source_tables.source_rows(table(tmp_path, "id\na\nb\nc\n"), ("id",))
    assert [list(piece.index) for piece in pieces] == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("ids", "read"),
    [
        (["15709.0", "", "7.0"], ["15709", "", "7"]),
        (["1.0", "1", "2.0"], ["1.0", "1", "2.0"]),
        (["v1.0", "v2.0"], ["v1.0", "v2.0"]),
        (["1.0", "1.1"], ["1.0", "1.1"]),
    ],
)
def test_ids_lose_their_decimals_only_as_a_column_of_floats(ids, read):
    assert cells.whole(pd.Series(ids)).to_list() == read
    assert bool(cells.told_whole({"id": pd.Series(ids)})) == (ids != read)
