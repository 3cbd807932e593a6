"""Cohort tables: what is written comes back, and pairs and labels follow."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sound_tables import Tables

from cohorts import (
    Cohort,
    CohortError,
    check_cohort,
    derive_pairs,
    open_cohort,
    shd_label,
    shd_labels,
    write_cohort_tables,
)
from ground.findings import SHD_FLAGS


def booleans(series: pd.Series) -> list[bool | None]:
    return [None if pd.isna(v) else bool(v) for v in series]


@pytest.mark.parametrize("table_format", ["csv", "parquet"])
def test_written_tables_come_back_with_ids_as_text_and_unknown_as_unknown(
    tables: Tables, tmp_path: Path, table_format: str
):
    cohort = open_cohort(tables.write(tmp_path, table_format)).tables
    assert list(cohort.ecgs["patient_id"]) == ["007", "12", "0x1F"]
    assert list(cohort.ecgs["ecg_id"]) == ["1", "2", "3"]
    assert cohort.studies["acquired_at"].iloc[0] == pd.Timestamp("2021-03-01 10:00")
    np.testing.assert_array_equal(cohort.studies["lvef_percent"], [61.25, 33.0, np.nan])
    np.testing.assert_array_equal(cohort.studies["septum_cm"], [0.9, 1.4, np.nan])
    assert booleans(cohort.studies[SHD_FLAGS[0]]) == [False, True, None]
    assert list(cohort.echos["view"]) == ["A4C", "", "PLAX"]
    assert check_cohort(tmp_path).problems == ()


def test_typed_parquet_of_another_tool_is_read_like_text(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    studies = tables.studies.copy()
    studies["acquired_at"] = pd.to_datetime(studies["acquired_at"])
    studies[list(SHD_FLAGS)] = studies[list(SHD_FLAGS)].astype("boolean")
    (tmp_path / "studies.csv").unlink()
    studies.to_parquet(tmp_path / "studies.parquet")
    ecgs = tables.ecgs.assign(ecg_id=[1, 2, 3])
    (tmp_path / "ecgs.csv").unlink()
    ecgs.to_parquet(tmp_path / "ecgs.parquet")
    cohort = open_cohort(tmp_path).tables
    assert list(cohort.ecgs["ecg_id"]) == ["1", "2", "3"]
    assert booleans(shd_labels(cohort.studies)) == [False, True, None]
    assert len(derive_pairs(cohort)) == 3


def test_columns_are_found_by_name_whatever_their_order(tables: Tables, tmp_path: Path):
    tables.write(tmp_path)
    studies = pd.read_csv(tmp_path / "studies.csv", dtype=str, keep_default_na=False)
    shuffled = [*reversed(studies.columns)]
    studies[shuffled].assign(note="x").to_csv(tmp_path / "studies.csv", index=False)
    np.testing.assert_array_equal(open_cohort(tmp_path).tables.studies["lvef_percent"], [61.25, 33.0, np.nan])


def test_writing_twice_gives_the_same_bytes(tables: Tables, tmp_path: Path):
    first = tables.write(tmp_path / "a")
    second = tables.write(tmp_path / "b")
    for name in ("ecgs", "echos", "studies", "splits"):
        assert (first / f"{name}.csv").read_bytes() == (second / f"{name}.csv").read_bytes()


def test_writing_without_a_required_column_is_a_callers_mistake(tables: Tables, tmp_path: Path):
    with pytest.raises(ValueError, match="lvef_percent"):
        write_cohort_tables(
            tmp_path, tables.ecgs, tables.echos, tables.studies.drop(columns="lvef_percent"), tables.splits
        )


def test_zoned_times_become_one_clock(tables: Tables, tmp_path: Path):
    for frame in (tables.ecgs, tables.echos, tables.studies):
        frame["acquired_at"] = frame["acquired_at"] + "+02:00"
    tables.studies["acquired_at"] = ["2021-03-01T08:00:00Z", "2021-04-01T04:00:00-04:00", "2021-05-01T08:00:00+00:00"]
    cohort = open_cohort(tables.write(tmp_path)).tables
    assert list(derive_pairs(cohort)["days_apart"]) == [0, 0, 0]


# ---- labels


def test_shd_is_positive_by_one_flag_negative_by_all_and_else_unknown():
    negative = dict.fromkeys(SHD_FLAGS, False)
    assert shd_label(negative) is False
    assert shd_label({**negative, SHD_FLAGS[4]: None}) is None
    assert shd_label({**dict.fromkeys(SHD_FLAGS), SHD_FLAGS[4]: True}) is True
    assert shd_label({}) is None
    assert len(SHD_FLAGS) == 11


def test_shd_of_a_table_equals_shd_row_by_row():
    generator = random.Random(3)
    rows = [
        {flag: generator.choice([True, False, False, False, None][weight:]) for flag in SHD_FLAGS}
        for weight in (0, 1, 1, 2, 2)
        for _ in range(20)
    ]
    rows += [dict.fromkeys(SHD_FLAGS, False), dict.fromkeys(SHD_FLAGS)]
    labels = shd_labels(pd.DataFrame(rows, dtype=object))
    assert booleans(labels) == [shd_label(row) for row in rows]


def test_half_of_val_serves_as_calibration_unless_the_cohort_names_its_own(tables: Tables):
    ids = [f"p{i}" for i in range(400)]
    splits = pd.DataFrame({"patient_id": ids, "split": ["val"] * 400})
    cohort = Cohort(Path(), tables.ecgs, tables.echos, tables.studies, splits)
    val, calibration = cohort.patients("val"), cohort.patients("calibration")
    assert val | calibration == set(ids)
    assert not val & calibration
    assert 140 < len(val) < 260
    named = pd.concat([splits, pd.DataFrame({"patient_id": ["c"], "split": ["calibration"]})])
    cohort = dataclasses.replace(cohort, splits=named)
    assert cohort.patients("calibration") == {"c"}
    assert cohort.patients("val") == set(ids)


# ---- pairs


def naive_pairs(cohort: Cohort, window: dt.timedelta) -> list[tuple[str, str, str, float]]:
    found = []
    for ecg in cohort.ecgs.itertuples():
        for study in cohort.studies.itertuples():
            apart = abs(ecg.acquired_at - study.acquired_at)
            if ecg.patient_id == study.patient_id and apart <= window:
                found.append((study.patient_id, ecg.ecg_id, study.study_id, apart / dt.timedelta(days=1)))
    return sorted(found, key=lambda p: (p[0], p[2], p[3], p[1]))


def random_cohort(n_ecgs: int, n_studies: int, n_patients: int, seed: int) -> Cohort:
    generator = np.random.default_rng(seed)

    def rows(n: int, key: str) -> pd.DataFrame:
        hours = generator.integers(0, 24 * 60, n)
        return pd.DataFrame(
            {
                "patient_id": [f"p{i}" for i in generator.integers(0, n_patients, n)],
                key: [f"{key}{i}" for i in generator.permutation(n)],
                "acquired_at": pd.Timestamp("2020-01-01") + pd.to_timedelta(hours, unit="h"),
            }
        )

    empty = pd.DataFrame()
    return Cohort(Path(), rows(n_ecgs, "ecg_id"), empty, rows(n_studies, "study_id"), empty)


@pytest.mark.parametrize("window_days", [0.0, 1.5, 7.0])
def test_pairs_equal_the_naive_twin(window_days: float):
    cohort = random_cohort(120, 80, 6, seed=1)
    pairs = derive_pairs(cohort, window_days=window_days)
    expected = naive_pairs(cohort, dt.timedelta(days=window_days))
    assert [tuple(row) for row in pairs.itertuples(index=False)] == expected
    assert window_days == 0.0 or len(expected) > 20


def test_an_ecg_exactly_seven_days_away_pairs_and_a_second_more_does_not(tables: Tables, tmp_path: Path):
    tables.ecgs["acquired_at"] = ["2021-03-08T10:00:00", "2021-03-25T10:00:00", "2021-05-08T10:00:01"]
    pairs = derive_pairs(open_cohort(tables.write(tmp_path)).tables)
    assert sorted(pairs["ecg_id"]) == ["1", "2"]
    assert list(pairs["days_apart"]) == [7, 7]


def test_pairs_of_a_hundred_thousand_rows_are_all_found():
    cohort = random_cohort(100_000, 20_000, 30_000, seed=2)
    pairs = derive_pairs(cohort, window_days=60)  # everything lies within 60 days: counts multiply per patient
    per_patient = cohort.ecgs["patient_id"].value_counts()
    assert len(pairs) == int(cohort.studies["patient_id"].map(per_patient).fillna(0).sum())


def test_a_cohort_folder_of_a_newer_version_is_refused_by_whoever_opens_it(tables: Tables, tmp_path: Path):
    root = tables.write(tmp_path)
    (root / "cohort.json").write_text('{"schema_version": 1, "name": "ours"}')
    assert open_cohort(root).about.written["name"] == "ours"
    (root / "cohort.json").write_text('{"schema_version": 2}')
    (root / "splits.csv").write_text("patient,part\n")
    with pytest.raises(CohortError, match=r"^The cohort folder was written by a newer version of this software"):
        open_cohort(root)
    assert check_cohort(root).problems[0].code == "cohort_newer"
