"""The scripts in examples/ run as they stand, against made-up downloads of the same shape."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "cohorts" / "adapters"))

import trees
from evaluated import random_bundle

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("*.sh"))


@pytest.fixture
def example(tmp_path):
    """Run a script of examples/ with this tree's own `echo2ecg`; what it printed."""
    here = tmp_path / "bin" / "echo2ecg"
    here.parent.mkdir()
    here.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli.main "$@"\n')
    here.chmod(0o755)

    def run(name, *arguments, **more):
        paths = {"PATH": f"{here.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["bash", str(ROOT / "examples" / f"{name}.sh"), *map(str, arguments)],
            capture_output=True,
            text=True,
            env=os.environ | paths | more,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def encoder(micro_recipe, tmp_path):
    return random_bundle(tmp_path / "encoder", micro_recipe, with_probes=False)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_command_of_a_script_has_a_sentence_above_it(script):
    paragraphs = script.read_text().split("set -euo pipefail\n")[1].split("\n\n")
    assert all(paragraph.startswith("# ") for paragraph in paragraphs[1:-1])


@pytest.mark.drill
def test_echonext_goes_from_the_download_to_a_measured_bundle_and_on_where_it_stopped(example, encoder, tmp_path):
    trees.echonext(tmp_path / "download")
    scale = trees.normalisation(tmp_path / "waveform_normalization_params.json")
    given = {"LEAD_SCALE": str(scale), "LEAD_SCALE_UNIT": "4.88uV"}
    said = example("echonext", tmp_path / "download", tmp_path / "out", encoder, **given)
    assert "Nothing contradicts itself." in said
    assert f"Serve it with: echo2ecg serve --bundle {tmp_path / 'out' / 'bundle'}" in said
    assert json.loads((tmp_path / "out" / "test.json").read_text())["split"] == "test"
    bundle = (tmp_path / "out" / "bundle" / "manifest.json").stat().st_mtime_ns
    example("echonext", tmp_path / "download", tmp_path / "out", encoder)
    assert (tmp_path / "out" / "bundle" / "manifest.json").stat().st_mtime_ns == bundle


@pytest.mark.drill
def test_ptb_xl_goes_from_the_download_to_a_bundle_of_its_superclasses(example, encoder, tmp_path):
    trees.ptb_xl(tmp_path / "download", ecgs=200, folds=(1, 9, 2, 9, 10, 9))
    example("ptb_xl", tmp_path / "download", tmp_path / "out", encoder)
    report = json.loads((tmp_path / "out" / "test.json").read_text())
    assert "MI" in json.dumps(report)
