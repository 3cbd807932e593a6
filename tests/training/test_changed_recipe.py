"""A recipe with other values: checked as a new one is, told in its name, every wrong name answered by a right one."""

import shlex

import pytest
from typer.testing import CliRunner

from cli.main import app
from ground.errors import Refusal
from training.changed_recipe import command_options, recipe_of
from training.evaluation.card import rendered
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
        (["seed=-1"], "seed: Input should be greater", ""),
        (["seed=1000000000000000000000000"], "seed: Input should be less", ""),
        (["seed=true"], "seed: Input should be a valid integer", ""),
        (["seed=2020-01-01"], "seed: Input should be a valid integer", ""),
        (['epochs="5"'], "alignment.epochs: Input should be a valid integer", ""),
        (["window_days=inf"], "window_days: Input should be a finite number", ""),
        (["window_days=1e300"], "window_days: Input should be less than or equal to 36500", ""),
        (["temperature=inf"], "alignment.temperature: Input should be a finite number", ""),
        (["augmentation={rescale_mean=inf}"], "alignment.augmentation.rescale_mean", ""),
        (["betas=[nan, 0.9]"], "alignment.betas.0: Input should be a finite number", ""),
        (["betas=[0.9, 1.5]"], "alignment.betas.1: Input should be less than 1", ""),
        (["ecg.clip_sd=inf"], "ecg.clip_sd: Input should be a finite number", ""),
        (["ecg.rate_hz=1"], "ecg.rate_hz must lie between 50 and", ""),
        (["ecg.window_samples=960"], "ecg.window_samples is 960 and architecture.ecg.window_samples 1008", ""),
        (["echo.frames=8"], "echo.frames is 8 and architecture.echo.frames 16", ""),
        (["echo_pretraining.shift_pixels=1000"], "echo_pretraining.shift_pixels must be less than the 64", ""),
        (["echo_pretraining.warmup_epochs=100"], "echo_pretraining: warmup_epochs must be shorter", ""),
        (["ecg.amplitude=relative"], "The cohort decides ecg.amplitude", ""),
        (["epochs=5", "alignment.epochs=6"], "The field alignment.epochs of the recipe is set twice", ""),
        (["alignment=3", "epochs=6"], "The field alignment.epochs of the recipe is set twice", ""),
        (["ecg.windows=\udcff"], "does not fit", ""),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence(settings, words, hint):
    with pytest.raises(Refusal, match=words) as caught:
        recipe_of("demo", settings)
    assert hint in caught.value.hint


def test_a_field_that_the_recipe_has_as_it_always_was_can_be_changed():
    assert recipe_of("paper", ["ecg.centre=median"]).ecg.centre == "median"


def test_changes_are_told_as_the_recipe_has_them_and_a_table_field_by_field():
    found = recipe_of("demo", ["learning_rate=1", "augmentation={rescale_sd=0.2, jitter_sd=1}"])
    told = {"learning_rate": 1.0, "augmentation.rescale_sd": 0.2, "augmentation.jitter_sd": 1.0}
    assert found.changes == {f"alignment.{name}": value for name, value in told.items()}
    assert {type(value) for value in found.changes.values()} == {float}


def test_how_to_make_it_again_is_read_as_the_same_recipe():
    labels = 'lvef_classes={labels=["a\'b", "c", "<ä>"]}'
    given = [labels, "architecture.echo.blocks=[{dim=48, heads=1}]", "compile=true", "betas=[0.8, 1e-07]", "seed=3"]
    found = recipe_of("demo", given)
    again = shlex.split(rendered("card.md.j2", "named", found))
    assert again[:2] == ["--recipe", "demo"]
    assert recipe_of("demo", again[3::2]) == found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--recipe demo", "--recipe demo"),
        ("--recipe demo --seed 0 --bf16", "--recipe demo"),
        ("--recipe demo --seed 7 --fp32", "--recipe demo --seed 7 --fp32"),
        (
            "--recipe paper --chunk-size 32 --compile --bf16 --set epochs=9 --seed 9223372036854775807",
            "--recipe paper --set alignment.epochs=9 --seed 9223372036854775807 --bf16 --compile --chunk-size 32",
        ),
        ("--recipe ecg_only --seed 7", "--recipe ecg_only --seed 7"),
    ],
)
def test_the_command_of_a_card_makes_the_same_recipe_again(monkeypatch, tmp_path, given, said):
    made = []
    monkeypatch.setattr("training.train.train", lambda cohort, recipe, *_, **__: made.append(recipe))

    def train(words):
        done = CliRunner().invoke(app, ["train", str(tmp_path), "--out", str(tmp_path / "b"), *words])
        assert done.exit_code == 0, done.output

    train(shlex.split(given))
    words = rendered("card.md.j2", "named", made[0])
    assert words == f"{said}\n"
    train(shlex.split(words))
    assert made[0] == made[1]


def test_an_option_goes_over_the_file_of_a_recipe_and_not_over_a_setting(tmp_path):
    (tmp_path / "mine.toml").write_text('base = "paper"\nseed = 4\n[alignment]\nbf16 = true\n')
    found = recipe_of(str(tmp_path / "mine.toml"), [], {"seed": 5, "alignment.bf16": False, "alignment.compile": True})
    assert (found.seed, found.alignment.bf16, found.changes) == (5, False, {"seed": 5})
    assert rendered("card.md.j2", "named", found) == "--recipe paper --set seed=5 --compile\n"
    with pytest.raises(Refusal, match="The field seed of the recipe is set twice"):
        recipe_of("paper", ["seed=4"], {"seed": 5})


def test_of_a_recipe_that_the_command_does_not_know_no_option_is_made_up():
    assert command_options(tiny().model_copy(update={"name": "mine", "seed": 3})) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("epochs = 5\nbase = 'demo'\n[alignment]\nepochs = 6", "set twice"),
        ("seed = 1\n", "does not say which recipe"),
        ("base = demo", "is no TOML"),
        ('base = "dem"\n', "no recipe 'dem'"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_by_its_name(tmp_path, content, words):
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(Refusal, match=words):
        recipe_of(str(tmp_path / "mine.toml"))
    with pytest.raises(Refusal, match=r"other\.toml is not there"):
        recipe_of(str(tmp_path / "other.toml"))
