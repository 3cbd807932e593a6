"""What every import keeps to: one cohort or none, options that the data set takes, columns of its own."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
import trees

from cohorts import CohortError, write_cohort_tables
from cohorts.adapters import DATA_SETS, Source, data_set_named, import_cohort
from cohorts.adapters.base import found_below, splits_by_hash
from cohorts.adapters.ptb_xl import PTB_XL


@pytest.fixture
def source(tmp_path):
    trees.ptb_xl(tmp_path / "ptb", ecgs=4)
    return Source(tmp_path / "ptb")


def test_a_cohort_says_its_data_set_its_terms_and_where_its_files_lie(source, tmp_path):
    import_cohort(PTB_XL, source, tmp_path / "cohort")
    about = json.loads((tmp_path / "cohort" / "cohort.json").read_text())
    assert about["data_set"] == "ptb-xl"
    assert about["licence"] == "CC BY 4.0"
    assert "Scientific Data" in about["citation"]
    assert about["roots"] == {"ecg": str((tmp_path / "ptb").resolve())}
    report = json.loads((tmp_path / "cohort" / "import.json").read_text())
    assert [(each["count"], each["rows"]) for each in report["skipped"]] == [(1, [4])]


def test_nothing_of_the_source_is_copied_or_written(source, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in source.folder.rglob("*")}
    import_cohort(PTB_XL, source, tmp_path / "cohort")
    assert {path: path.stat().st_mtime_ns for path in source.folder.rglob("*")} == before
    assert sorted(path.name for path in (tmp_path / "cohort").iterdir() if path.suffix in (".hea", ".dat")) == []


def test_a_cohort_that_is_there_is_not_written_over(source, tmp_path):
    (tmp_path / "cohort").mkdir()
    with pytest.raises(CohortError, match="cohort is there already"):
        import_cohort(PTB_XL, source, tmp_path / "cohort")
    assert list((tmp_path / "cohort").iterdir()) == []


def test_an_import_that_was_broken_off_leaves_no_tables_and_the_next_one_goes_on(source, tmp_path):
    def stopped(_):
        raise KeyboardInterrupt

    def made_and_stopped(given):
        given.made.mkdir(exist_ok=True)
        (given.made / "clip.avi").write_bytes(b"made")
        raise KeyboardInterrupt

    def made_before(given):
        assert (given.made / "clip.avi").read_bytes() == b"made"
        return PTB_XL.gather(given)

    with pytest.raises(KeyboardInterrupt):
        import_cohort(replace(PTB_XL, gather=stopped), source, tmp_path / "cohort")
    assert not (tmp_path / "cohort.importing").exists()
    with pytest.raises(KeyboardInterrupt):
        import_cohort(replace(PTB_XL, gather=made_and_stopped), source, tmp_path / "cohort")
    assert sorted(path.name for path in (tmp_path / "cohort.importing").iterdir()) == ["import.json", "made"]
    import_cohort(replace(PTB_XL, gather=made_before), source, tmp_path / "cohort")
    assert (tmp_path / "cohort" / "made" / "clip.avi").exists()
    assert not (tmp_path / "cohort.importing").exists()


def test_what_a_killed_import_of_another_data_set_left_is_in_no_cohort(source, tmp_path):
    begun = tmp_path / "cohort.importing"
    begun.mkdir()
    (begun / "import.json").write_text(json.dumps({"of": {"data_set": "folder", "source": "/elsewhere"}}, indent=1))
    (begun / "made").mkdir()
    (begun / "made" / "theirs.avi").write_bytes(b"made")
    for name in ("studies.parquet", "echos.parquet", "cohort.json"):
        (begun / name).write_bytes(b"of another hospital")
    import_cohort(PTB_XL, source, tmp_path / "cohort")
    names = {path.name for path in (tmp_path / "cohort").rglob("*")}
    assert names == {"ecgs.parquet", "splits.parquet", "cohort.json", "import.json"}


def test_a_folder_that_no_import_left_is_neither_used_nor_emptied(source, tmp_path):
    begun = tmp_path / "cohort.importing"
    begun.mkdir()
    (begun / "thesis.txt").write_text("years of work")
    with pytest.raises(CohortError, match="no import left it"):
        import_cohort(PTB_XL, source, tmp_path / "cohort")
    assert (begun / "thesis.txt").read_text() == "years of work"


def test_two_imports_to_one_folder_at_a_time_are_one_too_many(source, tmp_path):
    def meanwhile(given):
        with pytest.raises(CohortError, match="Another import is writing"):
            import_cohort(PTB_XL, source, tmp_path / "cohort")
        return PTB_XL.gather(given)

    import_cohort(replace(PTB_XL, gather=meanwhile), source, tmp_path / "cohort")
    assert (tmp_path / "cohort" / "ecgs.parquet").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"columns": {"age": "x"}}, "ptb-xl takes no --map."),
        ({"roots": {"ecg": "."}}, "ptb-xl takes no --root."),
        ({"files": {"lead-scale": "x.json"}}, "ptb-xl takes no --lead-scale."),
        ({"words": {"lead-scale-unit": "uV"}}, "ptb-xl takes no --lead-scale-unit."),
    ],
)
def test_an_option_that_a_data_set_does_not_take_is_refused(source, tmp_path, given, words):
    with pytest.raises(CohortError, match=words):
        import_cohort(PTB_XL, replace(source, **given), tmp_path / "cohort")
    assert not (tmp_path / "cohort.importing").exists()


def test_a_folder_or_a_file_that_is_not_there_is_named(source, tmp_path):
    with pytest.raises(CohortError, match="nowhere is not a folder"):
        import_cohort(PTB_XL, Source(tmp_path / "nowhere"), tmp_path / "cohort")
    files = {"folds": tmp_path / "folds.csv"}
    with pytest.raises(CohortError, match=r"--folds names .*folds.csv, which is not a file"):
        import_cohort(PTB_XL, replace(source, files=files), tmp_path / "cohort")


def test_a_name_that_is_no_data_set_names_all():
    with pytest.raises(CohortError) as refused:
        data_set_named("mimic")
    assert all(data_set.name in refused.value.in_full for data_set in DATA_SETS)
    assert data_set_named("PTB-XL") is PTB_XL


def test_columns_of_its_own_are_kept_where_a_table_is_told_to(tables, tmp_path):
    tables.ecgs["mi"], tables.ecgs["other"] = ["true", "false", ""], "x"
    write_cohort_tables(
        tmp_path, tables.ecgs, tables.echos, tables.studies, tables.splits, own={"ecgs": ("mi", "absent")}
    )
    written = pd.read_csv(tmp_path / "ecgs.csv", dtype=str, keep_default_na=False)
    assert written["mi"].tolist() == ["true", "false", ""]
    assert "other" not in written


def test_splits_by_hash_have_about_the_shares_that_are_said_and_depend_on_the_patient_alone():
    splits = splits_by_hash(f"p{i}" for i in range(10_000))
    shares = splits["split"].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx({"train": 0.7, "val": 0.1, "calibration": 0.1, "test": 0.1}, abs=0.01)
    few = splits_by_hash(["p7", "p9"]).set_index("patient_id")["split"]
    assert few.equals(splits.set_index("patient_id").loc[["p7", "p9"], "split"])


def test_a_table_is_found_in_folders_that_an_archive_unpacks_to(tmp_path):
    (tmp_path / "a" / "1.0.3").mkdir(parents=True)
    (tmp_path / "a" / "1.0.3" / "Table.CSV").write_text("x\n")
    assert found_below(tmp_path, "table.csv") == tmp_path / "a" / "1.0.3" / "Table.CSV"
    assert found_below(tmp_path, "table.csv", depth=1) is None
