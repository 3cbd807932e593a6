from dataclasses import replace

import numpy as np
import pytest
from patient_groups import group_of

from training.data.batches import PairedArrays
from training.reproduce.data import ComparisonData
from training.reproduce.endpoints import PHENOTYPES
from training.reproduce.retrieved import (
    chance_EP,
    ideal_ranking,
    own_in_first_tenth,
    random_retrieval,
    retrieve,
)

RATE = 100.0


def paced_group(patients, seed):
    """Whose hearts beat as fast as their first phenotype says; their echo tells that, and three numbers of its own."""
    group, draw = group_of(patients, seed=seed), np.random.default_rng([seed, 7])
    rr_s = draw.uniform(0.5, 1.3, patients)
    time = np.arange(1_000) / RATE
    signals = []
    for patient in group.pairs.patient_P:
        phase = (time - draw.uniform(0, 1)) % (rr_s[patient] + 0.005 * draw.normal())
        signals.append(np.stack([np.exp(-0.5 * ((phase - 0.2) / 0.02) ** 2)] * 2).astype(np.float32))
    phenotypes = group.phenotypes_SP.copy()
    phenotypes[:, 0] = rr_s
    facts = np.column_stack([rr_s + 0.02 * draw.normal(size=patients), draw.normal(size=(patients, 3))])
    ecgs = replace(group.ecgs, signals_LN=signals)
    pairs = replace(group.pairs, signals_LN=signals)
    return replace(group, pairs=pairs, ecgs=ecgs, phenotypes_SP=phenotypes, facts_SF=facts)


def test_the_ideal_ranking_finds_what_ecg_and_echo_share_and_nothing_else():
    data = ComparisonData(*(paced_group(patients, seed) for seed, patients in enumerate((150, 60, 80))))
    found = ideal_ranking(data, RATE)
    assert found["lift_lvef_percent"] > 2.0, "which is the rate, here"
    assert found["own_in_first_tenth"] > 0.6
    assert all(0.7 < found[f"lift_{other}"] < 1.3 for other in PHENOTYPES[1:])
    strange = replace(data.test, facts_SF=np.random.default_rng(0).permutation(data.test.facts_SF))
    assert ideal_ranking(replace(data, test=strange), RATE)["own_in_first_tenth"] < 0.3


def test_the_ideal_ranking_need_not_follow_the_rhythm_and_may():
    """Whether the rate stands among the last facts or among the others, it is found."""
    data = ComparisonData(*(paced_group(patients, seed) for seed, patients in enumerate((150, 60, 80))))
    turned = ComparisonData(
        *(replace(part, facts_SF=part.facts_SF[:, ::-1]) for part in (data.train, data.val, data.test))
    )
    for one in (data, turned):
        assert ideal_ranking(one, RATE)["lift_lvef_percent"] > 2.0


def test_without_the_truth_there_is_no_ideal_ranking():
    data = ComparisonData(*(paced_group(10, seed) for seed in range(3)))
    assert ideal_ranking(replace(data, val=replace(data.val, facts_SF=None)), RATE) is None


def test_own_study_is_in_the_first_tenth_when_fewer_than_a_tenth_are_nearer():
    """Twenty studies, of which two are a tenth; the second ECG belongs to two studies, of which the nearer counts."""
    similarity = np.tile(np.arange(20, 0, -1, dtype=np.float32), (4, 1))
    nothing = [np.zeros((1, 1), np.float32)] * 20
    pairs = PairedArrays(nothing[:4], nothing, np.array([0, 1, 1, 2, 3]), np.array([1, 9, 0, 2, 19]), np.arange(5) % 4)
    assert own_in_first_tenth(pairs, similarity).tolist() == [1, 1, 0, 0]


def test_a_ranking_by_the_phenotype_itself_has_every_place_and_one_by_luck_a_lift_of_one():
    group = group_of(100, seed=5)
    value_S = group.phenotypes_SP[:, 3]
    near = -np.abs(value_S[group.pairs.patient_P][:, None] - value_S[None]).astype(np.float32)
    found = retrieve(group, near)
    septum = PHENOTYPES.index("septum_cm")
    # A few of a hundred have fewer than ten others within half a standard deviation.
    assert found.metrics["precision_at_10_septum_cm"] > 0.95
    assert found.metrics["precision_at_10_septum_cm"] == pytest.approx(np.nanmean(found.precision_EP[:, septum]))
    assert found.metrics["lift_septum_cm"] == pytest.approx(
        found.precision_EP[:, septum].mean() / chance_EP(group)[:, septum].mean()
    )
    lucky = retrieve(group, np.random.default_rng(1).random(near.shape).astype(np.float32)).metrics
    assert lucky["lift_mean"] == pytest.approx(1.0, abs=0.05)
    assert lucky["own_in_first_tenth"] == pytest.approx(0.1, abs=0.06)
    assert random_retrieval(group)["precision_at_10_septum_cm"] == pytest.approx(chance_EP(group)[:, septum].mean())


def test_typical_studies_first_for_everybody_lift_above_chance_and_not_above_strangers():
    group = group_of(100, seed=5)
    typical_S = -np.abs(group.phenotypes_SP[:, 0] - np.median(group.phenotypes_SP[:, 0]))
    found = retrieve(group, np.tile(typical_S, (200, 1)).astype(np.float32)).metrics
    assert found["lift_lvef_percent"] > 1.2
    assert found["popularity_lift_lvef_percent"] == pytest.approx(found["lift_lvef_percent"], rel=0.02)
    near = -np.abs(group.phenotypes_SP[group.pairs.patient_P, 0][:, None] - group.phenotypes_SP[None, :, 0])
    telling = retrieve(group, near.astype(np.float32)).metrics
    assert telling["lift_lvef_percent"] > 2 * telling["popularity_lift_lvef_percent"]


def test_one_study_that_is_near_everybody_is_a_hub():
    group = group_of(100, seed=5)
    similarity = np.random.default_rng(2).random((200, 100)).astype(np.float32)
    assert retrieve(group, similarity).metrics["hub_share"] < 0.2
    similarity[:, :10] += 1
    assert retrieve(group, similarity).metrics["hub_share"] > 0.85
