"""What only training and pictures need may be missing: one sentence, before any work."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from ground.extras import ExtraMissing
from models.device import Machine
from training.evaluation.evaluate import evaluate
from training.train import train

ROOT = Path(__file__).resolve().parents[2]
CPU = Machine.named("cpu", workers=0)


@pytest.fixture
def without(monkeypatch):
    """Packages that cannot be imported."""
    return lambda package: monkeypatch.setitem(sys.modules, package, None)


def test_training_without_tensorboard_is_refused_before_any_work(cohort_dir, micro_recipe, tmp_path, without):
    without("tensorboard")
    with pytest.raises(ExtraMissing) as refused:
        train(cohort_dir, micro_recipe, tmp_path / "out", CPU)
    assert refused.value.in_full == (
        "A training run needs the package tensorboard. Install it with: pip install 'echo2ecg[train]'"
    )
    assert not list(tmp_path.iterdir())


def test_a_map_without_umap_is_refused_before_any_work(tmp_path, without):
    without("umap")
    with pytest.raises(ExtraMissing, match="The map of the shared space needs the package umap"):
        evaluate(ROOT / "bundles" / "demo", tmp_path / "nowhere", "test", CPU, with_map=True)


def test_pictures_without_matplotlib_are_refused_before_anything_is_measured(tmp_path, without, monkeypatch):
    without("matplotlib")
    monkeypatch.setattr("training.evaluation.evaluate.evaluate", None)
    done = CliRunner().invoke(app, ["evaluate", str(tmp_path), str(tmp_path), "--plots", str(tmp_path / "plots")])
    assert isinstance(done.exception, ExtraMissing)
    assert done.exception.sentence == "Drawing the report needs the package matplotlib."
    assert not list(tmp_path.iterdir())


def test_whoever_imports_training_needs_none_of_them():
    loaded = "[name for name in ('matplotlib', 'tensorboard', 'umap') if name in sys.modules]"
    code = f"import sys, training.train, training.reproduce.run, training.evaluation.card; print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
