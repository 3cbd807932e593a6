"""Labels of the user's own: read by their rows' ids, and what is no label is told in one sentence."""

import numpy as np
import pandas as pd
import pytest

from cohorts import CohortError, open_cohort
from cohorts.own_labels import known_own_labels, read_own_labels


@pytest.fixture
def cohort_with(cohort_dir, tmp_path):
    """The cohort with columns added, by table: its tables alone, no file."""

    def write(suffix="csv", **columns):
        for name in ("ecgs", "echos", "studies", "splits"):
            table = pd.read_csv(cohort_dir / f"{name}.csv", dtype=str, keep_default_na=False)
            table = table.assign(**{column: cells(len(table)) for column, cells in columns.get(name, {}).items()})
            if suffix == "csv":
                table.to_csv(tmp_path / f"{name}.csv", index=False)
            else:
                table.to_parquet(tmp_path / f"{name}.parquet", index=False)
        return open_cohort(tmp_path)

    return write


def every(*cells):
    return lambda count: [cells[row % len(cells)] for row in range(count)]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (every("true", "", "0"), "yes_no", [1, np.nan, 0]),
        (every("TRUE", "False", "1.0"), "yes_no", [1, 0, 1]),
        (every("1.00", "no", "+0"), "yes_no", [1, 0, 0]),
        (every("1", "0", "2"), "number", [1, 0, 2]),
        (every("1000000057", "1000000031.5", "1e9"), "number", [1000000057, 1000000031.5, 1e9]),
        (every("-1.5e2", "", "7"), "number", [-150, np.nan, 7]),
    ],
)
def test_a_column_is_a_yes_or_no_or_a_number_by_what_it_holds(cohort_with, suffix, cells, kind, values):
    cohort = cohort_with(suffix, studies={"mine": cells})
    (label,) = read_own_labels(cohort, ["mine", "mine"])
    assert (label.kind, label.table) == (kind, "studies")
    found = label.values.loc[cohort.tables.studies["study_id"][:3]]
    assert np.array_equal(found.to_numpy(), values, equal_nan=True)


@pytest.mark.parametrize("cells", [[True, False], [1, 0], [1.0, 0.0]], ids=["truths", "whole", "floats"])
def test_parquet_may_hold_the_values_themselves(cohort_with, cells):
    (label,) = read_own_labels(cohort_with("parquet", ecgs={"mine": every(*cells)}), ["mine"])
    assert (label.kind, label.table) == ("yes_no", "ecgs")
    assert set(label.values) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("columns", "name", "code", "words"),
    [
        (
            {"ecgs": {"mine": every("1", "a")}},
            "mine",
            "label_kind",
            r"in 20 of its 40 known cells \(table ecgs, row 2",
        ),
        ({"ecgs": {"mine": every("true", "3")}}, "mine", "label_kind", "true and false, 1 and 0, or numbers alone"),
        ({"ecgs": {"mine": every("1", "inf")}}, "mine", "label_kind", "numbers alone"),
        ({"ecgs": {"mine": every("")}}, "mine", "label_empty", "has no value"),
        ({}, "lvef_percent", "label_name_taken", "uses itself"),
        ({}, "shd", "label_name_taken", "uses itself"),
        ({}, "SHD", "label_name_taken", "uses itself"),
        ({}, "Own", "label_name_taken", "uses itself"),
        ({"ecgs": {"mine": every("6e307", "5e307")}}, "mine", "label_size", "beyond 1e.30"),
        ({"ecgs": {"mine": every("6e-300", "5e-300")}}, "mine", "label_size", "differ too little"),
        ({"ecgs": {"mine": every("1e15", "1000000000000057")}}, "mine", "label_size", "differ too little"),
        (
            {"ecgs": {"mine": every("1")}, "studies": {"mine": every("1")}},
            "mine",
            "label_twice",
            "in the table ecgs and",
        ),
        ({}, " ", "label_name_unfit", "all of which show something"),
    ],
)
def test_what_is_no_label_is_refused_in_one_sentence(cohort_with, columns, name, code, words):
    with pytest.raises(CohortError, match=words) as caught:
        read_own_labels(cohort_with(**columns), [name])
    assert caught.value.code == code


def test_the_nearest_name_is_suggested(cohort_with):
    cohort = cohort_with(studies={"amyloid": every("1", "0")})
    with pytest.raises(CohortError, match="No table has a column amyloyd") as caught:
        read_own_labels(cohort, ["amyloyd"])
    assert caught.value.hint == "Is it amyloid?"


def test_what_is_fitted_is_measured_where_the_column_is_fit_and_of_its_kind(cohort_with):
    cohort = cohort_with(studies={"amyloid": every("1", "0"), "words": every("1", "a"), "weight": every("yes", "no")})
    kinds = {"amyloid": "yes_no", "words": "yes_no", "weight": "number", "elsewhere": "number"}
    found, unfit = known_own_labels(cohort, kinds)
    assert [one.name for one in found] == ["amyloid"]
    assert unfit["weight"] == "is a number, and the cohort's column yes or no"
    assert unfit["elsewhere"] == "needs a column so named in the cohort"
    assert "words holds something else" in unfit["words"]
