"""Probes: probabilities equal to the formula written out, classes with the right edges, nonsense refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.labels import LvefClasses
from models.probe_heads import ProbeHeads
from models.probes import (
    PredictionSets,
    Probes,
    reweighted,
)

YES_NO = {"weight_F": (1.0,), "bias": 0.0, "threshold": 0.5, "calibration": {"shift": (0.0,)}}
LVEF = {"weight_CF": ((1.0,), (-1.0,)), "bias_C": (0.0, 0.0), "calibration": {"shift": (0.0, 0.0)}}


def test_probabilities_equal_standardise_probe_calibrate_written_out(probes):
    features = np.random.default_rng(0).normal(size=(4, len(probes.feature_mean_F)))
    lvef, shd, *_ = ProbeHeads(probes)(torch.from_numpy(features).float())
    standard = (features - probes.feature_mean_F) / probes.feature_std_F
    for i, row in enumerate(standard):
        logits = [np.dot(w, row) + b for w, b in zip(probes.lvef.weight_CF, probes.lvef.bias_C, strict=True)]
        scores = [
            math.exp(probes.lvef.calibration.scale * logit + shift)
            for logit, shift in zip(logits, probes.lvef.calibration.shift, strict=True)
        ]
        assert lvef[i].tolist() == pytest.approx([s / sum(scores) for s in scores], abs=1e-5)
        logit = np.dot(probes.shd.weight_F, row) + probes.shd.bias
        platt = probes.shd.calibration.scale * logit + probes.shd.calibration.shift[0]
        assert shd[i].item() == pytest.approx(1 / (1 + math.exp(-platt)), abs=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("alone", [False, True])
def test_a_number_keeps_what_varies_beside_a_large_mean(probes, alone):
    own = {"own_numbers": {"seconds": {"weight_F": probes.shd.weight_F, "bias": 1.7e9}}, "schema_version": 5}
    only = {"lvef": None, "shd": None, "flags": {}} if alone else {}
    given = Probes.model_validate(probes.model_dump() | own | only)
    features = np.random.default_rng(0).normal(size=(4, len(probes.feature_mean_F))).astype(np.float32)
    said = ProbeHeads(given)(torch.from_numpy(features)).own_BK[:, -1].numpy()
    standard = (features - np.array(probes.feature_mean_F)) / probes.feature_std_F
    assert said - 1.7e9 == pytest.approx(standard @ np.array(probes.shd.weight_F), abs=1e-5)


def test_lvef_probabilities_sum_to_one_even_far_out(probes):
    lvef, shd, *_ = ProbeHeads(probes)(1e4 * torch.randn(50, len(probes.feature_mean_F)))
    assert torch.allclose(lvef.sum(dim=1), torch.ones(50), atol=1e-6)
    assert ((shd >= 0) & (shd <= 1)).all()


def test_flags_are_folded_into_the_same_layer_and_leave_the_others_alone(probes):
    flags = {
        "first": probes.shd.model_copy(update={"bias": 0.3}),
        "second": probes.shd.model_copy(update={"weight_F": probes.lvef.weight_CF[0], "threshold": 0.2}),
    }
    more = Probes.model_validate(probes.model_copy(update={"flags": flags}).model_dump(exclude_none=True))
    assert more.flag_names == ("first", "second")
    features = np.random.default_rng(3).normal(size=(5, len(probes.feature_mean_F)))
    lvef, shd, found, _ = ProbeHeads(more)(torch.from_numpy(features).float())
    alone = ProbeHeads(probes)(torch.from_numpy(features).float())
    assert torch.equal(lvef, alone.lvef_BC)
    assert torch.equal(shd, alone.shd_B)
    assert alone.flags_BQ.shape == (5, 0)
    standard = (features - probes.feature_mean_F) / probes.feature_std_F
    for column, probe in enumerate(flags.values()):
        logits = standard @ np.array(probe.weight_F) + probe.bias
        platt = probe.calibration.scale * logits + probe.calibration.shift[0]
        assert found[:, column].numpy() == pytest.approx(1 / (1 + np.exp(-platt)), abs=1e-5)


def test_numbers_of_the_first_schema_are_still_read_and_have_nothing_more(probes):
    fields = probes.model_dump(mode="json", include={"feature_mean_F", "feature_std_F", "lvef", "shd"})
    for probe in (fields["lvef"], fields["shd"]):
        for new in ("prevalence", "prevalence_C", "sets", "per_class_sets", "operating_point", "number"):
            probe.pop(new, None)
    old = Probes.model_validate({"schema_version": 1, **fields})
    assert (old.flags, old.ood, old.lvef.sets, old.shd.prevalence) == ({}, None, None, None)
    with pytest.raises(ValueError, match="does not say which prevalence"):
        old.with_prevalence(shd=0.1)


def test_a_set_holds_what_is_probable_enough_and_never_nothing():
    sets = PredictionSets(coverage=0.9, quantile=0.85, n_calibration=99)
    assert sets.classes([0.7, 0.2, 0.1]) == (0, 1)
    assert PredictionSets(coverage=0.9, quantile=0.2, n_calibration=99).classes([0.3, 0.3, 0.4]) == (2,)
    assert PredictionSets(coverage=0.9, quantile=1.0, n_calibration=99).classes([1.0, 0.0, 0.0]) == (0, 1, 2)


@pytest.mark.parametrize(
    ("quantile", "called", "expected"),
    [(0.55, 1, (0, 1)), (0.55, 0, (0,)), (0.55, None, (0,)), (0.3, 1, (1,)), (0.7, 0, (0, 1))],
)
def test_the_answer_given_is_never_ruled_out(quantile, called, expected):
    """A probability of 0.4 above a threshold of 0.3 is called positive, although negative is the more probable."""
    sets = PredictionSets(coverage=0.9, quantile=quantile, n_calibration=99)
    assert sets.classes([0.6, 0.4], called) == expected


def test_a_prior_shift_gives_the_probabilities_that_bayes_gives_elsewhere():
    """Two normal classes: logits are known, at any prevalence."""
    x = np.linspace(-3, 3, 13)

    def bayes(prevalence):
        density = np.exp(-0.5 * (x[:, None] - [0.0, 1.0]) ** 2) * [1 - prevalence, prevalence]
        return density[:, 1] / density.sum(axis=1)

    fitted = {"weight_F": (1.0,), "bias": -0.5, "calibration": {"shift": (0.0,)}, "threshold": 0.5, "prevalence": 0.5}
    lvef = {
        "weight_CF": ((0.0,), (1.0,)),
        "bias_C": (0.0, -0.5),
        "calibration": {"shift": (0.0, 0.0)},
        "prevalence_C": (0.5, 0.5),
        "sets": {"coverage": 0.9, "quantile": 0.5, "n_calibration": 50},
    }
    shd = fitted | {"sets": lvef["sets"]}
    numbers = {"feature_mean_F": (0.0,), "feature_std_F": (1.0,), "lvef": lvef, "shd": shd, "flags": {"f": fitted}}
    here = Probes.model_validate(numbers)
    elsewhere = here.with_prevalence(lvef_C=(0.9, 0.1), shd=0.1, flags={"f": 0.02})
    features = torch.from_numpy(x[:, None]).float()
    before, after = ProbeHeads(here)(features), ProbeHeads(elsewhere)(features)
    assert after.shd_B.numpy() == pytest.approx(bayes(0.1), abs=1e-6)
    assert after.flags_BQ[:, 0].numpy() == pytest.approx(bayes(0.02), abs=1e-6)
    assert after.lvef_BC[:, 1].numpy() == pytest.approx(bayes(0.1), abs=1e-6)
    assert after.lvef_BC.numpy() == pytest.approx(reweighted(before.lvef_BC, (0.5, 0.5), (0.9, 0.1)), abs=1e-6)
    # The same ECGs are called positive.
    assert ((before.shd_B > here.shd.threshold) == (after.shd_B > elsewhere.shd.threshold)).all()
    # A coverage over the old mix of patients is not repeated, whichever question it was that moved.
    assert here.with_prevalence() == here
    for moved in ({"lvef_C": (0.9, 0.1)}, {"shd": 0.1}, {"flags": {"f": 0.02}}):
        there = here.with_prevalence(**moved)
        assert (there.lvef.sets, there.shd.sets) == (None, None)
    back = elsewhere.with_prevalence(shd=0.5)
    assert ProbeHeads(back)(features).shd_B.numpy() == pytest.approx(bayes(0.5), abs=1e-6)


@pytest.mark.parametrize(
    ("shares", "named"),
    [
        ({"shd": 0.0}, "positive for every class"),
        ({"lvef_C": (0.5, 0.4, 0.2)}, "sum to 1"),
        ({"lvef_C": (0.5, 0.5)}, "3 LVEF classes"),
        ({"flags": {"no_such_flag": 0.1}}, "no probe for no_such_flag"),
    ],
)
def test_a_prevalence_that_cannot_be_is_refused(probes, shares, named):
    update = {
        "lvef": probes.lvef.model_copy(update={"prevalence_C": (0.2, 0.2, 0.6)}),
        "shd": probes.shd.model_copy(update={"prevalence": 0.4}),
    }
    with pytest.raises(ValueError, match=named):
        probes.model_copy(update=update).with_prevalence(**shares)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ((0.5, 0.5), (0.9, 0.2), "sum to 1"),
        ((0.5, 0.6), (0.9, 0.1), "sum to 1"),
        ((1.0, 0.0), (0.9, 0.1), "positive for every class"),
        ((0.5, 0.5), (float("nan"), 0.1), "positive for every class"),
        ((0.2, 0.2, 0.6), (0.9, 0.1), "one old and one new share"),
        ((1.0,), (1.0,), "one old and one new share"),
    ],
)
def test_probabilities_are_reweighted_by_shares_alone(old, new, named):
    with pytest.raises(ValueError, match=named):
        reweighted([[0.3, 0.7]], old, new)


def test_probes_survive_json_exactly(probes):
    assert Probes.model_validate_json(probes.model_dump_json()) == probes


def test_lvef_of_40_is_reduced_40_and_a_half_mildly_reduced_and_50_preserved():
    assert LvefClasses().class_of([10, 40, 40.5, 49.9, 50, 70]).tolist() == [0, 0, 1, 1, 2, 2]
    assert LvefClasses().ranges == ("<= 40 %", "> 40 % and < 50 %", ">= 50 %")


def test_two_classes_have_two_ranges():
    below_45 = LvefClasses(labels=("low", "other"), edges_percent=(45.0,), edge_belongs_below=(True,))
    assert below_45.ranges == ("<= 45 %", "> 45 %")
    assert below_45.class_of([45.0, 45.1]).tolist() == [0, 1]


def test_unknown_lvef_has_no_class():
    with pytest.raises(ValueError, match="unknown LVEF"):
        LvefClasses().class_of([50.0, float("nan")])


@pytest.mark.parametrize(
    "change",
    [
        {"edges_percent": (50.0, 40.0)},
        {"edges_percent": (40.0, 40.0)},
        {"edges_percent": (40.0,)},
        {"labels": ("low", "high")},
    ],
)
def test_lvef_classes_that_contradict_themselves_are_refused(change):
    with pytest.raises(ValidationError):
        LvefClasses(**change)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("feature_std_F", (0.0,), "positive"),
        ("feature_mean_F", (0.0, 0.0), "one number for each of the 2 features"),
        ("feature_mean_F", (float("nan"),), "finite"),
        ("lvef", {"weight_CF": ((1.0,), (1.0,)), "bias_C": (0.0,), "calibration": {"shift": (0.0, 0.0)}}, "2 classes"),
        ("shd", {"weight_F": (1.0,), "bias": 0.0, "threshold": 1.5, "calibration": {"shift": (0.0,)}}, "threshold"),
        ("shd", YES_NO | {"bias": float("inf")}, "finite"),
        ("shd", YES_NO | {"weight_F": (float("inf"),)}, "finite"),
        ("shd", YES_NO | {"threshold": float("nan")}, "threshold"),
        ("shd", YES_NO | {"calibration": {"shift": (float("nan"),)}}, "finite"),
        ("shd", YES_NO | {"calibration": {"scale": float("inf"), "shift": (0.0,)}}, "finite"),
        ("lvef", LVEF | {"bias_C": (0.0, float("-inf"))}, "finite"),
        ("lvef", LVEF | {"calibration": {"shift": (0.0, float("inf"))}}, "finite"),
        ("lvef", LVEF | {"prevalence_C": (0.2, 0.2)}, "sum to 1"),
        ("lvef", LVEF | {"prevalence_C": (float("nan"), 0.2)}, "prevalence_C"),
        ("lvef", LVEF | {"sets": {"coverage": 0.9, "quantile": float("nan"), "n_calibration": 50}}, "quantile"),
    ],
)
def test_probe_numbers_that_do_not_fit_together_are_refused(field, value, named):
    numbers = {
        "feature_mean_F": (0.0,),
        "feature_std_F": (1.0,),
        "lvef": LVEF,
        "shd": YES_NO,
    }
    assert Probes.model_validate(numbers).schema_version == 5
    with pytest.raises(ValidationError, match=named):
        Probes.model_validate({**numbers, field: value})


def covering(probes, *, covers=True, **flags):
    """With flags of these biases, and features that move them as they move SHD."""
    one = {"weight_F": (1.0,) * len(probes.feature_mean_F), "calibration": {"shift": (0.0,)}, "threshold": 0.1}
    fields = probes.model_dump() | {"shd_covers_flags": covers}
    return Probes.model_validate(fields | {"flags": {name: one | {"bias": bias} for name, bias in flags.items()}})


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.1, 1.0, 30.0, 1e4]))
def test_a_heart_with_a_flag_has_shd_so_its_probability_is_never_below_the_largest_flag(probes, seed, size):
    heads = ProbeHeads(covering(probes, first=-1.0, second=0.5))
    features = size * torch.randn(20, len(probes.feature_mean_F), generator=torch.Generator().manual_seed(seed))
    _, shd, flags, _ = heads(features)
    assert (shd[:, None] >= flags).all()
    alone = ProbeHeads(covering(probes, covers=False, first=-1.0, second=0.5))(features).shd_B
    assert torch.equal(shd, torch.maximum(alone, flags.amax(dim=1))), "and else it is what it was"


def test_probes_that_do_not_say_so_and_probes_without_flags_show_shd_as_it_is(probes):
    features = torch.randn(50, len(probes.feature_mean_F), generator=torch.Generator().manual_seed(1))
    alone = ProbeHeads(probes)(features).shd_B
    _, shd, flags, _ = ProbeHeads(covering(probes, covers=False, high=3.0))(features)
    assert torch.equal(shd, alone)
    assert (flags[:, 0] > alone).any()
    assert torch.equal(ProbeHeads(covering(probes))(features).shd_B, alone)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.1, 1.0, 30.0]), bias=st.sampled_from([-6.0, 0.0, 6.0]))
def test_a_flag_about_lvef_never_contradicts_the_lvef_classes(probes, seed, size, bias):
    free = covering(probes, about_lvef=bias, other=-1.0)
    bound = free.flags["about_lvef"].model_copy(update={"lvef_classes": (1, 2)})
    kept = free.model_copy(update={"flags": free.flags | {"about_lvef": bound}})
    features = size * torch.randn(20, len(probes.feature_mean_F), generator=torch.Generator().manual_seed(seed))
    lvef, shd, flags, _ = ProbeHeads(kept)(features)
    assert (flags[:, 0] >= lvef[:, 0]).all()
    assert (flags[:, 0] <= lvef[:, :2].sum(dim=1)).all()
    assert (shd >= flags[:, 0]).all()
    _, _, alone, _ = ProbeHeads(free)(features)
    inside = (alone[:, 0] >= lvef[:, 0]) & (alone[:, 0] <= lvef[:, :2].sum(dim=1))
    assert torch.equal(flags[inside, 0], alone[inside, 0]), "and else it is what it was"
    assert torch.equal(flags[:, 1], alone[:, 1])


def test_classes_of_a_flag_that_are_not_there_are_refused(probes):
    flag = YES_NO | {"weight_F": (0.0,) * len(probes.feature_mean_F)}
    for classes, named in (((1, 4), "more than the 3 LVEF classes"), ((2, 1), "the fewer first")):
        with pytest.raises(ValidationError, match=named):
            Probes.model_validate(probes.model_dump() | {"flags": {"f": flag | {"lvef_classes": classes}}})


CALLS = {"case": 1, "called_C": (20.0, 45.0), "not_called_C": (130.0, 5.0), "n_C": (60, 40)}
RULE = {"least_odds_ratio": 3.0, "least_ppv": 0.2, "least_auroc": 0.7, "auroc": 0.8, "auroc_low": 0.75}
RULED = {"weight_F": (1.0,), "bias": 0.0, "calibration": {"shift": (0.0,)}, "prevalence": 0.1}


def full():
    """All that schema 4 knows, of one feature and two LVEF classes."""
    point = {"threshold": 0.5, "sought_sensitivity": 0.9, "calls": CALLS}
    low = point | {"calls": CALLS | {"case": 0}}
    sets = {"coverage": 0.9, "quantile_C": (0.8, 0.7), "n_calibration_C": (50, 40)}
    bins = [{"below_percent": None, "half_width_percent": 9.0, "n_calibration": 90}]
    number = {"weight_F": (4.0,), "bias": 55.0, "interval": {"coverage": 0.9, "bins": bins}}
    rule = RULE | {"auroc_high": 0.9, "calls": CALLS | {"called_C": (50.0, 12.5), "not_called_C": (400.0, 37.5)}}
    return {
        "feature_mean_F": (0.0,),
        "feature_std_F": (1.0,),
        "lvef": LVEF | {"prevalence_C": (0.25, 0.75), "per_class_sets": sets, "operating_point": low, "number": number},
        "shd": YES_NO | {"prevalence": 0.25, "per_class_sets": sets, "operating_point": point},
        "flags": {"f": RULED | {"rule": rule, "lvef_classes": (0, 2)}},
        "shd_covers_flags": True,
    }


def test_numbers_of_the_second_schema_are_still_read_and_decide_by_their_thresholds():
    old = {"feature_mean_F": (0.0,), "feature_std_F": (1.0,), "lvef": LVEF, "shd": YES_NO | {"threshold": 0.3}}
    read = Probes.model_validate(
        {"schema_version": 2, **old, "flags": {"f": YES_NO | {"threshold": 0.04, "sets": None}}}
    )
    assert (read.shd.threshold, read.flags["f"].decision_threshold, read.flags["f"].rule) == (0.3, 0.04, None)
    assert (read.shd_covers_flags, read.lvef.number, read.shd.operating_point) == (False, None, None)


def test_numbers_of_the_newest_schema_survive_json_exactly():
    probes = Probes.model_validate(full())
    assert Probes.model_validate_json(probes.model_dump_json()) == probes
    assert probes.schema_version == 5


def test_where_shd_is_rarer_fewer_of_the_called_have_it():
    probes = Probes.model_validate(full())
    before = probes.shd.operating_point
    after = probes.with_prevalence(shd=0.05, flags={"f": 0.02}).shd
    assert after.threshold == after.operating_point.threshold < before.threshold
    assert after.operating_point.calls.sensitivity == pytest.approx(before.calls.sensitivity) == pytest.approx(0.9)
    wrong = 20 / 150
    assert after.operating_point.calls.ppv == pytest.approx(0.05 * 0.9 / (0.05 * 0.9 + 0.95 * wrong))
    assert after.operating_point.calls.echos_per_case > before.calls.echos_per_case


def test_where_a_flag_is_rarer_the_same_ecgs_have_thrice_the_base_odds_but_too_few_of_them_the_flag():
    """A PPV of 0.2 at one in ten is one of 0.06 at one in forty: the rule could raise nobody, and nothing is told."""
    probes = Probes.model_validate(full())
    features = torch.linspace(-4, 4, 41)[:, None]

    def said(probes):
        probe = probes.flags["f"]
        found = ProbeHeads(probes)(features).flags_BQ[:, 0].tolist()
        return [probe.rule.finding(p, probe.prevalence) for p in found], np.array(found) >= probe.decision_threshold

    (before, odds_before), (after, odds_after) = said(probes), said(probes.with_prevalence(flags={"f": 0.025}))
    assert {"raised", "not_raised"} == set(before)
    assert (odds_before == odds_after).all()
    assert set(after) == {"cannot_tell"}
    more, odds_more = said(probes.with_prevalence(flags={"f": 0.3}))
    assert more == before
    assert (odds_more == odds_before).all()


def test_the_lowest_lvef_class_moves_with_its_share_and_each_other_class_with_its_own():
    fields = full()
    three = LVEF | {"weight_CF": ((1.0,), (0.0,), (-1.0,)), "bias_C": (0.0,) * 3, "calibration": {"shift": (0.0,) * 3}}
    calls = {"case": 0, "called_C": (18.0, 10.0, 7.0), "not_called_C": (2.0, 10.0, 153.0), "n_C": (20, 20, 160)}
    point = {"threshold": 0.2, "sought_sensitivity": 0.9, "calls": calls}
    fields["lvef"] = three | {"prevalence_C": (0.1, 0.1, 0.8), "operating_point": point}
    probes = Probes.model_validate(fields)
    moved = probes.with_prevalence(lvef_C=(0.02, 0.1, 0.88)).lvef.operating_point
    wrong = 0.1 * 10 / 20 + 0.88 * 7 / 160
    assert moved.calls.ppv == pytest.approx(0.02 * 0.9 / (0.02 * 0.9 + wrong))
    features = torch.linspace(-3, 3, 61)[:, None]
    alike = probes.with_prevalence(lvef_C=(0.04, 0.96 / 9, 0.96 * 8 / 9))  # the others keep their shares among them
    called = ProbeHeads(probes)(features).lvef_BC[:, 0] > 0.2
    assert torch.equal(called, ProbeHeads(alike)(features).lvef_BC[:, 0] > alike.lvef.operating_point.threshold)
    assert called.any()
    assert not called.all()


def test_what_was_promised_over_the_old_mix_of_patients_is_left_out_elsewhere():
    probes = Probes.model_validate(full())
    for moved in ({"lvef_C": (0.5, 0.5)}, {"shd": 0.1}, {"flags": {"f": 0.02}}):
        there = probes.with_prevalence(**moved)
        assert (there.lvef.per_class_sets, there.lvef.number, there.shd.per_class_sets) == (None, None, None)


@pytest.mark.parametrize(
    ("part", "change", "named"),
    [
        ("lvef", {"per_class_sets": {"coverage": 0.9, "quantile_C": (0.8,), "n_calibration_C": (50,)}}, "of 2 classes"),
        ("lvef", {"operating_point": {"threshold": 0.5, "sought_sensitivity": 0.9, "calls": CALLS}}, "call class 0"),
        ("lvef", {"number": {"weight_F": (1.0, 2.0), "bias": 0.0}}, "each of the 1 features"),
        ("shd", {"threshold": 0.4}, "threshold of the probe"),
        ("flags", {"f": RULED}, "needs a rule"),
        (
            "flags",
            {"f": RULED | {"prevalence": None, "rule": RULE | {"auroc_high": 0.9, "calls": CALLS}}},
            "prevalence",
        ),
        (
            "flags",
            {"f": RULED | {"rule": RULE | {"auroc_high": 0.9, "calls": CALLS | {"case": 0}}}},
            "without and with",
        ),
    ],
)
def test_parts_of_the_third_schema_that_do_not_fit_are_refused(part, change, named):
    fields = full()
    fields[part] = {**fields[part], **change}
    with pytest.raises(ValidationError, match=named):
        Probes.model_validate(fields)
