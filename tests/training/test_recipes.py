import pytest
import torch

from ground.errors import Refusal
from models.echo_encoder import EchoEncoder
from models.towers import EcgTower, EchoTower
from training.recipes import RECIPES, Recipe, demo, named_recipe, paper


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_builds_its_towers_and_survives_json(name):
    recipe = named_recipe(name)
    assert recipe.name == name
    with torch.device("meta"):
        EcgTower(recipe.architecture)
        EchoTower(recipe.architecture)
        EchoEncoder(recipe.architecture.echo, recipe.architecture.view_dim)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert (recipe.ecg.window_samples, recipe.echo.size) == (
        recipe.architecture.ecg.window_samples,
        recipe.architecture.echo.size,
    )


def test_the_paper_recipe_has_the_published_values():
    recipe = paper()
    published = {
        "epochs": 50, "batch_size": 256, "learning_rate": 5e-4, "betas": (0.9, 0.999), "weight_decay": 1e-7,
        "layer_decay": 0.75, "warmup_epochs": 2, "lr_floor": 0.1, "temperature": 0.5, "ecg_to_echo_weight": 0.5,
    }  # fmt: skip
    assert {name: getattr(recipe.alignment, name) for name in published} == published
    assert recipe.window_days == 7.0
    augmentation = recipe.alignment.augmentation
    assert (augmentation.fourier_probability, augmentation.fourier_strength) == (0.5, 0.075)
    assert (augmentation.jitter_strength, augmentation.jitter_sd) == (0.6, 0.2)
    assert (augmentation.rescale_mean, augmentation.rescale_sd) == (1.0, 0.5)
    assert augmentation.time_flip_probability == augmentation.sign_flip_probability == 0.33
    assert recipe.ecg.windows == "first"


def test_an_unknown_recipe_is_refused_with_the_names_there_are():
    with pytest.raises(Refusal, match="paper, demo"):
        named_recipe("Paper")


def test_contradictions_are_refused():
    with pytest.raises(ValueError, match="warmup"):
        demo().aligned_with(warmup_epochs=99)
    zero_padded = demo().model_dump() | {"echo": demo().echo.model_copy(update={"padding": "zeros_after_normalising"})}
    with pytest.raises(ValueError, match="black frames"):
        Recipe.model_validate(zero_padded)
