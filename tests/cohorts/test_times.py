"""Times that no patient lived at are found where the table is read, whatever their type and however far off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sound_tables import Tables

from cohorts import CohortError, check_cohort, open_cohort

BEFORE_1900_US = -2_208_988_800_000_001


@pytest.mark.parametrize("table", ["ecgs", "echos", "studies"])
@pytest.mark.parametrize("text", ["-2020-01-01", "0001-01-01", "1899-12-31T23:59:59", "2251-01-01", "9999-12-31"])
def test_a_time_out_of_range_is_found_by_row_and_refused(tables: Tables, tmp_path: Path, table: str, text: str):
    getattr(tables, table).loc[1, "acquired_at"] = text
    problems = check_cohort(tables.write(tmp_path)).problems
    assert [(p.code, p.table, p.rows) for p in problems] == [("time_out_of_range", table, (2,))]
    with pytest.raises(CohortError, match="acquired_at must lie between the years 1900 and 2250"):
        open_cohort(tmp_path)


@pytest.mark.parametrize("text", ["1900-01-01", "2250-12-31T23:59:59.999999", "2150-06-01"])
def test_the_first_and_the_last_moment_are_in_range(tables: Tables, tmp_path: Path, text: str):
    tables.echos.loc[1, "acquired_at"] = text
    assert check_cohort(tables.write(tmp_path)).problems == ()
    assert open_cohort(tmp_path).tables.echos["acquired_at"][1] == pd.Timestamp(text)


@pytest.mark.parametrize("zone", [None, "+02:00"])
@pytest.mark.parametrize(("unit", "off"), [("ms", -(2**62)), ("ms", 2**62), ("us", 2**62), ("us", BEFORE_1900_US)])
def test_a_parquet_time_further_off_than_any_calendar_is_found_by_row(
    tables: Tables, tmp_path: Path, zone: str | None, unit: str, off: int
):
    for frame in (tables.ecgs, tables.echos):
        frame["acquired_at"] += zone or ""
    tables.write(tmp_path)
    times = pd.to_datetime(tables.studies["acquired_at"]).astype(f"datetime64[{unit}]").to_numpy().astype(np.int64)
    times[1] = off
    table = pa.Table.from_pandas(tables.studies.drop(columns="acquired_at"))
    (tmp_path / "studies.csv").unlink()
    pq.write_table(
        table.append_column("acquired_at", pa.array(times, pa.timestamp(unit, tz=zone))), tmp_path / "studies.parquet"
    )
    problems = check_cohort(tmp_path).problems
    assert [(p.code, p.table, p.rows) for p in problems] == [("time_out_of_range", "studies", (2,))]
