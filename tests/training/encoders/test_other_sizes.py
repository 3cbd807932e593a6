"""Weights of another architecture are refused by the first difference, before any work."""

import pytest
import torch
from tiny import draft_of
from torch import nn

from ground.errors import Refusal
from models.bundle import BundleError, read_manifest, write_bundle
from models.device import Machine
from models.echo_encoder import EchoEncoder
from models.towers import EcgTower
from training.encoders.ecg import bundle_ecg_encoder
from training.engine.loop import Objective, run_epochs
from training.engine.place import Place
from training.engine.schedule import Schedule
from training.train import train

CPU = Machine.named("cpu", workers=0)


@pytest.fixture(scope="module")
def bare_recipe(micro_recipe):
    """A recipe that takes its echo encoder from a bundle."""
    return micro_recipe.model_copy(update={"name": "bare", "echo_pretraining": None})


def bundle_of(recipe, folder, *, with_echo=True):
    echo = EchoEncoder(recipe.architecture.echo, recipe.architecture.view_dim) if with_echo else None
    draft = draft_of(recipe, id="given")
    write_bundle(folder, draft, ecg_tower=EcgTower(recipe.architecture), echo_encoder=echo, card="x")
    return folder


def with_sizes(recipe, **sizes):
    return recipe.model_copy(update={"architecture": recipe.architecture.model_copy(update=sizes)})


def with_echo(recipe, **sizes):
    return with_sizes(recipe, echo=recipe.architecture.echo.model_copy(update=sizes))


def refusal_of_start(cohort_dir, recipe, start, tmp_path):
    with pytest.raises(BundleError) as refused:
        train(cohort_dir, recipe, tmp_path / "out", CPU, start=start)
    assert not list(tmp_path.glob("out*"))
    return str(refused.value)


def test_an_echo_encoder_of_other_sizes_is_refused_by_key_and_both_shapes(cohort_dir, bare_recipe, tmp_path):
    start = bundle_of(bare_recipe, tmp_path / "bundle")
    for other, words in (
        (with_echo(bare_recipe, patch_kernel=(3, 3, 3)), "(16, 3, 1, 3, 3) instead of (16, 3, 3, 3, 3)"),
        (with_sizes(bare_recipe, view_dim=10), "head.1.weight is (12, 16) instead of (10, 16)"),
    ):
        sentence = refusal_of_start(cohort_dir, other, start, tmp_path)
        assert "the echo encoder of given does not fit the recipe bare: " in sentence
        assert words in sentence


def test_an_echo_encoder_of_the_same_shapes_and_another_structure_is_refused_by_the_setting(
    cohort_dir, bare_recipe, tmp_path
):
    start = bundle_of(bare_recipe, tmp_path / "bundle")
    (block,) = bare_recipe.architecture.echo.blocks
    coarser = with_echo(bare_recipe, blocks=(block.model_copy(update={"stride_q": (2, 1, 1)}),))
    sentence = refusal_of_start(cohort_dir, coarser, start, tmp_path)
    assert sentence.endswith("the recipe bare: blocks[0].stride_q is (1, 1, 1) instead of (2, 1, 1)")


def test_a_bundle_without_an_echo_encoder_is_no_start(cohort_dir, bare_recipe, tmp_path):
    start = bundle_of(bare_recipe, tmp_path / "bundle", with_echo=False)
    assert "no echo encoder" in refusal_of_start(cohort_dir, bare_recipe, start, tmp_path)


def test_an_ecg_encoder_with_other_heads_is_refused_though_all_shapes_are_the_same(bare_recipe, tmp_path):
    start = bundle_of(bare_recipe, tmp_path / "bundle")
    ecg = bare_recipe.architecture.ecg
    manifest, _ = read_manifest(start)
    with pytest.raises(BundleError, match="recipe bare: heads is 2 instead of 3"):
        bundle_ecg_encoder(start, manifest, with_sizes(bare_recipe, ecg=ecg.model_copy(update={"heads": 3})))
    calmer = with_sizes(bare_recipe, ecg=ecg.model_copy(update={"drop_path": 0.5}))  # no weights depend on it
    assert bundle_ecg_encoder(start, manifest, calmer) is not None


def run(module, folder, epochs):
    groups = [{"params": list(module.parameters()), "base_lr": 0.1}]
    objective = Objective(
        "fit", lambda epoch: [torch.ones(4, 3)], lambda batch: backward(module(batch).square().mean()), lambda: 0.0,
        items_per_epoch=4,
    )  # fmt: skip
    schedule = Schedule(epochs=epochs, steps_per_epoch=1, warmup_epochs=0, floor=0.1)
    return run_epochs(module, torch.optim.SGD(groups, lr=0.1), objective, schedule, Place(folder))


def backward(loss):
    loss.backward()
    return loss.detach()


def test_checkpoints_of_another_architecture_are_not_gone_on_from(tmp_path):
    run(nn.Linear(3, 2), tmp_path, epochs=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(
        Refusal,
        match=r"fit-last\.pt is of another architecture: weight is \(2, 3\) instead of \(5, 3\); --no-resume",
    ):
        run(nn.Linear(3, 5), tmp_path, epochs=2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert run(nn.Linear(3, 2), tmp_path, epochs=2).epochs_run == 2
