"""Probes fitted afresh: the encoders stay as they are, to the byte, and the bundle says what is new of it."""

import json
import shutil

import pandas as pd
import pytest
from evaluated import CPU, random_bundle
from typer.testing import CliRunner

from cli.main import app
from cohorts import CohortError
from ground.errors import Refusal
from models.bundle import Bundle, BundleError, read_manifest, read_probes, verify_bundle
from training.evaluation.bundle_facts import bundle_facts
from training.evaluation.evaluate import evaluate
from training.evaluation.tripod import tripod_card
from training.refit import plan_refit, refit
from training.train import train


@pytest.fixture(scope="module")
def trained(cohort_dir, micro_recipe, tmp_path_factory):
    return train(cohort_dir, micro_recipe, tmp_path_factory.mktemp("bundles") / "micro", CPU)


@pytest.fixture(scope="module")
def refitted(trained, cohort_dir, tmp_path_factory):
    """On the cohort that the encoders were trained on."""
    return refit(trained, cohort_dir, tmp_path_factory.mktemp("bundles") / "refitted", CPU)


@pytest.fixture
def unprobed(micro_recipe, tmp_path):
    """Encoders that say nothing of their training, as imported ones."""
    return random_bundle(tmp_path / "bundle", micro_recipe, with_probes=False)


def weights(bundle_dir):
    files = bundle_dir.glob("*.safetensors")
    return {path.name: path.read_bytes() for path in files if path.name != "self_test.safetensors"}


def manifest_of(bundle_dir):
    return read_manifest(bundle_dir)[0]


def changed(cohort_dir, folder, change):
    """The cohort with its studies changed by a function of the table."""
    shutil.copytree(cohort_dir, folder)
    table = pd.read_csv(folder / "studies.csv", dtype=str, keep_default_na=False)
    change(table).to_csv(folder / "studies.csv", index=False)
    return folder


def test_the_encoders_are_the_same_to_the_byte_and_the_bundle_is_another(trained, refitted):
    verify_bundle(refitted)
    assert weights(refitted) == weights(trained)
    old, new = manifest_of(trained), manifest_of(refitted)
    assert new.id.startswith(f"{old.id}-probes-")
    assert {name: new.training_data[name] for name in old.training_data} == old.training_data
    assert new.metrics["validation"] == old.metrics["validation"]


def test_the_same_encoders_and_patients_give_the_same_probes_to_the_last_digit(trained, refitted):
    assert (refitted / "probes.json").read_bytes() == (trained / "probes.json").read_bytes()


def test_its_metrics_are_what_evaluate_measures_of_it(refitted, cohort_dir):
    report = evaluate(refitted, cohort_dir, "test", CPU)
    assert json.loads(report.model_dump_json()) == manifest_of(refitted).metrics["test"]
    assert report.bundle_id == manifest_of(refitted).id


def test_a_bundle_without_probes_gets_them(unprobed, cohort_dir, tmp_path):
    assert Bundle.load(unprobed, device="cpu").gives == {"ecg_features", "ecg_embeddings", "search"}
    out = refit(unprobed, cohort_dir, tmp_path / "refitted", CPU)
    assert weights(out) == weights(unprobed)
    probes = read_probes(out, manifest_of(out))
    assert (probes.schema_version, probes.shd_covers_flags) == (5, True)
    assert "predictions" in Bundle.load(out, device="cpu").gives


def test_encoders_without_an_echo_part_get_probes_and_no_retrieval(micro_recipe, cohort_dir, tmp_path):
    bundle = random_bundle(tmp_path / "bundle", micro_recipe, with_probes=False, echo=False)
    out = refit(bundle, cohort_dir, tmp_path / "refitted", CPU)
    assert manifest_of(out).metrics["test"]["retrieval"] == []
    assert "finds the echo studies" not in (out / "README.md").read_text()


def test_the_card_says_what_was_fitted_here_and_from_which_bundle(trained, refitted):
    card, source = (refitted / "README.md").read_text(), manifest_of(trained).id
    assert f"# {manifest_of(refitted).id}\n" in card
    assert "**Only the probes were fitted here.**" in card
    assert f"The encoders are those of the bundle `{source}`, byte for byte" in card
    assert "Trained first, on 32 clips" in card, "what the source's card says of its encoders is carried on"
    assert "echo2ecg train cohort --recipe micro --out micro" in card
    assert f"echo2ecg bundle fit {source} cohort --out refitted" in card
    assert "nobody who calibrated or was measured trained an encoder" in card
    assert "No published weights went into them." in card


def test_a_cohort_that_the_encoders_may_know_is_told_apart_from_theirs(trained, cohort_dir, tmp_path):
    theirs = changed(cohort_dir, tmp_path / "ours", lambda t: t.assign(age="61"))
    (theirs / "cohort.json").write_text(json.dumps({"name": "Our own"}))
    out = refit(trained, theirs, tmp_path / "refitted", CPU)
    told = manifest_of(out).training_data
    assert told["tables_sha256"] != told["probes"]["tables_sha256"]
    assert told["tables_sha256"] == manifest_of(trained).training_data["tables_sha256"]
    assert (told["probes"]["name"], told["probes"]["cohort_of_the_encoders"]) == ("Our own", False)
    card = (out / "README.md").read_text()
    assert "Whether patients of this one trained them is not known here" in card
    assert "8 patients, 8 ECGs, 8 studies that fitted and tuned nothing of the probes." in card
    facts = bundle_facts(out)
    assert "Our own" in facts.data
    assert "whether any of them trained the encoders" in facts.tested_apart
    assert "of the cohort that its probes were fitted on" in facts.measured_on
    assert "of the training cohort" not in tripod_card(facts)


def test_a_column_of_ones_own_makes_no_other_cohort_and_another_split_does(trained, cohort_dir, tmp_path):
    labelled = changed(cohort_dir, tmp_path / "labelled", lambda t: t.assign(mine="yes"))
    told = plan_refit(trained, labelled, tmp_path / "out").draft.training_data["probes"]
    assert told["cohort_of_the_encoders"] is True
    splits = pd.read_csv(labelled / "splits.csv", dtype=str)
    splits.assign(split=splits["split"].to_numpy()[::-1]).to_csv(labelled / "splits.csv", index=False)
    told = plan_refit(trained, labelled, tmp_path / "out").draft.training_data["probes"]
    assert told["cohort_of_the_encoders"] is False


def test_what_a_cohort_says_of_itself_is_never_taken_for_what_the_fit_says(trained, cohort_dir, tmp_path):
    theirs = changed(cohort_dir, tmp_path / "ours", lambda t: t.assign(age="61"))
    said = {"cohort_of_the_encoders": True, "encoders_from": "x", "probes": {}, "own_labels": {"x": "y"}, "kept": 1}
    (theirs / "cohort.json").write_text(json.dumps(said))
    told = plan_refit(trained, theirs, tmp_path / "out").draft.training_data["probes"]
    assert (told["cohort_of_the_encoders"], told["encoders_from"]) == (False, manifest_of(trained).id)
    assert told["kept"] == 1
    assert not {"probes", "own_labels"} & told.keys()


def test_a_second_refit_names_its_own_source_and_keeps_what_is_known_of_the_encoders(refitted, cohort_dir, tmp_path):
    again = refit(refitted, cohort_dir, tmp_path / "again", CPU)
    source, name = manifest_of(refitted), manifest_of(again).id
    assert name.count("-probes-") == 1
    assert name != source.id
    assert manifest_of(again).training_data["probes"]["encoders_from"] == source.id
    card = (again / "README.md").read_text()
    assert card.count("### What it is made of") == card.count("echo2ecg train cohort") == 1
    assert card.count("echo2ecg bundle fit") == 1


def test_an_existing_folder_is_never_written_over(trained, refitted, cohort_dir):
    with pytest.raises(Refusal, match="exists already; a bundle is never changed in place, so name another folder"):
        refit(trained, cohort_dir, refitted, CPU)


def without_flags(table):
    return table.assign(**{name: "" for name in table.columns if name.endswith("_flag")})


@pytest.mark.parametrize(
    ("change", "missing", "there"),
    [(lambda t: t.assign(lvef_percent=""), "LVEF", "shd"), (without_flags, "SHD", "lvef")],
    ids=["LVEF", "SHD"],
)
def test_what_the_labels_do_not_allow_is_left_out_and_said(unprobed, cohort_dir, tmp_path, change, missing, there):
    said = []
    out = refit(unprobed, changed(cohort_dir, tmp_path / "bare", change), tmp_path / "out", CPU, say=said.append)
    assert said[0] == f"No probe of {missing}: the train patients' ECGs have no label of it."
    assert f"**There is no probe of {missing}**" in (out / "README.md").read_text()
    probes = read_probes(out, manifest_of(out))
    assert getattr(probes, missing.lower()) is None
    assert getattr(probes, there) is not None
    assert missing.lower() in Bundle.load(out, device="cpu").lacking
    assert missing in manifest_of(out).training_data["probes"]["left_out"]


def test_a_cohort_without_any_label_is_refused_before_any_work(unprobed, cohort_dir, tmp_path):
    bare = changed(cohort_dir, tmp_path / "bare", lambda t: without_flags(t.assign(lvef_percent="")))
    with pytest.raises(CohortError, match="know no label in common"):
        refit(unprobed, bare, tmp_path / "refitted", CPU)
    assert not list(tmp_path.glob("refitted*"))


@pytest.mark.parametrize(
    "absent",
    [("ecg_alignment_global_token",), ("ecg_alignment_global_token", "token_aggregator")],
    ids=["no projection", "an encoder alone"],
)
def test_encoders_without_a_projection_get_probes_too(micro_recipe, cohort_dir, tmp_path, absent):
    bundle = random_bundle(tmp_path / "bundle", micro_recipe, with_probes=False, absent=absent)
    out = Bundle.load(refit(bundle, cohort_dir, tmp_path / "out", CPU), device="cpu")
    assert "predictions" in out.gives
    assert "ecg_embeddings" not in out.gives
    assert out.manifest.metrics["test"]["linear_probe_from"] == "bundle"


def test_a_bundle_without_an_ecg_encoder_is_refused_by_what_it_lacks(micro_recipe, cohort_dir, tmp_path):
    bundle = random_bundle(tmp_path / "bundle", micro_recipe, with_probes=False, absent=("ecg_encoder",))
    with pytest.raises(BundleError, match="this bundle has no ecg_encoder"):
        refit(bundle, cohort_dir, tmp_path / "refitted", CPU)
    assert not list(tmp_path.glob("refitted*"))


def test_a_damaged_bundle_is_refused_before_any_work(unprobed, cohort_dir, tmp_path):
    content = bytearray((unprobed / "echo_tower.safetensors").read_bytes())
    content[-1] ^= 1
    (unprobed / "echo_tower.safetensors").write_bytes(content)
    with pytest.raises(BundleError, match=r"echo_tower.safetensors is damaged"):
        refit(unprobed, cohort_dir, tmp_path / "refitted", CPU)
    assert not list(tmp_path.glob("refitted*"))


def test_the_command_writes_the_bundle_and_says_where(unprobed, cohort_dir, tmp_path):
    arguments = ["bundle", "fit", str(unprobed), str(cohort_dir), "--out", str(tmp_path / "out"), "--device", "cpu"]
    found = CliRunner().invoke(app, [*arguments, "--workers", "1"])
    assert found.exit_code == 0, found.output
    assert f"Bundle written: {tmp_path / 'out'}" in found.output.replace("\n", "")
    assert isinstance(CliRunner().invoke(app, arguments).exception, Refusal)
