"""The names of an encoder's folder in a work folder: finished encoders of earlier versions are found again by them."""

from training.encoders.ecg import ecg_pretraining_key
from training.encoders.echo import echo_encoder_key
from training.recipes import MaskedEcgPretraining, demo, masked_ecg, own_beat


def test_the_keys_of_the_recipes_are_those_they_always_had(micro_recipe):
    masked = MaskedEcgPretraining(
        epochs=2, batch_size=8, learning_rate=1e-3, weight_decay=0.05, warmup_epochs=0.5, patience=2, decoder_dim=16
    )
    recipe = micro_recipe.model_copy(update={"ecg_pretraining": masked})
    assert echo_encoder_key(recipe, "cohort", "0.1.0") == "cb4e7f6b485a"
    assert ecg_pretraining_key(recipe, "cohort", "0.1.0") == "7e7299baa388"
    assert echo_encoder_key(demo(), "cohort", "0.1.0") == "b9a7e047eb67", "since studies have sixteen clips"
    assert ecg_pretraining_key(masked_ecg(), "cohort", "0.1.0") == "7b0293a20d62", "since its leads are centred"


def test_another_kind_of_pretraining_is_another_encoder():
    assert ecg_pretraining_key(own_beat(), "cohort", "0.1.0") != ecg_pretraining_key(masked_ecg(), "cohort", "0.1.0")


def test_what_only_decides_the_alignment_changes_no_key(micro_recipe):
    other = micro_recipe.aligned_with(temperature=0.7, epochs=9)
    assert echo_encoder_key(other, "cohort", "0.1.0") == echo_encoder_key(micro_recipe, "cohort", "0.1.0")
