"""EchoNext: rows by order within the split, a study for each ECG, millivolts only by a stated unit."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import trees

from cohorts import CohortError, check_cohort, open_cohort
from cohorts.adapters import Source, data_set_named, import_cohort
from embedding.ecgs import read_source
from embedding.local import reading

SMALL = {"train": 4, "val": 6, "test": 3, "no_split": 2}
TABLE = "echonext_metadata_100k.csv"


def imported(folder, out, **given):
    return import_cohort(data_set_named("echonext"), Source(folder, **given), out)


def change(folder, change_table):
    table = pd.read_csv(folder / TABLE, dtype=str, keep_default_na=False, index_col=0)
    change_table(table).to_csv(folder / TABLE)


def scaled(tmp_path, unit="4.88uV"):
    return {"files": {"lead-scale": trees.normalisation(tmp_path / "n.json")}, "words": {"lead-scale-unit": unit}}


@pytest.fixture
def folder(tmp_path):
    trees.echonext(tmp_path / "echonext", sizes=SMALL)
    return tmp_path / "echonext"


@pytest.mark.parametrize("words", [False, True])
def test_sexes_as_figures_or_words_and_either_spelling_of_the_table_give_the_same_cohort(tmp_path, words):
    trees.echonext(tmp_path / "echonext", sizes=SMALL, words=words)
    found = imported(tmp_path / "echonext", tmp_path / "cohort")
    cohort = open_cohort(tmp_path / "cohort")
    assert found.check.problems == ()
    assert cohort.tables.studies["sex"].value_counts().to_dict() == {"female": 8, "male": 9}
    assert cohort.tables.studies["age"].max() == 90
    assert sorted({*cohort.tables.ecgs["site"]}) == ["emergency", "inpatient", "outpatient"]
    assert cohort.tables.ecgs["acquired_at"].isna().all()


def test_every_ecg_is_paired_with_the_findings_of_its_own_row(folder, tmp_path):
    imported(folder, tmp_path / "cohort")
    cohort = open_cohort(tmp_path / "cohort")
    table = pd.read_csv(folder / TABLE, dtype={"ecg_key": str}).set_index("ecg_key")
    assert (cohort.pairs["ecg_id"] == cohort.pairs["study_id"]).all()
    assert len(cohort.pairs) == 2 * 4 + 6 + 3
    there = cohort.labels["lvef_percent"]
    assert np.array_equal(there, table.loc[there.index, "lvef_value"], equal_nan=True)
    assert there.isna().any()


def test_rows_that_share_patients_with_val_and_test_are_left_out_and_counted(folder, tmp_path):
    found = imported(folder, tmp_path / "cohort")
    assert [(each.count, each.reason) for each in found.skipped] == [
        (2, "split is no_split: these share patients with val and test")
    ]
    splits = open_cohort(tmp_path / "cohort").tables.splits["split"].value_counts()
    assert splits.to_dict() == {"train": 4, "val": 6, "test": 3}


def test_a_row_of_an_array_is_the_ecg_of_its_line_in_millivolt_again(tmp_path):
    signals_ENL = trees.echonext(tmp_path / "echonext", sizes=SMALL)
    imported(tmp_path / "echonext", tmp_path / "cohort", **scaled(tmp_path))
    cohort = open_cohort(tmp_path / "cohort").tables
    sources = cohort.ecg_sources()
    with reading(0) as reader:
        for place, ecg_id in enumerate(cohort.ecgs["ecg_id"]):
            recording = read_source(sources[ecg_id], reader)
            line = int(ecg_id) - 1000
            assert np.allclose(recording.signal_mv, signals_ENL[line].T, atol=1e-4), place
            assert recording.rate_hz == 250


def test_without_the_normalisation_the_cohort_says_that_amplitudes_are_relative(folder, tmp_path):
    imported(folder, tmp_path / "cohort")
    about = json.loads((tmp_path / "cohort" / "cohort.json").read_text())
    assert about["amplitude"] == "relative"
    assert "lead_scale" not in about
    assert "counts as absent" in about["flags"]
    assert about["licence"].startswith("PhysioNet Restricted")


def test_a_flag_that_is_not_set_is_absent_by_the_data_sets_own_convention(folder, tmp_path):
    change(folder, lambda table: table.assign(pasp_gte_45_flag=""))
    imported(folder, tmp_path / "cohort")
    studies = open_cohort(tmp_path / "cohort").tables.studies
    assert (studies["pasp_gte_45_flag"] == False).all()  # noqa: E712 - and not unknown


def test_columns_of_its_own_stay_in_the_tables(folder, tmp_path):
    imported(folder, tmp_path / "cohort")
    studies, ecgs = (pd.read_parquet(tmp_path / "cohort" / f"{name}.parquet") for name in ("studies", "ecgs"))
    assert {*studies["shd_moderate_or_greater_flag"]} == {"true", "false"}
    assert {*studies["aortic_stenosis_value"]} == {"presumed none", ""}
    assert {*ecgs["ventricular_rate"]} == {"75.0"}


def test_a_normalisation_that_names_its_leads_is_read_by_their_names(folder, tmp_path):
    order = ["I", "II", "III", "aVR", "aVF", "aVL", *(f"V{n}" for n in range(1, 7))]
    file = trees.normalisation(tmp_path / "n.json", unit="uV", leads=order)
    imported(folder, tmp_path / "cohort", files={"lead-scale": file})
    scale = json.loads((tmp_path / "cohort" / "cohort.json").read_text())["lead_scale"]
    assert scale["aVF"] == pytest.approx([trees.MEAN_L[4] / 1000, trees.STD_L[4] / 1000])
    assert scale["aVL"] == pytest.approx([trees.MEAN_L[5] / 1000, trees.STD_L[5] / 1000])


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1e-3), ("mV", 1.0), ("4.88 uV", 4.88e-3), ("4.88µV", 4.88e-3)])
def test_the_unit_of_a_normalisation_is_the_one_that_is_said(folder, tmp_path, unit, factor):
    imported(folder, tmp_path / "cohort", **scaled(tmp_path, unit))
    about = json.loads((tmp_path / "cohort" / "cohort.json").read_text())
    assert about["lead_scale"]["aVR"] == pytest.approx([trees.MEAN_L[3] * factor, trees.STD_L[3] * factor])
    assert "amplitude" not in about


def test_a_unit_in_the_file_needs_no_option(folder, tmp_path):
    file = trees.normalisation(tmp_path / "n.json", unit="uV")
    imported(folder, tmp_path / "cohort", files={"lead-scale": file})
    about = json.loads((tmp_path / "cohort" / "cohort.json").read_text())
    assert about["lead_scale"]["V6"][1] == pytest.approx(0.057)


@pytest.mark.parametrize(
    ("content", "unit", "words"),
    [
        (None, None, "n.json does not say the unit of its numbers. Say with --lead-scale-unit"),
        (None, "volt", "The unit of n.json must be uV or mV."),
        (None, "0uV", "The unit of n.json must be uV or mV."),
        ({"mean": [0] * 12, "std": [1] * 12, "unit": "mV"}, "uV", "states another unit than --lead-scale-unit"),
        ({"mean": [0] * 12}, "uV", "is not a normalisation"),
        ({"mean": [0] * 12, "std": [1] * 11}, "uV", "is not a normalisation"),
        ({"mean": [0] * 12, "std": [1] * 11 + [0]}, "uV", "is not a normalisation"),
        ({"mean": {"I": 0}, "std": {"I": 1}}, "uV", "is not a normalisation"),
        ({"mean": [0] * 12, "std": [1] * 11 + ["x"]}, "uV", "is not a normalisation"),
        ({"mean": [0] * 12, "std": [1] * 11 + [10**400]}, "uV", "is not a normalisation"),
        ({"mean": [0] * 12, "std": [1] * 12, "leads": 12}, "uV", "is not a normalisation"),
        ([1, 2], "uV", "is not a normalisation"),
    ],
)
def test_a_normalisation_without_a_unit_or_of_another_shape_is_refused(folder, tmp_path, content, unit, words):
    file = trees.normalisation(tmp_path / "n.json")
    if content is not None:
        file.write_text(json.dumps(content))
    given = {"files": {"lead-scale": file}, "words": {"lead-scale-unit": unit} if unit else {}}
    with pytest.raises(CohortError) as refused:
        imported(folder, tmp_path / "cohort", **given)
    assert words in refused.value.in_full


def cut(folder):
    array = folder / "EchoNext_val_waveforms.npy"
    array.write_bytes(array.read_bytes()[:-800])


def empty(folder):
    (folder / "EchoNext_val_waveforms.npy").write_bytes(b"")


def of_no_header(folder):
    header = b"{[]: 1}\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    (folder / "EchoNext_val_waveforms.npy").write_bytes(content)


def of_another_version(folder):
    np.save(folder / "EchoNext_val_waveforms.npy", np.zeros((5, 1, 2500, 12)))


def of_another_shape(folder):
    np.save(folder / "EchoNext_val_waveforms.npy", np.zeros((6, 2500, 12)))


def without_arrays(folder):
    for array in folder.glob("*_waveforms.npy"):
        array.unlink()


def text_for_lvef(table):
    return table.assign(lvef_value=["normal", *table["lvef_value"][1:]])


def unknown_split(table):
    return table.assign(split=table["split"].replace("test", "holdout"))


def same_key(table):
    return table.assign(ecg_key=["1001", *table["ecg_key"][1:]])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / TABLE).unlink(), "There is no echonext_metadata_100k.csv in the folder or below it"),
        (cut, "EchoNext_val_waveforms.npy is damaged or cut off"),
        (empty, "EchoNext_val_waveforms.npy is damaged or cut off"),
        (of_no_header, "EchoNext_val_waveforms.npy is damaged or cut off"),
        (of_another_version, "EchoNext_val_waveforms.npy holds 5 ECGs and the table 6 rows of val."),
        (of_another_shape, "EchoNext_val_waveforms.npy has the shape (6, 2500, 12)"),
        (without_arrays, "There is none of EchoNext's waveform arrays"),
        (lambda f: change(f, text_for_lvef), f"lvef_value is not a number: 'normal' ({TABLE}, row 1)."),
        (lambda f: change(f, same_key), f"The same ecg_key stands in more than one row ({TABLE}, row 2)."),
        (lambda f: change(f, unknown_split), f"split must be one of train, val, test, no_split ({TABLE}, 3 rows: "),
        (
            lambda f: change(f, lambda t: t.rename(columns={"lvef_value": "lvef_val"})),
            "no column lvef_value. Is lvef_val meant?",
        ),
        (
            lambda f: change(f, lambda t: t.assign(sex="x")),
            f"sex must be one of 0, 1, female, male, f, m or empty ({TABLE}",
        ),
        (lambda f: change(f, lambda t: t.assign(lvef_value="155")), "lvef_percent must lie between 0 and 100"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_left_of_a_cohort(folder, tmp_path, damage, words):
    damage(folder)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CohortError) as refused:
        imported(folder, tmp_path / "cohort")
    assert words in refused.value.in_full
    assert sorted(tmp_path.iterdir()) == before


def test_an_array_that_was_not_downloaded_costs_its_own_rows_alone(folder, tmp_path):
    (folder / "EchoNext_test_waveforms.npy").unlink()
    found = imported(folder, tmp_path / "cohort")
    assert [each.reason for each in found.skipped if each.count == 3] == ["the array of its split is not there"]
    assert check_cohort(tmp_path / "cohort").n_pairs == 8 + 6


def test_rows_that_are_not_in_the_order_of_their_index_are_refused(folder, tmp_path):
    change(folder, lambda table: table.iloc[::-1])
    with pytest.raises(CohortError, match="rows are not in the order of their index") as refused:
        imported(folder, tmp_path / "cohort")
    assert "as it was released" in refused.value.hint


def test_two_tables_below_one_folder_are_refused_by_name(folder, tmp_path):
    (folder / "1.0").mkdir()
    (folder / "1.0" / "EchoNext_metadata_100k.csv").write_bytes((folder / TABLE).read_bytes())
    with pytest.raises(CohortError, match=f"more than one table of EchoNext: {TABLE} and 1.0/EchoNext_metadata"):
        imported(folder, tmp_path / "cohort")


def test_an_array_of_another_length_of_ecgs_is_refused_by_name(folder, tmp_path):
    array = folder / "EchoNext_val_waveforms.npy"
    np.save(array, np.load(array)[:, :, ::2])
    with pytest.raises(CohortError, match=r"EchoNext_val_waveforms.npy holds 1250 samples of each ECG"):
        imported(folder, tmp_path / "cohort")
