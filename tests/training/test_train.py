import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import draft_of

from cohorts import CohortError
from ground.errors import Refusal
from models.bundle import (
    Bundle,
    BundleError,
    read_ecg_tower,
    read_manifest,
    verify_bundle,
    without,
    write_bundle,
)
from models.device import Machine
from training.encoders.ecg import bundle_ecg_encoder
from training.engine.checkpoint import load_checkpoint
from training.evaluation.evaluate import evaluate
from training.recipes import MaskedEcgPretraining, Recipe
from training.train import train

CPU = Machine.named("cpu", workers=0)


@pytest.fixture(scope="module")
def trained(cohort_dir, micro_recipe, tmp_path_factory):
    """One finished run: the bundle's folder and the messages on the way."""
    messages = []
    out = tmp_path_factory.mktemp("bundles") / "micro"
    train(cohort_dir, micro_recipe, out, listened_to(messages))
    return out, messages


def listened_to(messages):
    """A machine whose messages are kept."""
    return CPU.telling(lambda done, total, message: messages.append(message))


def weights(bundle_dir):
    return {path.name: path.read_bytes() for path in bundle_dir.glob("*.safetensors")}


def test_a_run_ends_with_a_bundle_that_verifies_and_answers(trained):
    bundle_dir, _ = trained
    verify_bundle(bundle_dir)
    bundle = Bundle.load(bundle_dir, device="cpu")
    out = bundle.embed_ecgs(np.random.default_rng(0).standard_normal((2, 3, 12, 480)).astype(np.float32))
    assert out.lvef_BC.shape == (2, 3)
    assert ((out.shd_B > 0) & (out.shd_B < 1)).all()


def test_the_bundles_metrics_are_what_evaluate_measures(trained, cohort_dir):
    bundle_dir, _ = trained
    report = evaluate(bundle_dir, cohort_dir, "test", CPU)
    stored = json.loads((bundle_dir / "manifest.json").read_text())["metrics"]["test"]
    assert json.loads(report.model_dump_json()) == stored
    assert report.patients == 8


def test_the_manifest_holds_the_whole_recipe_and_the_card_only_says_where(trained, micro_recipe):
    bundle_dir, _ = trained
    stored = json.loads((bundle_dir / "manifest.json").read_text())["training_data"]["recipe"]
    assert Recipe.model_validate(stored) == micro_recipe
    card = (bundle_dir / "README.md").read_text()
    assert "learning_rate" not in card
    assert "`manifest.json` under `training_data`" in card


def test_the_card_states_the_headline_and_that_it_is_no_medical_device(trained):
    bundle_dir, _ = trained
    card = (bundle_dir / "README.md").read_text()
    metrics = json.loads((bundle_dir / "manifest.json").read_text())["metrics"]["test"]
    assert "not a medical device" in card
    assert f"{metrics['linear_probe']['shd']['auroc']['value']:.3f}" in card
    assert "echo2ecg train cohort --recipe micro --out micro" in card


def test_a_cohort_that_says_it_is_simulated_is_called_simulated(cohort_dir, micro_recipe, trained, tmp_path):
    stamped = tmp_path / "invented"
    shutil.copytree(cohort_dir, stamped)
    (stamped / "cohort.json").write_text(json.dumps({"patients": 40, "seed": 3, "simulator_version": "1"}))
    shutil.copytree(trained[0].with_name("micro.work"), tmp_path / "b.work")
    card = (train(stamped, micro_recipe, tmp_path / "b", CPU) / "README.md").read_text()
    assert "every patient, ECG and echo clip is invented" in card
    assert "echo2ecg simulate invented --patients 40 --seed 3" in card


def test_a_run_interrupted_in_either_training_ends_with_the_same_weights(trained, cohort_dir, micro_recipe, tmp_path):
    whole, _ = trained

    def stop_at(words):
        def progress(done, total, message):
            if words in message:
                raise KeyboardInterrupt

        return progress

    for words in ("pretrain echo, epoch 2: ", "align, epoch 3: "):
        with pytest.raises(KeyboardInterrupt):
            train(cohort_dir, micro_recipe, tmp_path / "micro", CPU.telling(stop_at(words)))
    train(cohort_dir, micro_recipe, tmp_path / "micro", CPU)
    assert weights(tmp_path / "micro") == weights(whole)


def test_a_second_run_prepares_and_embeds_nothing_again(trained, cohort_dir, micro_recipe, tmp_path):
    shutil.copytree(trained[0].with_name("micro.work"), tmp_path / "again.work")
    messages = []
    train(cohort_dir, micro_recipe, tmp_path / "again", listened_to(messages))
    assert not {m.split(",")[0] for m in messages}
    assert weights(tmp_path / "again") == weights(trained[0])


def test_another_alignment_keeps_the_echo_encoder_that_is_there(trained, cohort_dir, micro_recipe, tmp_path):
    shutil.copytree(trained[0].with_name("micro.work"), tmp_path / "cooler.work")
    cooler = micro_recipe.aligned_with(temperature=0.5, epochs=2)
    messages = []
    bundle_dir = train(cohort_dir, cooler, tmp_path / "cooler", listened_to(messages))
    assert {m.split(",")[0] for m in messages} == {"align"}
    assert weights(bundle_dir)["echo_encoder.safetensors"] == weights(trained[0])["echo_encoder.safetensors"]
    assert weights(bundle_dir)["ecg_tower.safetensors"] != weights(trained[0])["ecg_tower.safetensors"]


def test_a_run_says_that_it_goes_on_from_none_of_the_checkpoints_that_are_there(
    trained, cohort_dir, micro_recipe, tmp_path
):
    shutil.copytree(trained[0].with_name("micro.work"), tmp_path / "cooler.work")
    said = []
    cooler = micro_recipe.aligned_with(temperature=0.5, epochs=2)
    train(cohort_dir, cooler, tmp_path / "cooler", CPU, say=said.append)
    assert said == [
        "Checkpoints of another recipe, cohort or version are in cooler.work; this run starts its epochs afresh."
    ]
    (tmp_path / "cooler").rename(tmp_path / "first")
    train(cohort_dir, cooler, tmp_path / "cooler", CPU, say=said.append)
    train(cohort_dir, micro_recipe, tmp_path / "new", CPU, say=said.append)
    assert len(said) == 1, "its own checkpoints are gone on from, and nothing is left behind in an empty folder"


def test_broken_files_are_left_out_and_counted(trained, cohort_dir, micro_recipe, tmp_path):
    damaged = tmp_path / "cohort"
    shutil.copytree(cohort_dir, damaged)
    (damaged / "files" / "train3-0.avi").write_bytes(b"RIFF\0\0\0\0AVI broken")
    (damaged / "files" / "train5.dat").write_bytes(b"too short")
    bundle_dir = train(damaged, micro_recipe, tmp_path / "out", CPU)
    about = json.loads((bundle_dir / "manifest.json").read_text())["training_data"]
    assert sum(about["skipped_ecgs"].values()) == 1
    assert sum(about["skipped_clips"].values()) == 1


def test_an_existing_bundle_is_never_written_over(trained, cohort_dir, micro_recipe):
    with pytest.raises(Refusal, match="exists already"):
        train(cohort_dir, micro_recipe, trained[0], CPU)


def test_a_recipe_without_echo_pretraining_starts_from_a_bundles_echo_encoder(
    trained, cohort_dir, micro_recipe, tmp_path
):
    bare = micro_recipe.aligned_with(epochs=2).model_copy(update={"echo_pretraining": None, "name": "bare"})
    with pytest.raises(Refusal, match="needs a bundle"):
        train(cohort_dir, bare, tmp_path / "bare", CPU)
    bundle_dir = train(cohort_dir, bare, tmp_path / "bare", CPU, start=trained[0])
    assert weights(bundle_dir)["echo_encoder.safetensors"] == weights(trained[0])["echo_encoder.safetensors"]
    card = (bundle_dir / "README.md").read_text()
    assert "echo2ecg train cohort --recipe bare --start micro --out bare" in card
    assert "The terms in that bundle's card hold for this bundle too." in card
    assert "weights: MIT" not in card


def test_an_echo_encoder_that_takes_other_clips_than_the_recipe_is_refused(trained, cohort_dir, micro_recipe, tmp_path):
    other = micro_recipe.echo.model_copy(update={"stride": 3})
    bare = micro_recipe.model_copy(update={"echo_pretraining": None, "echo": other})
    with pytest.raises(BundleError, match="clips prepared otherwise: stride is 2 instead of 3"):
        train(cohort_dir, bare, tmp_path / "bare", CPU, start=trained[0])
    assert not list(tmp_path.glob("bare*"))


def changed_tables(cohort_dir, folder, **tables):
    """The cohort with the rows of some of its tables changed by a function of the table."""
    shutil.copytree(cohort_dir, folder)
    for name, change in tables.items():
        change(pd.read_csv(folder / f"{name}.csv", dtype=str)).to_csv(folder / f"{name}.csv", index=False)
    return folder


def test_a_cohort_without_volumes_is_trained_and_measured_on_lvef_alone(cohort_dir, micro_recipe, tmp_path):
    bare = changed_tables(cohort_dir, tmp_path / "cohort", studies=lambda t: t.assign(lvedv_ml="", lvesv_ml=""))
    out = train(bare, micro_recipe, tmp_path / "out", CPU)
    retrieval = json.loads((out / "manifest.json").read_text())["metrics"]["test"]["retrieval"]
    assert {report["relevant"] for report in retrieval} == {"pair", "lvef_percent"}


def test_without_train_ecgs_everything_but_the_nearest_neighbours_is_measured(trained, cohort_dir, tmp_path):
    lone = changed_tables(cohort_dir, tmp_path / "c", ecgs=lambda t: t[~t["patient_id"].str.startswith("train")])
    report = evaluate(trained[0], lone, "test", CPU)
    assert report.knn_probe is None
    assert report.linear_probe == evaluate(trained[0], cohort_dir, "test", CPU).linear_probe


def test_the_train_split_is_not_measured(trained, cohort_dir):
    with pytest.raises(Refusal, match="own nearest neighbours"):
        evaluate(trained[0], cohort_dir, "train", CPU)


def test_a_cohort_that_lists_a_file_that_is_not_there_is_refused_before_any_work(cohort_dir, micro_recipe, tmp_path):
    lacking = changed_tables(cohort_dir, tmp_path / "cohort")
    (lacking / "files" / "train3.hea").unlink()
    with pytest.raises(CohortError):
        train(lacking, micro_recipe, tmp_path / "out", CPU)
    assert not list(tmp_path.glob("out*"))


def test_an_ecg_encoder_is_taken_from_a_bundle_and_the_card_says_so(trained, cohort_dir, micro_recipe, tmp_path):
    kept = micro_recipe.aligned_with(epochs=2, learning_rate=1e-12).model_copy(update={"echo_pretraining": None})
    bundle_dir = train(cohort_dir, kept, tmp_path / "kept", CPU, start=trained[0], ecg_start=trained[0])
    theirs, ours = (read_ecg_tower(path, read_manifest(path)[0]) for path in (trained[0], bundle_dir))
    for name, value in theirs.ecg_encoder.state_dict().items():
        torch.testing.assert_close(ours.ecg_encoder.state_dict()[name], value, rtol=0, atol=1e-9, msg=name)
    card = (bundle_dir / "README.md").read_text()
    assert f"Its weights started from the bundle {read_manifest(trained[0])[0].id}." in card
    assert "No published weights" not in card


def test_an_ecg_encoder_of_other_sizes_is_refused_by_its_first_difference(trained, cohort_dir, micro_recipe, tmp_path):
    ecg = micro_recipe.architecture.ecg.model_copy(update={"embed_dim": 36})
    other = micro_recipe.model_copy(
        update={"architecture": micro_recipe.architecture.model_copy(update={"ecg": ecg}), "name": "wider"}
    )
    with pytest.raises(BundleError, match=r"recipe wider: cls_token is \(1, 1, 24\) instead of \(1, 1, 36\)"):
        train(cohort_dir, other, tmp_path / "out", CPU, ecg_start=trained[0])


def test_a_bundle_with_gaps_gives_the_ecg_encoder_that_it_has(trained, micro_recipe, tmp_path):
    manifest, _ = read_manifest(trained[0])
    for absent in (("token_aggregator", "ecg_alignment_global_token"), ("ecg_encoder",)):
        tower = without(read_ecg_tower(trained[0], manifest), absent)
        write_bundle(tmp_path / absent[0], draft_of(micro_recipe, absent=absent), ecg_tower=tower, card="x")
    out = tmp_path / "token_aggregator"
    encoder = bundle_ecg_encoder(out, read_manifest(out)[0], micro_recipe)
    assert all(p.requires_grad for p in encoder.parameters())
    assert torch.equal(encoder.cls_token, read_ecg_tower(trained[0], manifest).ecg_encoder.cls_token)
    out = tmp_path / "ecg_encoder"
    with pytest.raises(BundleError, match="no ECG encoder"):
        bundle_ecg_encoder(out, read_manifest(out)[0], micro_recipe)


def test_masked_pretraining_gives_the_alignment_its_start(trained, cohort_dir, micro_recipe, tmp_path):
    pretraining = MaskedEcgPretraining(
        epochs=2, batch_size=8, learning_rate=1e-3, weight_decay=0.01, warmup_epochs=1, patience=2,
        decoder_dim=16, decoder_depth=1, decoder_heads=2,
    )  # fmt: skip
    kept = micro_recipe.aligned_with(learning_rate=1e-12)
    masked = kept.model_copy(update={"name": "masked", "ecg_pretraining": pretraining})
    shutil.copytree(trained[0].with_name("micro.work"), tmp_path / "masked.work")
    with pytest.raises(Refusal, match="pre-trains its own"):
        train(cohort_dir, masked, tmp_path / "masked", CPU, ecg_start=trained[0])
    messages = []
    bundle_dir = train(cohort_dir, masked, tmp_path / "masked", listened_to(messages))
    assert {m.split(",")[0] for m in messages} == {"pretrain ecg", "align"}
    (checkpoint,) = (tmp_path / "masked.work").glob("ecg-*/pretrain ecg-best.pt")
    pretrained = load_checkpoint(checkpoint)["module"]
    encoder = read_ecg_tower(bundle_dir, read_manifest(bundle_dir)[0]).ecg_encoder.state_dict()
    for name, value in encoder.items():
        torch.testing.assert_close(value, pretrained[f"encoder.{name}"], rtol=0, atol=1e-9, msg=name)
    assert "fill in hidden patches" in (bundle_dir / "README.md").read_text()


def test_a_split_without_every_label_is_refused_before_any_work(cohort_dir, micro_recipe, tmp_path):
    lacking = tmp_path / "cohort"
    shutil.copytree(cohort_dir, lacking)
    studies = (lacking / "studies.csv").read_text()
    rows = studies.splitlines(keepends=True)
    (lacking / "studies.csv").write_text("".join(r.replace("true", "false") if "s-val" in r else r for r in rows))
    with pytest.raises(CohortError, match=r"Patients found: val \(SHD without: 8, with: 0\)"):
        train(lacking, micro_recipe, tmp_path / "out", CPU)
    assert not list(tmp_path.glob("out*"))


def test_a_cohort_without_pairs_in_the_window_is_refused(cohort_dir, micro_recipe, tmp_path):
    with pytest.raises(CohortError, match=r"within 0\.5 days"):
        train(cohort_dir, micro_recipe.model_copy(update={"window_days": 0.5}), tmp_path / "out", CPU)
