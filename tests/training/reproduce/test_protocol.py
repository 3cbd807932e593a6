"""The whole protocol, every arm with every control, on forty patients whose truth somebody wrote down."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from cohorts import CohortError
from ground.errors import Refusal
from models.device import Machine
from training.reproduce import sizes
from training.reproduce.arms import ALIGNED, ARMS
from training.reproduce.run import claimed, reproduce
from training.reproduce.sizes import DEVELOPMENT_SEED, EVALUATION_SEED, SIZES, Size, Split
from training.reproduce.table import Origin

CPU = Machine.named("cpu", workers=0)
ORIGIN = Origin(
    size="micro",
    patients=40,
    cohort_seed=0,
    simulator_version="2",
    code_version="0.1.0",
    settings_sha256="abc",
    source_sha256="0123456789ab",
)


@pytest.fixture(scope="module")
def size(micro_recipe):
    return Size(
        name="micro",
        patients=40,
        cohort_seed=0,
        recipe=micro_recipe.aligned_with(epochs=1, patience=1, warmup_epochs=0.5),
        arms=ARMS,
        temperatures=(0.5, 0.2),
        split=Split(train=16, val=12, test=12, seed=1),
        once=True,
    )


@pytest.fixture(scope="module")
def told(cohort_dir, tmp_path_factory):
    """The small cohort with a `truth.csv`: what a simulator would have written, by record."""
    folder = tmp_path_factory.mktemp("told") / "cohort"
    shutil.copytree(cohort_dir, folder)
    studies = pd.read_csv(folder / "studies.csv", dtype={"patient_id": str})
    draw, lvef = np.random.default_rng(0), studies["lvef_percent"].to_numpy()
    numbers = ("septum_cm", "posterior_wall_cm", "rv_basal_cm", "tapse_cm", "la_volume_index", "pasp_mmhg")
    grades = ("aortic_stenosis", "aortic_regurgitation", "mitral_regurgitation", "tricuspid_regurgitation", "effusion")
    facts = {name: 10 + 0.1 * lvef + draw.normal(0, 1, len(studies)) for name in numbers}
    facts |= {name: draw.integers(0, 4, len(studies)) for name in grades} | {"heart_rate_bpm": draw.normal(70, 9, 40)}
    facts |= {"lvef_percent": lvef, "lvedv_ml": 100 + lvef, "lvesv_ml": 90 - lvef}
    place = np.arange(len(studies))
    facts |= {"infarct": np.array(["none", "LAD"])[place % 2], "rhythm": np.array(["sinus", "af"])[place % 2]}
    truth = pd.DataFrame(facts | {"site": (place // 2 % 3).astype(str)})
    studies.assign(septum_cm=facts["septum_cm"]).to_csv(folder / "studies.csv", index=False)
    both = [truth.assign(record=studies["study_id"]), truth.assign(record="e-" + studies["patient_id"])]
    pd.concat(both).to_csv(folder / "truth.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def finished(told, size, tmp_path_factory):
    out = tmp_path_factory.mktemp("protocol")
    return out, reproduce(told, size, ORIGIN, out, CPU, seeds=2)


def test_every_arm_and_control_is_trained_and_every_hypothesis_has_a_verdict(finished):
    out, comparison = finished
    assert {(r.arm, r.seed) for r in comparison.results} == {(arm, seed) for arm in ARMS for seed in (0, 1)}
    assert [verdict.name for verdict in comparison.verdicts] == ["H1", "H2", "H3", "H4", "H5", "N1", "N2"]
    assert all(verdict.measured for verdict in comparison.verdicts)
    table = (out / "table.md").read_text()
    for words in ("ideal ranking", "hub share", "own study in the first tenth", "| site: 2 |", "| rhythm: af |", "N2"):
        assert words in table
    assert all(ALIGNED[arm].says in table for arm in ALIGNED)


def test_patients_are_divided_as_the_size_says_and_not_as_the_cohort_does(finished):
    counts = finished[1].counts
    assert [counts[f"{part}_patients"] for part in ("train", "val", "test")] == [16, 12, 12]


def test_an_echo_encoder_for_each_way_of_teaching_and_one_preparation_of_clips(finished):
    shared = finished[0] / "shared"
    assert {path.name for path in shared.glob("echo-*")} == {"echo-clip", "echo-study"}


def test_the_first_seed_chooses_the_temperature_by_validation_and_the_others_take_it(finished):
    out, comparison = finished
    for arm in ALIGNED:
        best = {}
        for t in ("0.5", "0.2"):
            log = (out / "arms" / f"{arm}-0" / f"t{t}" / "log.jsonl").read_text().splitlines()
            best[float(t)] = max(json.loads(line)["validation_score"] for line in log)
        chosen = {r.temperature for r in comparison.results if r.arm == arm}
        assert chosen == {max(best, key=lambda t: best[t])}
        assert not [*(out / "arms" / f"{arm}-1").glob("t0.*")], "the second seed tries none"


def test_a_finished_protocol_is_found_again_and_a_result_of_other_code_is_refused_in_one_sentence(finished, told, size):
    out, comparison = finished
    assert reproduce(told, size, ORIGIN, out, CPU, seeds=2) == comparison
    other = ORIGIN.model_copy(update={"source_sha256": "ba9876543210"})
    words = "made by code with source hash 0123456789ab and this is ba9876543210; a protocol is run once"
    with pytest.raises(Refusal, match=words):
        reproduce(told, size, other, out, CPU, seeds=2)


def test_a_folder_that_other_code_began_is_refused_before_anything_is_made(tmp_path):
    with claimed(tmp_path / "out", ORIGIN):
        pass
    other = ORIGIN.model_copy(update={"source_sha256": "ba9876543210"})
    words = "source sha256 0123456789ab instead of ba9876543210"
    with pytest.raises(Refusal, match=words), claimed(tmp_path / "out", other):
        pass


def test_a_cohort_that_tells_no_site_is_refused_before_an_arm_is_trained(cohort_dir, size, tmp_path):
    with pytest.raises(CohortError, match="needs to know the site"):
        reproduce(cohort_dir, size, ORIGIN, tmp_path, CPU, seeds=1)
    assert not (tmp_path / "arms").exists()


def test_a_split_has_its_counts_whatever_the_order_of_the_patients_and_refuses_too_few():
    ids = pd.Series([f"p{i}" for i in range(10)])
    split = Split(train=5, val=2, test=3, seed=4)
    table = split.of(ids)
    assert table["split"].value_counts().to_dict() == {"train": 5, "val": 2, "test": 3}
    pd.testing.assert_frame_equal(split.of(ids[::-1]), table)
    assert not split.model_copy(update={"seed": 5}).of(ids).equals(table)
    with pytest.raises(CohortError, match="10 patients are to be divided"):
        split.of(ids[:9])


def test_the_protocol_has_the_cohorts_counts_and_arms_that_it_states():
    size = sizes.protocol()
    assert (size.patients, size.cohort_seed, size.once) == (2_400, EVALUATION_SEED, True)
    assert DEVELOPMENT_SEED != EVALUATION_SEED
    assert EVALUATION_SEED not in {SIZES["small"]().cohort_seed, 1}, "the demo's cohort has seed 1"
    assert (size.split.train, size.split.val, size.split.test) == (1_500, 200, 700)
    assert (size.arms, size.temperatures) == (ARMS, (0.5, 0.2))
    assert size.recipe.architecture.view_dim == 128
    large = sizes.full()
    for same in ("patients", "cohort_seed", "arms", "temperatures", "split", "once"):
        assert getattr(large, same) == getattr(size, same), same
