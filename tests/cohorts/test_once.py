"""A command parses and hashes each table of a cohort once, however many of its steps ask."""

from collections import Counter

import pytest
import torch
from typer.testing import CliRunner

import cohorts.folder
import cohorts.tables
from cli.main import app
from index.rebuild import rebuild_index
from models.device import Machine
from training.evaluation.evaluate import evaluate
from training.train import train

ONCE_EACH = dict.fromkeys(("ecgs", "echos", "splits", "studies"), 1)


@pytest.fixture
def counted(monkeypatch):
    """How often each table's file was read and parsed."""
    counts = {"read": Counter(), "parsed": Counter()}

    def spy(name, kind, table_at):
        real = getattr(cohorts.folder, name)

        def counting(*args):
            counts[kind][args[table_at]] += 1
            return real(*args)

        monkeypatch.setattr(cohorts.folder, name, counting)

    spy("read_table_file", "read", 1)
    spy("parse_table", "parsed", 1)
    return counts


@pytest.fixture(autouse=True)
def no_other_reading(monkeypatch):
    """Tables are hashed as they are read: nobody reads their files a second time for the hash."""

    def refuse(*args):
        raise AssertionError("tables_sha256 read the tables again")

    monkeypatch.setattr(cohorts.tables, "tables_sha256", refuse)
    monkeypatch.setattr(cohorts, "tables_sha256", refuse)


@pytest.fixture
def quick_recipe(micro_recipe):
    once = micro_recipe.echo_pretraining.model_copy(update={"epochs": 1})
    return micro_recipe.model_copy(update={"echo_pretraining": once})


def test_train_evaluate_and_rebuild_read_every_table_once_each(cohort_dir, quick_recipe, counted, tmp_path):
    bundle = train(cohort_dir, quick_recipe, tmp_path / "bundle", device="cpu", workers=0)
    assert counted == {"read": ONCE_EACH, "parsed": ONCE_EACH}
    evaluate(bundle, cohort_dir, "test", device="cpu", workers=0)
    assert counted["parsed"] == dict.fromkeys(ONCE_EACH, 2)
    rebuild_index(bundle, cohort_dir, tmp_path / "index", Machine(torch.device("cpu"), workers=0))
    assert counted == {kind: dict.fromkeys(ONCE_EACH, 3) for kind in ("read", "parsed")}


def test_cohort_check_reads_every_table_once(cohort_dir, counted):
    assert CliRunner().invoke(app, ["cohort", "check", str(cohort_dir)]).exit_code == 0
    assert counted == {"read": ONCE_EACH, "parsed": ONCE_EACH}
