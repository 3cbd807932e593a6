"""PTB-XL, CODE-15% and UK Biobank: what stands in their tables comes to the right ECG, and the rest is told."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest
import trees

from cohorts import CohortError, check_cohort, open_cohort
from cohorts.adapters import Source, data_set_named, import_cohort
from embedding.ecgs import read_source
from embedding.local import reading

MAPPED = {"lvef_percent": "p22420_i2", "sex": "P31", "age": "p21003_i2"}


def imported(kind, folder, out, **given):
    return import_cohort(data_set_named(kind), Source(folder, **given), out)


def ecgs_of(cohort):
    return pd.read_parquet(cohort / "ecgs.parquet").set_index("ecg_id")


def told(found):
    return {each.reason: each.count for each in found.skipped}


def problems(cohort):
    return [problem.code for problem in check_cohort(cohort).problems if problem.code != "no_pairs"]


def test_ptb_xl_keeps_its_folds_its_patients_and_its_superclasses(tmp_path):
    trees.ptb_xl(tmp_path / "ptb")
    found = imported("ptb-xl", tmp_path / "ptb", tmp_path / "cohort")
    ecgs = ecgs_of(tmp_path / "cohort")
    assert told(found) == {"the file is not there": 1}
    assert found.skipped[0].rows == (40,)
    assert ecgs.loc["1", ["patient_id", "acquired_at", "MI", "NORM", "HYP"]].tolist() == [
        "15000", "1984-11-01T09:17:34", "true", "false", "false",
    ]  # fmt: skip
    assert ecgs.loc["5", "pacemaker"] == "ja, pacemaker"
    assert ecgs.loc["2", "baseline_drift"] == ", I-V1,"
    splits = pd.read_parquet(tmp_path / "cohort" / "splits.parquet").set_index("patient_id")["split"]
    assert splits[["15000", "15007", "15008", "15009"]].tolist() == ["train", "train", "val", "test"]
    assert problems(tmp_path / "cohort") == []
    assert open_cohort(tmp_path / "cohort").tables.ecgs["path"].str.startswith("ecg:records500/").all()


def test_ptb_xl_without_the_large_files_or_the_statements_is_what_there_is(tmp_path):
    trees.ptb_xl(tmp_path / "ptb", ecgs=4)
    (tmp_path / "ptb" / "records500").rename(tmp_path / "elsewhere")
    (tmp_path / "ptb" / "scp_statements.csv").unlink()
    found = imported("ptb-xl", tmp_path / "ptb", tmp_path / "cohort")
    assert found.about["records"] == "records100"
    assert "no superclasses" in found.about["labels"]
    assert "NORM" not in ecgs_of(tmp_path / "cohort")


@pytest.mark.parametrize("name", ["x" * 5000, "a/" * 2500, "nul\0"])
def test_a_name_that_no_file_can_have_is_that_of_none(tmp_path, name):
    trees.ptb_xl(tmp_path / "ptb", ecgs=4)
    table = pd.read_csv(tmp_path / "ptb" / "ptbxl_database.csv", dtype=str, keep_default_na=False)
    table.loc[0, "filename_hr"] = name
    table.to_csv(tmp_path / "ptb" / "ptbxl_database.csv", index=False)
    found = imported("ptb-xl", tmp_path / "ptb", tmp_path / "cohort")
    assert found.skipped[0].rows == (1, 4)


def test_code15_takes_the_row_that_the_part_itself_says_and_never_the_padding(tmp_path):
    signals = trees.code15(tmp_path / "code15", exams=8)
    found = imported("code15", tmp_path / "code15", tmp_path / "cohort")
    assert told(found) == {"its part is not there": 1}
    cohort = open_cohort(tmp_path / "cohort").tables
    assert sorted(cohort.ecgs["ecg_id"]) == sorted(signals)
    sources = cohort.ecg_sources()
    with reading(0) as reader:
        for ecg_id, signal_NL in signals.items():
            recording = read_source(sources[ecg_id], reader)
            assert recording.lead_names[:4] == ("I", "II", "III", "aVR")
            assert np.allclose(recording.signal_mv, signal_NL.T, atol=1e-6)
    assert {*ecgs_of(tmp_path / "cohort")["AF"]} == {"true", "false"}
    assert {*ecgs_of(tmp_path / "cohort")["death"]} == {"", "false"}


def test_code15_follows_no_link_of_a_part_into_another_file(tmp_path):
    trees.code15(tmp_path / "code")
    part = tmp_path / "code" / "exams_part0.hdf5"
    with h5py.File(part, "a") as file, h5py.File(tmp_path / "elsewhere.hdf5", "w") as other:
        other["exam_id"] = file["exam_id"][:]
        del file["exam_id"]
        file["exam_id"] = h5py.ExternalLink(str(tmp_path / "elsewhere.hdf5"), "exam_id")
    with pytest.raises(CohortError, match=r"exams_part0.hdf5 is damaged or cut off, or it lacks exam_id"):
        imported("code15", tmp_path / "code", tmp_path / "cohort")


def test_code15_splits_by_the_patient_so_that_a_second_import_gives_the_same(tmp_path):
    trees.code15(tmp_path / "code15", exams=40)
    tables = []
    for name in ("a", "b"):
        imported("code15", tmp_path / "code15", tmp_path / name)
        tables.append(pd.read_parquet(tmp_path / name / "splits.parquet"))
    assert tables[0].equals(tables[1])
    assert not tables[0]["patient_id"].duplicated().any()


def test_code15_tells_exams_that_only_a_table_or_only_a_part_has(tmp_path):
    trees.code15(tmp_path / "code15", exams=8)
    table = pd.read_csv(tmp_path / "code15" / "exams.csv", dtype=str, keep_default_na=False)
    table.loc[0, "exam_id"] = "4444"
    table.to_csv(tmp_path / "code15" / "exams.csv", index=False)
    found = imported("code15", tmp_path / "code15", tmp_path / "cohort")
    assert told(found) == {
        "its part is not there": 1, "its part has no such exam_id": 1, "no row of exams.csv lists it": 1,
    }  # fmt: skip


def test_uk_biobank_labels_are_those_of_the_visit_and_the_repeat_has_none(tmp_path):
    table = trees.uk_biobank(tmp_path / "ukb")
    found = imported("uk-biobank", tmp_path / "ukb", tmp_path / "cohort", files={"table": table}, columns=MAPPED)
    assert told(found) == {
        "the name is not <eid>_20205_<instance>_<array>.xml": 1,
        "there is no ECG of this eid": 1,
        "kept without labels: the table has no row of its visit": 2,
    }
    cohort = open_cohort(tmp_path / "cohort")
    assert cohort.pairs["ecg_id"].iloc[0] == "1000001_2_0"
    assert cohort.labels.loc["1000001_2", "lvef_percent"] == 45
    assert len(cohort.tables.ecgs) == 33
    assert len(cohort.pairs) == 31
    assert cohort.tables.studies["sex"].iloc[0] == "male"
    assert problems(tmp_path / "cohort") == []


def test_uk_biobank_takes_the_visit_from_a_column_that_is_mapped_to_it(tmp_path):
    trees.uk_biobank(tmp_path / "ukb", people=2)
    table = tmp_path / "labels.csv"
    table.write_text("id,visit,ef\n1000000,2,51\n1000000,3,38\n")
    columns = {"patient_id": "id", "instance": "visit", "lvef_percent": "ef"}
    imported("uk-biobank", tmp_path / "ukb", tmp_path / "cohort", files={"table": table}, columns=columns)
    pairs = open_cohort(tmp_path / "cohort").pairs
    assert pairs[["ecg_id", "study_id"]].to_numpy().tolist() == [
        ["1000000_2_0", "1000000_2"], ["1000000_3_0", "1000000_3"],
    ]  # fmt: skip


def test_uk_biobank_without_a_table_is_ecgs_alone(tmp_path):
    trees.uk_biobank(tmp_path / "ukb", people=2)
    found = imported("uk-biobank", tmp_path / "ukb", tmp_path / "cohort")
    assert (found.check.n_ecgs, found.check.n_studies) == (3, 0)


@pytest.mark.parametrize(
    ("kind", "lines", "splits"),
    [
        ("ptb-xl", "ecg_id,patient_id,fold,default_split\n1.0,1,10,test\n2.0,1,10,test\n3.0,2,1,train\n", "test train"),
        ("ptb-xl", "ecg_id,fold\n1,9\n2,9\n5,3\n", "val train"),
        ("code15", "exam_id,patient_id,fold,default_split\n1000,500,1,train\n1001,500,1,train\n", "train"),
        ("uk-biobank", "eid,split\n1000000,calibration\n1000001,valid\n", "calibration val"),
    ],
)
def test_folds_of_somebody_else_go_before_the_data_sets_own_and_the_rest_is_left_out(tmp_path, kind, lines, splits):
    folder = tmp_path / "data"
    {"ptb-xl": trees.ptb_xl, "code15": trees.code15, "uk-biobank": trees.uk_biobank}[kind](folder)
    folds = tmp_path / "folds.csv"
    folds.write_text(lines)
    found = imported(kind, folder, tmp_path / "cohort", files={"folds": folds})
    assert pd.read_parquet(tmp_path / "cohort" / "splits.parquet")["split"].tolist() == splits.split()
    assert told(found)["folds.csv names no split for it"] > 0
    assert "folds.csv" in found.about["splits"]


def drop_all_records(folder):
    for file in folder.rglob("*.dat"):
        file.unlink()


def cut_part(folder):
    part = folder / "exams_part0.hdf5"
    part.write_bytes(part.read_bytes()[:3000])


def no_dictionary(folder):
    table = pd.read_csv(folder / "ptbxl_database.csv", dtype=str, keep_default_na=False)
    table.loc[0, "scp_codes"] = "{[]:1}"
    table.to_csv(folder / "ptbxl_database.csv", index=False)


def part_of_two_lengths(folder):
    with h5py.File(folder / "exams_part0.hdf5", "a") as file:
        del file["exam_id"]
        file["exam_id"] = np.arange(3)


@pytest.mark.parametrize(
    ("kind", "damage", "given", "words"),
    [
        ("ptb-xl", drop_all_records, "", "None of the 3 ECGs that ptbxl_database.csv lists is in records500."),
        ("ptb-xl", lambda f: (f / "ptbxl_database.csv").unlink(), "", "There is no ptbxl_database.csv"),
        ("ptb-xl", no_dictionary, "", "scp_codes is not a dictionary of statements (ptbxl_database.csv, row 1)."),
        (
            "ptb-xl",
            None,
            "ecg_id,fold\n1,11\n",
            "fold must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 or empty (given.csv, row",
        ),
        (
            "ptb-xl",
            None,
            "ecg_id,split\n1,train\n1,val\n",
            "The same ecg_id stands in more than one row (given.csv, row 2).",
        ),
        ("ptb-xl", None, "ecg_id,split\n1,hold out\n", "split must be one of train, val, calibration, test"),
        ("ptb-xl", None, "ecgid,split\n1,train\n", "given.csv has no column ecg_id. Is ecgid meant?"),
        ("ptb-xl", None, "ecg_id,part\n1,train\n", "given.csv has no column fold."),
        ("ptb-xl", None, "ecg_id,split\n1,train\n2,test\n", "The patient is in more than one split"),
        ("code15", cut_part, "", "exams_part0.hdf5 is damaged or cut off"),
        ("code15", part_of_two_lengths, "", "exams_part0.hdf5 holds 4 tracings for 3 exam_ids."),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_left_of_a_cohort(tmp_path, kind, damage, given, words):
    folder = tmp_path / "data"
    trees.ptb_xl(folder, ecgs=3) if kind == "ptb-xl" else trees.code15(folder, exams=6)
    if damage:
        damage(folder)
    files = {"folds": tmp_path / "given.csv"} if given else {}
    if given:
        (tmp_path / "given.csv").write_text(given)
    with pytest.raises(CohortError) as refused:
        imported(kind, folder, tmp_path / "cohort", files=files)
    assert words in refused.value.in_full
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith("cohort")]


@pytest.mark.parametrize(
    ("lines", "columns", "words"),
    [
        (
            "eid,ef\n1,50\n",
            {"lvef_percnt": "ef"},
            "--map names lvef_percnt, which is no column of ours. Is lvef_percent",
        ),
        ("eid,p22420_i2\n1,50\n", {"lvef_percent": "p22420"}, "labels.csv has no column p22420. Is p22420_i2 meant?"),
        ("eid,ef\n1000000,good\n", {"lvef_percent": "ef"}, "ef is not a number: 'good' (labels.csv, row 1)."),
        ("eid,ef\n7,5\n7,6\n", {"lvef_percent": "ef"}, "The same eid of one visit stands in more than one row"),
        ("eid,s\n7,9\n", {"sex": "s"}, "s must be one of 0, 1, female, male or empty (labels.csv, row 1)."),
        ("n,ef\n7,5\n", {"lvef_percent": "ef"}, "labels.csv has no column eid."),
    ],
)
def test_a_table_of_labels_that_does_not_fit_is_refused_with_the_nearest_name(tmp_path, lines, columns, words):
    trees.uk_biobank(tmp_path / "ukb", people=1)
    table = tmp_path / "labels.csv"
    table.write_text(lines)
    with pytest.raises(CohortError) as refused:
        imported("uk-biobank", tmp_path / "ukb", tmp_path / "cohort", files={"table": table}, columns=columns)
    assert words in refused.value.in_full
    assert not (tmp_path / "cohort.importing").exists()


def test_uk_biobank_labels_of_another_visit_are_refused_and_an_age_is_told(tmp_path):
    table = trees.uk_biobank(tmp_path / "ukb", people=4)
    table.write_text(table.read_text().replace("p22420_i2", "p22420_i3").replace("p21003_i2", "p21003_i0"))
    columns = {"lvef_percent": "p22420_i3", "age": "p21003_i0"}
    with pytest.raises(CohortError, match="p22420_i3 is of visit 3 by its name, and the row of another"):
        imported("uk-biobank", tmp_path / "ukb", tmp_path / "cohort", files={"table": table}, columns=columns)
    of_age = {"age": "p21003_i0", "lvedv_ml": "p22421_i2"}
    found = imported("uk-biobank", tmp_path / "ukb", tmp_path / "cohort", files={"table": table}, columns=of_age)
    assert [warning.split(",")[0] for warning in found.warnings] == ["p21003_i0 is of visit 0 by its name"]


@pytest.mark.parametrize("truth", ["True", "1", "1.0"])
def test_ptb_xl_statements_are_diagnostic_however_a_truth_is_written(tmp_path, truth):
    trees.ptb_xl(tmp_path / "ptb", ecgs=4)
    statements = tmp_path / "ptb" / "scp_statements.csv"
    table = pd.read_csv(statements, dtype=str, keep_default_na=False)
    table.assign(diagnostic=table["diagnostic"].replace("1.0", truth)).to_csv(statements, index=False)
    database = tmp_path / "ptb" / "ptbxl_database.csv"
    table = pd.read_csv(database, dtype=str, keep_default_na=False)
    table.loc[0, "scp_codes"], table.loc[1, "scp_codes"] = "{}", "{'SR': 0.0}"
    table.to_csv(database, index=False)
    imported("ptb-xl", tmp_path / "ptb", tmp_path / "cohort")
    ecgs = pd.read_parquet(tmp_path / "cohort" / "ecgs.parquet")
    assert ecgs["MI"].tolist()[:2] == ["", "false"]
    assert {*ecgs["NORM"][2:]} | {*ecgs["MI"][2:]} == {"true", "false"}


def test_labels_that_say_the_same_of_every_ecg_are_warned_of(tmp_path):
    trees.ptb_xl(tmp_path / "ptb")
    statements = tmp_path / "ptb" / "scp_statements.csv"
    statements.write_text(statements.read_text().replace(",HYP", ",OTHER"))
    (warning,) = imported("ptb-xl", tmp_path / "ptb", tmp_path / "cohort").warnings
    assert warning.startswith("Labels that say the same of every row: HYP false.")
