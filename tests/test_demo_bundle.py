"""The bundle that `make demo` serves, by its manifest: it verifies, it is small, and it does what is claimed of it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from cli.demo import DEMO_BUNDLE, DEMO_SEED
from models.bundle import Bundle, read_manifest, read_probes, read_self_test, run_self_test, verify_bundle
from models.bundle.loaded import Precision

END_TO_END_SEED = 4242
"""Of tests/test_end_to_end.py."""


@pytest.fixture(scope="module")
def manifest():
    return read_manifest(DEMO_BUNDLE)[0]


@pytest.fixture(scope="module")
def measured(manifest):
    return manifest.metrics["test"]


def test_it_verifies_and_weighs_less_than_15_mb():
    verify_bundle(DEMO_BUNDLE)
    assert sum(file.stat().st_size for file in DEMO_BUNDLE.iterdir()) < 15e6


@pytest.mark.parametrize("precision", get_args(Precision))
def test_it_answers_the_known_ecg_here_as_where_it_was_written(manifest, precision):
    known = read_self_test(DEMO_BUNDLE, manifest)
    found = run_self_test(Bundle.load(DEMO_BUNDLE, device="cpu", parts=("ecg",), precision=precision), known)
    assert {one.answer for one in found} >= {"features", "embedding", "LVEF classes", "LVEF", "SHD", "findings"}
    assert [one for one in found if not one.holds] == []


def test_lvef_and_shd_are_read_from_ecgs_of_patients_who_trained_nothing(measured):
    assert measured["split"] == "test"
    assert measured["linear_probe"]["lvef_lowest_class"]["auroc"]["value"] >= 0.85
    assert measured["linear_probe"]["shd"]["auroc"]["value"] >= 0.78


def test_studies_of_like_lvef_are_found_among_other_patients_half_again_as_often_as_by_chance(measured):
    found = next(r for r in measured["retrieval"] if r["relevant"] == "lvef_percent" and r["own_patient_excluded"])
    assert found["ecg_to_study"]["lift_at_10"]["value"] >= 1.5
    assert found["ecg_to_study"]["lift_at_10"]["low"] > 1.0


def test_demo_and_end_to_end_patients_are_not_those_it_was_trained_on(manifest):
    end_to_end = (Path(__file__).with_name("test_end_to_end.py")).read_text()
    assert f"SEED = {END_TO_END_SEED}\n" in end_to_end
    assert manifest.training_data["seed"] not in (DEMO_SEED, END_TO_END_SEED)


def test_the_card_says_simulated_and_how_to_make_it_again(manifest):
    card = (DEMO_BUNDLE / "README.md").read_text(encoding="utf-8")
    assert "**simulated**" in card
    assert "Trained first" in card
    assert f"--seed {manifest.training_data['seed']}" in card
    assert "echo2ecg simulate " in card
    assert "echo2ecg train " in card


def test_its_probes_say_all_that_probes_can_say_of_lvef_and_shd(manifest):
    probes = read_probes(DEMO_BUNDLE, manifest)
    assert probes.schema_version == 4  # the next one adds labels of the user's own
    assert probes.shd_covers_flags
    for question in (probes.lvef, probes.shd):
        assert question.operating_point is not None
        assert question.per_class_sets.coverage_kind == "per_class", "every class has a promise of its own"
    assert probes.lvef.number.interval is not None
    assert all(flag.rule is not None for flag in probes.flags.values())
    assert probes.ood is not None


def test_probes_and_encoders_are_of_one_cohort_and_the_card_says_what_was_fitted_when(manifest):
    told = manifest.training_data["probes"]
    assert told["tables_sha256"] == manifest.training_data["tables_sha256"]
    assert told["cohort_of_the_encoders"]
    assert "**Only the probes were fitted here.**" in (DEMO_BUNDLE / "README.md").read_text(encoding="utf-8")
