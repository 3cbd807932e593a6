"""What a service asks of a model, and the one shape of what is said of one ECG."""

from __future__ import annotations

import json

import numpy as np
import pytest

from models.bundle import Bundle, Embedder, write_bundle
from models.bundle.embedder import EcgOutput

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


def test_without_probes_there_are_vectors_and_no_decisions(load):
    embedder = load(None)
    verdict = embedder.embed_ecgs(WINDOWS[:1]).row(0)
    assert (verdict.lvef, verdict.shd, dict(verdict.flags), verdict.unusual) == (None, None, {}, None)
    assert embedder.gives == {"ecg_features", "ecg_embeddings"}


def test_a_model_says_what_it_gives(load, judging_probes):
    assert load(judging_probes).gives == {"ecg_features", "ecg_embeddings", "predictions", "unusual"}


def test_without_alignment_there_are_features_alone(load):
    assert load(None, absent=("ecg_alignment_global_token",)).gives == {"ecg_features"}


def test_a_part_that_was_not_loaded_gives_nothing(load, probes):
    assert load(probes, parts=("echo",)).gives == frozenset()


def test_what_callers_may_know_of_a_model_names_no_file(load, probes):
    about = load(probes).about
    assert {"id", "sha256", "labels", "metrics"} <= set(about)
    assert "files" not in about
    assert json.loads(json.dumps(about)) == about
