from dataclasses import replace

import numpy as np
import pytest
from patient_groups import VIEWS, group_of

from cohorts import CohortError
from training.reproduce.arms import ALIGNED
from training.reproduce.data import ComparisonData
from training.reproduce.seen import seen_by


@pytest.fixture(scope="module")
def data():
    return ComparisonData(group_of(12, seed=1), group_of(6, seed=2), group_of(9, seed=3))


def test_four_chamber_views_alone_train_and_test_and_a_study_without_one_keeps_its_views(data):
    names = [VIEWS] * 11 + [np.array(["PLAX", "A2C", "A2C", "A2C"])]
    data = replace(data, train=replace(data.train, view_names_V=names))
    seen = seen_by(ALIGNED["a4c_only"], data, 0)
    for part, all_of in ((seen.train, data.train), (seen.test, data.test)):
        np.testing.assert_array_equal(part.pairs.views_VD[0], all_of.pairs.views_VD[0][[1, 2]])
    np.testing.assert_array_equal(seen.train.pairs.views_VD[11], data.train.pairs.views_VD[11])


def test_a_fixed_view_is_one_of_the_study_and_stays_with_the_seed(data):
    seen, again, other = (seen_by(ALIGNED["single_fixed"], data, seed).train.pairs.views_VD for seed in (0, 0, 1))
    for study, (view, same) in enumerate(zip(seen, again, strict=True)):
        assert view.shape == (1, 3)
        assert view[0].tolist() in data.train.pairs.views_VD[study].tolist()
        np.testing.assert_array_equal(view, same)
    assert not all(np.array_equal(view, drawn) for view, drawn in zip(seen, other, strict=True))
    assert seen_by(ALIGNED["single_fixed"], data, 0).test is data.test


def test_shuffled_pairs_join_every_ecg_with_a_study_of_somebody_else_and_leave_the_test_alone(data):
    seen = seen_by(ALIGNED["multi_shuffled"], data, 0)
    for part in (seen.train, seen.val):
        owner_S = np.arange(len(part.pairs.views_VD))  # a study has the number of its patient
        assert (owner_S[part.pairs.study_P] != part.pairs.patient_P).all()
        assert len(np.unique(part.pairs.study_P)) == len(owner_S), "every study is somebody's"
    assert seen.test is data.test


def test_the_left_out_site_neither_trains_nor_chooses_and_is_tested(data):
    seen = seen_by(ALIGNED["multi_without_site"], data, 0)
    for part, all_of in ((seen.train, data.train), (seen.val, data.val)):
        assert set(part.group_E("site")) == {"0", "1"}
        kept = np.flatnonzero(all_of.group_E("site") != "2")
        for ecg, old in enumerate(kept):
            np.testing.assert_array_equal(part.pairs.signals_LN[ecg], all_of.pairs.signals_LN[old])
            np.testing.assert_array_equal(part.answers_EQ[ecg], all_of.answers_EQ[old])
            old_study = all_of.pairs.study_P[all_of.pairs.ecg_P == old][0]
            study = part.pairs.study_P[part.pairs.ecg_P == ecg][0]
            np.testing.assert_array_equal(part.pairs.views_VD[study], all_of.pairs.views_VD[old_study])
            np.testing.assert_array_equal(part.phenotypes_SP[study], all_of.phenotypes_SP[old_study])
    assert "2" in seen.test.group_E("site")


def test_a_site_that_nobody_tells_or_that_is_all_there_is_cannot_be_left_out(data):
    unknown = replace(data, train=replace(data.train, groups=data.train.groups[[]]))
    with pytest.raises(CohortError, match="needs to know the site"):
        seen_by(ALIGNED["multi_without_site"], unknown, 0)
    alone = replace(data, val=group_of(6, sites=("2",)))
    with pytest.raises(CohortError, match="Fewer than two patients are left"):
        seen_by(ALIGNED["multi_without_site"], alone, 0)
