"""What a cohort check shows, what it writes for programs, and that it foretells what training says."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from cli import console
from cli.main import app
from cohorts import CohortError, check_cohort, open_cohort, write_cohort_tables
from ground.findings import SHD_FLAGS
from models.device import Machine
from training.outlook import training_outlook
from training.recipes import demo
from training.train import train

CPU = Machine.named("cpu", workers=0)

LVEF = (30.0, 45.0, 60.0)


def write_cohort(root, splits=("train", "val", "calibration", "test"), *, lvef=LVEF):
    """One patient with an ECG and a study on each of as many days as there are values of LVEF, in every split."""
    rows = [(split, day, value) for split in splits for day, value in enumerate(lvef)]
    n = len(rows)
    key = {
        "patient_id": [split for split, _, _ in rows],
        "acquired_at": [f"2021-{1 + day:02}-01T10:00:00" for _, day, _ in rows],
    }
    studies = {"study_id": [f"s{i}" for i in range(n)]}
    values = {"age": 50, "sex": "female", "lvef_percent": [v for _, _, v in rows], "lvedv_ml": 100.0, "lvesv_ml": 40.0}
    flags = dict.fromkeys(SHD_FLAGS, False) | {SHD_FLAGS[0]: [v <= 45 for _, _, v in rows]}
    write_cohort_tables(
        root,
        pd.DataFrame(key | {"ecg_id": range(n), "path": [f"{who}-ecg.dcm" for who in key["patient_id"]]}),
        pd.DataFrame(key | studies | {"view_id": "v", "path": [f"{who}-clip.dcm" for who in key["patient_id"]]}),
        pd.DataFrame(key | studies | values | flags),
        pd.DataFrame({"patient_id": splits, "split": splits}),
    )
    for split in splits:
        for name in ("ecg.dcm", "clip.dcm"):
            (root / f"{split}-{name}").write_bytes(b"x")
    return root


def check(*arguments):
    with console.out.capture() as captured:
        done = CliRunner().invoke(app, ["cohort", "check", *map(str, arguments)])
    return done.exit_code, captured.get() + done.output


def test_a_sound_cohort_is_said_to_be_one_with_its_labelled_ecgs_by_split(tmp_path):
    code, output = check(write_cohort(tmp_path))
    assert code == 0
    assert "Nothing contradicts itself." in output
    assert "ECGs with a known LVEF: train 3, val 3, calibration 3, test 3." in output
    assert "ECGs with a known SHD: train 3, val 3, calibration 3, test 3." in output
    assert "refuse" not in output


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"splits": ("val", "calibration", "test")}, "The table splits names no train patients"),
        ({"splits": ("train", "calibration", "test")}, "The table splits names no val patients"),
        (
            {"lvef": (30.0, 60.0)},
            r"found: train \(LVEF <= 40 %: 1, > 40 % and < 50 %: 0, >= 50 %: 1\); val \(LVEF .*; test \(LVEF",
        ),
        ({"lvef": (30.0, 60.0), "shd": ""}, r"train \(LVEF .* >= 50 %: 1; SHD known of nobody\); val"),
        ({"lvef": (30.0, 45.0, 60.0), "shd": "false"}, r"found: train \(SHD without: 1, with: 0\); val"),
    ],
)
def test_the_check_foretells_the_sentence_that_training_refuses_a_sound_cohort_with(tmp_path, change, words):
    change = dict(change)
    flags = change.pop("shd", None)
    root = write_cohort(tmp_path / "cohort", **change)
    if flags is not None:
        studies = pd.read_csv(root / "studies.csv", dtype=str)
        studies.assign(**dict.fromkeys(SHD_FLAGS, flags)).to_csv(root / "studies.csv", index=False)
    code, output = check(root)
    assert code == 0
    with pytest.raises(CohortError, match=words) as refused:
        train(root, demo(), tmp_path / "out", CPU)
    assert f"Training would refuse this cohort: {refused.value.sentence}" in " ".join(output.split())
    assert training_outlook(open_cohort(root)).refusal == refused.value.sentence


def test_the_json_has_every_row_number_where_the_tables_show_the_first_ten(tmp_path):
    root = write_cohort(tmp_path / "cohort", lvef=[140.0] * 11)
    splits = pd.read_csv(root / "splits.csv")
    splits[splits["patient_id"] != "test"].to_csv(root / "splits.csv", index=False)
    ecgs = pd.read_csv(root / "ecgs.csv")
    pd.concat([ecgs, ecgs.iloc[[6]]]).to_csv(root / "ecgs.csv", index=False)
    code, output = check(root, "--json", tmp_path / "new folder" / "found.json")
    assert code == 1
    assert "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ..." in output
    assert "45 (as 7)" in output
    assert "Rows count from 1, the header not counted." in output
    assert "--json FILE writes all of them." in output
    found = json.loads((tmp_path / "new folder" / "found.json").read_text())
    problems = {problem["code"]: problem for problem in found["problems"]}
    assert problems["lvef_percent_out_of_range"]["rows"] == list(range(1, 45))
    assert (problems["ecg_twice"]["rows"], problems["ecg_twice"]["repeats"]) == ([45], [7])
    left_out = {(finding["code"], finding["table"]): finding["rows"] for finding in found["skipped"]}
    assert left_out == {
        ("ecg_without_split", "ecgs"): list(range(34, 45)),
        ("study_without_split", "studies"): list(range(34, 45)),
    }
    assert found["training"] is None


def test_a_broken_header_stops_further_checks_and_that_is_said(tmp_path):
    root = write_cohort(tmp_path / "cohort")
    (root / "studies.csv").write_text((root / "studies.csv").read_text().replace("lvedv_ml", "lvdev_ml"))
    code, output = check(root)
    assert code == 1
    assert "Is lvdev_ml meant?" in " ".join(output.replace("│", " ").split())
    assert "Further checks were not made" in output


def test_the_json_of_a_sound_cohort_says_what_training_would(tmp_path):
    root = write_cohort(tmp_path / "cohort", lvef=(0.3, 0.6))
    assert check(root, "--json", tmp_path / "found.json")[0] == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["problems"], [w["code"] for w in found["warnings"]]) == ([], ["lvef_fraction"])
    assert found["training"]["ecgs_with_lvef"] == {"train": 2, "val": 2, "calibration": 2, "test": 2}
    assert "LVEF class" in found["training"]["refusal"]
    assert found["n_pairs"] == sum(found["pairs_per_split"].values()) == 8


def test_the_check_pairs_as_the_recipe_does_whose_refusal_it_foretells(tmp_path):
    assert check_cohort(write_cohort(tmp_path)).window_days == demo().window_days
