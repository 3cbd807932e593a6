"""A cohort that says what each clip shows: its echo encoder learns that, and nothing else of the study."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from tiny import draft_of

from cohorts import CohortError, open_cohort
from embedding.store import ArrayStore
from models.device import Machine
from training.encoders.echo import train_echo_encoder
from training.engine.place import Place
from training.evaluation.evaluate import evaluate
from training.train import train

CPU = Machine.named("cpu", workers=0)


def with_facts(cohort_dir, folder, change=lambda facts: facts):
    """The cohort, and of each clip a brightness, quality and one of two names that are its own."""
    shutil.copytree(cohort_dir, folder)
    echos = pd.read_csv(folder / "echos.csv", dtype=str)
    second = echos["view_id"] == "v1"
    facts = echos[["patient_id", "study_id", "view_id"]].assign(
        view=np.where(second, "dark", "bright"), brightness=np.where(second, 140, 200), quality=np.where(second, 0.5, 1)
    )
    change(facts).to_csv(folder / "truth_views.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def told(cohort_dir, tmp_path_factory):
    return with_facts(cohort_dir, tmp_path_factory.mktemp("told") / "cohort")


@pytest.fixture(scope="module")
def trained(told, micro_recipe, tmp_path_factory):
    return train(told, micro_recipe, tmp_path_factory.mktemp("bundles") / "micro", CPU)


def echo_encoder(cohort_dir, recipe, folder):
    """The bundle of an echo encoder trained alone: its weights and what it says of itself."""
    with ArrayStore(folder / "clips", np.uint8) as decoded:
        cohort = open_cohort(cohort_dir).tables
        bundle = train_echo_encoder(cohort, recipe, decoded, Place(folder / "echo"), draft_of(recipe), CPU)
    weights = (bundle / "echo_encoder.safetensors").read_bytes()
    return weights, json.loads((bundle / "manifest.json").read_text())["metrics"]


def test_card_and_manifest_say_that_clips_were_taught_what_they_show(trained):
    training_data = json.loads((trained / "manifest.json").read_text())["training_data"]
    assert training_data["echo_encoder_taught"] == "what each clip shows"
    card = (trained / "README.md").read_text()
    assert (
        "Trained first, on 32 clips of the train patients, to say of each clip what it shows itself and nothing else "
        "of its study (2 numbers, of which" in card
    )
    assert "and the view's name, right for " in card
    assert "phenotypes of their studies" not in card


def test_card_and_manifest_of_a_cohort_without_facts_say_that_clips_were_taught_by_their_studies(
    cohort_dir, micro_recipe, tmp_path
):
    bundle = train(cohort_dir, micro_recipe, tmp_path / "micro", CPU)
    training_data = json.loads((bundle / "manifest.json").read_text())["training_data"]
    assert training_data["echo_encoder_taught"] == "the phenotypes of each clip's study"
    assert "to regress the phenotypes of their studies from single clips" in (bundle / "README.md").read_text()


def test_the_lvef_of_a_study_never_enters(told, micro_recipe, tmp_path):
    other = tmp_path / "cohort"
    shutil.copytree(told, other)
    studies = pd.read_csv(other / "studies.csv", dtype=str)
    flipped = (100 - studies["lvef_percent"].astype(float)).round(2).astype(str)
    studies.assign(lvef_percent=flipped, lvedv_ml=flipped, lvesv_ml="5").to_csv(other / "studies.csv", index=False)
    weights, metrics = echo_encoder(told, micro_recipe, tmp_path / "first")
    assert echo_encoder(other, micro_recipe, tmp_path / "second") == (weights, metrics)
    assert metrics["taught_by"] == "clip"
    assert metrics["val_r2"].keys() == {"brightness", "quality"}


def test_a_recipe_may_teach_by_the_study_where_clips_say_what_they_show(told, cohort_dir, micro_recipe, tmp_path):
    """The comparison of both on one cohort: then it is as if the table were not there."""
    by_study = micro_recipe.echo_pretraining.model_copy(update={"taught_by": "study"})
    recipe = micro_recipe.model_copy(update={"echo_pretraining": by_study})
    assert echo_encoder(told, recipe, tmp_path / "a") == echo_encoder(cohort_dir, micro_recipe, tmp_path / "b")


def test_clips_of_which_nothing_is_said_are_refused_in_a_sentence(cohort_dir, micro_recipe, tmp_path):
    silent = with_facts(cohort_dir, tmp_path / "cohort", lambda facts: facts.assign(view="", brightness="", quality=1))
    with pytest.raises(CohortError, match=r"^The clips of the train patients do not differ in what is known\.$"):
        echo_encoder(silent, micro_recipe, tmp_path)


def test_an_evaluation_sees_nothing_of_what_clips_show(trained, told, cohort_dir):
    assert evaluate(trained, told, "test", CPU) == evaluate(trained, cohort_dir, "test", CPU)
