"""Cohorts without echo: what can be trained, fitted and measured is, and what cannot be had is said."""

from __future__ import annotations

import json
import re

import pytest
from array_cohorts import code15_like, echonext_like
from evaluated import CPU, random_bundle
from typer.testing import CliRunner

from cli.main import app
from cohorts import CohortError, check_cohort, examine_cohort
from ground.errors import Refusal
from index.base import IndexNotWritten
from index.rebuild import rebuild_index
from models.bundle import Bundle, read_manifest, verify_bundle
from training.evaluation.evaluate import evaluate
from training.outlook import training_outlook
from training.recipes import MaskedEcgPretraining, OwnBeatPretraining
from training.refit import refit
from training.train import train


@pytest.fixture(scope="module")
def ecg_only_recipe(micro_recipe):
    pretraining = MaskedEcgPretraining(
        epochs=2, batch_size=8, learning_rate=1e-3, weight_decay=0.05, warmup_epochs=0.5, patience=2,
        decoder_dim=16, decoder_depth=1, decoder_heads=2,
    )  # fmt: skip
    changes = {"name": "micro_ecg", "echo_pretraining": None, "alignment": None, "ecg_pretraining": pretraining}
    return micro_recipe.model_validate(micro_recipe.model_dump() | changes)


@pytest.fixture(scope="module")
def ecgs_alone(tmp_path_factory):
    return code15_like(tmp_path_factory.mktemp("cohorts") / "cohort")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """ECGs in millivolt and studies with labels, and no clip."""
    root = echonext_like(tmp_path_factory.mktemp("cohorts") / "cohort")
    about = {"amplitude": "relative", "lead_scale": json.loads((root / "scale.json").read_text())}
    (root / "cohort.json").write_text(json.dumps(about))
    return root


@pytest.fixture(scope="module")
def trained(ecgs_alone, ecg_only_recipe, tmp_path_factory):
    return train(ecgs_alone, ecg_only_recipe, tmp_path_factory.mktemp("bundles") / "ecg", CPU)


def test_beats_of_ones_own_train_an_encoder_too_and_its_card_says_so(ecgs_alone, ecg_only_recipe, tmp_path):
    pretraining = OwnBeatPretraining(
        epochs=1, batch_size=8, learning_rate=1e-3, weight_decay=0.05, warmup_epochs=0.5, patience=1, components=4
    )
    recipe = ecg_only_recipe.model_copy(update={"name": "own_beat", "ecg_pretraining": pretraining})
    bundle = train(ecgs_alone, recipe, tmp_path / "bundle", CPU)
    assert read_manifest(bundle)[0].gives("ecg_encoder")
    card = (bundle / "README.md").read_text()
    assert "It learnt first to tell the median beat and the rhythm" in card
    assert "hidden patches" not in card


def test_a_cohort_of_ecgs_alone_is_sound_and_says_what_it_is_good_for(ecgs_alone):
    report, opened = examine_cohort(ecgs_alone)
    assert (report.problems, report.warnings, report.skipped) == ((), (), ())
    assert report.summary == ("40 patients, 40 ECGs, 0 studies, 0 views.",)
    (line,) = training_outlook(opened).summary
    assert "has no echo studies" in line
    assert "--recipe ecg_only" in line


def test_a_cohort_with_labels_and_no_clips_is_sound_and_says_what_it_is_good_for(labelled):
    report, opened = examine_cohort(labelled)
    assert (report.problems, report.skipped) == ((), ())
    assert [(found.days, found.pairs) for found in report.windows] == [(1, 40), (7, 40), (30, 40)]
    *known, line = training_outlook(opened).summary
    assert known[0] == "ECGs with a known LVEF: train 16, val 8, calibration 8, test 8."
    assert "has no echo views" in line
    assert "`bundle fit` fits probes" in line


def test_a_run_that_ends_after_ecg_pretraining_writes_an_ecg_encoder_and_nothing_else(trained, ecgs_alone):
    verify_bundle(trained)
    manifest, _ = read_manifest(trained)
    assert sorted(manifest.files) == ["README.md", "ecg_tower.safetensors"]
    assert manifest.gives("ecg_encoder")
    assert not any(manifest.gives(use) for use in ("ecg_embeddings", "predictions", "view_vectors", "retrieval"))
    assert manifest.metrics["validation"]["epochs_run"] == 2
    data = manifest.training_data
    assert [data[f"{split}_ecgs"] for split in ("train", "val", "calibration", "test")] == [16, 8, 8, 8]
    assert "roots" not in data
    card = (trained / "README.md").read_text()
    assert f"# {manifest.id}\n" in card
    assert "It learnt first to fill in hidden patches" in card
    assert f"echo2ecg train {ecgs_alone.name} --recipe micro_ecg --out ecg" in card
    assert str(ecgs_alone.parent) not in card + (trained / "manifest.json").read_text()


def test_the_same_run_again_gives_the_same_weights(trained, ecgs_alone, ecg_only_recipe, tmp_path):
    again = train(ecgs_alone, ecg_only_recipe, tmp_path / "again", CPU)
    assert (again / "ecg_tower.safetensors").read_bytes() == (trained / "ecg_tower.safetensors").read_bytes()


def test_an_alignment_may_start_from_its_encoder(trained, cohort_dir, micro_recipe, tmp_path):
    out = train(cohort_dir, micro_recipe.aligned_with(epochs=2), tmp_path / "aligned", CPU, ecg_start=trained)
    assert f"Its weights started from the bundle {read_manifest(trained)[0].id}." in (out / "README.md").read_text()


def test_it_takes_no_bundle_to_start_from(trained, ecgs_alone, ecg_only_recipe, tmp_path):
    with pytest.raises(Refusal, match="starts from random weights"):
        train(ecgs_alone, ecg_only_recipe, tmp_path / "out", CPU, ecg_start=trained)
    assert not list(tmp_path.iterdir())


def test_aligning_recipes_refuse_a_cohort_without_echo_before_any_work(labelled, ecgs_alone, micro_recipe, tmp_path):
    for cohort, what in ((labelled, "views"), (ecgs_alone, "studies")):
        with pytest.raises(CohortError, match=f"has no echo {what}, so there is nothing to align") as refused:
            train(cohort, micro_recipe, tmp_path / "out", CPU)
        assert "--recipe ecg_only" in refused.value.hint
    assert not list(tmp_path.iterdir())


def test_probes_are_fitted_and_measured_without_any_clip(labelled, micro_recipe, tmp_path):
    bundle = random_bundle(tmp_path / "bundle", micro_recipe, with_probes=False)
    out = refit(bundle, labelled, tmp_path / "fitted", CPU)
    assert "predictions" in Bundle.load(out, device="cpu").gives
    report = evaluate(out, labelled, "test", CPU, against=bundle)
    assert report.against.not_measured["retrieval"] == "retrieval needs echo views, and the cohort has none"
    assert (report.ecgs, report.retrieval, report.skipped_clips) == (8, (), {})
    assert report.linear_probe.shd is not None
    assert report.not_measured["retrieval"] == "retrieval needs echo views, and the cohort has none"
    card = (out / "README.md").read_text()
    assert "retrieval needs echo views, and the cohort has none." in card
    assert not re.search(r"^\|[-|]+\|\n(?!\|)", card, re.MULTILINE), "a table without rows"


def test_an_index_needs_studies_and_views_and_says_which_table_is_missing(labelled, ecgs_alone, micro_recipe, tmp_path):
    bundle = random_bundle(tmp_path / "bundle", micro_recipe, with_probes=False)
    for cohort, words in (
        (ecgs_alone, "no studies, so there is nothing to index: its folder has no table studies"),
        (labelled, "no views of its studies, .* no table echos .* and no table views"),
    ):
        with pytest.raises(IndexNotWritten, match=words):
            rebuild_index(bundle, cohort, tmp_path / "index", CPU)
    assert not (tmp_path / "index").exists()


def test_the_command_checks_a_cohort_of_ecgs_alone(ecgs_alone):
    found = CliRunner().invoke(app, ["cohort", "check", str(ecgs_alone), "--read-files", "--workers", "1"])
    assert found.exit_code == 0, found.output
    assert "Every file was read; none cannot be." in found.output
    assert "At most apart" not in found.output


def test_a_table_of_studies_that_is_there_and_empty_is_no_cohort_of_ecgs_alone(labelled, tmp_path):
    header = (labelled / "studies.csv").read_text().splitlines()[0]
    for name in ("ecgs", "splits"):
        (tmp_path / f"{name}.csv").write_bytes((labelled / f"{name}.csv").read_bytes())
    (tmp_path / "waveforms.npy").write_bytes(b"x")
    (tmp_path / "studies.csv").write_text(header + "\n")
    assert [problem.code for problem in check_cohort(tmp_path).problems] == ["no_pairs"]
