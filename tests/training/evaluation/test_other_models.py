"""Whole evaluations with something beside the bundle: random weights, features of a file, another bundle."""

import pickle
from io import BytesIO

import numpy as np
import pytest
from evaluated import CPU, random_bundle

from cli.console import out
from cli.evaluation_report import print_evaluation_report
from cohorts import open_cohort
from ground.errors import Refusal
from models.bundle import Bundle
from training.evaluation.card import metrics_section
from training.evaluation.evaluate import EvaluationReport, evaluate
from training.evaluation.measured import measure
from training.evaluation.other_encoders import RANDOM_ENCODER, random_encoder, read_features

FITTED = {"knn_probe", "flags", "phenotypes", "few_shot", "linear_probe"}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def bare(micro_recipe, work):
    return random_bundle(work / "bare", micro_recipe, with_probes=False)


@pytest.fixture(scope="module")
def measured(bare, cohort_dir, work):
    return measure(Bundle.load(bare, device="cpu"), (), open_cohort(cohort_dir), "test", work, CPU)


def write_features(path, measured, **changes):
    parts = (measured.test, measured.known, measured.choosing)
    arrays = {
        "ids": np.concatenate([part.labels.index.to_numpy(dtype=str) for part in parts]),
        "features": np.concatenate([part.features_EF for part in parts]),
    }
    np.savez(
        path,
        **{name: change(arrays[name]) for name, change in changes.items()}
        | {name: array for name, array in arrays.items() if name not in changes},
    )
    return path


def test_own_features_given_as_foreign_ones_give_the_own_report_to_the_last_digit(
    bare, cohort_dir, measured, work, tmp_path
):
    order = np.random.default_rng(0).permutation(
        len(np.concatenate([measured.test.features_EF, measured.known.features_EF, measured.choosing.features_EF]))
    )
    path = write_features(tmp_path / "own.npz", measured, ids=lambda a: a[order], features=lambda a: a[order])
    report = evaluate(bare, cohort_dir, "test", CPU, work=work, features=path)
    untrained, foreign = report.beside
    assert foreign.encoder == "own.npz"
    assert foreign.model_dump(include=FITTED) == report.model_dump(include=FITTED)
    assert foreign.not_measured["retrieval"].startswith("retrieval needs vectors in the space of the studies")
    assert untrained.knn_probe != foreign.knn_probe
    assert EvaluationReport.model_validate_json(report.model_dump_json()) == report
    with out.capture() as printed:
        print_evaluation_report(report)
    assert "own.npz" in printed.get()
    assert f"| {RANDOM_ENCODER} | own.npz |" in metrics_section(report)


def test_random_weights_are_the_same_every_time_and_not_the_bundles(measured):
    first, second = random_encoder(measured), random_encoder(measured)
    assert first == second
    assert first.features == measured.test.features_EF.shape[1]
    assert measured.bundle.probes is None


def saved(**arrays):
    file = BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


IDS, FEATURES = np.array(["a", "b"]), np.ones((2, 3))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no archive", "cannot be read"),
        (pickle.dumps({"ids": 1}), "cannot be read"),
        (b"", "cannot be read"),
        (b"\x93NUMPY\x01\x00\x08\x00{[]: 1}\n", "cannot be read"),
        (saved(ids=IDS, features=FEATURES)[:-30], "cannot be read"),
        (saved(ids=IDS.astype(object), features=FEATURES), "cannot be read"),
        (saved(ids=IDS, features=FEATURES.astype(object)), "cannot be read"),
        (saved(ids=IDS), "no NPZ file with the arrays"),
        (saved(ids=np.array([1, 2]), features=FEATURES), "ids as one row of text"),
        (saved(ids=np.array([b"a", b"b"]), features=FEATURES), "ids as one row of text"),
        (saved(ids=IDS[None], features=FEATURES), "ids as one row of text"),
        (saved(ids=IDS, features=FEATURES.astype(np.complex64)), "a matrix of floating-point numbers"),
        (saved(ids=IDS, features=np.zeros(2, dtype=[("x", "f4")])), "a matrix of floating-point numbers"),
        (saved(ids=IDS, features=FEATURES[0]), "a matrix of floating-point numbers"),
        (saved(ids=IDS, features=FEATURES[:1]), "2 ids for 1 rows"),
        (saved(ids=np.array(["a", "a"]), features=FEATURES), "names 1 ids more than once"),
        (saved(ids=IDS, features=FEATURES * np.nan), "not finite"),
        (saved(ids=IDS, features=FEATURES * 1e300), "not finite"),
    ],
)
def test_a_file_of_features_that_does_not_fit_is_refused_in_a_sentence(tmp_path, content, says):
    (tmp_path / "f.npz").write_bytes(content)
    with pytest.raises(Refusal, match=says) as refused:
        read_features(tmp_path / "f.npz")
    assert str(refused.value).count(".") == 1


def test_an_array_alone_is_refused(tmp_path):
    np.save(tmp_path / "f.npy", FEATURES)
    with pytest.raises(Refusal, match="no NPZ file"):
        read_features(tmp_path / "f.npy")


def test_features_that_lack_a_needed_ecg_are_refused_with_how_many(bare, cohort_dir, measured, work, tmp_path):
    path = write_features(tmp_path / "few.npz", measured, ids=lambda a: a[2:], features=lambda a: a[2:])
    with pytest.raises(Refusal, match="no row for 2 of the 32 ECGs"):
        evaluate(bare, cohort_dir, "test", CPU, work=work, features=path)


def test_a_bundle_beside_another_has_differences_of_every_score_that_both_have(
    bare, cohort_dir, micro_recipe, work, tmp_path
):
    served = random_bundle(tmp_path / "served", micro_recipe, with_probes=True)
    report = evaluate(served, cohort_dir, "test", CPU, work=work, against=bare)
    found = {one.score: one for one in report.against.differences}
    shd = found["AUROC, SHD"]
    assert shd.this == report.linear_probe.shd.auroc.value
    assert shd.other == evaluate(bare, cohort_dir, "test", CPU, work=work).linear_probe.shd.auroc.value
    assert shd.difference.value == pytest.approx(shd.this - shd.other)
    lvef = found["precision@10, study of like lvef_percent, own patient excluded"]
    own = report.retrieval_of("lvef_percent", own_patient_excluded=True).ecg_to_study
    assert lvef.this == pytest.approx(own.precision_at_10.value)
    assert lvef.difference.value == 0  # the same towers
    with out.capture() as printed:
        print_evaluation_report(report)
    assert "The same patients, both bundles" in printed.get()


def test_bundles_that_cannot_retrieve_are_compared_in_the_rest(bare, cohort_dir, micro_recipe, work, tmp_path):
    part = random_bundle(tmp_path / "part", micro_recipe, with_probes=False, echo=False)
    report = evaluate(bare, cohort_dir, "test", CPU, work=work, against=part).against
    assert "AUROC, SHD" in {one.score for one in report.differences}
    assert report.not_measured["retrieval"] == "retrieval is compared where both bundles have both towers"
