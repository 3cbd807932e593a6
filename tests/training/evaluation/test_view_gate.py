"""Every gate on made-up vectors whose answer is known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from training.evaluation.view_gate import (
    Gate,
    StudyViews,
    correlation,
    lvef_gates,
    mean_vectors,
    means_side_by_side,
    participation_ratio,
    ridge_answers,
    share_of_names,
    territory_auroc,
    view_gate,
)

VIEWS = ("A4C", "PLAX", "PSAX")
ARTERIES = ("LAD", "RCA", "LCx")


def made_up(seed, *, studies=300, one_view_sd=0.0, identity=1.5, directions=12):
    """Each study a clip of each view: LVEF in direction 0, with an error of its own in A4C; the artery in 1 to 3; the
    view's name in 4 to 6; noise in all."""
    draw = np.random.default_rng(seed)
    lvef_S = draw.uniform(20, 70, studies)
    artery_S = draw.integers(0, 6, studies)
    vectors = draw.normal(0, 0.3, (studies, len(VIEWS), directions))
    vectors[:, :, 0] += (lvef_S[:, None] - 45) / 14
    vectors[:, 0, 0] += draw.normal(0, one_view_sd, studies)
    for place in range(3):
        vectors[artery_S == place, :, 1 + place] += 1.0
        vectors[:, place, 4 + place] += identity
    return StudyViews(
        vectors.reshape(-1, directions).astype(np.float32),
        np.tile(np.array(VIEWS), studies),
        np.repeat(np.arange(studies), len(VIEWS)),
        lvef_S,
        np.array([*ARTERIES, "", "", ""])[artery_S],
    )


@pytest.mark.parametrize("directions", [1, 5, 20])
def test_vectors_that_vary_alike_in_some_directions_participate_in_as_many(directions):
    draw = np.random.default_rng(0)
    turned_DD = np.linalg.qr(draw.standard_normal((20, 20)))[0]
    hidden_ND = np.zeros((40_000, 20))
    hidden_ND[:, :directions] = draw.standard_normal((40_000, directions))
    ratio = participation_ratio((7 + hidden_ND @ turned_DD).astype(np.float32))
    assert ratio == pytest.approx(directions, rel=0.01)


def test_unequal_directions_participate_by_their_variance():
    vectors = np.array([[2, 0], [-2, 0], [0, 1], [0, -1]], np.float32)
    assert participation_ratio(vectors) == pytest.approx((8 + 2) ** 2 / (8**2 + 2**2))


def test_the_name_explains_what_lies_between_its_means():
    vectors = np.array([[3, 1], [3, -1], [-3, 1], [-3, -1]], np.float32)
    assert share_of_names(vectors, np.array(["A4C", "A4C", "PLAX", "PLAX"])) == pytest.approx(9 / 10)
    assert share_of_names(vectors, np.array(["A4C", "PLAX", "A4C", "PLAX"])) == pytest.approx(1 / 10)
    assert share_of_names(vectors, np.array(["A4C", "PLAX", "PLAX", "A4C"])) == 0
    assert share_of_names(vectors, np.array([""] * 4)) == 0


def test_names_of_unequal_numbers_count_by_their_views():
    vectors = np.array([[0], [0], [0], [4]], np.float32)
    assert share_of_names(vectors, np.array(["A4C", "A4C", "A4C", "PLAX"])) == pytest.approx(1)


def views_of_two():
    """Study 0 has two A4C and a PLAX, study 1 a PLAX alone."""
    return StudyViews(
        np.array([[1, 2], [5, 5], [3, 4], [7, 8]], np.float32),
        np.array(["A4C", "PLAX", "A4C", "PLAX"]),
        np.array([0, 0, 0, 1]),
        np.array([60.0, 30.0]),
        np.array(["", "LAD"]),
    )


def test_means_are_by_study_over_all_views_or_those_of_one_name():
    np.testing.assert_allclose(mean_vectors(views_of_two()), [[3, 11 / 3], [7, 8]])
    np.testing.assert_equal(mean_vectors(views_of_two(), "A4C"), [[2, 3], [math.nan, math.nan]])
    np.testing.assert_equal(
        means_side_by_side(views_of_two(), ["PLAX", "A4C"]), [[5, 5, 2, 3], [7, 8, math.nan, math.nan]]
    )


def test_a_ridge_finds_a_plane_and_says_the_mean_where_it_knows_nothing():
    draw = np.random.default_rng(0)
    train_SF = draw.standard_normal((200, 3))
    train_SF[:, 2] = np.nan
    train_S = 50 + 4 * train_SF[:, 0] - 2 * train_SF[:, 1]
    answers = ridge_answers(train_SF, train_S, np.array([[1, 1, 5], [np.nan] * 3]))
    np.testing.assert_allclose(answers, [52, train_S.mean()], atol=0.05)


def test_territory_is_told_where_the_vectors_have_it_and_is_chance_where_they_do_not():
    train, val = made_up(0), made_up(1)
    with_it = territory_auroc(mean_vectors(train), train.infarct_S, mean_vectors(val), val.infarct_S)
    assert with_it > 0.97
    blind = [np.delete(mean_vectors(side), (1, 2, 3), axis=1) for side in (train, val)]
    assert territory_auroc(blind[0], train.infarct_S, blind[1], val.infarct_S) == pytest.approx(0.5, abs=0.1)


def test_territory_is_not_measured_where_an_artery_is_on_one_side_only():
    train, val = made_up(0), made_up(1)
    lacking = np.where(val.infarct_S == "LCx", "", val.infarct_S)
    assert territory_auroc(mean_vectors(train), train.infarct_S, mean_vectors(val), lacking) is None
    assert territory_auroc(mean_vectors(train), train.infarct_S, mean_vectors(val), np.full(300, "")) is None


def test_one_view_that_errs_is_lower_and_the_rest_make_up_for_it():
    _, r, lower = lvef_gates(made_up(0, one_view_sd=1.0), made_up(1, one_view_sd=1.0))
    assert r > 0.95
    # A4C alone: signal SD 50 / sqrt(12) / 14 = 1.03 against an error of SD sqrt(1.0^2 + 0.3^2) = 1.04.
    assert r - lower == pytest.approx(1.03 / math.hypot(1.03, 1.04), abs=0.05)


def test_where_views_err_alike_one_view_is_as_good_as_all():
    _, r, lower = lvef_gates(made_up(0), made_up(1))
    assert r > 0.95
    assert lower < 0.04


def test_means_by_view_are_chosen_where_one_view_is_worth_more():
    pooled, _, _ = lvef_gates(made_up(0, one_view_sd=3.0), made_up(1, one_view_sd=3.0))
    assert pooled == "means by view, side by side"


def test_without_the_one_view_its_loss_is_not_measured():
    train, val = (replace(side, view_N=np.full(len(side.view_N), "PLAX")) for side in (made_up(0), made_up(1)))
    _, r, lower = lvef_gates(train, val)
    assert r > 0.95
    assert lower is None


def test_unknown_lvef_is_left_out():
    train, val = made_up(0), made_up(1)
    train.lvef_S[:100], val.lvef_S[:100] = np.nan, np.nan
    assert lvef_gates(train, val)[1] > 0.95


def test_no_correlation_is_told_of_what_does_not_vary():
    assert correlation(np.array([1.0, 1.0, math.nan]), np.array([1.0, 2.0, 3.0])) is None
    assert correlation(np.array([1.0, 2.0, math.nan]), np.array([2.0, 4.0, 0.0])) == pytest.approx(1)


def test_a_gate_is_passed_between_its_bounds_and_missed_where_nothing_was_measured():
    assert Gate(measure="m", value=0.2, at_least=0.2, at_most=0.5).passed
    assert not Gate(measure="m", value=0.51, at_least=0.2, at_most=0.5).passed
    assert not Gate(measure="m", value=0.1, at_least=0.2).passed
    assert not Gate(measure="m", value=None, at_least=0.2).passed


def test_views_that_say_the_same_miss_the_gates_of_views_and_a_few_directions_that_of_directions():
    good = view_gate(made_up(0, one_view_sd=1.0), made_up(1, one_view_sd=1.0))
    assert [gate.passed for gate in good] == [False, True, True, True, True], "unequal directions: fewer than eight"
    alike = view_gate(made_up(0, identity=0.1), made_up(1, identity=0.1))
    assert [gate.passed for gate in alike] == [False, False, True, True, False]
