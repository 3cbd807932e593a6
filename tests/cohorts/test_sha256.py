"""What tells one cohort from another without opening its files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from sound_tables import Tables

from cohorts import CohortError, open_cohort, tables_sha256


@pytest.fixture
def cohort_dir(tables: Tables, tmp_path: Path) -> Path:
    return tables.write(tmp_path / "cohort")


def sha256(root: Path) -> str:
    return open_cohort(root).sha256


@pytest.mark.parametrize("name", ["ecg/0.hea", "echo/2.dcm"])
def test_a_file_of_another_size_makes_another_cohort(cohort_dir: Path, name: str):
    before = sha256(cohort_dir)
    (cohort_dir / name).write_bytes(b"longer content")
    assert sha256(cohort_dir) != before


@pytest.mark.parametrize("name", ["ecgs", "echos", "studies", "splits"])
def test_every_table_counts_for_a_cohort_and_only_the_named_ones_for_the_tables(cohort_dir: Path, name: str):
    before, tables = sha256(cohort_dir), tables_sha256(cohort_dir, ("echos", "studies"))
    table = cohort_dir / f"{name}.csv"
    pd.read_csv(table, dtype=str).assign(note="x").to_csv(table, index=False)
    assert sha256(cohort_dir) != before
    changed = tables_sha256(cohort_dir, ("echos", "studies")) != tables
    assert changed == (name in ("echos", "studies"))


@pytest.mark.parametrize("name", ["ecgs.csv~", "ecgs.csv.bak", "studies.xlsx", "echos.old.csv"])
def test_a_file_that_no_table_is_read_from_changes_nothing(cohort_dir: Path, name: str):
    before = sha256(cohort_dir)
    (cohort_dir / name).write_text("an editor's copy")
    assert sha256(cohort_dir) == before


def test_what_moves_from_one_table_to_the_next_counts(tmp_path: Path):
    hashes = set()
    for ecgs, echos in (("ab", "c"), ("a", "bc"), ("abc", "")):
        (tmp_path / "ecgs.csv").write_text(ecgs)
        (tmp_path / "echos.csv").write_text(echos)
        hashes.add(tables_sha256(tmp_path))
    assert len(hashes) == 3


def test_a_table_as_parquet_is_another_file(cohort_dir: Path):
    before = tables_sha256(cohort_dir)
    (cohort_dir / "splits.csv").rename(cohort_dir / "splits.parquet")
    assert tables_sha256(cohort_dir) != before


def test_where_a_cohort_says_that_it_is_from_counts(cohort_dir: Path):
    before = sha256(cohort_dir)
    (cohort_dir / "cohort.json").write_text('{"seed": 1}')
    first = sha256(cohort_dir)
    (cohort_dir / "cohort.json").write_text('{"seed": 2}')
    assert len({before, first, sha256(cohort_dir)}) == 3


def test_a_copy_with_other_times_of_writing_is_the_same_cohort(cohort_dir: Path, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(cohort_dir, copy, copy_function=shutil.copyfile, dirs_exist_ok=True)
    assert sha256(copy) == sha256(cohort_dir)


def test_a_file_that_is_not_there_is_refused_without_its_path(cohort_dir: Path):
    (cohort_dir / "echo/2.dcm").unlink()
    with pytest.raises(CohortError) as refused:
        sha256(cohort_dir)
    assert (refused.value.code, "2.dcm" in str(refused.value)) == ("file_missing", False)
