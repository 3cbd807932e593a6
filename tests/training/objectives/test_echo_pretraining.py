import numpy as np
import pytest
import torch

from models.device import Machine
from models.echo_encoder import EchoEncoder
from training.engine.place import Place
from training.objectives.echo_clips import Lessons, Names, Numbers
from training.objectives.echo_pretraining import ClipSet, pretrain_echo_encoder

CPU = Machine.named("cpu", workers=0)
PHENOTYPES = Lessons((Numbers(("seen", "noise")),))


def clip_set(draw, count, spec, *, unknown=0.0):
    """Brightness says the first phenotype; the second is noise."""
    hidden = draw.uniform(-1.5, 1.5, count)
    clips = [
        np.clip(90 + 50 * h + 10 * draw.standard_normal((spec.frames, spec.size, spec.size, 3)), 0, 255).astype(
            np.uint8
        )
        for h in hidden
    ]
    targets = np.column_stack([hidden, draw.standard_normal(count)]).astype(np.float32)
    targets[draw.uniform(size=targets.shape) < unknown] = np.nan
    return ClipSet(clips, targets)


def test_what_clips_show_is_learnt_although_labels_are_missing(micro_recipe, tmp_path):
    draw = np.random.default_rng(0)
    settings = micro_recipe.echo_pretraining.model_copy(update={"epochs": 8, "patience": 8})
    torch.manual_seed(0)
    encoder = EchoEncoder(micro_recipe.architecture.echo, micro_recipe.architecture.view_dim)
    recipe = micro_recipe.model_copy(update={"echo_pretraining": settings})
    train, val = clip_set(draw, 96, recipe.echo, unknown=0.3), clip_set(draw, 40, recipe.echo)
    with Place(tmp_path).logged() as place:
        result = pretrain_echo_encoder(encoder, PHENOTYPES, train, val, recipe, place, CPU)
    assert result.r2["seen"] > 0.7
    assert result.r2["noise"] < 0.2
    assert not encoder.training


def test_names_are_learnt_beside_numbers_and_one_that_no_train_clip_has_is_not_asked_for(micro_recipe, tmp_path):
    draw = np.random.default_rng(0)
    settings = micro_recipe.echo_pretraining.model_copy(update={"epochs": 8, "patience": 8})
    recipe = micro_recipe.model_copy(update={"echo_pretraining": settings})
    torch.manual_seed(0)
    encoder = EchoEncoder(recipe.architecture.echo, recipe.architecture.view_dim)
    train, val = (named_by_brightness(clip_set(draw, count, recipe.echo)) for count in (96, 40))
    val.targets_NA[:5, 1] = np.nan
    lessons = Lessons((Numbers(("seen",)), Names(("bright", "dark"), 0.2)))
    with Place(tmp_path).logged() as place:
        result = pretrain_echo_encoder(encoder, lessons, train, val, recipe, place, CPU)
    assert result.views_named_right > 0.9
    assert result.r2.keys() == {"seen"}
    assert result.r2["seen"] > 0.7


def named_by_brightness(clips):
    """Number 0 or 1 of its name in place of the noise."""
    name_N = (clips.targets_NA[:, 0] < 0).astype(np.float32)
    return ClipSet(clips.clips_THWC, np.column_stack([clips.targets_NA[:, 0], name_N]))


def test_view_vectors_have_mean_0_and_variance_1_over_the_train_clips(micro_recipe, tmp_path):
    spec, view_dim = micro_recipe.echo, micro_recipe.architecture.view_dim
    torch.manual_seed(0)
    encoder = EchoEncoder(micro_recipe.architecture.echo, view_dim)
    train = clip_set(np.random.default_rng(0), 40, spec)
    val = clip_set(np.random.default_rng(1), 16, spec)
    with Place(tmp_path).logged() as place:
        pretrain_echo_encoder(encoder, PHENOTYPES, train, val, micro_recipe, place, CPU)
    clips = (np.stack(train.clips_THWC).astype(np.float32) - np.float32(spec.mean)) / np.float32(spec.std)
    with torch.inference_mode():
        views = encoder(torch.from_numpy(clips.transpose(0, 4, 1, 2, 3))).numpy()
    np.testing.assert_allclose(views.mean(axis=0), 0, atol=1e-4)
    assert views.var() == pytest.approx(1, rel=1e-3)
