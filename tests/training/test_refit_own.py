"""Probes of the user's own labels: fitted beside the others, served, measured and told."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluated import CPU, random_bundle
from typer.testing import CliRunner

from app.answering.answered import _own
from cli.main import app
from ground.errors import Refusal
from inputs.ecg.prepare import ecg_windows, prepare_ecg
from models.bundle import Bundle, SelfTest, read_manifest, read_probes, run_self_test
from models.bundle.files import read_self_test
from training.evaluation.bundle_facts import bundle_facts
from training.evaluation.chai import chai_card
from training.evaluation.evaluate import evaluate
from training.evaluation.tripod import tripod_card
from training.refit import refit

SIZES = {"train": 24, "val": 12, "calibration": 72, "test": 8}


@pytest.fixture(scope="module")
def labelled_dir(tmp_path_factory, request):
    """`low` of studies, `number` of ECGs; the last ECG of each split has no study near it."""
    whole = request.config.pluginmanager.get_plugin(str(Path(__file__).parents[1] / "conftest.py"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole, "PATIENTS_PER_SPLIT", SIZES)
        root = whole.write_cohort(tmp_path_factory.mktemp("labelled") / "cohort")
    studies, ecgs = (pd.read_csv(root / f"{name}.csv", dtype=str) for name in ("studies", "ecgs"))
    lvef = studies["lvef_percent"].astype(float)
    studies["low"] = (lvef < 50).map({True: "true", False: "false"})
    ecgs["number"] = (10 + 2 * lvef).round(3).astype(str)
    last = ~ecgs["patient_id"].str.replace(r"\d+", "", regex=True).duplicated(keep="last")
    ecgs.loc[last, "acquired_at"] = "2010-01-01T00:00:00"
    studies.to_csv(root / "studies.csv", index=False)
    ecgs.to_csv(root / "ecgs.csv", index=False)
    return root


@pytest.fixture(scope="module")
def fitted(labelled_dir, micro_recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    bundle = random_bundle(folder / "bundle", micro_recipe, with_probes=False)
    said = []
    refit(bundle, labelled_dir, folder / "out", CPU, labels=["low", "number"], say=said.append)
    assert said[1] == "number is taken for a number (116 known, in ecgs)."
    assert said[0].startswith("low is taken for yes or no (")
    return folder / "out"


def test_the_bundle_says_what_was_added_and_how_well_it_does(fitted):
    manifest = read_manifest(fitted)[0]
    assert manifest.training_data["probes"]["own_labels"] == {"low": "studies, yes or no", "number": "ecgs, a number"}
    own = {found["label"]: found for found in manifest.metrics["test"]["own"]}
    assert own["low"]["yes_no"]["n"] == 7
    assert own["number"]["number"]["n"] == 8, "an ECG with a label of its own counts without a study"
    assert own["number"]["number"]["r2"]["value"] > 0.5
    card = (fitted / "README.md").read_text()
    assert "- `low`, a yes or no: fitted on 23 train ECGs" in card
    assert "- `number`, a number: fitted on 24 train ECGs" in card
    assert "--label low --label number" in card


@pytest.fixture(scope="module")
def of_own_labels_alone(fitted, labelled_dir, tmp_path_factory):
    """Facts of a bundle, and of one whose cohort knows nothing but `low` and `number`."""
    folder = tmp_path_factory.mktemp("alone")
    shutil.copytree(labelled_dir, folder / "cohort")
    studies = pd.read_csv(folder / "cohort" / "studies.csv", dtype=str)
    known = {name: "" for name in studies.columns if name == "lvef_percent" or name.endswith("_flag")}
    studies.assign(**known).to_csv(folder / "cohort" / "studies.csv", index=False)
    return bundle_facts(refit(fitted, folder / "cohort", folder / "out", CPU, labels=["low", "number"]))


def test_the_standard_cards_tell_labels_of_ones_own_and_nothing_that_was_not_measured(of_own_labels_alone):
    tripod = {row.split(" | ")[0].strip("| "): row for row in tripod_card(of_own_labels_alone).splitlines()}
    chai = chai_card(of_own_labels_alone)
    assert "`low`, a yes or no of whoever fitted the probes; `number`, a number of whoever" in tripod["8a"]
    assert "structural heart disease" not in tripod["8a"] + chai
    assert "of 7 ECGs, `number`: 8 ECGs" in tripod["21"]
    assert "AUROC, `low`: " in tripod["23a"]
    assert "R2, `number`: " in tripod["23a"]
    assert "R2, mean absolute error" in tripod["12e"]
    assert "net benefit" not in tripod["12e"]
    assert "`low`, a yes or no of whoever" in chai
    assert "Label>AUROC, `low`<" in chai


def test_an_ecg_is_answered_with_them(fitted):
    bundle, probes = Bundle.load(fitted, device="cpu"), read_probes(fitted, read_manifest(fitted)[0])
    recording = SelfTest.of_known_ecg().recording
    windows = ecg_windows(prepare_ecg(recording, bundle.ecg).signal_LN, bundle.ecg)[None]
    output = bundle.embed_ecgs(windows)
    x_F = (output.features_BF[0] - np.array(probes.feature_mean_F)) / np.array(probes.feature_std_F)
    number, low = probes.own_numbers["number"], probes.own_yes_no["low"]
    verdict = output.row(0)
    assert list(verdict.own) == ["low", "number"]
    assert verdict.own["number"].value == pytest.approx(x_F @ np.array(number.weight_F) + number.bias, rel=1e-3)
    assert verdict.own["number"].high - verdict.own["number"].low == pytest.approx(2 * number.half_width, rel=1e-5)
    score = (x_F @ np.array(low.weight_F) + low.bias) * low.calibration.scale + low.calibration.shift[0]
    assert verdict.own["low"].probability == pytest.approx(1 / (1 + np.exp(-score)), abs=1e-3)
    said = {name: _own(name, one).model_dump(exclude_unset=True) for name, one in verdict.own.items()}
    assert {"label", "value", "low", "high", "coverage", "n_calibration"} == said["number"].keys()
    assert {"label", "probability", "positive", "base_rate", "prediction_set", "operating_point"} <= said["low"].keys()
    assert "echos_per_case" not in said["low"]["operating_point"]


def test_a_cohort_without_the_column_is_measured_without_it(fitted, cohort_dir):
    report = evaluate(fitted, cohort_dir, "test", CPU)
    assert {one.label: one.not_measured for one in report.own} == dict.fromkeys(
        ("low", "number"), "needs a column so named in the cohort"
    )


def test_the_known_ecg_is_answered_alike_and_another_answer_is_noticed(fitted):
    bundle, known = Bundle.load(fitted, device="cpu"), read_self_test(fitted, read_manifest(fitted)[0])
    found = run_self_test(bundle, known)
    assert {one.answer for one in found} >= {"features", "embedding", "LVEF classes", "SHD", "own numbers"}
    assert all(one.holds for one in found)
    other = SelfTest(known.signal_uv_LN // 2 + 40, known.rate_hz, {**known.answers, "SHD": known.answers["SHD"] + 0.1})
    assert {one.answer for one in run_self_test(bundle, other) if not one.holds} >= {"SHD"}


def test_verify_asks_the_known_ecg_in_both_precisions(fitted, micro_recipe, tmp_path):
    done = CliRunner().invoke(app, ["bundle", "verify", str(fitted), "--self-test", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert all(word in done.output for word in ("fp32", "bf16", "features", "answers as it did"))
    older = random_bundle(tmp_path / "older", micro_recipe, with_probes=False)
    refused = CliRunner().invoke(app, ["bundle", "verify", str(older), "--self-test"])
    assert refused.exit_code == 1
    assert "no known ECG to test itself with" in str(refused.exception)


def test_labels_that_would_stand_in_one_column_are_refused_before_the_work(labelled_dir, micro_recipe, tmp_path):
    ecgs = pd.read_csv(labelled_dir / "ecgs.csv", dtype=str)
    shutil.copytree(labelled_dir, tmp_path / "cohort", symlinks=True)
    ecgs.assign(number_low=ecgs["number"]).to_csv(tmp_path / "cohort" / "ecgs.csv", index=False)
    bundle = random_bundle(tmp_path / "bundle", micro_recipe, with_probes=False)
    with pytest.raises(Refusal, match="would stand in one column, own_number_low"):
        refit(bundle, tmp_path / "cohort", tmp_path / "out", CPU, labels=["number", "number_low"])
    assert not list(tmp_path.glob("out*")), "nothing was prepared"


def test_show_tells_the_labels(fitted):
    done = CliRunner().invoke(app, ["bundle", "show", str(fitted)])
    assert json.loads(done.output)["training_data"]["probes"]["own_labels"]["number"] == "ecgs, a number"


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (lambda count: [str(row == 0).lower() for row in range(count)], "low needs 10 train patients of either answer"),
        (lambda count: ["7"] + [""] * (count - 1), "low needs 20 train patients who have it"),
        (lambda count: ["7"] * count, "low is the same number in all train patients"),
    ],
    ids=["yes or no", "number", "one number"],
)
def test_too_few_patients_of_an_answer_are_told_with_their_number(
    fitted, labelled_dir, micro_recipe, tmp_path, cells, words
):
    (tmp_path / "cohort").mkdir()
    for file in labelled_dir.iterdir():
        (tmp_path / "cohort" / file.name).symlink_to(file) if file.is_file() else None
    studies = pd.read_csv(labelled_dir / "studies.csv", dtype=str).assign(low=lambda t: cells(len(t)))
    (tmp_path / "cohort" / "studies.csv").unlink()
    studies.to_csv(tmp_path / "cohort" / "studies.csv", index=False)
    (tmp_path / "cohort" / "files").mkdir()
    for file in (labelled_dir / "files").iterdir():
        (tmp_path / "cohort" / "files" / file.name).hardlink_to(file)
    bundle = random_bundle(tmp_path / "bundle", micro_recipe, with_probes=False)
    with pytest.raises(Refusal, match=words):
        refit(bundle, tmp_path / "cohort", tmp_path / "out", CPU, labels=["low"])
    assert not list(tmp_path.glob("out*")), "nothing was prepared"
