"""The whole card, letter for letter, from what a bundle of the first layout says of itself."""

import json
from pathlib import Path

import pytest

from models.bundle import BundleDraft, read_manifest, read_probes
from training.evaluation.card import CardRun, model_card
from training.evaluation.evaluate import EvaluationReport
from training.probes.fit import LvefChoices, ProbeChoices, ProbeFit, YesNoChoices

FIRST_LAYOUT = Path(__file__).resolve().parents[2] / "data" / "first_layout" / "bundle"
TRAINED_FIRST = (
    "Trained first, on 32 clips of the train patients, to regress the phenotypes of their studies from single clips "
    "(single validation clips explain 28% of the variance of LVEF)."
)
OF_EVERY_PROBE = ("inverse_regularisation", "train_ecgs", "calibration_ecgs", "calibration_unlabelled_ecgs")


@pytest.fixture
def told():
    return json.loads((FIRST_LAYOUT / "manifest.json").read_text())


@pytest.fixture
def choices(told):
    """As the manifest's metrics have them."""
    flat = told["metrics"]["probe_choices"]
    lvef = {name: flat[f"lvef_{name}"] for name in OF_EVERY_PROBE}
    shd = {name: flat[f"shd_{name}"] for name in (*OF_EVERY_PROBE, "threshold", "train_prevalence")}
    shares = tuple(flat[f"lvef_train_prevalence_{number}"] for number in range(3))
    return ProbeChoices(LvefChoices(**lvef, train_prevalence_C=shares), YesNoChoices(**shd), {}, None)


def card(recipe, told, choices):
    manifest, _ = read_manifest(FIRST_LAYOUT)
    draft = BundleDraft.model_validate({name: told[name] for name in BundleDraft.model_fields})
    report = EvaluationReport.model_validate_json(json.dumps(told["metrics"]["test"]))
    fit = ProbeFit(read_probes(FIRST_LAYOUT, manifest), choices, tuple(told["metrics"]["flags_without_probe"]))
    run = CardRun("cohort", "micro", {}, "Its weights started at random.", TRAINED_FIRST)
    return model_card(recipe, draft, report, fit, run)


def test_the_card_of_a_bundle_of_the_first_layout_is_written_again_letter_for_letter(micro_recipe, told, choices):
    assert card(micro_recipe, told, choices) == (FIRST_LAYOUT / "README.md").read_text()


def test_a_cohort_that_says_no_more_than_that_it_is_simulated_has_a_card(micro_recipe, told, choices):
    told["training_data"]["simulator_version"] = "1"
    found = card(micro_recipe, told, choices)
    assert "echo2ecg simulate" not in found
    assert "echo2ecg train cohort --recipe micro --out micro\n" in found


def test_the_choices_have_the_names_they_always_had(told, choices):
    assert list(choices.as_metrics().items()) == list(told["metrics"]["probe_choices"].items())
