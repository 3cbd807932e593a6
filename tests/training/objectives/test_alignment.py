import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_architecture, tiny_recipe

from ground.errors import Refusal
from ground.progress import silent
from models.device import Machine
from models.towers import EcgTower, EchoTower
from training.data.batches import PairedArrays
from training.engine.checkpoint import load_checkpoint
from training.engine.loop import Score
from training.engine.place import Place
from training.evaluation.retrieval import retrieval_metrics
from training.evaluation.validation import embed_ecgs, embed_studies
from training.objectives.alignment import align_towers, alignment_optimizer

TINY = tiny_architecture(pool_dropout=0.1)


def cohort_of_arrays(patients=60, seed=0):
    """A hidden number per patient sets the ECG's frequency and lies along one axis of the view vectors."""
    draw = np.random.default_rng(seed)
    hidden = draw.uniform(-1, 1, patients)
    t = np.arange(120) / 400
    signals = [np.sin(2 * np.pi * (8 + 6 * h) * t + draw.uniform(0, 6, (3, 1))).astype(np.float32) for h in hidden]
    axis = draw.standard_normal(6)
    views = [(h * axis + 0.1 * draw.standard_normal((draw.integers(1, 4), 6))).astype(np.float32) for h in hidden]
    one = np.arange(patients)
    return PairedArrays(signals, views, one, one, one)


def run(folder: Path, recipe, *, progress=silent, score=None):
    torch.manual_seed(recipe.seed)
    ecg_tower, echo_tower = EcgTower(recipe.architecture), EchoTower(recipe.architecture)
    pairs, cpu = cohort_of_arrays(), torch.device("cpu")

    def mean_average_precision():
        ecg = embed_ecgs(ecg_tower, pairs.signals_LN, recipe.ecg, cpu)
        study = embed_studies(echo_tower, pairs.views_VD, 128, cpu)
        return retrieval_metrics(ecg @ study.T, np.eye(len(pairs), dtype=bool)).mean_average_precision

    with Place(folder).logged() as place:
        machine = Machine(cpu, progress=progress)
        result = align_towers(ecg_tower, echo_tower, pairs, score or mean_average_precision, recipe, place, machine)
    weights = {
        f"{name}.{k}": v for name, m in (("ecg", ecg_tower), ("echo", echo_tower)) for k, v in m.state_dict().items()
    }
    return result, weights


def test_the_loop_learns_to_match_pairs(tmp_path):
    result, _ = run(tmp_path, tiny_recipe(TINY, epochs=25))
    chance = np.mean([1 / rank for rank in range(1, 61)])
    assert result.best_score > 3 * chance


def test_the_echo_tower_learns_at_its_share_of_the_rate():
    recipe = tiny_recipe(TINY, learning_rate=1e-3, layer_decay=1.0, echo_tower_rate=0.25)
    ecg_tower, echo_tower = EcgTower(TINY), EchoTower(TINY)
    groups = alignment_optimizer(ecg_tower, echo_tower, recipe).param_groups
    rate_of = {id(parameter): group["base_lr"] for group in groups for parameter in group["params"]}
    assert {rate_of[id(p)] for p in ecg_tower.parameters() if p.requires_grad} == {1e-3}
    assert {rate_of[id(p)] for p in echo_tower.parameters()} == {2.5e-4}


def test_a_stopped_and_resumed_run_ends_with_the_same_weights(tmp_path):
    whole, whole_weights = run(tmp_path / "whole", tiny_recipe(TINY))

    def stop_after_two(done, total, message):
        if "epoch 2: loss" in message:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", tiny_recipe(TINY), progress=stop_after_two)
    parts, parts_weights = run(tmp_path / "parts", tiny_recipe(TINY))
    assert parts == whole
    for name, value in whole_weights.items():
        assert torch.equal(parts_weights[name], value), name


@pytest.mark.parametrize("patch_dropout", [0.0, 0.5])
def test_a_run_in_chunks_has_the_losses_of_one_in_whole_batches(tmp_path, patch_dropout):
    still = TINY.model_copy(update={"ecg": TINY.ecg.model_copy(update={"drop_path": 0.0}), "pool_dropout": 0.0})
    losses = []
    for size in (None, 6):  # 60 pairs in batches of 15
        folder = tmp_path / str(size)
        recipe = tiny_recipe(still, epochs=2, chunk_size=size, patch_dropout=patch_dropout)
        run(folder, recipe, score=lambda: 0.0)
        losses.append([json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


OPTIONS = [{"patch_dropout": 0.5}, {"weight_averaging": 0.9}]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: next(iter(option)))
def test_every_option_changes_training_and_resumes_to_the_same_weights(tmp_path, option):
    recipe = tiny_recipe(TINY, epochs=2, **option)
    _, plain = run(tmp_path / "plain", tiny_recipe(TINY, epochs=2), score=iter([0.0, 1.0]).__next__)
    _, whole = run(tmp_path / "whole", recipe, score=iter([0.0, 1.0]).__next__)

    def stop_after_one(done, total, message):
        if "epoch 1: loss" in message:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", recipe, progress=stop_after_one, score=lambda: 0.0)
    _, parts = run(tmp_path / "parts", recipe, score=lambda: 1.0)
    assert all(torch.equal(parts[name], value) for name, value in whole.items())
    assert any(not torch.equal(plain[name], value) for name, value in whole.items())


def test_the_best_epoch_is_kept_and_patience_ends_the_run(tmp_path):
    scores = iter([0.1, 0.5, 0.3, 0.2, 0.9])
    result, weights = run(tmp_path, tiny_recipe(TINY, epochs=5, patience=2), score=lambda: next(scores))
    assert (result.best_epoch, result.best_score, result.epochs_run) == (1, 0.5, 4)
    assert next(scores) == 0.9
    _, two_epochs = run(
        tmp_path / "two", tiny_recipe(TINY, epochs=5, patience=2), score=iter([0.1, 0.5, 0, 0]).__next__
    )
    for name, value in two_epochs.items():
        assert torch.equal(weights[name], value), name


def test_every_epoch_is_logged_as_a_json_line_and_to_tensorboard(tmp_path):
    run(tmp_path, tiny_recipe(TINY, epochs=2))
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert '"validation_score"' in lines[0]
    assert list((tmp_path / "tensorboard").iterdir())


def test_what_a_score_is_made_of_is_logged_beside_it_and_the_value_alone_chooses(tmp_path):
    scores = iter([Score(0.3, {"map": 0.9}), Score(0.4, {"map": 0.1})])
    result, _ = run(tmp_path, tiny_recipe(TINY, epochs=2), score=lambda: next(scores))
    assert (result.best_epoch, result.best_score) == (1, 0.4)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["map"], line["validation_score"]) for line in lines] == [(0.9, 0.3), (0.1, 0.4)]


def test_the_callers_random_state_is_left_alone(tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(1)
    recipe = tiny_recipe(TINY, epochs=2)
    ecg_tower, echo_tower = EcgTower(recipe.architecture), EchoTower(recipe.architecture)
    torch.manual_seed(7)
    machine = Machine.named("cpu")
    align_towers(ecg_tower, echo_tower, cohort_of_arrays(), lambda: 0.0, recipe, Place(tmp_path), machine)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # torch's own, as it loads its compiler
def test_a_compiled_run_has_the_losses_and_names_of_a_plain_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    one_still_block = TINY.ecg.model_copy(update={"drop_path": 0.0, "depth": 1})
    still = TINY.model_copy(update={"ecg": one_still_block, "pool_dropout": 0.0})
    losses, names = [], []
    for compiled in (False, True):
        folder = tmp_path / str(compiled)
        run(folder, tiny_recipe(still, epochs=1, warmup_epochs=0, compile=compiled), score=lambda: 0.0)
        losses.append([json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()])
        names.append(list(load_checkpoint(folder / "align-last.pt")["module"]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert names[1] == names[0]


def test_a_machine_that_cannot_compile_says_so_in_one_sentence(tmp_path, monkeypatch):
    def no_compiler(function):
        raise RuntimeError("No working C++ compiler found\n\nand a page of advice")

    monkeypatch.setattr(torch, "compile", no_compiler)
    with pytest.raises(Refusal, match=r"apt-get install g\+\+\).*\(No working C\+\+ compiler found\)$"):
        run(tmp_path, tiny_recipe(TINY, compile=True))


def test_every_step_reports_loss_and_speed(tmp_path):
    said = []
    run(tmp_path, tiny_recipe(TINY, epochs=2), progress=lambda *step: said.append(step), score=lambda: 0.0)
    steps = [(done, message) for done, total, message in said if "validation score" not in message]
    assert [done for done, _ in steps] == list(range(1, 9))  # 60 pairs in four batches, twice
    assert all(re.fullmatch(r"align, epoch [12] of 2: loss [\d.]+, [\d.e+]+ pairs/s", message) for _, message in steps)
    first = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    assert f"loss {first['loss']:.4g}," in steps[3][1]
