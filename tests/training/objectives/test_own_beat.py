import numpy as np
import pytest
import torch

from models.architecture import EcgArchitecture
from models.device import Machine
from models.ecg_encoder import EcgEncoder
from training.data.median_beat import BeatSpace
from training.engine.place import Place
from training.objectives.own_beat import OwnBeat, pretrain_own_beat
from training.recipes import MaskedEcgPretraining, OwnBeatPretraining, Recipe, masked_ecg, own_beat

RATE = 100.0
SIZES = EcgArchitecture(leads=2, window_samples=240, patch_samples=24, embed_dim=24, depth=2, heads=2, drop_path=0.0)
SETTINGS = OwnBeatPretraining(
    epochs=12, batch_size=16, learning_rate=4e-3, weight_decay=0.01, warmup_epochs=1, patience=12, components=2
)


def records(count, seed):
    """Beats whose width and height in the second lead differ from one person to the next, three in a window."""
    draw, time, found = np.random.default_rng(seed), np.arange(600) / RATE, []
    for _ in range(count):
        phase = (time + draw.uniform(0, 0.8)) % 0.8 - 0.4
        beat = np.exp(-0.5 * (phase / draw.uniform(0.015, 0.04)) ** 2)
        found.append(np.stack([beat, draw.uniform(-1, 1) * beat]).astype(np.float32))
    return found


def run(folder, settings=SETTINGS, *, stop=None):
    torch.manual_seed(0)
    encoder = EcgEncoder(SIZES)

    def progress(done, total, message):
        if stop is not None and message.startswith(stop):
            raise KeyboardInterrupt

    with Place(folder).logged() as place:
        machine = Machine.named("cpu", progress=progress)
        sides = records(160, 1), records(40, 2)
        fit = pretrain_own_beat(encoder, *sides, settings, place, machine, rate_hz=RATE, seed=0)
    return fit, encoder.state_dict()


def test_an_encoder_learns_to_tell_a_whole_record_from_one_window(tmp_path):
    fit, _ = run(tmp_path)
    assert fit.best_score > 0.25, "of the variance of two components and six measures of rhythm, some of it noise"


def test_a_stopped_run_goes_on_and_ends_with_the_same_weights(tmp_path):
    short = SETTINGS.model_copy(update={"epochs": 3})
    fit, weights = run(tmp_path / "whole", short)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", short, stop="pretrain ecg, epoch 2: ")
    again, same = run(tmp_path / "stopped", short)
    assert again == fit
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_the_score_of_an_encoder_that_says_the_mean_of_all_is_nothing():
    space = BeatSpace.of(records(60, 1), RATE, 2)
    model = OwnBeat(EcgEncoder(SIZES), space.width).eval()
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    said = model(torch.zeros(3, 2, 240))
    assert said.shape == (3, 2 + 6)
    assert not said.any()


def test_a_recipe_keeps_its_kind_of_pretraining_through_json_and_one_that_names_none_is_masked():
    for recipe, kind in ((own_beat(), OwnBeatPretraining), (masked_ecg(), MaskedEcgPretraining)):
        again = Recipe.model_validate_json(recipe.model_dump_json())
        assert isinstance(again.ecg_pretraining, kind)
        assert again == recipe
    older = masked_ecg().model_dump(mode="json")
    del older["ecg_pretraining"]["kind"]
    assert Recipe.model_validate(older) == masked_ecg()
