"""Each ECG data set from its files to a bundle: what of training its labels allow."""

from __future__ import annotations

import pytest
import trees
from evaluated import CPU, random_bundle

from cohorts.adapters import Source, data_set_named, import_cohort
from ground.errors import Refusal
from models.bundle import Bundle, read_manifest
from training.recipes import MaskedEcgPretraining
from training.refit import refit
from training.train import train


@pytest.fixture
def ecg_epoch(micro_recipe):
    pretraining = MaskedEcgPretraining(
        epochs=1, batch_size=16, learning_rate=1e-3, weight_decay=0.0, warmup_epochs=0.5, patience=1, decoder_dim=16,
        decoder_depth=1, decoder_heads=2,
    )  # fmt: skip
    changes = {"name": "micro_ecg", "echo_pretraining": None, "alignment": None, "ecg_pretraining": pretraining}
    return micro_recipe.model_copy(update=changes)


@pytest.fixture
def unprobed(micro_recipe, tmp_path):
    return random_bundle(tmp_path / "encoders", micro_recipe, with_probes=False)


def imported(kind, folder, **given):
    import_cohort(data_set_named(kind), Source(folder, **given), folder.with_name("cohort"))
    return folder.with_name("cohort")


def test_echonext_in_millivolt_fits_probes_to_any_encoder(unprobed, tmp_path):
    trees.echonext(tmp_path / "echonext")
    scale = trees.normalisation(tmp_path / "n.json", unit="4.88uV")
    cohort = imported("echonext", tmp_path / "echonext", files={"lead-scale": scale})
    bundle = refit(unprobed, cohort, tmp_path / "fitted", CPU)
    assert "predictions" in Bundle.load(bundle, device="cpu").gives
    assert read_manifest(bundle)[0].metrics["test"]["split"] == "test"


def test_echonext_without_its_normalisation_is_refused_by_a_bundle_made_from_millivolts(unprobed, tmp_path):
    trees.echonext(tmp_path / "echonext")
    cohort = imported("echonext", tmp_path / "echonext")
    with pytest.raises(Refusal) as refused:
        refit(unprobed, cohort, tmp_path / "fitted", CPU)
    assert "lead-scale" in refused.value.in_full or "lead_scale" in refused.value.in_full


def test_echonext_without_its_normalisation_trains_an_encoder_that_says_so(ecg_epoch, tmp_path):
    trees.echonext(tmp_path / "echonext", sizes={"train": 8, "val": 6, "test": 2, "no_split": 2})
    bundle = train(imported("echonext", tmp_path / "echonext"), ecg_epoch, tmp_path / "bundle", CPU)
    assert read_manifest(bundle)[0].ecg.amplitude == "relative"


@pytest.mark.parametrize(
    ("kind", "tree"), [("ptb-xl", trees.ptb_xl), ("code15", trees.code15), ("uk-biobank", trees.uk_biobank)]
)
def test_ecgs_without_echo_train_an_encoder(ecg_epoch, tmp_path, kind, tree):
    tree(tmp_path / "data")
    bundle = train(imported(kind, tmp_path / "data"), ecg_epoch, tmp_path / "bundle", CPU)
    manifest = read_manifest(bundle)[0]
    assert manifest.gives("ecg_encoder")
    assert manifest.training_data["train_ecgs"]
