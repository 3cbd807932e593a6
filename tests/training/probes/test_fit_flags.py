"""Flags and SHD together: what is fitted promises what is shown, on patients that nobody has met."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import betabinom

from models.labels import LvefClasses
from models.probe_heads import ProbeHeads
from training.probes.fit import ProbeData, fit_probes
from training.probes.labelled import first_half, labelled, one_per_patient

DRAW = np.random.default_rng(77)
MEETS = DRAW.standard_normal((4, 12))
OFTEN = np.array([-1.2, -2.5, -3.5, -2.0])
NAMES = ("common", "rare", "rarest", "blind")


def patients(count):
    """Four flags make SHD; of the last one the features know nothing."""
    features = DRAW.standard_normal((count, 12)).astype(np.float32)
    odds = features @ MEETS.T * np.array([0.7, 0.7, 0.7, 0.0]) + OFTEN
    flags = (DRAW.uniform(size=odds.shape) < 1 / (1 + np.exp(-odds))).astype(float)
    shd = flags.any(axis=1).astype(float)
    lvef = 55 + 6 * (features @ MEETS[0]) / np.linalg.norm(MEETS[0]) - 10 * flags[:, 0] + DRAW.normal(0, 3, count)
    return ProbeData(features, np.clip(lvef, 5, 85), shd, flags=dict(zip(NAMES, flags.T, strict=True)))


def shown(probes, data):
    with torch.inference_mode():
        return [part.numpy() for part in ProbeHeads(probes)(torch.from_numpy(data.features_NF))[:3]]


@pytest.fixture(scope="module")
def splits():
    return patients(3000), patients(1000), patients(2400)


@pytest.fixture(scope="module")
def probes(splits):
    return fit_probes(*splits, LvefClasses()).probes


def test_what_is_shown_as_shd_is_as_frequent_as_it_says_and_never_below_a_flag(probes):
    new = patients(6000)
    _, shd, flags = shown(probes, new)
    assert probes.shd_covers_flags
    assert (shd >= flags.max(axis=1)).all()
    assert (shd == flags.max(axis=1)).any(), "the step does something here"
    error = np.sqrt(new.shd_N.mean() * (1 - new.shd_N.mean()) * (1 / 1200 + 1 / 6000))
    assert abs(shd.mean() - new.shd_N.mean()) < 4 * error
    above = shd > 0.8
    assert new.shd_N[above].mean() == pytest.approx(shd[above].mean(), abs=0.05)


def test_a_flag_about_lvef_is_shown_between_the_lvef_classes_and_its_rule_was_counted_so(splits):
    def with_it(data):
        flag = (data.lvef_percent_N <= 45).astype(float)
        return replace(data, shd_N=np.maximum(data.shd_N, flag), flags={**data.flags, "lvef_lte_45_flag": flag})

    train, val, calibration = map(with_it, splits)
    known_of_few = train.flags | {
        "lvef_lte_45_flag": np.where(np.arange(3000) < 200, train.flags["lvef_lte_45_flag"], np.nan)
    }
    train = replace(train, flags=known_of_few)  # so that this probe is worse than that of the classes
    probes = fit_probes(train, val, calibration, LvefClasses()).probes
    lvef, shd, flags = shown(probes, calibration)
    assert probes.flags["lvef_lte_45_flag"].lvef_classes == (1, 2)
    assert {probes.flags[name].lvef_classes for name in NAMES} == {None}
    found = flags[:, probes.flag_names.index("lvef_lte_45_flag")]
    assert (lvef[:, 0] <= found).all()
    assert (found <= lvef[:, :2].sum(axis=1)).all()
    assert ((found == lvef[:, 0]) | (found == lvef[:, :2].sum(axis=1))).any(), "the step does something here"
    assert (shd >= found).all()
    rule = probes.flags["lvef_lte_45_flag"].rule
    raised = found >= rule.odds_threshold(probes.flags["lvef_lte_45_flag"].prevalence)
    ill = calibration.flags["lvef_lte_45_flag"] == 1
    assert rule.calls.sensitivity == pytest.approx(raised[ill].mean(), abs=1e-6)
    new = with_it(patients(6000))
    found = shown(probes, new)[2][:, probes.flag_names.index("lvef_lte_45_flag")]
    share = new.flags["lvef_lte_45_flag"].mean()
    assert abs(found.mean() - share) < 4 * np.sqrt(share * (1 - share) * (1 / 1200 + 1 / 6000))


def test_with_flags_in_it_shd_is_told_no_worse_than_without(splits, probes):
    alone = fit_probes(*(replace(data, flags={}) for data in splits), LvefClasses()).probes
    new = patients(6000)

    def log_loss(found):
        p = np.clip(shown(found, new)[1].astype(float), 1e-6, 1 - 1e-6)
        return -np.mean(new.shd_N * np.log(p) + (1 - new.shd_N) * np.log1p(-p))

    assert log_loss(probes) <= log_loss(alone) + 0.005


def test_sets_within_classes_cover_each_class_of_what_is_shown(probes):
    new = patients(6000)
    lvef, shd, _ = shown(probes, new)
    for sets, probability, truth in (
        (probes.lvef.per_class_sets, lvef, LvefClasses().class_of(new.lvef_percent_N)),
        (probes.shd.per_class_sets, np.column_stack([1 - shd, shd]), new.shd_N.astype(int)),
    ):
        assert sets.coverage_kind == "per_class"
        for number, n in enumerate(sets.n_calibration_C):
            covered = 1 - probability[truth == number, number] <= sets.quantile_C[number] + 1e-6
            rank = int(np.ceil((n + 1) * 0.9))
            low, high = betabinom.ppf([0.0005, 0.9995], len(covered), rank, n + 1 - rank)
            assert low <= covered.sum() <= high, number


def test_a_point_keeps_its_sensitivity_and_its_ppv_on_new_patients(probes):
    new = patients(8000)
    lvef, shd, _ = shown(probes, new)
    for point, called, case in (
        (probes.shd.operating_point, shd > probes.shd.threshold, new.shd_N == 1),
        (probes.lvef.operating_point, lvef[:, 0] > probes.lvef.operating_point.threshold, new.lvef_percent_N <= 40),
    ):
        n_cases, n_called = point.calls.n_cases, point.calls.n_cases / 2
        assert case[called].mean() == pytest.approx(point.calls.ppv, abs=4 * np.sqrt(0.25 / n_called))
        assert called[case].mean() == pytest.approx(point.calls.sensitivity, abs=4 * np.sqrt(0.09 / n_cases) + 0.01)


def test_a_flag_of_which_the_features_know_nothing_is_never_raised_nor_ruled_out(probes):
    new = patients(500)
    flags = shown(probes, new)[2]
    blind = probes.flags["blind"]
    column = probes.flag_names.index("blind")
    said = {blind.rule.finding(p, blind.prevalence) for p in flags[:, column].tolist()}
    assert said == {"cannot_tell"}
    assert blind.rule.auroc_low < 0.7
    common = probes.flags["common"]
    assert {common.rule.finding(p, common.prevalence) for p in flags[:, 0].tolist()} == {"raised", "not_raised"}


def test_what_is_raised_is_right_as_often_as_the_rule_says(probes):
    new = patients(8000)
    flags = shown(probes, new)[2]
    for name in ("common", "rare"):
        probe, has = probes.flags[name], new.flags[name] == 1
        found = flags[:, probes.flag_names.index(name)]
        raised = np.array([probe.rule.finding(p, probe.prevalence) == "raised" for p in found.tolist()])
        counted = sum(probe.rule.calls.called_C)
        assert raised.sum() > 100
        assert has[raised].mean() == pytest.approx(probe.rule.calls.ppv, abs=4 * np.sqrt(0.25 / counted))


def test_flags_are_calibrated_on_the_half_that_calibrates_shd_and_a_very_rare_one_on_everybody(splits):
    train, val, calibration = splits
    names = [f"patient-{row}" for row in range(2400)]
    features = np.asarray(calibration.features_NF, float)
    half = first_half(labelled(features, calibration.shd_N, names))
    in_half = np.isin(names, half.patients)
    seldom = np.zeros(2400)
    seldom[np.concatenate([np.flatnonzero(in_half)[:4], np.flatnonzero(~in_half)[:4]])] = 1
    told = replace(calibration, patients=names, flags={"common": calibration.flags["common"], "seldom": seldom})
    others = [
        replace(data, flags={"common": data.flags["common"], "seldom": data.flags["rare"]}) for data in (train, val)
    ]
    fit = fit_probes(*others, told, LvefClasses())
    assert fit.choices.flags["common"].calibration_ecgs == fit.choices.shd.calibration_ecgs == in_half.sum()
    assert fit.choices.flags["seldom"].calibration_ecgs == 2400
    assert fit.probes.flags["seldom"].prevalence == pytest.approx(8 / 2400)


def test_a_rule_counts_one_ecg_of_each_calibration_patient(splits):
    train, val, calibration = splits
    names = np.array([f"patient-{row // 3}" for row in range(2400)])
    probes = fit_probes(train, val, replace(calibration, patients=names.tolist()), LvefClasses()).probes
    has = calibration.flags["common"][one_per_patient(names)] == 1
    assert probes.flags["common"].rule.calls.n_C == ((~has).sum(), has.sum())
    assert probes.shd.operating_point.calls.n_C == tuple(
        np.bincount(calibration.shd_N[one_per_patient(names)].astype(int)).tolist()
    )
    assert sum(one.n_calibration for one in probes.lvef.number.interval.bins) == 800


def test_a_flag_has_no_threshold_and_a_card_no_number_of_one(splits, probes):
    assert all(flag.threshold is None for flag in probes.flags.values())
    metrics = fit_probes(*splits, LvefClasses()).choices.as_metrics()
    assert "shd_threshold" in metrics
    assert "common_threshold" not in metrics
    assert "common_train_ecgs" in metrics
