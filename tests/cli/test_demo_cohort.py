"""The demo makes its cohort anew after an update, and deletes nobody else's."""

import dataclasses
import json

import pytest

import simulator.cohort
from cli.demo import DEMO_PATIENTS, DEMO_SEED, _make_cohort
from cohorts import CohortError
from simulator.cohort import SIMULATOR_VERSION, SimulationReport, find_simulation


@pytest.fixture
def cohort(tmp_path, monkeypatch):
    """A folder for the demo's cohort, of which only the stamp is written: no patient is simulated."""
    monkeypatch.setattr(simulator.cohort, "_each_patient", lambda tasks, workers: iter(()))
    monkeypatch.setattr(simulator.cohort, "write_cohort_tables", lambda *_: None)
    folder = tmp_path / "cohort"
    folder.mkdir()
    return folder


def claim(folder, **changes):
    report = SimulationReport(DEMO_PATIENTS, 1, 1, 1, DEMO_SEED, SIMULATOR_VERSION)
    content = {"notice": simulator.cohort._NOTICE, **dataclasses.asdict(report), **changes}
    (folder / "cohort.json").write_text(json.dumps(content))
    (folder / "studies.csv").write_text("there before")


def test_a_demo_reuses_its_cohort(cohort):
    claim(cohort)
    assert _make_cohort(cohort) is False
    assert (cohort / "studies.csv").exists()


@pytest.mark.parametrize("changes", [{"simulator_version": "0"}, {"patients": 5}])
def test_a_demo_replaces_the_cohort_of_an_earlier_demo(cohort, changes):
    claim(cohort, **changes)
    assert _make_cohort(cohort) is True
    assert not (cohort / "studies.csv").exists()
    there = find_simulation(cohort)
    assert (there.patients, there.simulator_version) == (DEMO_PATIENTS, SIMULATOR_VERSION)


def test_a_demo_refuses_a_folder_with_somebodys_own_simulation(cohort):
    claim(cohort, seed=1)
    with pytest.raises(CohortError, match="another simulated cohort"):
        _make_cohort(cohort)
    assert (cohort / "studies.csv").exists()
