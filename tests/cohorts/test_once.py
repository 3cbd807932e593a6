"""A command parses and hashes each table of a cohort once, however many of its steps ask."""

from collections import Counter

import pytest
from typer.testing import CliRunner

import cohorts.folder
import cohorts.own_files
from cli.main import app
from index.rebuild import rebuild_index
from models.device import Machine
from training.evaluation.evaluate import evaluate
from training.train import train

CPU = Machine.named("cpu", workers=0)
ONCE_EACH = dict.fromkeys(("ecgs", "echos", "splits", "studies"), 1)


@pytest.fixture
def counted(monkeypatch):
    """How often each table's file was read, by whomever, and parsed."""
    counts = {"read": Counter(), "parsed": Counter()}
    read_own_file, parse_table = cohorts.own_files.read_own_file, cohorts.folder.parse_table

    def counting_read(path, most_bytes):
        counts["read"][path.stem] += 1
        return read_own_file(path, most_bytes)

    def counting_parse(file, name):
        counts["parsed"][name] += 1
        return parse_table(file, name)

    monkeypatch.setattr(cohorts.own_files, "read_own_file", counting_read)
    monkeypatch.setattr(cohorts.folder, "parse_table", counting_parse)
    return counts


@pytest.fixture
def quick_recipe(micro_recipe):
    once = micro_recipe.echo_pretraining.model_copy(update={"epochs": 1})
    return micro_recipe.model_copy(update={"echo_pretraining": once})


def test_train_evaluate_and_rebuild_read_every_table_once_each(cohort_dir, quick_recipe, counted, tmp_path):
    bundle = train(cohort_dir, quick_recipe, tmp_path / "bundle", CPU)
    assert counted == {"read": ONCE_EACH, "parsed": ONCE_EACH}
    evaluate(bundle, cohort_dir, "test", CPU)
    assert counted["parsed"] == dict.fromkeys(ONCE_EACH, 2)
    rebuild_index(bundle, cohort_dir, tmp_path / "index", CPU)
    assert counted == {kind: dict.fromkeys(ONCE_EACH, 3) for kind in ("read", "parsed")}


def test_cohort_check_reads_every_table_once(cohort_dir, counted):
    assert CliRunner().invoke(app, ["cohort", "check", str(cohort_dir)]).exit_code == 0
    assert counted == {"read": ONCE_EACH, "parsed": ONCE_EACH}
