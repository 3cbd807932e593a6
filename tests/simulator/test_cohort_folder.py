"""The simulated cohort folder: complete, consistent, reproducible, and never mistaken for somebody's files."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import simulator.cohort
from cohorts import (
    SPLITS,
    CohortError,
    check_cohort,
    derive_pairs,
    open_cohort,
    shd_labels,
)
from ground.findings import MEASUREMENTS, SHD_FLAGS
from inputs.echo.prepare import prepare_clip
from inputs.echo.read import read_echo
from inputs.specs import EchoSpec
from simulator.cohort import SIMULATOR_VERSION, find_simulation, simulate_cohort
from simulator.echo.spectral import STILLS
from simulator.echo.truth import ClipTruth
from simulator.echo.views import RenderedClip
from simulator.segments import SEGMENTS

REAL_RENDERING = simulator.cohort.render_view


def tiny_clip(physiology, anatomy, view, machine, rng):
    frames = rng.integers(0, 255, size=(3, 32, 48, 3), dtype=np.uint8)
    truth = ClipTruth(view, quality=float(1.0 / (1.0 + np.exp(-anatomy.window))))
    return RenderedClip(frames, 30.0, view, view.endswith("_COLOUR"), 0.05, (0, 0, 47, 31), 85, truth)


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def tiny(monkeypatch_module, tmp_path_factory):
    """60 patients with pictures too small to cost anything."""
    monkeypatch_module.setattr(simulator.cohort, "render_view", tiny_clip)
    out = tmp_path_factory.mktemp("tiny") / "cohort"
    seen = []
    report = simulate_cohort(out, patients=60, seed=5, progress=lambda done, total, _: seen.append((done, total)))
    return out, report, seen


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_folder_loads_and_has_no_problems(tiny):
    out, report, _ = tiny
    cohort = open_cohort(out).tables
    assert (len(cohort.ecgs), len(cohort.studies), len(cohort.echos)) == (
        report.ecgs,
        report.studies,
        report.clips + report.stills,
    )
    assert cohort.echos["view"].isin(STILLS).sum() == report.stills > 0
    assert check_cohort(out).problems == ()
    assert {p.suffix for p in (out / "ecgs").iterdir()} == {".dat", ".hea", ".dcm"}
    assert {p.suffix for p in (out / "echos").rglob("*") if p.is_file()} == {".dcm", ".avi"}


def test_progress_counts_every_patient(tiny):
    assert tiny[2] == [(done, 60) for done in range(1, 61)]


def test_a_patient_is_in_one_split_and_shares_are_kept(tiny):
    splits = open_cohort(tiny[0]).tables.splits
    assert splits["patient_id"].is_unique
    assert splits["split"].value_counts().reindex(SPLITS).tolist() == [36, 6, 9, 9]


def test_most_studies_have_an_ecg_within_a_week_and_some_ecgs_lie_further_apart(tiny):
    cohort = open_cohort(tiny[0]).tables
    pairs = derive_pairs(cohort)
    paired = cohort.studies["study_id"].isin(pairs["study_id"]).mean()
    assert 0.8 < paired < 1.0
    assert 0.02 < 1 - cohort.ecgs["ecg_id"].isin(pairs["ecg_id"]).mean() < 0.4
    assert cohort.studies.groupby("patient_id").size().max() >= 3
    assert pairs["study_id"].duplicated().any()


def test_every_study_has_views_and_some_lack_some(tiny):
    views = open_cohort(tiny[0]).tables.echos.groupby("study_id")["view"].agg(set)
    assert len(views) == tiny[1].studies
    standard = {"PLAX", "PSAX", "A4C", "A2C", "A3C", "SUBCOSTAL"}
    assert set().union(*views) >= standard
    assert any(standard - seen for seen in views)
    assert any(view.endswith("_COLOUR") for seen in views for view in seen)


def test_reports_follow_the_truth_within_a_reader_s_error(tiny):
    studies = open_cohort(tiny[0]).tables.studies
    truth = pd.read_csv(tiny[0] / "truth.csv").set_index("record")
    assert set(studies["study_id"]) < set(truth.index)
    assert set(pd.read_csv(tiny[0] / "ecgs.csv")["ecg_id"]) < set(truth.index)
    true = truth.loc[studies["study_id"]].reset_index()
    for name, error in (("lvef_percent", 2.2), ("septum_cm", 0.04), ("tapse_cm", 0.12)):
        difference = (studies[name] - true[name]).dropna()
        assert 0.5 * error < difference.std() < 1.6 * error
        assert abs(difference.mean()) < error
    known = studies["lvef_percent"].notna()
    flag = studies.loc[known, "lvef_lte_45_flag"].astype(bool)
    assert (flag == (studies.loc[known, "lvef_percent"] <= 45)).all()
    assert studies.loc[~known, "lvef_lte_45_flag"].isna().all()


def test_every_clip_but_no_still_has_a_row_of_what_it_shows_and_a_patient_one_anatomy(tiny):
    shown = pd.read_csv(tiny[0] / "truth_views.csv")
    echos = open_cohort(tiny[0]).tables.echos
    echos = echos[~echos["view"].isin(STILLS)]
    assert shown[["view_id", "study_id", "patient_id", "view"]].equals(
        echos[["view_id", "study_id", "patient_id", "view"]].reset_index(drop=True)
    )
    assert {f"motion_{segment.name}" for segment in SEGMENTS} < set(shown.columns)
    windows = shown.groupby("patient_id")["quality"]
    assert (windows.nunique() == 1).all()
    assert windows.first().nunique() > 55


def test_truth_tells_the_motion_of_every_segment(tiny):
    truth = pd.read_csv(tiny[0] / "truth.csv")
    motion = truth[[f"motion_{segment.name}" for segment in SEGMENTS]]
    assert motion.notna().all(axis=None)
    scarred = truth["infarct"].fillna("none") != "none"
    assert motion[scarred].min(axis=1).mean() < 0.5 < motion[~scarred].min(axis=1).mean()


def test_truth_tells_whose_arms_were_swapped_of_every_ecg_and_of_no_study(tiny):
    ecgs = pd.read_csv(tiny[0] / "ecgs.csv")["ecg_id"]
    swapped = pd.read_csv(tiny[0] / "truth.csv").set_index("record")["arms_reversed"]
    assert swapped[ecgs].isin([True, False]).all()
    assert swapped[ecgs].mean() < 0.1
    assert swapped.drop(ecgs).isna().all()


def test_some_measurements_are_missing_but_shd_is_nearly_always_known(tiny):
    studies = open_cohort(tiny[0]).tables.studies
    assert set(MEASUREMENTS) | set(SHD_FLAGS) < set(studies.columns)
    assert 0.03 < studies["la_volume_index"].isna().mean() < 0.3
    assert 0 < studies["tr_velocity_m_s"].isna().mean() < 0.5
    assert shd_labels(studies).notna().mean() > 0.9


def test_the_stamp_says_that_everything_is_invented(tiny):
    out, report, _ = tiny
    stamp = json.loads((out / "cohort.json").read_text())
    assert "invented" in stamp["notice"]
    assert (stamp["seed"], stamp["simulator_version"]) == (5, SIMULATOR_VERSION)
    assert find_simulation(out) == report


def test_cohorts_of_two_seeds_share_no_id_and_no_file(tiny, tmp_path, monkeypatch_module):
    simulate_cohort(tmp_path / "other", patients=3, seed=6)
    mine, other = digests(tiny[0]), digests(tmp_path / "other")
    assert not {k for k in mine if "/" in k} & set(other)
    assert not set(mine.values()) & set(other.values())


def test_the_same_seed_gives_the_same_bytes_and_more_patients_change_no_earlier_one(tiny, tmp_path):
    simulate_cohort(tmp_path / "one", patients=4, seed=5)
    simulate_cohort(tmp_path / "two", patients=4, seed=5)
    first, whole = digests(tmp_path / "one"), digests(tiny[0])
    assert digests(tmp_path / "two") == first
    assert all(whole[name] == digest for name, digest in first.items() if name.startswith("ecgs/"))


def test_a_finished_simulation_is_found_again_and_left_as_it_is(tmp_path):
    out = tmp_path / "cohort"
    report = simulate_cohort(out, patients=3, seed=9)
    (out / "studies.csv").write_text("edited by hand")
    before, seen = digests(out), []
    again = simulate_cohort(out, patients=3, seed=9, progress=lambda done, total, _: seen.append(done))
    assert (again, digests(out), seen) == (report, before, [])


@pytest.mark.parametrize("other", [{"patients": 4}, {"seed": 10}, {"version": "0"}])
def test_another_simulated_cohort_is_refused_by_name_and_left_alone_unless_it_is_to_be_replaced(
    tmp_path, monkeypatch, other
):
    out = tmp_path / "cohort"
    with monkeypatch.context() as patch:
        patch.setattr(simulator.cohort, "SIMULATOR_VERSION", other.get("version", SIMULATOR_VERSION))
        simulate_cohort(out, patients=other.get("patients", 3), seed=other.get("seed", 9))
    (out / "ecgs" / "stale.hea").write_text("left over")
    before = digests(out)
    with pytest.raises(CohortError, match=r"another simulated cohort: \d patients, seed \d+, simulator") as refusal:
        simulate_cohort(out, patients=3, seed=9)
    assert digests(out) == before
    assert "delete" in refusal.value.hint
    simulate_cohort(out, patients=3, seed=9, replace=True)
    simulate_cohort(tmp_path / "new", patients=3, seed=9)
    assert digests(out) == digests(tmp_path / "new")


def test_an_interrupted_run_leaves_nothing_that_looks_complete_and_can_be_repeated(tiny, tmp_path, monkeypatch):
    out = tmp_path / "cohort"

    def stop(done, total, message):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_cohort(out, patients=3, seed=2, progress=stop)
    assert find_simulation(out) is None
    with pytest.raises(CohortError):
        open_cohort(out)
    assert simulate_cohort(out, patients=2, seed=1) == find_simulation(out)
    assert check_cohort(out).problems == ()


@pytest.mark.parametrize("write", [lambda stamp: stamp.write_text("[" * 200_000), os.mkfifo])
def test_a_stamp_that_cannot_be_read_is_no_simulation(tmp_path, write):
    write(tmp_path / "cohort.json")
    assert find_simulation(tmp_path) is None


def test_somebody_else_s_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "ecgs").mkdir()
    (tmp_path / "ecgs" / "precious.dat").write_text("mine")
    (tmp_path / "cohort.json").write_text('{"notice": "my own cohort"}')
    before = digests(tmp_path)
    with pytest.raises(CohortError, match="not empty") as refusal:
        simulate_cohort(tmp_path, patients=2, seed=1)
    assert refusal.value.code == "folder_not_empty"
    assert str(tmp_path) not in str(refusal.value)
    assert digests(tmp_path) == before
    with pytest.raises(CohortError, match="is a file"):
        simulate_cohort(tmp_path / "cohort.json", patients=2, seed=1)


@pytest.mark.parametrize("wrong", [{"patients": 0}, {"seed": -1}, {"workers": 0}])
def test_senseless_numbers_are_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(ValueError, match="at least 1"):
        simulate_cohort(tmp_path / "out", **{"patients": 2, "seed": 1, "workers": 1, **wrong})
    assert not (tmp_path / "out").exists()


def test_the_number_of_workers_does_not_change_a_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(simulator.cohort, "render_view", REAL_RENDERING)
    simulate_cohort(tmp_path / "one", patients=2, seed=4, workers=1)
    simulate_cohort(tmp_path / "two", patients=2, seed=4, workers=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_clips_drawn_for_a_preparation_are_those_of_the_same_patients(tmp_path, monkeypatch):
    monkeypatch.setattr(simulator.cohort, "render_view", REAL_RENDERING)
    spec = EchoSpec(size=64, mask_outside_sector=True)
    simulate_cohort(tmp_path / "files", patients=1, seed=9)
    report = simulate_cohort(tmp_path / "light", patients=1, seed=9, prepared_for=spec.prepared_for)
    assert find_simulation(tmp_path / "light") == report
    for table in ("truth", "truth_views", "ecgs", "studies", "splits"):
        name = f"{table}.csv"
        assert (tmp_path / "light" / name).read_bytes() == (tmp_path / "files" / name).read_bytes()
    files, light = (open_cohort(tmp_path / name).tables for name in ("files", "light"))
    assert files.echos.drop(columns="path").equals(light.echos.drop(columns="path"))
    grey = [spec.mean[0] / spec.std[0]]
    alike = []
    for file, prepared in zip(files.echos["path"], light.echos["path"], strict=True):
        if not prepared.endswith(".safetensors"):
            assert file == prepared
            continue
        pair = [prepare_clip(read_echo(tmp_path / n / p), spec) for n, p in (("files", file), ("light", prepared))]
        lit = pair[0] > 0.05 - grey[0]  # as far as preparation found the sector
        alike.append(np.corrcoef(pair[0][lit], pair[1][lit])[0, 1])
    assert len(alike) == report.clips
    assert np.median(alike) > 0.95
    assert min(alike) > 0.7


def test_clips_drawn_for_another_preparation_are_another_cohort(tmp_path, monkeypatch):
    monkeypatch.setattr(simulator.cohort, "render_view", tiny_clip)
    simulate_cohort(tmp_path / "c", patients=1, seed=9)
    with pytest.raises(CohortError, match="clips as machines write them"):
        simulate_cohort(tmp_path / "c", patients=1, seed=9, prepared_for=EchoSpec().prepared_for)
