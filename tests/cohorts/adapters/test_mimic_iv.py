"""MIMIC-IV as a cohort: both parts and both generations, found below one folder or under roots."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from echo_trees import MIMIC_LEADS, PATIENTS, STRESSED, mimic_ecg, mimic_echo, subject, write_measurements
from round_trip import found_for_the_first_ecg, indexed, opened_and_read, tiny_bundle

from cohorts import CohortError
from cohorts.adapters import Source, import_cohort
from cohorts.adapters.mimic_iv import MIMIC_IV
from embedding.ecgs import read_source
from inputs.guarded.reader import GuardedReader


@pytest.fixture(scope="module")
def download(tmp_path_factory) -> Path:
    """Both parts, 1.x, as they are unpacked beside each other."""
    folder = tmp_path_factory.mktemp("mimic")
    mimic_ecg(folder / "mimic-iv-ecg" / "1.0")
    mimic_echo(folder / "mimic-iv-echo" / "1.0.1")
    return folder


@pytest.fixture
def copied(download, tmp_path) -> Path:
    return Path(shutil.copytree(download, tmp_path / "download"))


@pytest.fixture(scope="module")
def studies(download, tmp_path_factory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("out") / "cohort"
    import_cohort(MIMIC_IV, Source(download), out)
    return pd.read_parquet(out / "studies.parquet").set_index("study_id")


def row(studies: pd.DataFrame, patient: int) -> dict[str, str]:
    return studies.loc[str(90_000_000 + patient)].to_dict()


def told(imported) -> dict[str, tuple[int, tuple[int, ...]]]:
    return {skipped.reason: (skipped.count, skipped.rows) for skipped in imported.skipped}


def refusal(source: Source, out: Path) -> CohortError:
    with pytest.raises(CohortError) as caught:
        import_cohort(MIMIC_IV, source, out)
    assert not out.exists()
    assert not out.with_name(f"{out.name}.importing").exists()
    return caught.value


def test_both_parts_are_found_below_one_folder_and_paired(download, tmp_path):
    imported = import_cohort(MIMIC_IV, Source(download), tmp_path / "cohort")
    check = imported.check
    assert (check.n_ecgs, check.n_studies, check.n_views) == (PATIENTS + 1, PATIENTS - 1, 2 * (PATIENTS - 1))
    assert check.n_pairs == PATIENTS
    echos = pd.read_parquet(tmp_path / "cohort" / "echos.parquet")
    assert echos["view_id"][0] == "90000000_0001"
    assert echos["path"][0] == "echo:files/p10/p10000000/s90000000/90000000_0001.dcm"
    about = json.loads((tmp_path / "cohort" / "cohort.json").read_text())
    assert about["roots"]["ecg"] == str((download / "mimic-iv-ecg" / "1.0").resolve())
    assert "not synchronised" in about["times"]
    assert "measurement_id 18, same_day 1" in about["measured_by"]


def test_parts_that_lie_apart_are_named_as_roots(download, tmp_path):
    below = Source(tmp_path, roots={"ecg": download / "mimic-iv-ecg", "echo": download / "mimic-iv-echo"})
    apart = import_cohort(MIMIC_IV, below, tmp_path / "cohort").check
    assert apart == import_cohort(MIMIC_IV, Source(download), tmp_path / "other").check


def test_without_the_echo_part_the_cohort_is_of_ecgs(download, tmp_path):
    done = import_cohort(MIMIC_IV, Source(download / "mimic-iv-ecg"), tmp_path / "cohort")
    assert (done.check.n_ecgs, done.check.n_studies, done.check.n_patients) == (PATIENTS + 1, 0, PATIENTS)
    assert [warning.split(":")[0] for warning in done.warnings] == ["The echo part is missing"]
    assert "--root echo=DIR" in done.warnings[0]


def test_the_ecg_part_that_is_missing_is_said_too(download, tmp_path):
    done = import_cohort(MIMIC_IV, Source(download / "mimic-iv-echo"), tmp_path / "cohort")
    assert [warning.split(":")[0] for warning in done.warnings] == ["The ECG part is missing"]
    assert import_cohort(MIMIC_IV, Source(download), tmp_path / "both").warnings == ()


def test_lvef_is_from_the_first_field_and_of_a_range_the_middle(studies):
    found = [(row(studies, i)["lvef_percent"], row(studies, i)["lvef_from"]) for i in (0, 1, 2, 3, 4)]
    assert found == [
        ("55.0", "lvef and lvef_upper"),
        ("38.0", "biplane_lvef"),
        ("45.0", "rest_lvef"),
        ("55.0", "lvef_upper"),
        ("", ""),
    ]
    assert [row(studies, i)["lvef_lte_45_flag"] for i in (0, 1, 2, 4)] == ["false", "true", "true", ""]


def test_measurements_are_in_our_units_whatever_the_unit_was(studies):
    assert (row(studies, 0)["septum_cm"], row(studies, 0)["posterior_wall_cm"]) == ("1.4000000000000001", "1.1")
    assert row(studies, 1)["tapse_cm"] == "1.8"
    assert row(studies, 2)["pasp_mmhg"] == "48.0"
    assert float(row(studies, 2)["tr_velocity_m_s"]) == pytest.approx(10**0.5)


def test_findings_are_what_was_said_and_unknown_where_nothing_was(studies):
    def flags(patient: int) -> dict[str, str]:
        said = row(studies, patient).items()
        return {name: word for name, word in said if name.endswith("_flag") and word and name != "lvef_lte_45_flag"}

    assert flags(0) == {"lvwt_gte_13_flag": "true", "aortic_stenosis_moderate_or_greater_flag": "false"}
    assert flags(1) == {
        "mitral_regurgitation_moderate_or_greater_flag": "true",
        "rv_systolic_dysfunction_moderate_or_greater_flag": "true",
        "tr_max_gte_32_flag": "true",
    }
    assert flags(2) == {
        "pulmonary_regurgitation_moderate_or_greater_flag": "true",
        "pasp_gte_45_flag": "true",
        "tr_max_gte_32_flag": "false",
    }
    assert flags(3) == {
        "lvwt_gte_13_flag": "false",
        "tricuspid_regurgitation_moderate_or_greater_flag": "false",
        "pericardial_effusion_moderate_large_flag": "true",
    }
    # A high flow is no stenosis, whatever the velocity; 20 mmHg and any atrium stay below 45.
    assert flags(4) == {
        "aortic_stenosis_moderate_or_greater_flag": "false",
        "pasp_gte_45_flag": "false",
        "tr_max_gte_32_flag": "false",
    }


def test_a_study_without_a_measurement_id_takes_the_nearest_of_its_day(studies):
    assert row(studies, 3)["measured_by"] == "same_day"
    assert row(studies, 2)["measured_by"] == "measurement_id"


def test_what_is_left_out_is_counted_with_rows_of_the_data_sets_own_tables(copied, tmp_path):
    next(copied.glob("mimic-iv-ecg/1.0/files/*/*/*/40000004.hea")).unlink()
    next(copied.glob("mimic-iv-echo/1.0.1/files/*/*/*/90000007_0002.dcm")).unlink()
    stress_row = STRESSED + 1
    assert told(import_cohort(MIMIC_IV, Source(copied), tmp_path / "cohort")) == {
        "the file is not there": (1, (16,)),
        "an LVEF that is not a number": (1, (12,)),
        "an LVEF that is not between 5 and 95 %": (1, (23,)),
        "a grade in words that are not known here": (1, (25,)),
        "a stress echo, which is not of a heart at rest": (1, (stress_row,)),
        "of a stress echo": (2, (2 * stress_row - 1, 2 * stress_row)),
    }


def test_the_first_generation_has_studies_and_no_measurements(tmp_path):
    mimic_echo(tmp_path / "0.1", measured=False)
    imported = import_cohort(MIMIC_IV, Source(tmp_path), tmp_path / "cohort")
    assert imported.check.n_studies == PATIENTS
    assert imported.about["echo"] == "MIMIC-IV-ECHO 0.1"
    assert "structured-measurement.csv.gz" in imported.about["lvef"]


def test_a_column_of_another_name_is_refused_and_the_nearest_suggested(copied, tmp_path):
    table = copied / "mimic-iv-echo" / "1.0.1" / "echo-study-list.csv"
    table.write_text(table.read_text().replace("study_datetime", "study_date_time"))
    error = refusal(Source(copied), tmp_path / "cohort")
    assert error.sentence == "echo-study-list.csv has no column study_datetime."
    assert error.hint == "Is study_date_time meant?"


@pytest.mark.parametrize(
    ("table", "old", "new", "sentence"),
    [
        ("mimic-iv-ecg/1.0/record_list.csv", "40000001,", "40000000,", "study_id stands in more than one row"),
        ("mimic-iv-ecg/1.0/record_list.csv", subject(2) + ",", ",", "subject_id is empty (record_list.csv, row 3)."),
        ("mimic-iv-ecg/1.0/record_list.csv", "2180-03-03 08", "soon 08", "acquired_at is not a date and time"),
        ("mimic-iv-echo/1.0.1/echo-record-list.csv", f"{subject(1)},9", f"{subject(2)},9", "patient_id is another"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(copied, tmp_path, table, old, new, sentence):
    path = copied / table
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    assert sentence in refusal(Source(copied), tmp_path / "cohort").sentence


def test_tables_that_are_not_there_or_cut_off_are_refused(copied, tmp_path):
    echo = copied / "mimic-iv-echo" / "1.0.1"
    content = (echo / "structured-measurement.csv.gz").read_bytes()
    (echo / "structured-measurement.csv.gz").write_bytes(content[: len(content) // 2])
    assert refusal(Source(copied), tmp_path / "cohort").code == "table_unreadable"
    (echo / "echo-study-list.csv").unlink()
    assert refusal(Source(copied), tmp_path / "cohort").code == "table_missing"
    apart = Source(copied, roots={"echo": copied / "mimic-iv-ecg"})
    assert refusal(apart, tmp_path / "cohort").code == "data_set_not_found"
    shutil.rmtree(copied)
    copied.mkdir()
    assert "neither record_list.csv nor" in refusal(Source(copied), tmp_path / "cohort").sentence


def edited(echo: Path, **columns) -> None:
    """structured-measurement.csv.gz with other columns, each made from the table."""
    path = echo / "structured-measurement.csv.gz"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.assign(**columns).to_csv(path, index=False)


def test_ids_of_measurements_may_be_written_as_floats(copied, studies, tmp_path):
    echo = copied / "mimic-iv-echo" / "1.0.1"
    edited(echo, subject_id=lambda t: t["subject_id"] + ".0", measurement_id=lambda t: t["measurement_id"] + ".0")
    import_cohort(MIMIC_IV, Source(copied), tmp_path / "cohort")
    written = pd.read_parquet(tmp_path / "cohort" / "studies.parquet").set_index("study_id")
    pd.testing.assert_frame_equal(written, studies)


def test_examinations_that_cannot_be_used_are_counted(copied, tmp_path):
    def others(table: pd.DataFrame) -> pd.Series:
        moved = {"7000000": subject(9), "7000001": "19999999"}
        return table["measurement_id"].map(moved).fillna(table["subject_id"])

    def gone(table: pd.DataFrame) -> pd.Series:
        return table["measurement_id"].replace("7000002", "7999000")

    def kinds(table: pd.DataFrame) -> pd.Series:
        return table["test_type"].where(table["measurement_id"] != "7000006", "TTE complete")

    edited(copied / "mimic-iv-echo" / "1.0.1", subject_id=others, measurement_id=gone, test_type=kinds)
    found = told(import_cohort(MIMIC_IV, Source(copied), tmp_path / "cohort"))
    table = "structured-measurement.csv.gz"
    without = "kept without measurements: "
    assert found[f"{without}its measurement_id is another patient's"] == (2, (1, 2))
    assert found[f"{without}{table} has no examination at rest of its measurement_id"] == (2, (3, 7))
    assert found["a test_type that is not known here (TTE complete)"][0] == 4


@pytest.mark.parametrize(("second", "lvef"), [("47", ""), ("42.5", "42.0")])
def test_an_examination_with_two_lvefs_apart_has_none(copied, tmp_path, second, lvef):
    path = copied / "mimic-iv-echo" / "1.0.1" / "structured-measurement.csv.gz"
    rows = [("lvef", "42", "%"), ("lvef", second, "%"), ("biplane_lvef", "44", "%")]
    write_measurements(path, {6: rows})
    found = told(import_cohort(MIMIC_IV, Source(copied), tmp_path / "cohort"))
    studies = pd.read_parquet(tmp_path / "cohort" / "studies.parquet").set_index("study_id")
    assert row(studies, 6)["lvef_percent"] == lvef
    assert any("twice, of values apart" in reason for reason in found) == (lvef == "")


def test_measurements_of_other_patients_alone_leave_every_label_unknown(copied, tmp_path):
    write_measurements(
        copied / "mimic-iv-echo" / "1.0.1" / "structured-measurement.csv.gz", {number: [] for number in range(20)}
    )
    imported = import_cohort(MIMIC_IV, Source(copied), tmp_path / "cohort")
    assert imported.about["lvef"] == "studies by the field that LVEF is from: none 20"
    assert set(pd.read_parquet(tmp_path / "cohort" / "studies.parquet")["pasp_gte_45_flag"]) == {""}


def test_a_million_measurements_are_read_in_pieces(copied, tmp_path):
    many = {number: [("lvef", "60", "%")] + [("heart_rate", "70", "bpm")] * 25_000 for number in range(20)}
    path = copied / "mimic-iv-echo" / "1.0.1" / "structured-measurement.csv.gz"
    write_measurements(path, many)
    seen = []
    source = Source(copied, progress=lambda done, total, message: seen.append((done, message)))
    import_cohort(MIMIC_IV, source, tmp_path / "cohort")
    assert [done for done, message in seen if message == "measurements read"] == [200_000, 400_000, 500_022]
    lvef = pd.read_parquet(tmp_path / "cohort" / "studies.parquet")["lvef_percent"]
    assert set(lvef) == {"60.0"}


def test_the_cohort_is_read_indexed_and_asked(download, tmp_path, micro_recipe):
    import_cohort(MIMIC_IV, Source(download), tmp_path / "cohort")
    cohort = opened_and_read(tmp_path / "cohort")
    first = next(iter(cohort.tables.ecg_sources().values()))
    with GuardedReader() as reader:
        assert read_source(first, reader).lead_names == MIMIC_LEADS
    bundle = tiny_bundle(tmp_path / "bundle", micro_recipe)
    store = indexed(cohort, bundle, tmp_path / "index")
    found = found_for_the_first_ecg(cohort, bundle, store)
    assert len(set(found)) == 3
    assert set(found) <= set(cohort.tables.studies["study_id"])
