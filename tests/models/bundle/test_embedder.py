"""What a service asks of a model, and the one shape of what is said of one ECG."""

from __future__ import annotations

import json

import numpy as np
import pytest

from models.bundle import Bundle, Embedder, write_bundle
from models.bundle.embedder import EcgOutput
from models.lvef_number import LvefNumber

WINDOWS = np.random.default_rng(3).standard_normal((3, 1, 12, 1008)).astype(np.float32)


@pytest.fixture
def load(tmp_path, draft, demo_modules):
    def load(probes, *, parts=("ecg",), absent=()) -> Embedder:
        modules = dict(demo_modules)
        if absent:
            tower = type(modules["ecg_tower"])(draft.architecture)
            for name in absent:
                delattr(tower, name)
            modules["ecg_tower"] = tower
        told = draft.model_copy(update={"absent": absent})
        write_bundle(tmp_path / "b", told, **modules, probes=probes, card="# A card\n")
        return Bundle.load(tmp_path / "b", device="cpu", parts=parts)

    return load


def test_a_verdict_holds_the_numbers_of_its_row(load, judging_probes):
    output = load(judging_probes).embed_ecgs(WINDOWS)
    for number in range(len(WINDOWS)):
        verdict = output.row(number)
        np.testing.assert_array_equal(verdict.features_F, output.features_BF[number])
        np.testing.assert_array_equal(verdict.embedding_D, output.embeddings_BD[number])
        np.testing.assert_array_equal(verdict.lvef.probability_C, output.lvef_BC[number])
        assert verdict.lvef.called == output.lvef_BC[number].argmax()
        assert verdict.shd.probability == output.shd_B[number]
        assert {name: flag.probability for name, flag in verdict.flags.items()} == dict(
            zip(judging_probes.flag_names, output.flags_BQ[number], strict=True)
        )
        assert verdict.flags["lvef_lte_45_flag"].threshold == judging_probes.flags["lvef_lte_45_flag"].threshold
        assert verdict.unusual.score == output.ood.score_B[number]
        assert verdict.unusual.percentile == output.ood.percentile_B[number]


def test_a_prediction_set_holds_what_is_called(probes):
    sets = {"coverage": 0.9, "quantile": 0.0, "n_calibration": 30}
    given = probes.model_dump()
    given["lvef"]["sets"] = given["shd"]["sets"] = sets
    given["shd"]["threshold"] = 0.3
    features = np.zeros((1, 4), np.float32)
    lvef_BC, shd_B = np.array([[0.2, 0.5, 0.3]], np.float32), np.array([0.4], np.float32)
    verdict = EcgOutput(features, features, lvef_BC, shd_B, probes=type(probes).model_validate(given)).row(0)
    assert verdict.lvef.prediction_set.classes == (1,)
    assert verdict.shd.positive
    assert verdict.shd.prediction_set.classes == (1,), "0.4 is above the threshold, though below a half"
    assert (verdict.shd.prediction_set.coverage, verdict.shd.prediction_set.n_calibration) == (0.9, 30)


CALLS = {"called_C": (20.0, 45.0), "not_called_C": (130.0, 5.0), "n_C": (60, 40)}


def knowing(probes):
    """The same probes with all that the third schema knows."""
    given = probes.model_dump()
    point = {"threshold": 0.15, "sought_sensitivity": 0.9}
    three = {"called_C": (45.0, 10.0, 10.0), "not_called_C": (5.0, 10.0, 120.0), "n_C": (20, 10, 70)}
    per_class = {"coverage": 0.9, "quantile_C": (0.7, 0.6, 0.1), "n_calibration_C": (40, 9, 300), "falls_back": (1,)}
    overall = {"coverage": 0.9, "quantile": 0.6, "n_calibration": 349}
    bins = [
        {"below_percent": 50.0, "half_width_percent": 14.0, "n_calibration": 41},
        {"below_percent": None, "half_width_percent": 7.0, "n_calibration": 99},
    ]
    given["lvef"] |= {
        "sets": overall,
        "per_class_sets": per_class,
        "operating_point": point | {"calls": three | {"case": 0}},
        "number": {"weight_F": given["shd"]["weight_F"], "bias": 48.0, "interval": {"coverage": 0.9, "bins": bins}},
    }
    given["shd"] |= {
        "threshold": 0.15,
        "sets": overall | {"quantile": 0.5},
        "per_class_sets": per_class | {"quantile_C": (0.1, 0.9), "n_calibration_C": (60, 40), "falls_back": ()},
        "operating_point": point | {"calls": CALLS | {"case": 1}},
    }
    rule = {"least_odds_ratio": 3.0, "least_ppv": 0.2, "least_auroc": 0.7, "auroc": 0.8, "auroc_high": 0.9}
    rule |= {"auroc_low": 0.75, "calls": CALLS | {"case": 1}}
    flag = {name: given["shd"][name] for name in ("weight_F", "bias", "calibration")} | {"prevalence": 0.1}
    given["flags"] = {
        "told": flag | {"rule": rule},
        "untold": flag | {"rule": rule | {"auroc_low": 0.6}},
        "older": flag | {"threshold": 0.35},
    }
    return type(probes).model_validate(given)


def verdict_of(probes, *, lvef=(0.2, 0.5, 0.3), shd=0.4, flags=(0.3, 0.3, 0.3), percent=44.0, **more):
    row = np.zeros((1, 4), np.float32)
    arrays = {"lvef_BC": [lvef], "shd_B": [shd], "flags_BQ": [flags], "lvef_percent_B": [percent]}
    given = {name: np.array(values, np.float32) for name, values in arrays.items()}
    return EcgOutput(row, row, probes=probes, **given, **more).row(0)


def test_the_lowest_lvef_class_and_shd_are_called_at_a_point_that_says_what_it_brings(probes):
    verdict = verdict_of(knowing(probes))
    assert (verdict.lvef.called, verdict.lvef.positive, verdict.shd.positive) == (1, True, True)
    assert not verdict_of(knowing(probes), lvef=(0.14, 0.5, 0.36)).lvef.positive
    shd = verdict.shd.operating_point
    assert (shd.threshold, shd.n_cases, shd.n_others) == (verdict.shd.threshold, 40, 60)
    assert (shd.sensitivity, shd.specificity) == (pytest.approx(45 / 50), pytest.approx(130 / 150))
    assert (shd.ppv, shd.npv, shd.echos_per_case) == pytest.approx((45 / 65, 130 / 135, 65 / 45))
    assert verdict.lvef.operating_point.ppv == pytest.approx(45 / 65)


def test_sets_within_classes_stand_beside_the_overall_ones_and_name_the_classes_that_lean_on_all(probes):
    """Reduced from 0.3, mildly reduced from 0.4, preserved from 0.9; over all patients from 0.4."""
    lvef = verdict_of(knowing(probes), lvef=(0.35, 0.05, 0.6)).lvef
    assert (lvef.per_class_set.classes, lvef.prediction_set.classes) == ((0, 2), (0, 2))
    lvef = verdict_of(knowing(probes), lvef=(0.1, 0.39, 0.51)).lvef
    assert (lvef.per_class_set.classes, lvef.prediction_set.classes) == ((2,), (2,))
    assert (lvef.per_class_set.coverage_kind, lvef.per_class_set.falls_back) == ("mixed", (1,))
    assert lvef.per_class_set.n_calibration_C == (40, 9, 300)
    assert (lvef.prediction_set.coverage_kind, lvef.prediction_set.n_calibration) == ("overall", 349)
    shd = verdict_of(knowing(probes), shd=0.12).shd
    assert (shd.positive, shd.per_class_set.classes, shd.prediction_set.classes) == (False, (0, 1), (0,))
    assert shd.per_class_set.coverage_kind == "per_class"


def test_a_lowest_class_that_is_called_is_in_both_sets_beside_the_most_probable_one(probes):
    lvef = verdict_of(knowing(probes), lvef=(0.16, 0.04, 0.8)).lvef
    assert (lvef.called, lvef.positive) == (2, True)
    assert (lvef.prediction_set.classes, lvef.per_class_set.classes) == ((0, 2), (0, 2))


def test_each_flag_says_what_its_own_probe_can(probes):
    """Three times the odds of one in ten is 0.25."""
    flags = verdict_of(knowing(probes), flags=(0.3, 0.3, 0.3)).flags
    assert (flags["told"].finding, flags["told"].base_rate, flags["told"].positive) == ("raised", 0.1, True)
    assert (flags["told"].threshold, flags["told"].probability) == (None, pytest.approx(0.3))
    assert (flags["untold"].finding, flags["untold"].positive) == ("cannot_tell", False)
    assert (flags["older"].finding, flags["older"].threshold, flags["older"].positive) == (None, 0.35, False)
    flags = verdict_of(knowing(probes), flags=(0.24, 0.24, 0.36)).flags
    assert (flags["told"].finding, flags["told"].positive, flags["older"].positive) == ("not_raised", False, True)


def test_lvef_as_a_number_comes_with_the_interval_of_its_bin(probes):
    estimate = verdict_of(knowing(probes), percent=44.0).lvef.estimate
    assert (estimate.percent, estimate.low, estimate.high) == (44.0, 30.0, 58.0)
    assert (estimate.coverage, estimate.n_calibration) == (0.9, 41)
    assert verdict_of(knowing(probes), percent=50.0).lvef.estimate.low == 43.0


def test_flags_without_a_probe_are_named_and_none_where_nothing_is_predicted(load, draft, probes):
    assert load(probes).embed_ecgs(WINDOWS[:1]).row(0).not_predicted == draft.labels.shd_flags
    assert verdict_of(None, not_predicted=("some_flag",)).not_predicted == ()


def test_a_flag_with_a_probe_is_predicted(load, judging_probes):
    assert load(judging_probes).embed_ecgs(WINDOWS[:1]).row(0).not_predicted == ()


def test_probes_of_an_older_schema_say_what_they_have_and_nothing_new(load, judging_probes):
    verdict = load(judging_probes).embed_ecgs(WINDOWS[:1]).row(0)
    lvef, shd, flag = verdict.lvef, verdict.shd, verdict.flags["lvef_lte_45_flag"]
    assert (lvef.per_class_set, lvef.operating_point, lvef.positive, lvef.estimate) == (None,) * 4
    assert (shd.per_class_set, shd.operating_point) == (None, None)
    assert (flag.finding, flag.threshold, flag.positive) == (None, 0.45, flag.probability > 0.45)


def test_a_bundle_gives_lvef_as_a_number_and_moved_elsewhere_gives_none(load, judging_probes):
    number = {"weight_F": judging_probes.shd.weight_F, "bias": 50.0}
    lvef = judging_probes.lvef.model_copy(update={"number": LvefNumber.model_validate(number)})
    embedder = load(judging_probes.model_copy(update={"lvef": lvef}))
    output = embedder.embed_ecgs(WINDOWS)
    standard = (output.features_BF - np.array(judging_probes.feature_mean_F)) / judging_probes.feature_std_F
    expected = np.clip(standard @ np.array(judging_probes.shd.weight_F) + 50, 0, 100)
    assert output.lvef_percent_B == pytest.approx(expected, abs=1e-3)
    assert output.lvef_percent_B.dtype == np.float32
    assert output.row(1).lvef.estimate.percent == output.lvef_percent_B[1]
    moved = embedder.with_prevalence(shd=0.1).embed_ecgs(WINDOWS)
    assert moved.lvef_percent_B is None
    assert moved.row(1).lvef.estimate is None


def test_without_probes_there_are_vectors_and_no_decisions(load):
    embedder = load(None)
    verdict = embedder.embed_ecgs(WINDOWS[:1]).row(0)
    assert (verdict.lvef, verdict.shd, dict(verdict.flags), verdict.unusual) == (None, None, {}, None)
    assert embedder.gives == {"ecg_features", "ecg_embeddings", "search"}


def test_a_model_says_what_it_gives(load, judging_probes):
    assert load(judging_probes).gives == {"ecg_features", "ecg_embeddings", "search", "predictions", "unusual"}


def test_without_alignment_there_are_features_alone(load):
    assert load(None, absent=("ecg_alignment_global_token",)).gives == {"ecg_features"}


def test_without_a_study_encoder_there_is_nothing_to_search(tmp_path, draft, demo_modules):
    write_bundle(tmp_path / "b", draft, ecg_tower=demo_modules["ecg_tower"], card="# A card\n")
    assert Bundle.load(tmp_path / "b", device="cpu", parts=("ecg",)).gives == {"ecg_features", "ecg_embeddings"}


def test_a_part_that_was_not_loaded_gives_nothing(load, probes):
    assert load(probes, parts=("echo",)).gives == frozenset()


def test_what_callers_may_know_of_a_model_names_no_file(load, probes):
    about = load(probes).about
    assert {"id", "sha256", "labels", "metrics"} <= set(about)
    assert "files" not in about
    assert json.loads(json.dumps(about)) == about
