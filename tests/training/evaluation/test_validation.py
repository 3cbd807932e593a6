import numpy as np
import pytest
import torch
from tiny import draft_of

from inputs.ecg.prepare import ecg_windows
from models.bundle import Bundle, write_bundle
from models.towers import EcgTower, EchoTower
from training.data.batches import PairedArrays
from training.evaluation.retrieval import phenotype_pairs, phenotype_tolerance, retrieval_metrics
from training.evaluation.validation import embed_ecgs, embed_studies, validation_score

CPU = torch.device("cpu")


@pytest.fixture
def towers(micro_recipe):
    torch.manual_seed(0)
    return EcgTower(micro_recipe.architecture).eval(), EchoTower(micro_recipe.architecture).eval()


def test_vectors_are_those_of_the_finished_bundle(towers, micro_recipe, tmp_path):
    draw = np.random.default_rng(0)
    signals = [draw.standard_normal((12, n)).astype(np.float32) for n in (480, 1200, 2500)]
    views = [draw.standard_normal((n, 12)).astype(np.float32) for n in (1, 4, 130)]
    with torch.inference_mode():
        ecg = embed_ecgs(towers[0], signals, micro_recipe.ecg, CPU)
        study = embed_studies(towers[1], views, 128, CPU)
    write_bundle(tmp_path / "b", draft_of(micro_recipe), ecg_tower=towers[0], echo_tower=towers[1], card="")
    bundle = Bundle.load(tmp_path / "b", device="cpu")
    for vector, signal in zip(ecg, signals, strict=True):
        expected = bundle.embed_ecgs(ecg_windows(signal, micro_recipe.ecg)[None]).embeddings_BD[0]
        np.testing.assert_allclose(vector, expected, atol=2e-5)
    for vector, view in zip(study, views, strict=True):
        np.testing.assert_allclose(vector, bundle.pool_study(view).embedding_D, atol=2e-5)


def test_validation_score_is_the_mean_average_precision_over_phenotypes_and_leaves_unknown_ones_out(
    towers, micro_recipe
):
    draw = np.random.default_rng(1)
    signals = [draw.standard_normal((12, 600)).astype(np.float32) for _ in range(9)]
    views = [draw.standard_normal((2, 12)).astype(np.float32) for _ in range(7)]
    study = np.array([0, 1, 2, 3, 4, 5, 6, 0, 3])
    pairs = PairedArrays(signals, views, np.arange(9), study, study)
    values = draw.normal(50, 10, (7, 2))
    values[2, 1] = np.nan
    with torch.inference_mode():
        similarity = embed_ecgs(towers[0], signals, micro_recipe.ecg, CPU) @ embed_studies(towers[1], views, 128, CPU).T
        score = validation_score(*towers, pairs, values, micro_recipe, CPU)
    expected = []
    for column, ecgs in ((0, np.arange(9)), (1, np.flatnonzero(study != 2))):
        kept = np.unique(study[ecgs])
        number = np.searchsorted(kept, study[ecgs])
        value = values[study[ecgs], column]
        relevant = phenotype_pairs(np.arange(len(ecgs)), number, number, value, phenotype_tolerance(number, value))
        expected.append(retrieval_metrics(similarity[np.ix_(ecgs, kept)], relevant).mean_average_precision)
    assert score == pytest.approx(np.mean(expected))
