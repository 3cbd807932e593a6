import math

import numpy as np
import pandas as pd
import pytest
import torch

from training.objectives.echo_clips import Lessons, Names, Numbers, taught_by_clips, taught_by_studies

NAN = math.nan


def facts():
    """Five clips: two of one study, the last two of validation patients."""
    return pd.DataFrame(
        {
            "view": ["A4C", "PLAX", "A4C", "zoom", "PLAX"],
            "plane_ef_percent": [60.0, NAN, 40.0, 20.0, 99.0],
            "septum_cm": [NAN, 1.0, NAN, NAN, 1.2],
            "motion_mid_inferior": [0.0, 1.0, 1.0, NAN, -0.5],
            "quality": [0.5, 1.0, 0.75, 0.75, 0.0],
        }
    )


TRAIN = np.array([True, True, True, False, False])


def test_a_clip_is_taught_what_it_shows_standardised_by_the_train_clips():
    taught = taught_by_clips(facts(), TRAIN)
    assert taught.by == "clip"
    numbers, quality, views = taught.lessons.parts
    assert numbers.names == ("plane_ef_percent", "motion_mid_inferior"), "one septum does not vary"
    assert (quality.names, views.names) == (("quality",), ("A4C", "PLAX"))
    ef, motion, quality_N, view_N = taught.targets_NA.T
    np.testing.assert_allclose(
        ef, [1, NAN, -1, -3, 3], err_msg="the last two lie far outside of the train clips' range"
    )
    np.testing.assert_allclose(motion, (np.array([0, 1, 1, NAN, -0.5]) - 2 / 3) / np.std([0, 1, 1]), rtol=1e-6)
    np.testing.assert_allclose(quality_N, [-1.2247449, 1.2247449, 0, 0, -3], atol=1e-6)
    np.testing.assert_equal(view_N, [0, 1, 0, NAN, 1], err_msg="no train clip is a zoom")


def test_two_clips_of_one_study_with_other_facts_are_taught_otherwise():
    first, second = taught_by_clips(facts(), TRAIN).targets_NA[:2]
    assert (first != second).all()


def test_what_a_clip_is_taught_does_not_change_with_another_clip_of_its_study():
    """Not beyond what standardises all clips: a validation clip, by which nothing is standardised."""
    before, changed = taught_by_clips(facts(), TRAIN).targets_NA, facts()
    changed.loc[4, ["plane_ef_percent", "septum_cm", "motion_mid_inferior", "quality"]] = [10, 2, 0, 1]
    after = taught_by_clips(changed, TRAIN).targets_NA
    np.testing.assert_equal(after[:4], before[:4])
    assert (after[4] != before[4]).any()


def test_clips_of_one_view_without_quality_are_taught_their_numbers_alone():
    alike = facts().assign(view="A4C").drop(columns="quality")
    assert [part.names for part in taught_by_clips(alike, TRAIN).lessons.parts] == [
        ("plane_ef_percent", "motion_mid_inferior")
    ]


def test_clips_that_differ_in_nothing_are_taught_nothing():
    alike = pd.DataFrame({"view": ["", "", "A4C"], "septum_cm": [1.0, NAN, 1.0]})
    assert taught_by_clips(alike, np.array([True, True, False])).lessons.answers == 0


def test_phenotypes_are_standardised_by_the_train_studies_and_constant_columns_dropped():
    studies = pd.DataFrame(
        {
            "lvef_percent": [40.0, 60.0, 99.0],
            "lvedv_ml": [100.0, None, 120.0],
            "lvesv_ml": [50.0, 50.0, 80.0],
            "tapse_cm": [2.0, 1.0, None],
            "lvef_lte_45_flag": pd.array([True, False, None], dtype="boolean"),
        }
    )
    taught = taught_by_studies(studies, np.array([True, True, False]), np.array([0, 0, 1, 2]))
    assert [part.names for part in taught.lessons.parts] == [("lvef_percent", "tapse_cm")], "a flag is no measurement"
    np.testing.assert_allclose(taught.targets_NA, [[-1, 1], [-1, 1], [1, -1], [3, NAN]])
    assert taught.targets_NA[3, 0] == pytest.approx(3.0), "far outside the train range: clipped"


LESSONS = Lessons((Numbers(("ef", "septum")), Names(("A4C", "PLAX", "zoom"), 0.5)))


def test_the_loss_is_the_weighted_sum_over_what_is_known():
    said = torch.tensor([[0.5, 9.0, 2.0, 0.0, 0.0], [7.0, 3.0, 9.0, 9.0, 0.0]])
    target = torch.tensor([[0.0, NAN, 0.0], [NAN, 1.0, NAN]])
    huber = (0.5 * 0.5**2 + (2.0 - 0.5)) / 2
    cross_entropy = math.log(math.e**2 + 2) - 2
    assert LESSONS.loss(said, target).item() == pytest.approx(huber + 0.5 * cross_entropy, rel=1e-6)


def test_what_is_unknown_costs_nothing_and_has_no_gradient():
    said = torch.randn(4, 5, requires_grad=True)
    loss = LESSONS.loss(said, torch.full((4, 3), NAN))
    loss.backward()
    assert loss.item() == 0
    assert (said.grad == 0).all()


def test_answers_are_scored_by_number_and_by_name():
    target = torch.tensor([[0.0, NAN, 0.0], [2.0, NAN, 1.0], [NAN, NAN, NAN], [4.0, 1.0, 2.0]])
    said = torch.tensor(
        [[0.0, 5.0, 9.0, 0.0, 0.0], [2.0, 5.0, 9.0, 0.0, 0.0], [9.0, 5.0, 0.0, 0.0, 9.0], [2.0, 5.0, 0.0, 0.0, 9.0]]
    )
    assert LESSONS.r2(said, target) == {"ef": pytest.approx(1 - (4 / 3) / (8 / 3))}, "one septum has no variance"
    assert LESSONS.named_right(said, target) == pytest.approx(2 / 3)
    assert LESSONS.named_right(said, torch.full((4, 3), NAN)) is None
