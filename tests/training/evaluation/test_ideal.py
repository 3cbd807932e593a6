import numpy as np
import pytest
from scipy.stats import multivariate_normal

from training.evaluation.ideal import IdealRanking


def pairs(count, r, draw):
    """Two hidden directions seen by both sides with correlations `r`, mixed into four and three numbers."""
    hidden = draw.standard_normal((count, 2))
    r = np.array(r)
    echo = r * hidden + np.sqrt(1 - r**2) * draw.standard_normal((count, 2))
    ecg_side = np.column_stack([hidden, draw.standard_normal((count, 2))]) @ MIX_ECG + 3.0
    return ecg_side, np.column_stack([echo, draw.standard_normal(count)]) @ MIX_ECHO - 1.0


MIX_ECG = np.random.default_rng(100).normal(size=(4, 4))
MIX_ECHO = np.random.default_rng(101).normal(size=(3, 3))


def test_it_ranks_by_the_log_ratio_of_the_joint_density_to_that_of_strangers():
    draw = np.random.default_rng(0)
    train, val = pairs(20_000, (0.8, 0.5), draw), pairs(20_000, (0.8, 0.5), draw)
    ecgs, facts = pairs(40, (0.8, 0.5), draw)
    found = IdealRanking.fit(train, val).similarity_ES(ecgs, facts)
    both = np.concatenate(train, axis=1)
    joint = multivariate_normal(both.mean(axis=0), np.cov(both.T))
    alone = multivariate_normal(both[:, 4:].mean(axis=0), np.cov(both[:, 4:].T))
    together = np.stack([joint.logpdf(np.column_stack([np.tile(ecg, (40, 1)), facts])) for ecg in ecgs])
    expected = together - alone.logpdf(facts)
    # The same but for what is the same for all studies of an ECG.
    difference = (found - found.mean(axis=1, keepdims=True)) - (expected - expected.mean(axis=1, keepdims=True))
    assert np.abs(difference).max() < 0.1 * np.abs(expected - expected.mean(axis=1, keepdims=True)).max()


def test_it_finds_its_own_study_far_more_often_than_strangers_and_nothing_where_nothing_is_shared():
    draw = np.random.default_rng(1)
    for r, low, high in (((0.95, 0.9), 0.6, 1.0), ((0.0, 0.0), 0.03, 0.2)):
        train, val, test = (pairs(count, r, draw) for count in (3_000, 1_000, 400))
        similarity = IdealRanking.fit(train, val).similarity_ES(*test)
        first = np.mean((similarity > np.diag(similarity)[:, None]).sum(axis=1) < 40)
        assert low <= first <= high


def test_correlations_are_those_of_patients_who_did_not_choose_the_directions():
    draw = np.random.default_rng(2)
    few = draw.standard_normal((30, 20)), draw.standard_normal((30, 5))
    fresh = draw.standard_normal((5_000, 20)), draw.standard_normal((5_000, 5))
    assert IdealRanking.fit(few, fresh).r_K.max() < 0.1
    assert IdealRanking.fit(few, few).r_K.max() == pytest.approx(0.98, abs=0.1)
