"""The command from nothing, on twenty simulated patients and towers that train in seconds."""

import json
import shutil

import pytest

from inputs.specs import EcgSpec, EchoSpec
from models.architecture import Architecture, EcgArchitecture, EchoArchitecture, EchoBlock
from training.recipes import Alignment, EchoPretraining, Recipe
from training.reproduce import sizes as reproduce_sizes

ARMS = reproduce_sizes.Size.model_fields["arms"].default
TWENTY = reproduce_sizes.Size(
    name="small",
    patients=20,
    cohort_seed=16297,  # of whose patients every split shows every class
    recipe=Recipe(
        name="twenty",
        architecture=Architecture(
            ecg=EcgArchitecture(patch_samples=144, embed_dim=12, depth=1, heads=1),
            echo=EchoArchitecture(
                frames=4,
                size=16,
                stem_dim=8,
                patch_kernel=(1, 3, 3),
                patch_stride=(1, 8, 8),
                blocks=(EchoBlock(dim=8, heads=1),),
            ),
            view_dim=8,
            projection_dim=16,
            embedding_dim=8,
        ),
        ecg=EcgSpec(),
        echo=EchoSpec(frames=4, size=16),
        echo_pretraining=EchoPretraining(
            epochs=1,
            batch_size=32,
            learning_rate=1e-3,
            weight_decay=0.01,
            warmup_epochs=0,
            patience=1,
            shift_pixels=1,
            gain_sd=0.1,
        ),
        alignment=Alignment(
            epochs=1,
            batch_size=8,
            learning_rate=1e-3,
            weight_decay=0.01,
            layer_decay=0.9,
            warmup_epochs=0,
            temperature=0.5,
            patience=1,
        ),
    ),
)


@pytest.fixture
def twenty(monkeypatch):
    monkeypatch.setitem(reproduce_sizes.SIZES, "small", lambda: TWENTY)


def test_the_command_makes_a_table_and_after_a_loss_only_what_is_lost(command, twenty, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    arguments = ("reproduce", folder, "--seeds", 2, "--device", "cpu", "--workers", 1)
    code, printed, _ = command(*arguments)
    assert code == 0
    for words in (
        *ARMS,
        "random ranking",
        "mAP, like LVESV",
        "20 simulated patients (simulator version 2, seed 16297)",
    ):
        assert words in printed
    results = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("arms/*/result.json")}
    assert set(results) == {f"{arm}-{seed}" for arm in ARMS for seed in (0, 1)}
    table = json.loads((folder / "table.json").read_text())["results"]

    shutil.rmtree(folder / "arms" / "supervised-1")
    monkeypatch.setattr("cli.reproduce.simulate_cohort", None)  # the cohort is there
    code, _, _ = command(*arguments)
    assert code == 0
    again = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("arms/*/result.json")}
    assert {name for name in results if again[name] != results[name]} == {"supervised-1"}

    def by_arm(rows):
        return {(row["arm"], row["seed"]): row["metrics"] for row in rows}

    assert by_arm(json.loads((folder / "table.json").read_text())["results"]) == by_arm(table)

    other = TWENTY.model_copy(update={"cohort_seed": 3})
    monkeypatch.setitem(reproduce_sizes.SIZES, "small", lambda: other)
    code, _, sentence = command(*arguments)
    assert code == 1
    assert sentence == "out holds another comparison (cohort seed 16297 instead of 3); name another folder"


def test_a_size_that_does_not_exist_is_wrong_usage(command, tmp_path):
    code, _, _ = command("reproduce", tmp_path / "out", "--size", "huge")
    assert code == 2
    assert not (tmp_path / "out").exists()
