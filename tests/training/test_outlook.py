"""What training says before any work to a cohort in which a split has nobody."""

import pandas as pd
import pytest

from cohorts import CohortError, open_cohort
from training.outlook import check_patients, training_outlook


@pytest.fixture
def with_splits(cohort_dir, tmp_path):
    """The cohort's tables with other splits; no file is there."""

    def write(of):
        for name in ("ecgs", "echos", "studies"):
            (tmp_path / f"{name}.csv").symlink_to(cohort_dir / f"{name}.csv")
        splits = pd.read_csv(cohort_dir / "splits.csv", dtype=str)
        splits.assign(split=splits["split"].map(of)).dropna().to_csv(tmp_path / "splits.csv", index=False)
        return open_cohort(tmp_path)

    return write


def test_a_split_that_the_table_does_not_name_is_told_as_that(with_splits):
    cohort = with_splits({"train": "train", "val": "val", "calibration": "calibration"})
    check_patients(cohort, "calibration")
    with pytest.raises(CohortError, match="The table splits names no test patients"):
        check_patients(cohort, "test")
    assert training_outlook(cohort).refusal == "The table splits names no test patients."


@pytest.mark.parametrize(("serves", "lacks"), [(True, "val"), (False, "calibration")])
def test_val_patients_who_all_serve_on_one_side_are_the_reason(with_splits, monkeypatch, serves, lacks):
    cohort = with_splits({"train": "train", "val": "val", "test": "test"})
    monkeypatch.setattr("cohorts.folder._serves_calibration", lambda patient: serves)
    n_val = (cohort.tables.splits["split"] == "val").sum()
    other = "calibration" if serves else "val"
    words = f"There are no {lacks} patients: the table splits names {n_val} val patients, who all serve as {other}."
    with pytest.raises(CohortError) as refused:
        check_patients(cohort, lacks)
    assert refused.value.sentence == words
