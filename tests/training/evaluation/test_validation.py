import numpy as np
import pytest
import torch
from tiny import draft_of

from inputs.ecg.prepare import ecg_windows
from models.bundle import Bundle, write_bundle
from models.towers import EcgTower, EchoTower
from training.data.batches import PairedArrays
from training.evaluation.retrieval import (
    phenotype_pairs,
    phenotype_tolerance,
    random_average_precision,
    retrieval_metrics,
)
from training.evaluation.validation import discounted, embed_ecgs, embed_studies, validation_score

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
    expected, chance = [], []
    for column, ecgs in ((0, np.arange(9)), (1, np.flatnonzero(study != 2))):
        kept = np.unique(study[ecgs])
        number = np.searchsorted(kept, study[ecgs])
        value = values[study[ecgs], column]
        relevant = phenotype_pairs(np.arange(len(ecgs)), number, number, value, phenotype_tolerance(number, value))
        expected.append(retrieval_metrics(similarity[np.ix_(ecgs, kept)], relevant).mean_average_precision)
        chance.append(random_average_precision(relevant))
    assert score.made_of["map"] == pytest.approx(np.mean(expected))
    assert score.made_of["map_of_chance"] == pytest.approx(np.mean(chance))


def test_hub_share_is_what_the_most_popular_tenth_of_the_studies_takes_of_all_first_ten_places(micro_recipe):
    """Twenty ECGs that all look the same find the same ten of forty studies: four studies have four tenths."""
    signals = [np.ones((12, 600), np.float32)] * 20
    draw = np.random.default_rng(2)
    views = [draw.standard_normal((1, 12)).astype(np.float32) for _ in range(40)]
    pairs = PairedArrays(signals, views, np.arange(40) % 20, np.arange(40), np.arange(40) % 20)
    torch.manual_seed(0)
    both = EcgTower(micro_recipe.architecture).eval(), EchoTower(micro_recipe.architecture).eval()
    with torch.inference_mode():
        score = validation_score(*both, pairs, draw.normal(50, 10, (40, 1)), micro_recipe, CPU)
    assert score.made_of["hub_share"] == pytest.approx(0.4)


def test_an_epoch_of_hubs_is_not_chosen_over_one_that_ranks_nearly_as_well_without_them():
    collapsed, healthy = discounted(0.48, 0.37, 0.68), discounted(0.47, 0.37, 0.42)
    assert collapsed.made_of["map"] > healthy.made_of["map"]
    assert collapsed.value < healthy.value


def test_hubs_as_an_ideal_ranker_has_them_cost_nothing_and_one_study_for_all_is_worth_chance():
    assert discounted(0.5, 0.4, 0.1).value == discounted(0.5, 0.4, 0.3).value == pytest.approx(0.5)
    assert discounted(0.5, 0.4, 1.0).value == pytest.approx(0.4)


def test_a_ranking_worse_than_chance_gains_nothing_by_hubs():
    assert discounted(0.3, 0.4, 0.9).value == discounted(0.3, 0.4, 0.1).value == pytest.approx(0.3)
