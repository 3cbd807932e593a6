"""`cohort import`: what was found and left out is said, with terms and next steps; what goes wrong is one sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cohorts" / "adapters"))

import trees

SMALL = {"train": 4, "val": 6, "test": 3, "no_split": 2}


@pytest.fixture
def echonext(tmp_path):
    trees.echonext(tmp_path / "echonext", sizes=SMALL)
    return tmp_path / "echonext"


def test_an_import_says_what_was_paired_what_was_left_out_and_what_comes_next(command, echonext, tmp_path):
    code, said, _ = command("cohort", "import", "echonext", echonext, tmp_path / "cohort")
    assert code == 0
    assert "13 patients, 17 ECGs, 17 studies, 0 views." in said
    assert "17 pairs named by their ECGs, of 17 ECGs and 17 studies (train 8, val " in said
    assert "split is no_split: these share patients with val and test" in said
    assert "Licence: PhysioNet Restricted" in said
    assert "Cite: Poterucha" in said
    assert f"Next: echo2ecg cohort check {tmp_path / 'cohort'}" in said
    assert f"echo2ecg train {tmp_path / 'cohort'} --out BUNDLE --recipe ecg_only" in said
    said, warned = said.split("Warning: ")
    assert said.endswith(f"echo2ecg bundle fit BUNDLE {tmp_path / 'cohort'} --out FITTED\n")
    assert warned.startswith("Amplitudes are relative: the arrays are z-scores")
    assert "import again with --lead-scale FILE" in warned


def test_ecgs_without_studies_are_fitted_by_columns_of_their_own_which_are_named(command, tmp_path):
    trees.ptb_xl(tmp_path / "ptb", ecgs=4)
    _, said, _ = command("cohort", "import", "ptb-xl", tmp_path / "ptb", tmp_path / "cohort")
    assert "Columns of its own in ecgs: NORM, MI, STTC, CD, HYP, pacemaker" in said
    assert said.endswith("--out FITTED --label COLUMN\n")


def test_the_cohort_that_was_written_passes_the_check(command, echonext, tmp_path):
    assert command("cohort", "import", "echonext", echonext, tmp_path / "cohort")[0] == 0
    code, said, _ = command("cohort", "check", tmp_path / "cohort")
    assert (code, "Nothing contradicts itself." in said) == (0, True)


def test_options_reach_the_data_set(command, echonext, tmp_path):
    scale = trees.normalisation(tmp_path / "n.json")
    given = ("--lead-scale", scale, "--lead-scale-unit", "4.88uV")
    code, said, _ = command("cohort", "import", "echonext", echonext, tmp_path / "cohort", *given)
    assert (code, "Warning" in said) == (0, False)
    assert "lead_scale" in json.loads((tmp_path / "cohort" / "cohort.json").read_text())
    table = trees.uk_biobank(tmp_path / "ukb", people=4)
    given = ("--table", table, "--map", "lvef_percent=p22420_i2", "--map", "sex=p31")
    code, said, _ = command("cohort", "import", "uk-biobank", tmp_path / "ukb", tmp_path / "of ukb", *given)
    assert (code, "4 patients, 5 ECGs, 3 studies, 0 views." in said) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nonsense", "{echonext}"), "There is no data set of that name. KIND is one of mimic-iv, echonext, ptb-xl"),
        (("ptbxl", "{echonext}"), "There is no data set of that name. Is ptb-xl meant?"),
        (("echonext", "{here}/absent"), "absent is not a folder."),
        (("ptb-xl", "{echonext}"), "There is no ptbxl_database.csv in the folder or below it, as PTB-XL has it."),
        (("echonext", "{echonext}", "--map", "age=x"), "echonext takes no --map."),
        (
            ("echonext", "{echonext}", "--lead-scale", "{scale}"),
            "Say with --lead-scale-unit what one of its numbers is",
        ),
        (("echonext", "{echonext}", "--lead-scale-unit", "uV"), "says the unit of a --lead-scale FILE"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_no_cohort(command, echonext, tmp_path, arguments, words):
    places = {"echonext": echonext, "here": tmp_path, "scale": trees.normalisation(tmp_path / "n.json")}
    kind, src, *options = (argument.format(**places) for argument in arguments)
    code, _, sentence = command("cohort", "import", kind, src, tmp_path / "cohort", *options)
    assert code == 1
    assert words in sentence
    assert not (tmp_path / "cohort").exists()
    assert not (tmp_path / "cohort.importing").exists()


@pytest.mark.parametrize("option", [("--map", "age"), ("--root", "ecg="), ("--map", "age=a", "--map", "age=b")])
def test_pairs_that_are_none_are_wrong_usage(command, echonext, tmp_path, option):
    assert command("cohort", "import", "echonext", echonext, tmp_path / "cohort", *option)[0] == 2
