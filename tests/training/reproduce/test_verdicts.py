import numpy as np
import pytest
from patient_groups import group_of

from training.evaluation.metrics import Estimate
from training.reproduce.differences import FEW, LIFT, OWN, group_lifts, mean_lift_R, paired_difference
from training.reproduce.endpoints import PHENOTYPES, QUESTIONS, Answers, EcgScores
from training.reproduce.retrieved import chance_EP
from training.reproduce.verdicts import HYPOTHESES, Condition, together, verdicts


@pytest.fixture(scope="module")
def test_group():
    return group_of(60, seed=4)


def scores_of(group, *, lift=1.3, own=0.4, telling=1.0, seed=0, hard=0):
    """Precision `lift` times chance with noise per patient, most of it by `hard`; answers that lean to the truth."""
    draw, ecgs = np.random.default_rng(seed), len(group.pairs.signals_LN)
    both = np.random.default_rng(hard).normal(0, 0.05, (ecgs // 2, len(PHENOTYPES)))
    noise = np.repeat(both + draw.normal(0, 0.005, both.shape), 2, axis=0)
    answers = {}
    for column, question in enumerate(QUESTIONS):
        lean = telling * group.answers_EQ[:, column]
        answers[question] = Answers(lean + draw.normal(0, 1, (3, ecgs)), lean + draw.normal(0, 1, ecgs))
    return EcgScores(lift * chance_EP(group) + noise, (draw.random(ecgs) < own).astype(float), answers)


def test_a_difference_is_that_of_the_means_over_seeds_and_its_interval_holds_it(test_group):
    arms = {
        "multi": [scores_of(test_group, lift=lift, seed=seed) for seed, lift in enumerate((1.3, 1.5))],
        "mean": [scores_of(test_group, lift=1.2, seed=2)],
    }
    found = paired_difference(LIFT, "multi", "mean", arms, test_group)
    once = np.ones((1, 120))
    chance = chance_EP(test_group)
    lifts = [mean_lift_R(one.precision_EP, chance, once)[0] for one in (*arms["multi"], *arms["mean"])]
    assert found.value == pytest.approx((lifts[0] + lifts[1]) / 2 - lifts[2])
    assert found.low < found.value < found.high
    assert found.low > 0


def test_an_arm_beside_itself_differs_by_nothing_and_has_no_interval(test_group):
    arms = {"multi": [scores_of(test_group)], "mean": [scores_of(test_group)]}
    for endpoint in (LIFT, OWN, FEW):
        assert paired_difference(endpoint, "multi", "mean", arms, test_group) == Estimate(value=0.0)


def test_what_is_hard_for_both_arms_cancels(test_group):
    """The same noise in both arms: the difference is surer than either lift alone."""
    alike = {"multi": [scores_of(test_group, lift=1.3)], "mean": [scores_of(test_group, lift=1.2, seed=1)]}
    apart = alike | {"mean": [scores_of(test_group, lift=1.2, seed=1, hard=9)]}
    close, wide = (paired_difference(LIFT, "multi", "mean", arms, test_group) for arms in (alike, apart))
    assert close.high - close.low < 0.5 * (wide.high - wide.low)


def test_an_arm_without_retrieval_has_no_lift_and_can_be_probed(test_group):
    probed = scores_of(test_group, telling=3.0)
    arms = {"multi": [probed], "random": [EcgScores(None, None, scores_of(test_group, telling=0, seed=3).answers)]}
    assert paired_difference(LIFT, "multi", "random", arms, test_group) is None
    assert paired_difference(FEW, "multi", "random", arms, test_group).low > 0.2
    assert paired_difference(FEW, "multi", "masked", arms, test_group) is None


@pytest.mark.parametrize(
    ("value", "low", "high", "outcome"),
    [
        (0.05, 0.01, 0.09, "holds"),
        (0.02, 0.01, 0.025, "fails"),  # there, and smaller than it must be
        (0.02, 0.01, 0.04, "undecided"),
        (0.05, -0.01, 0.10, "fails"),
        (-0.05, -0.09, -0.01, "fails"),
    ],
)
def test_a_difference_holds_by_its_lower_bound_and_its_size(value, low, high, outcome):
    condition = Condition(LIFT, "multi", "single_fresh", value_at_least=0.03)
    assert condition.outcome(Estimate(value=value, low=low, high=high)) == outcome
    assert condition.outcome(Estimate(value=value)) == "not measured"


def test_not_worse_than_supervised_allows_a_hundredth():
    condition = HYPOTHESES["H4"][1][-1]
    assert condition.other == "supervised"
    assert condition.outcome(Estimate(value=0.0, low=-0.009, high=0.01)) == "holds"
    assert condition.outcome(Estimate(value=0.0, low=-0.011, high=0.01)) == "fails"


def test_one_condition_that_fails_decides_and_all_must_hold():
    assert together(["holds", "holds"]) == "holds"
    assert together(["holds", "undecided"]) == "undecided"
    assert together(["holds", "not measured", "fails"]) == "fails"


def shuffled(tapse, pasp, *, stranger=1.0):
    strangers = {"popularity_lift_tapse_cm": stranger, "popularity_lift_pasp_mmhg": stranger}
    return {"lift_tapse_cm": tapse, "lift_pasp_mmhg": pasp} | strangers


def test_every_hypothesis_and_control_gets_a_verdict_and_an_unfinished_arm_none(test_group):
    arms = {"multi": [scores_of(test_group, lift=1.5)], "single_fresh": [scores_of(test_group, lift=1.2, seed=1)]}
    metrics = {"multi": {"lift_lvef_percent": 1.46}, "multi_shuffled": shuffled(1.01, 1.06)}
    said = {v.name: v for v in verdicts(arms, test_group, metrics, {"lift_lvef_percent": 1.6})}
    assert list(said) == ["H1", "H2", "H3", "H4", "H5", "N1", "N2"]
    assert said["H1"].outcome == said["H5"].outcome == "holds"
    assert said["H2"].outcome == said["H3"].outcome == said["N1"].outcome == "not measured"
    assert said["N2"].outcome == "fails", "one lift of 1.06 is leakage"
    typical = verdicts({}, test_group, {"multi_shuffled": shuffled(1.31, 1.36, stranger=1.3)}, {})[-1]
    assert typical.outcome == "holds", "typical studies first for everybody are none"
    poor = {
        v.name: v for v in verdicts(arms, test_group, {"multi": {"lift_lvef_percent": 1.3}}, {"lift_lvef_percent": 1.6})
    }
    assert poor["H5"].outcome == "fails"
    assert poor["N2"].outcome == "not measured"


def test_views_that_were_taught_the_study_must_not_differ_either_way(test_group):
    for other, outcome in ((1.31, "holds"), (1.2, "fails"), (1.4, "fails")):
        arms = {
            "multi_taught_by_study": [scores_of(test_group, lift=1.3)],
            "single_taught_by_study": [scores_of(test_group, lift=other, seed=1)],
        }
        (control,) = [v for v in verdicts(arms, test_group, {}, {}) if v.name == "N1"]
        assert control.outcome == outcome


def test_lifts_of_groups_are_of_their_own_ecgs_and_count_them(test_group):
    scores = scores_of(test_group)
    scores.precision_EP[test_group.group_E("site") == "2"] *= 2
    found = {group.group: group for group in group_lifts({"multi": [scores]}, test_group)}
    assert [found[site].ecgs for site in "012"] == [40, 40, 40]
    assert [found[site].patients for site in "012"] == [20, 20, 20]
    assert found["2"].lift.low > found["0"].lift.high


def test_scores_are_read_as_they_were_written(test_group, tmp_path):
    scores = scores_of(test_group)
    scores.save(tmp_path / "ecgs.npz")
    again = EcgScores.load(tmp_path / "ecgs.npz")
    np.testing.assert_array_equal(again.precision_EP, scores.precision_EP)
    np.testing.assert_array_equal(again.answers["lad"].few_DE, scores.answers["lad"].few_DE)
    EcgScores(None, None, {}).save(tmp_path / "none.npz")
    assert EcgScores.load(tmp_path / "none.npz") == EcgScores(None, None, {})
