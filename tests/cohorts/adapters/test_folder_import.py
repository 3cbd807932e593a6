"""Any folder with a CSV as a cohort: a row for each pair, ECG, clip or study, columns of any name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from echo_files import write_dicom
from echo_trees import moving_disc, write_ecg
from round_trip import found_for_the_first_ecg, indexed, opened_and_read, tiny_bundle

from cohorts import CohortError, open_cohort
from cohorts.adapters import Source, import_cohort
from cohorts.adapters.folder import FOLDER
from cohorts.own_labels import read_own_labels


@pytest.fixture
def hospital(tmp_path) -> Path:
    """Six patients' ECGs in one folder, echos of two clips each in another."""
    folder = tmp_path / "hospital"
    for number in range(6):
        write_ecg(folder / "ecg" / f"E{number}", number)
        (folder / "echo" / f"S{number}").mkdir(parents=True)
        for clip in range(2):
            frames = moving_disc(number + clip)
            write_dicom(folder / "echo" / f"S{number}" / f"clip{clip}.dcm", frames, frames.tobytes(), FrameTime=33.3)
    return folder


def table_of(tmp_path: Path, rows: list[dict[str, str]]) -> Path:
    path = tmp_path / "table.csv"
    pd.DataFrame(rows).fillna("").to_csv(path, index=False)
    return path


def pair_rows() -> list[dict[str, str]]:
    return [
        {
            "patient_id": f"p{number}",
            "ecg_path": f"ecg/E{number}",
            "echo_path": f"echo/S{number}",
            "lvef_percent": str(40 + number),
            "sex": "FM"[number % 2],
            "split": ("train", "VALIDATION", "test")[number % 3],
        }
        for number in range(6)
    ]


def imported(source: Path, table: Path, out: Path, **more):
    return import_cohort(FOLDER, Source(source, files={"table": table}, **more), out)


def told(done) -> dict[str, tuple[int, tuple[int, ...]]]:
    return {said.reason: (said.count, said.rows) for said in done.skipped}


def refusal(source: Path, table: Path, out: Path, **more) -> CohortError:
    with pytest.raises(CohortError) as caught:
        imported(source, table, out, **more)
    assert not out.exists()
    assert not out.with_name(f"{out.name}.importing").exists()
    return caught.value


def test_a_row_for_each_pair_is_a_stated_pair_without_any_time(hospital, tmp_path, micro_recipe):
    check = imported(hospital, table_of(tmp_path, pair_rows()), tmp_path / "cohort").check
    assert (check.n_ecgs, check.n_studies, check.n_views, check.n_pairs) == (6, 6, 12, 6)
    assert check.pairs_per_split[0] == ("train", 2)
    cohort = opened_and_read(tmp_path / "cohort")
    assert cohort.tables.ecgs["ecg_id"][0] == "ecg_E0"
    assert cohort.tables.ecgs["path"][0] == "ecg:ecg/E0.hea"
    assert sorted(cohort.tables.echos["view_id"].unique()) == ["clip0", "clip1"]
    bundle = tiny_bundle(tmp_path / "bundle", micro_recipe)
    found = found_for_the_first_ecg(cohort, bundle, indexed(cohort, bundle, tmp_path / "index"))
    assert set(found) <= set(cohort.tables.studies["study_id"])


def test_a_row_for_each_file_is_paired_by_times_and_put_together_by_study(hospital, tmp_path):
    rows = []
    for number in range(6):
        who = {"MRN": f"p{number}"}
        rows.append(who | {"file": f"E{number}.dat", "recorded": f"2021-03-0{number + 1} 08:00"})
        for clip in range(2):
            study = {"accession": f"A{number}", "echo_time": f"2021-03-0{number + 1}T12:00:00", "EF": str(50 + number)}
            rows.append(who | study | {"clip": f"S{number}/clip{clip}.dcm", "AS": ("no", "")[clip]})
    columns = {
        "patient_id": "MRN", "ecg_path": "file", "ecg_time": "recorded", "echo_path": "clip", "study_id": "accession",
        "lvef_percent": "EF", "aortic_stenosis_moderate_or_greater_flag": "as",
    }  # fmt: skip
    roots = {"ecg": hospital / "ecg", "echo": hospital / "echo"}
    found = imported(tmp_path, table_of(tmp_path, rows), tmp_path / "cohort", columns=columns, roots=roots)
    check = found.check
    assert (check.n_ecgs, check.n_studies, check.n_views, check.n_pairs) == (6, 6, 12, 6)
    study = pd.read_parquet(tmp_path / "cohort" / "studies.parquet").iloc[0]
    assert (study["study_id"], study["lvef_percent"]) == ("A0", "50")
    assert study["aortic_stenosis_moderate_or_greater_flag"] == "false"
    assert set(pd.read_parquet(tmp_path / "cohort" / "ecgs.parquet")["study_id"]) == {""}


def test_clips_of_one_patient_and_folder_are_a_study_also_where_folders_have_dots_in_their_names(hospital, tmp_path):
    for number in range(2):
        (hospital / "echo" / f"S{number}").rename(hospital / "echo" / f"1.2.840.{number}")
    rows = [
        {"patient_id": "p0", "echo_path": "echo/1.2.840.0/clip0.dcm"},
        {"patient_id": "p0", "echo_path": "echo/1.2.840.0/clip1.dcm"},
        {"patient_id": "p0", "echo_path": "echo/1.2.840.1"},
    ]
    check = imported(hospital, table_of(tmp_path, rows), tmp_path / "cohort").check
    assert (check.n_studies, check.n_views) == (2, 4)


def test_ecgs_with_labels_need_no_echo(hospital, tmp_path):
    rows = [{"patient_id": row["patient_id"], "ecg_path": row["ecg_path"], "lvef_percent": "35"} for row in pair_rows()]
    check = imported(hospital, table_of(tmp_path, rows), tmp_path / "cohort").check
    assert (check.n_ecgs, check.n_studies, check.n_views, check.n_pairs) == (6, 6, 0, 6)


def test_columns_that_nothing_of_ours_is_are_kept_where_their_rows_agree(hospital, tmp_path):
    rows = [
        row | {"amyloid": "01"[place % 2], "wall score": str(place), "self": "yes", "rate_hz": "7", "empty": ""}
        for place, row in enumerate(pair_rows())
    ]
    rows[1] |= {"ecg_path": "", "self": ""}
    shutil.copytree(hospital / "echo" / "S0", hospital / "echo" / "S6")
    rows.append(rows[0] | {"echo_path": "echo/S6", "patient_id": "p0", "lvef_percent": "30", "wall score": "9"})
    done = imported(hospital, table_of(tmp_path, rows), tmp_path / "cohort")
    assert done.own == {"ecgs": ("self",), "studies": ("amyloid", "wall score")}
    cohort = open_cohort(tmp_path / "cohort")
    own = {label.name: label for label in read_own_labels(cohort, ["amyloid", "wall score", "self"])}
    assert own["wall score"].values.tolist() == [0, 1, 2, 3, 4, 5, 9]
    assert own["self"].values.tolist() == [1] * 5
    assert "rate_hz" not in cohort.tables.ecgs
    assert told(done)["columns that come twice or whose names no label can have: rate_hz"] == (1, ())


def test_paths_that_would_make_one_id_keep_an_id_each(hospital, tmp_path):
    (hospital / "ecg" / "a").mkdir()
    write_ecg(hospital / "ecg" / "a" / "b", 7)
    write_ecg(hospital / "ecg" / "a_b", 8)
    rows = [{"patient_id": f"p{n}", "ecg_path": path} for n, path in enumerate(("ecg/a/b", "ecg/a_b", "ecg/E0.dat"))]
    imported(hospital, table_of(tmp_path, rows), tmp_path / "cohort")
    ids = open_cohort(tmp_path / "cohort").tables.ecgs["ecg_id"].tolist()
    assert [made.startswith("file-") for made in ids] == [True, True, False]
    assert len({*ids}) == 3


def test_ids_written_as_floats_are_told(hospital, tmp_path):
    rows = [{"patient_id": f"{n}.0", "ecg_path": f"ecg/E{n}"} for n in range(3)]
    done = imported(hospital, table_of(tmp_path, rows), tmp_path / "cohort")
    assert open_cohort(tmp_path / "cohort").tables.ecgs["patient_id"].tolist() == ["0", "1", "2"]
    assert done.about["ids"].endswith("read as whole ones: patient_id")


def test_an_ecg_of_two_patients_is_refused(hospital, tmp_path):
    rows = [{"patient_id": f"p{n}", "ecg_id": f"e{n}", "ecg_path": "ecg/E0"} for n in range(2)]
    error = refusal(hospital, table_of(tmp_path, rows), tmp_path / "cohort")
    assert error.code == "file_of_two_patients"
    assert "the cohort that would have been written" in error.hint


def test_a_label_makes_no_study_and_is_one_of_ecgs_alone(hospital, tmp_path):
    rows = [
        {"patient_id": f"p{n}", "ecg_path": f"ecg/E{n}", "age": "60", "sex": "F", "low": str(n % 2)} for n in range(6)
    ]
    done = imported(hospital, table_of(tmp_path, rows), tmp_path / "cohort")
    assert (done.check.n_ecgs, done.check.n_studies, done.check.problems) == (6, 0, ())
    assert done.own == {"ecgs": ("low",)}
    assert told(done) == {"its age and sex: kept with studies, and the patient has none": (6, (1, 2, 3, 4, 5, 6))}


def test_a_column_that_fits_neither_ecgs_nor_studies_is_told(hospital, tmp_path):
    rows = [row | {"reader": "A", "note": ""} for row in pair_rows()]
    rows.append(rows[0] | {"reader": "B"})
    done = imported(hospital, table_of(tmp_path, rows), tmp_path / "cohort")
    assert done.own == {}
    assert [reason for reason in told(done) if reason.startswith("reader says different things")]


@pytest.mark.parametrize(("times", "named"), [(("", "", ""), "s0"), (("2021-03-09", "2021-01-01", "2021-03-05"), "s1")])
def test_an_ecg_in_rows_of_several_studies_has_the_nearest_and_the_other_pairs_are_told(
    hospital, tmp_path, times, named
):
    at_ecg, *at_echo = times
    rows = [
        {"patient_id": "p0", "ecg_path": "ecg/E0", "ecg_time": at_ecg, "echo_path": f"echo/S{n}", "study_id": f"s{n}"}
        | {"echo_time": at_echo[n]}
        for n in range(2)
    ]
    done = imported(hospital, table_of(tmp_path, rows), tmp_path / "cohort")
    assert open_cohort(tmp_path / "cohort").pairs["study_id"].tolist() == [named]
    lost = 2 if named == "s0" else 1
    assert told(done) == {
        "its pair: an ECG has one study, and of those that its rows name another is nearer or comes first": (1, (lost,))
    }


def test_absolute_paths_below_a_root_are_taken_and_others_refused(hospital, tmp_path):
    rows = [row | {"ecg_path": str((hospital / row["ecg_path"]).absolute())} for row in pair_rows()]
    assert imported(hospital, table_of(tmp_path, rows), tmp_path / "cohort").check.n_ecgs == 6
    rows[4]["ecg_path"] = "/elsewhere/E4.hea"
    error = refusal(hospital, table_of(tmp_path, rows), tmp_path / "other")
    assert error.sentence == "ecg_path lies in none of the folders (table.csv, row 5)."


def test_without_a_table_the_refusal_says_what_is_there_and_which_columns_are_needed(hospital, tmp_path):
    with pytest.raises(CohortError) as caught:
        import_cohort(FOLDER, Source(hospital), tmp_path / "cohort")
    said = "The folder holds 6 ECGs and 6 echo studies, and nothing says whose they are."
    assert caught.value.sentence == said
    assert "patient_id and ecg_path, echo_path or both" in caught.value.hint


def test_times_of_another_form_are_counted_and_the_way_to_write_them_is_said(hospital, tmp_path):
    rows = [row | {"ecg_time": f"0{place + 1}.03.2021 08:00"} for place, row in enumerate(pair_rows())]
    rows[0]["ecg_time"], rows[1]["ecg_time"], rows[2]["ecg_time"] = "2021-02-30", "2021-03-01", ""
    error = refusal(hospital, table_of(tmp_path, rows), tmp_path / "cohort")
    said = "ecg_time is not a date and time as ISO 8601 writes it (table.csv, 4 rows: 1, 4, 5 ...)."
    assert error.sentence == said
    assert "2021-03-01T14:05:00" in error.hint


@pytest.mark.parametrize(
    ("row", "change", "sentence"),
    [
        (1, {"lvef_percent": "normal"}, "lvef_percent is not a number: 'normal' (table.csv, row 2)."),
        (2, {"split": "holdout"}, "split must be one of train, val, calibration, test, valid, validation or empty"),
        (3, {"patient_id": ""}, "patient_id is empty (table.csv, row 4)."),
        (1, {"sex": "x"}, "sex must be one of female, f, male, m or empty (table.csv, row 2)."),
        (
            1,
            {"echo_path": "echo/S0", "study_id": "s"},
            "The same ecg_id stands in rows of another patient_id (table.csv, 6 rows: 1, 2, 3 ...).",
        ),
        (5, {"patient_id": "p0", "split": "test"}, "The patient is in more than one split (table.csv, 2 rows: 1, 6)."),
        (5, {"ecg_path": "../hospital/ecg/../../secret.hea"}, "The path leads outside"),
    ],
)
def test_cells_at_fault_are_refused_with_their_rows(hospital, tmp_path, row, change, sentence):
    (tmp_path / "secret.hea").write_text("x 1 500 10\n")
    rows = pair_rows()
    rows[row] |= change
    if sentence.startswith("The same ecg_id"):
        rows = [each | {"ecg_id": "same"} for each in rows]
    assert sentence in refusal(hospital, table_of(tmp_path, rows), tmp_path / "cohort").sentence


def test_rows_of_one_study_that_disagree_are_refused(hospital, tmp_path):
    rows = [
        {"patient_id": "p0", "study_id": "s0", "echo_path": f"echo/S0/clip{clip}.dcm", "lvef_percent": str(50 + clip)}
        for clip in range(2)
    ]
    error = refusal(hospital, table_of(tmp_path, rows), tmp_path / "cohort")
    said = "Rows of one study say different things of its lvef_percent (table.csv, 2 rows: 1, 2)."
    assert error.sentence == said


def test_files_that_are_not_there_are_counted_and_none_at_all_is_refused(hospital, tmp_path):
    rows = pair_rows()
    rows[1]["ecg_path"], rows[2]["echo_path"], rows[3]["echo_path"] = "ecg/E9", "echo/S9", "echo"
    rows[5]["ecg_path"], rows[5]["echo_path"] = "x" * 5000, "y" * 5000
    rows.append({"patient_id": "p0"})
    assert told(imported(hospital, table_of(tmp_path, rows), tmp_path / "cohort")) == {
        "the ECG's file is not there": (2, (2, 6)),
        "the echo's file or folder is not there": (2, (3, 6)),
        "the echo's folder holds several studies; name one a row": (1, (4,)),
        "it names no ECG, no echo and no finding": (1, (7,)),
    }
    nothing = [row | {"ecg_path": "x", "echo_path": "y"} for row in pair_rows()]
    error = refusal(hospital, table_of(tmp_path, nothing), tmp_path / "other")
    assert error.sentence == "Of the files of 6 rows of table.csv none is there."


@pytest.mark.parametrize(
    ("columns", "sentence", "hint"),
    [
        ({"patient_id": "MNR"}, "table.csv has no column MNR.", "Is MRN meant?"),
        ({"patient": "MRN"}, "--map names patient, which is no column of ours.", "Is patient_id meant?"),
        ({}, "table.csv has no column patient_id.", "Its columns: MRN, ecg_path"),
    ],
)
def test_a_column_that_is_not_there_is_refused_and_the_nearest_suggested(hospital, tmp_path, columns, sentence, hint):
    rows = [{"MRN": row["patient_id"], "ecg_path": row["ecg_path"]} for row in pair_rows()]
    error = refusal(hospital, table_of(tmp_path, rows), tmp_path / "cohort", columns=columns)
    assert error.sentence == sentence
    assert hint in error.hint
