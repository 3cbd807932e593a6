"""The gate as a program: from a simulated cohort's files and a bundle's echo encoder to five lines and a file."""

import json
import shutil
import sys

import pandas as pd
import pytest
from tiny import draft_of

from benchmarks.echo_gate import main
from models.bundle import write_bundle
from models.echo_encoder import EchoEncoder


@pytest.fixture(scope="module")
def bundle(micro_recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "echo"
    encoder = EchoEncoder(micro_recipe.architecture.echo, micro_recipe.architecture.view_dim)
    write_bundle(folder, draft_of(micro_recipe), echo_encoder=encoder, card="x")
    return folder


@pytest.fixture
def simulated(cohort_dir, tmp_path):
    """Every third patient without an infarct, the others with one of two."""
    folder = tmp_path / "cohort"
    shutil.copytree(cohort_dir, folder)
    studies = pd.read_csv(folder / "studies.csv", dtype=str)
    infarct = [("none", "LAD", "RCA")[row % 3] for row in range(len(studies))]
    truth = pd.DataFrame({"record": studies["study_id"], "lvef_percent": studies["lvef_percent"], "infarct": infarct})
    truth.to_csv(folder / "truth.csv", index=False)
    return folder


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["echo_gate", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_five_values_stand_beside_their_gates(simulated, bundle, tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, simulated, bundle, "--out", tmp_path / "gate.json") == 1
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "made-up: 16 views of 8 val studies, 16 train studies"
    assert [line.split("   ")[0].strip() for line in lines] == [
        "participation ratio",
        "variance explained by the view's name",
        "infarct territory, AUROC",
        "LVEF from all views, r",
        "LVEF from A4C alone, r lower by",
    ]
    report = json.loads((tmp_path / "gate.json").read_text())
    assert [gate["passed"] for gate in report["gates"]] == [" pass" in line for line in lines]
    assert report["gates"][0]["value"] <= 12
    assert report["gates"][1]["value"] == pytest.approx(0, abs=1e-9), "all views have one name"
    assert report["gates"][2]["value"] is not None
    assert report["gates"][4]["value"] == 0, "there is no other view"


def test_a_cohort_whose_truth_nobody_knows_is_refused_in_a_sentence(cohort_dir, bundle, monkeypatch):
    assert run(monkeypatch, cohort_dir, bundle).startswith("The cohort has no truth.csv")
