"""ECGs without a unit: trained on with a warning, and kept away from bundles of millivolts."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from array_cohorts import echonext_like
from evaluated import CPU, random_bundle

from cohorts import CohortError, check_cohort, open_cohort
from index.rebuild import rebuild_index
from inputs.ecg.judged import judge_ecg
from inputs.records import STANDARD_LEADS, EcgRecording
from inputs.specs import EcgSpec
from models.bundle import read_manifest
from training.evaluation.evaluate import evaluate
from training.refit import refit
from training.train import train


@pytest.fixture
def relative(tmp_path):
    return echonext_like(tmp_path / "relative")


@pytest.fixture
def millivolt_bundle(micro_recipe, tmp_path):
    return random_bundle(tmp_path / "bundle", micro_recipe, with_probes=False)


@pytest.fixture(scope="module")
def paired_relative(cohort_dir, tmp_path_factory):
    """The small cohort with clips, which says that its ECGs have no unit."""
    root = tmp_path_factory.mktemp("cohorts") / "cohort"
    shutil.copytree(cohort_dir, root)
    (root / "cohort.json").write_text(json.dumps({"name": "Scores", "amplitude": "relative"}))
    return root


@pytest.fixture(scope="module")
def trained(paired_relative, micro_recipe, tmp_path_factory):
    told = []
    out = tmp_path_factory.mktemp("bundles") / "relative"
    return train(paired_relative, micro_recipe.aligned_with(epochs=2), out, CPU, say=told.append), told


def test_training_on_them_warns_and_card_and_manifest_say_so(trained):
    bundle, told = trained
    assert [sentence for sentence in told if "no unit (amplitude: relative)" in sentence] == told
    assert len(told) == 1
    manifest, _ = read_manifest(bundle)
    assert manifest.training_data["amplitude"] == "relative"
    assert manifest.training_data["recipe"]["ecg"]["amplitude"] == manifest.ecg.amplitude == "relative"
    card = (bundle / "README.md").read_text()
    assert "- amplitude: relative\n" in card
    assert "trained on ECGs without a unit (amplitude: relative)" in card


def test_a_bundle_trained_on_them_takes_cohorts_like_its_own(trained, paired_relative, tmp_path):
    bundle, _ = trained
    assert evaluate(bundle, paired_relative, "test", CPU).ecgs == 8
    out = refit(bundle, paired_relative, tmp_path / "fitted", CPU)
    assert "trained on ECGs without a unit" in (out / "README.md").read_text()


ASKED = {
    "fit": lambda bundle, cohort, out: refit(bundle, cohort, out / "out", CPU),
    "evaluate": lambda bundle, cohort, out: evaluate(bundle, cohort, "test", CPU),
    "rebuild": lambda bundle, cohort, out: rebuild_index(bundle, cohort, out / "out", CPU),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_a_bundle_of_millivolts_refuses_them_with_the_way_out(millivolt_bundle, relative, tmp_path, ask):
    with pytest.raises(CohortError, match=r"have no unit .* trained on millivolts") as refused:
        ask(millivolt_bundle, relative, tmp_path)
    assert refused.value.code == "amplitude_relative"
    assert "--lead-scale FILE" in refused.value.hint
    assert not list(tmp_path.glob("out*"))


def test_with_a_lead_scale_they_are_millivolts_for_everybody(millivolt_bundle, relative, tmp_path):
    about = {"amplitude": "relative", "lead_scale": json.loads((relative / "scale.json").read_text())}
    (relative / "cohort.json").write_text(json.dumps(about))
    assert evaluate(millivolt_bundle, relative, "test", CPU).ecgs == 8
    told = read_manifest(refit(millivolt_bundle, relative, tmp_path / "out", CPU))[0].training_data["probes"]
    assert told["amplitude"] == "millivolt"
    assert told["lead_scale"] == about["lead_scale"]


def test_an_upload_to_a_bundle_trained_on_them_gets_a_coded_warning():
    t = np.arange(5000) / 500
    beats = sum(np.exp(-0.5 * ((t - centre) / 0.02) ** 2) for centre in np.arange(0.5, 10, 0.8))
    draw = np.random.default_rng(0)
    signal_mv = (np.outer(np.linspace(0.5, 1.5, 12), beats) + 0.01 * draw.normal(size=(12, 5000))).astype(np.float32)
    recording = EcgRecording(signal_mv, 500.0, STANDARD_LEADS, "made_up")
    codes = {
        amplitude: {warning.code for warning in judge_ecg(recording, EcgSpec(amplitude=amplitude)).warnings}
        for amplitude in ("millivolt", "relative")
    }
    assert codes["relative"] - codes["millivolt"] == {"amplitude_relative"}


def test_a_specification_of_millivolts_is_written_as_it_always_was():
    assert "amplitude" not in EcgSpec().model_dump()
    assert EcgSpec.model_validate_json(EcgSpec(amplitude="relative").model_dump_json()).amplitude == "relative"


BAD = {
    "amplitude_unknown": {"amplitude": "big"},
    "lead_scale_invalid": {"lead_scale": {"I": [0, 0]}},
    "lead_scale_invalid ": {"lead_scale": {"I": [0]}},
    "lead_scale_invalid  ": {"lead_scale": {"pulse": [0, 1]}},
    "lead_scale_invalid   ": {"lead_scale": {"I": [0, 1], "DI": [0, 2]}},
    "lead_scale_invalid    ": {"lead_scale": {"I": [float("nan"), 1]}},
    "lead_scale_invalid     ": {"lead_scale": [["I", 0, 1]]},
    "lead_scale_invalid      ": {"lead_scale": {"I": [0, 10**400]}},
}


@pytest.mark.parametrize(("code", "about"), BAD.items(), ids=[json.dumps(about) for about in BAD.values()])
def test_what_cannot_be_an_amplitude_is_refused_by_whoever_opens_the_cohort(relative, code, about):
    (relative / "cohort.json").write_text(json.dumps(about))
    assert [problem.code for problem in check_cohort(relative).problems] == [code.strip()]
    with pytest.raises(CohortError, match=r"^In cohort\.json "):
        open_cohort(relative)


def test_a_unit_beside_ecgs_without_one_is_a_contradiction(relative):
    lines = (relative / "ecgs.csv").read_text().splitlines()
    (relative / "ecgs.csv").write_text("\n".join([lines[0] + ",unit", *(f"{line},mV" for line in lines[1:])]) + "\n")
    assert [problem.code for problem in check_cohort(relative).problems] == ["unit_of_relative"]
