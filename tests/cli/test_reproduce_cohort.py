"""`reproduce --cohort`: the comparison on a cohort that is given says whose it is, and asks first for what it needs."""

import shutil

import pandas as pd
import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.reproduce import origin_of, run_reproduction
from cohorts import CohortError
from models.device import Machine
from training.reproduce.sizes import SIZES, Size

CPU = Machine.named("cpu", workers=0)


@pytest.fixture(scope="module")
def size(micro_recipe):
    return Size(
        name="micro",
        patients=40,
        cohort_seed=0,
        recipe=micro_recipe.aligned_with(epochs=1, patience=1, warmup_epochs=0.5),
    )


def changed(cohort_dir, folder, table, change):
    shutil.copytree(cohort_dir, folder)
    rows = pd.read_csv(folder / f"{table}.csv", dtype=str, keep_default_na=False)
    change(rows).to_csv(folder / f"{table}.csv", index=False)
    return folder


def test_the_table_is_of_the_cohort_that_was_given_and_says_nothing_of_simulation(
    cohort_dir, size, tmp_path, monkeypatch
):
    monkeypatch.setitem(SIZES, "small", lambda: size)
    ours = changed(cohort_dir, tmp_path / "ours", "studies", lambda t: t.assign(lvedv_ml="", lvesv_ml=""))
    arguments = ["reproduce", str(tmp_path / "out"), "--cohort", str(ours), "--seeds", "1", "--device", "cpu"]
    done = CliRunner().invoke(app, [*arguments, "--workers", "1"])
    assert done.exit_code == 0, done.output
    table = (tmp_path / "out" / "table.md").read_text()
    assert "40 patients of the cohort ours (sha256 " in table
    assert "simulat" not in table + done.output
    assert "like LVEF" in table
    assert "LVEDV" not in table, "what the cohort does not know is not in the table"
    assert not (tmp_path / "out" / "cohort").exists()


def test_a_given_cohort_that_a_simulator_invented_says_so(cohort_dir, size, tmp_path):
    invented = shutil.copytree(cohort_dir, tmp_path / "invented")
    (invented / "cohort.json").write_text('{"simulator_version": "7", "notice": "Invented."}')
    assert "invented by simulator version 7" in origin_of(invented, size).cohort_sentence


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("studies", lambda t: t.assign(lvef_percent=""), "No train patient has an LVEF"),
        ("studies", lambda t: t.assign(lvef_lte_45_flag="false"), "Of the train patients all have no SHD; some with"),
        ("studies", lambda t: t.assign(lvef_lte_45_flag="true"), "Of the train patients all have SHD; some with"),
        ("studies", lambda t: t.assign(lvef_lte_45_flag=""), "nobody is known to have SHD or not; some with"),
        ("echos", lambda t: t[t["patient_id"].str.startswith("train")], "fewer than two val patients have them"),
    ],
    ids=["LVEF", "no SHD", "SHD alone", "SHD unknown", "clips"],
)
def test_a_cohort_that_lacks_what_the_arms_need_is_refused_before_any_work(
    cohort_dir, size, tmp_path, table, change, words
):
    bare = changed(cohort_dir, tmp_path / "bare", table, change)
    with pytest.raises(CohortError, match=words):
        run_reproduction(tmp_path / "out", size, CPU, seeds=1, cohort_dir=bare)
    assert not (tmp_path / "out").exists()
