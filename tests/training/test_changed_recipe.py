"""A recipe with other values: checked as a new one is, told in its name, every wrong name answered by a right one."""

import pytest

from ground.errors import Refusal
from training.changed_recipe import recipe_of
from training.recipes import demo, tiny


def test_settings_go_to_the_field_that_they_name_or_to_the_alignment():
    found = recipe_of("demo", ["epochs=5", "alignment.batch_size=32", "seed=3", "ecg.windows=first", "window_days=1.5"])
    expected = demo().aligned_with(epochs=5, batch_size=32)
    assert found.alignment == expected.alignment
    assert (found.seed, found.ecg.windows, found.window_days) == (3, "first", 1.5)
    assert (found.name, found.base) == ("demo+changes", "demo")
    assert found.changes == {
        "alignment.epochs": 5, "alignment.batch_size": 32, "seed": 3, "ecg.windows": "first", "window_days": 1.5,
    }  # fmt: skip


def test_what_is_set_to_the_value_it_has_is_no_change():
    assert recipe_of("tiny", [f"epochs={tiny().alignment.epochs}"]) == tiny()


def test_a_file_says_its_base_and_what_to_change_and_settings_go_over_it(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "demo"\nseed = 4\n[alignment]\nepochs = 5\nbetas = [0.8, 0.9]\n')
    found = recipe_of(str(file), ["epochs=6"])
    assert (found.seed, found.alignment.epochs, found.alignment.betas) == (4, 6, (0.8, 0.9))
    assert found.name == "demo+changes"


@pytest.mark.parametrize(
    ("settings", "words", "hint"),
    [
        (["epoch=5"], "no field epoch that", "Is it epochs?"),
        (["alignment.batchsize=5"], "no field alignment.batchsize", "Is it alignment.batch_size?"),
        (["alignment.epochs.more=5"], "no field alignment.epochs.more", "Is it alignment.epochs?"),
        (["name=mine"], "no field name", ""),
        (["epochs"], "A setting is name=value", ""),
        (["epochs=0"], "alignment.epochs: Input should be greater", ""),
        (["epochs=soon"], "alignment.epochs: Input should be a valid integer", ""),
        (["epochs=2"], "warmup_epochs must be shorter", ""),
        (["ecg_pretraining.epochs=3"], "ecg_pretraining.batch_size: Field required", ""),
        (["architecture.echo.size=60"], "does not fit", ""),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence(settings, words, hint):
    with pytest.raises(Refusal, match=words) as caught:
        recipe_of("demo", settings)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("content", "words"),
    [("seed = 1\n", "does not say which recipe"), ("base = demo", "is no TOML"), ('base = "dem"\n', "no recipe 'dem'")],
)
def test_a_file_that_is_no_recipe_is_refused_by_its_name(tmp_path, content, words):
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(Refusal, match=words):
        recipe_of(str(tmp_path / "mine.toml"))
    with pytest.raises(Refusal, match=r"other\.toml is not there"):
        recipe_of(str(tmp_path / "other.toml"))
