import json
import shutil

import pandas as pd
import pytest
import torch

from cohorts import CohortError
from ground.errors import Refusal
from models.device import Machine
from models.ecg_encoder import EcgEncoder
from training.reproduce.data import comparison_data
from training.reproduce.run import claimed, reproduce
from training.reproduce.sizes import SIZES, Size
from training.reproduce.table import Origin
from training.reproduce.train_arm import train_arm

CPU = Machine.named("cpu", workers=0)
ORIGIN = Origin(
    size="micro", patients=40, cohort_seed=0, simulator_version="1", code_version="0.1.0", settings_sha256="abc"
)


@pytest.fixture(scope="module")
def size(micro_recipe):
    shorter = {"epochs": 2, "patience": 2, "warmup_epochs": 0.5}
    return Size(name="micro", patients=40, cohort_seed=0, recipe=micro_recipe.aligned_with(**shorter))


ARMS = Size.model_fields["arms"].default


def run(cohort_dir, size, out, *, seeds=2, messages=None):
    def progress(done, total, message):
        if messages is not None:
            messages.append(message)

    return reproduce(cohort_dir, size, ORIGIN, out, CPU.telling(progress), seeds=seeds)


@pytest.fixture(scope="module")
def finished(cohort_dir, size, tmp_path_factory):
    """A finished comparison: its folder, what it returned and the messages on the way."""
    out, messages = tmp_path_factory.mktemp("comparison"), []
    return out, run(cohort_dir, size, out, messages=messages), messages


def trained_stages(messages):
    """What was trained, as `arm, seed n`; shared work as its own name."""
    return {message.split(":")[0] for message in messages}


def test_every_arm_is_trained_with_every_seed_on_one_echo_encoder(finished):
    _, comparison, messages = finished
    assert {(r.arm, r.seed) for r in comparison.results} == {(arm, seed) for arm in ARMS for seed in (0, 1)}
    assert sum(message.startswith("pretrain echo, epoch 3:") for message in messages) == 1
    assert sum(message.startswith("embed views") for message in messages) > 0


def test_every_trained_arm_has_the_same_number_of_passes_over_the_same_ecgs(finished, size):
    out, comparison, _ = finished
    assert {r.epochs_run for r in comparison.results if r.arm != "random"} == {size.recipe.alignment.epochs}
    steps = {}
    for arm in ARMS[:-1]:
        last = next((out / "arms" / f"{arm}-0").glob("*-last.pt"))
        optimizer = torch.load(last, weights_only=True)["optimizer"]["state"]
        steps[arm] = int(next(iter(optimizer.values()))["step"])
    assert set(steps.values()) == {2 * 2}  # 16 train ECGs in batches of 8, two epochs


def test_only_aligned_arms_retrieve_and_all_are_probed(finished):
    _, comparison, _ = finished
    for arm in ARMS:
        assert (comparison.spread(arm, "map_lvesv_ml") is not None) == (arm in ("multi", "single_fresh"))
        for metric in ("auroc_knn_lvef_lowest", "auroc_linear_lvef_classes", "auroc_linear_shd"):
            spread = comparison.spread(arm, metric)
            assert spread is not None
            assert 0 <= spread.low <= spread.mean <= spread.high <= 1


def test_the_written_table_holds_means_and_extremes_over_seeds_of_the_arms_own_files(finished):
    out, _, _ = finished
    lines = [
        line.split(" | ") for line in (out / "table.md").read_text().splitlines() if line.startswith("| AUROC SHD")
    ]
    (cells,) = [line for line in lines if line[0].endswith("kNN")]
    for cell, arm in zip(cells[1:-1], ARMS, strict=True):
        files = [out / "arms" / f"{arm}-{seed}" / "result.json" for seed in (0, 1)]
        values = [json.loads(file.read_text())["metrics"]["auroc_knn_shd"] for file in files]
        assert cell == f"{sum(values) / 2:.3f} ({min(values):.3f} to {max(values):.3f})"
    assert "simulator version 1" in (out / "table.md").read_text()
    assert len(json.loads((out / "table.json").read_text())["results"]) == 10


def test_a_finished_comparison_is_not_computed_again(finished, cohort_dir, size):
    out, comparison, _ = finished
    messages = []
    assert run(cohort_dir, size, out, messages=messages) == comparison
    assert messages == []


def test_of_a_finished_comparison_only_the_deleted_arm_is_trained_again(finished, cohort_dir, size, tmp_path):
    shutil.copytree(finished[0], tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "arms" / "single_fresh-1")
    messages = []
    again = run(cohort_dir, size, tmp_path / "out", messages=messages)
    assert trained_stages(messages) == {"single_fresh, seed 1"}
    assert metrics_of(again) == metrics_of(finished[1])


def test_arms_made_by_different_code_are_named_in_the_table(finished):
    comparison = finished[1]
    (code,) = {result.source_sha256 for result in comparison.results}
    assert f"All arms were made by the code with source hash {code}." in comparison.notes()
    older = [result.model_copy(update={"source_sha256": None}) for result in comparison.results[:1]]
    mixed = comparison.model_copy(update={"results": (*older, *comparison.results[1:3])})
    (note,) = [note for note in mixed.notes() if "same code" in note]
    assert "source hash unknown made multi 0;" in note
    assert f"source hash {code} made single_fresh 0, masked 0 (arm and seed)." in note


def metrics_of(comparison):
    return {(r.arm, r.seed): r.metrics for r in comparison.results}


def test_a_killed_comparison_shows_what_is_finished_and_ends_with_the_same_numbers(
    finished, cohort_dir, size, tmp_path
):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    shutil.rmtree(out / "arms")

    def stop(done, total, message):
        if message.startswith("supervised, seed 0: supervised, epoch 1: "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(cohort_dir, size, ORIGIN, out, CPU.telling(stop), seeds=2)
    early = (out / "table.md").read_text()
    assert "Not finished, and not in the table: supervised 0, random 0, multi 1," in early
    assert len(json.loads((out / "table.json").read_text())["results"]) == 3
    messages = []
    assert metrics_of(run(cohort_dir, size, out, messages=messages)) == metrics_of(finished[1])
    assert not [m for m in messages if m.startswith("supervised, seed 0: supervised, epoch 1")]


def test_a_cohort_without_some_class_is_refused_by_its_name(cohort_dir, size, tmp_path):
    shutil.copytree(cohort_dir, tmp_path / "cohort")
    studies = pd.read_csv(cohort_dir / "studies.csv", dtype=str)
    mild = studies["patient_id"].str.startswith("test") & studies["lvef_percent"].astype(float).between(40.1, 49.9)
    studies.loc[mild, "lvef_percent"] = ""
    studies.to_csv(tmp_path / "cohort" / "studies.csv", index=False)
    with pytest.raises(CohortError, match="No test patient has an LVEF that is mildly reduced"):
        run(tmp_path / "cohort", size, tmp_path / "out")


def test_a_folder_of_another_comparison_is_refused_by_what_differs(tmp_path):
    with claimed(tmp_path / "out", ORIGIN):
        pass
    for changed, words in (
        ({"size": "full"}, "size micro instead of full"),
        ({"cohort_seed": 3}, "cohort seed 0 instead of 3"),
        ({"simulator_version": "2"}, "simulator version 1 instead of 2"),
        ({"ecg_start": "own_beat-1"}, "ecg start None instead of own_beat-1"),
        ({"settings_sha256": "abd"}, "settings sha256 abc instead of abd"),
    ):
        other = ORIGIN.model_copy(update=changed)
        with pytest.raises(Refusal, match=words), claimed(tmp_path / "out", other):
            pass


def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(Refusal, match="holds no comparison"), claimed(tmp_path, ORIGIN):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_runs_do_not_share_a_folder(tmp_path):
    with (
        claimed(tmp_path / "out", ORIGIN),
        pytest.raises(Refusal, match="another run is using out"),
        claimed(tmp_path / "out", ORIGIN),
    ):
        pass


@pytest.mark.parametrize("name", SIZES)
def test_the_sizes_give_the_masked_arm_the_budget_of_the_others(name):
    size = SIZES[name]()
    masked, others = size.masked_ecg, size.recipe.alignment
    for equal in ("epochs", "batch_size", "patience", "learning_rate", "warmup_epochs", "lr_floor", "weight_decay"):
        assert getattr(masked, equal) == getattr(others, equal), equal
    assert Size.model_validate_json(size.model_dump_json()) == size


@pytest.mark.parametrize("change", [{"weight_averaging": 0.9}, {"patch_dropout": 0.5}])
def test_a_size_with_a_means_that_not_all_arms_have_is_refused_by_its_name(size, change):
    with pytest.raises(ValueError, match=f"not all arms have {next(iter(change))}"):
        Size(name="unfair", patients=40, cohort_seed=0, recipe=size.recipe.aligned_with(**change))


def test_the_table_says_which_labels_each_arm_was_given(finished):
    text = (finished[0] / "table.md").read_text()
    assert "echo encoder of the aligned arms is one, trained once (seed 0)" in text
    assert "the supervised arm sees LVEF classes and SHD alone, the masked arm no label" in text


def test_every_trained_arm_starts_from_the_encoder_that_is_given_and_the_random_one_stays_random(
    finished, cohort_dir, size, tmp_path
):
    data = comparison_data(cohort_dir, size.recipe, finished[0] / "shared", CPU)
    still = size.model_copy(update={"recipe": size.recipe.aligned_with(learning_rate=1e-12, weight_decay=0)})
    torch.manual_seed(99)
    start = EcgEncoder(size.recipe.architecture.ecg)

    def encoder_of(arm, **how):
        folder = tmp_path / f"{arm}-{len(how)}"
        return train_arm(arm, 0, still, data, folder, CPU, **how).ecg_tower.ecg_encoder.state_dict()

    random, given = encoder_of("random"), start.state_dict()
    for arm in ("multi", "masked", "supervised"):
        started = encoder_of(arm, start=start)
        assert all(torch.allclose(started[name], given[name], atol=1e-6) for name in given), arm
    still_random = encoder_of("random", start=start)
    assert all(torch.equal(still_random[name], random[name]) for name in random)
    unstarted = encoder_of("multi")
    assert all(torch.allclose(unstarted[name], random[name], atol=1e-6) for name in random)
