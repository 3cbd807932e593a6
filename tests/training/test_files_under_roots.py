"""A cohort whose files lie elsewhere, or behind links, is measured and indexed as if they lay in its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from evaluated import CPU, random_bundle

from cohorts import check_cohort
from index.rebuild import rebuild_index
from models.device import Machine
from training.evaluation.evaluate import evaluate

GUARDED = Machine.named("cpu", workers=1)


@pytest.fixture(scope="module")
def bundle(micro_recipe, tmp_path_factory):
    return random_bundle(tmp_path_factory.mktemp("bundles") / "bundle", micro_recipe, with_probes=True)


def moved(cohort_dir: Path, root: Path, path_of: dict[str, str], roots: dict[str, str]) -> Path:
    """A folder of the cohort's tables whose paths begin otherwise, and of no file of a patient."""
    root.mkdir()
    for name in ("ecgs", "echos", "studies", "splits"):
        table = pd.read_csv(cohort_dir / f"{name}.csv", dtype=str, keep_default_na=False)
        if name in path_of:
            table["path"] = [path.replace("files/", path_of[name], 1) for path in table["path"]]
        table.to_csv(root / f"{name}.csv", index=False)
    (root / "cohort.json").write_text(json.dumps({"roots": roots}))
    return root


@pytest.fixture(scope="module")
def under_roots(cohort_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohorts")
    roots = {"ecg": str(cohort_dir / "files"), "echo": str(cohort_dir)}
    return moved(cohort_dir, folder / "cohort", {"ecgs": "ecg:", "echos": "echo:files/"}, roots)


@pytest.fixture(scope="module")
def behind_links(cohort_dir, tmp_path_factory):
    """A folder of links, one for each file, into a root."""
    root = moved(cohort_dir, tmp_path_factory.mktemp("cohorts") / "cohort", {}, {"store": str(cohort_dir)})
    (root / "files").mkdir()
    for file in (cohort_dir / "files").iterdir():
        (root / "files" / file.name).symlink_to(file)
    return root


@pytest.mark.parametrize("fixture", ["under_roots", "behind_links"])
def test_it_is_sound_measured_and_indexed_to_the_same_numbers(fixture, cohort_dir, bundle, tmp_path, request):
    cohort = request.getfixturevalue(fixture)
    assert check_cohort(cohort).problems == ()
    here = evaluate(bundle, cohort_dir, "test", CPU)
    there = evaluate(bundle, cohort, "test", GUARDED)
    assert there.model_dump() == here.model_dump()
    report = rebuild_index(bundle, cohort, tmp_path / "index", GUARDED)
    assert (report.studies, report.views, report.skipped) == (40, 80, ())


def test_clips_that_lie_outside_are_listed_by_a_rebuild_and_stop_nothing(behind_links, bundle, tmp_path):
    echos = (behind_links / "echos.csv").read_text()
    (tmp_path / "outside.avi").write_bytes(b"secret")
    link = behind_links / "files" / "test0-0.avi"
    target = link.readlink()
    link.unlink()
    link.symlink_to(tmp_path / "outside.avi")
    try:
        report = rebuild_index(bundle, behind_links, tmp_path / "index", CPU)
    finally:
        link.unlink()
        link.symlink_to(target)
    assert "test0-0.avi" in echos
    assert [(skip.study_id, skip.view_id, skip.reason) for skip in report.skipped] == [
        ("s-test0", "v0", "A path in a table leads outside the cohort folder and its roots.")
    ]
