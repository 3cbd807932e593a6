from dataclasses import replace

import numpy as np
import pytest
import torch

from ground.errors import Refusal
from models.ecg_shape import SHAPE_SIZES, EcgShape
from models.labels import LvefClasses
from models.probe_heads import ProbeHeads
from training.probes.fit import ProbeData, fit_probes
from training.probes.fit_ood import OodData, fit_ood
from training.probes.labelled import one_per_patient

DRAW = np.random.default_rng(8)
DIRECTION = DRAW.standard_normal((2, 6)) * np.array([[3.0, 0.1, 1, 1, 10, 1]])


def patients(count, *, shd_shift=0.0):
    """Six features of very different scale; LVEF and the odds of SHD are linear in them."""
    features = DRAW.standard_normal((count, 6)) / DIRECTION[0]
    lvef = 50 + 8 * (features @ DIRECTION[0]) / np.sqrt(6) + DRAW.normal(0, 4, count)
    odds = 1.5 * (features * DIRECTION[0]) @ np.array([1, -1, 0.5, 0, 0, 0]) + shd_shift
    shd = (DRAW.uniform(size=count) < 1 / (1 + np.exp(-odds))).astype(float)
    return ProbeData(features.astype(np.float32), lvef, shd), 1 / (1 + np.exp(-odds))


def rows_of(data, rows):
    names = None if data.patients is None else np.array(data.patients)[rows].tolist()
    return ProbeData(data.features_NF[rows], data.lvef_percent_N[rows], data.shd_N[rows], names)


def shape_of(count):
    """Random numbers in the place of what an ECG looks like."""
    return EcgShape(*(torch.from_numpy(DRAW.standard_normal((count, size))).float() for size in SHAPE_SIZES.values()))


def predicted(probes, features):
    with torch.inference_mode():
        lvef, shd, *_ = ProbeHeads(probes)(torch.from_numpy(features))
    return lvef.numpy(), shd.numpy()


def test_probes_recover_the_probabilities_behind_the_labels():
    train, val, calibration = (patients(4000)[0] for _ in range(3))
    fit = fit_probes(train, val, calibration, LvefClasses())
    test, true_probability = patients(4000)
    lvef, shd = predicted(fit.probes, test.features_NF)
    assert np.abs(shd - true_probability).mean() < 0.03
    assert (lvef.argmax(axis=1) == LvefClasses().class_of(test.lvef_percent_N)).mean() > 0.7


def test_calibration_follows_its_own_split_and_leaves_the_ranking_alone():
    train, val = patients(3000)[0], patients(1000)[0]
    usual = fit_probes(train, val, patients(4000)[0], LvefClasses())
    shifted = fit_probes(train, val, patients(4000, shd_shift=-1.5)[0], LvefClasses())
    test, true_probability = patients(3000, shd_shift=-1.5)
    _, before = predicted(usual.probes, test.features_NF)
    _, after = predicted(shifted.probes, test.features_NF)
    assert np.abs(after - true_probability).mean() < 0.04 < np.abs(before - true_probability).mean()
    assert np.diff(after[np.argsort(before)]).min() > -1e-6


def test_unknown_labels_are_left_out_of_training():
    train, val, calibration = (patients(2000)[0] for _ in range(3))
    hidden = ProbeData(train.features_NF.copy(), train.lvef_percent_N.copy(), train.shd_N.copy())
    hidden.shd_N[1000:] = np.nan
    fit = fit_probes(hidden, val, calibration, LvefClasses())
    assert (fit.choices.shd.train_ecgs, fit.choices.lvef.train_ecgs) == (1000, 2000)


def test_ecgs_without_a_label_and_the_shares_of_train_are_told_for_the_card():
    train, val, calibration = (patients(2000)[0] for _ in range(3))
    calibration.shd_N[:150] = np.nan
    calibration.lvef_percent_N[:70] = np.nan
    choices = fit_probes(train, val, calibration, LvefClasses()).choices
    assert choices.shd.calibration_unlabelled_ecgs == 150
    assert choices.lvef.calibration_unlabelled_ecgs == 70
    lvef = train.lvef_percent_N
    assert choices.lvef.train_prevalence_C == pytest.approx(
        [(lvef <= 40).mean(), ((lvef > 40) & (lvef < 50)).mean(), (lvef >= 50).mean()]
    )


def test_operating_points_reach_their_sensitivity_on_val_and_no_larger_threshold_does():
    """One ECG of each patient chooses; the copies of the others must not."""
    train, val, calibration = (patients(2000)[0] for _ in range(3))
    names = [f"patient-{row // 2}" for row in range(2000)]
    fit = fit_probes(train, replace(val, patients=names), calibration, LvefClasses())
    lvef, shd = (part[one_per_patient(names)] for part in predicted(fit.probes, val.features_NF))
    chosen = rows_of(val, one_per_patient(names))
    reduced = chosen.lvef_percent_N <= 40
    for threshold, probability, case in (
        (fit.probes.shd.threshold, shd, chosen.shd_N == 1),
        (fit.probes.lvef.operating_point.threshold, lvef[:, 0], reduced),
    ):
        assert (probability[case] > threshold).mean() >= 0.9
        next_up = probability[probability > threshold].min()
        assert (probability[case] > next_up).mean() < 0.9


def test_what_an_operating_point_brings_is_counted_on_calibration_patients_and_holds_at_the_stored_prevalence():
    train, val, calibration = (patients(2000)[0] for _ in range(3))
    names = [f"patient-{row // 2}" for row in range(2000)]
    probes = fit_probes(train, val, replace(calibration, patients=names), LvefClasses()).probes
    one = one_per_patient(names)
    lvef, shd = (part[one] for part in predicted(probes, calibration.features_NF))
    reduced = calibration.lvef_percent_N[one] <= 40
    for point, probability, case, prevalence in (
        (probes.shd.operating_point, shd, calibration.shd_N[one] == 1, probes.shd.prevalence),
        (probes.lvef.operating_point, lvef[:, 0], reduced, probes.lvef.prevalence_C[0]),
    ):
        called = probability > point.threshold
        sensitivity, false_alarms = called[case].mean(), called[~case].mean()
        assert (point.calls.n_cases, point.calls.n_others) == (case.sum(), (~case).sum())
        assert point.calls.sensitivity == pytest.approx(sensitivity)
        assert point.calls.cases == pytest.approx(1000 * prevalence)
        if point is probes.shd.operating_point:  # the other has two kinds of others, each weighed
            assert point.calls.specificity == pytest.approx(1 - false_alarms)
            right, wrong = prevalence * sensitivity, (1 - prevalence) * false_alarms
            assert point.calls.ppv == pytest.approx(right / (right + wrong))


def test_perfectly_separated_labels_stay_finite():
    features = np.linspace(-1, 1, 200, dtype=np.float32)[:, None]
    data = ProbeData(features, 50 + 30 * features[:, 0].astype(float), (features[:, 0] < 0).astype(float))
    fit = fit_probes(data, data, data, LvefClasses())
    lvef, shd = predicted(fit.probes, features)
    assert np.isfinite(lvef).all()
    assert shd[0] > 0.9 > 0.1 > shd[-1]


def test_a_feature_that_never_changes_does_no_harm():
    sets = [patients(1000)[0] for _ in range(3)]
    constant = [
        ProbeData(np.column_stack([d.features_NF, np.ones(1000, np.float32)]), d.lvef_percent_N, d.shd_N) for d in sets
    ]
    assert fit_probes(*constant, LvefClasses()).probes.feature_std_F[-1] == 1.0


def test_a_question_of_which_a_split_lacks_a_class_is_left_out_by_name():
    train, val, calibration = (patients(500)[0] for _ in range(3))
    calibration.shd_N[:] = 0
    fit = fit_probes(train, val, calibration, LvefClasses())
    assert fit.left_out == {"SHD": "the calibration patients do not show every class of it"}
    assert (fit.probes.shd, fit.choices.shd) == (None, None)
    assert fit.probes.lvef.number is not None


def test_where_nothing_can_be_fitted_the_reasons_are_told():
    train, val, calibration = (patients(500)[0] for _ in range(3))
    calibration.shd_N[:] = 0
    val.lvef_percent_N[:] = np.nan
    with pytest.raises(Refusal, match="LVEF: the val patients' ECGs have no label of it; SHD: the calibration"):
        fit_probes(train, val, calibration, LvefClasses())


def within_sampling_error(covered, *, n_calibration, coverage=0.9):
    """Is the share covered of n new patients one that conformal sets give in 999 of 1000 cases?

    Over calibrations coverage is Beta(k, n + 1 - k) with k = ceil((n + 1) coverage) (Vovk 2012); over new patients it
    is binomial. Both are drawn.
    """
    draw, k = np.random.default_rng(5), int(np.ceil((n_calibration + 1) * coverage))
    shares = draw.binomial(len(covered), draw.beta(k, n_calibration + 1 - k, size=20_000)) / len(covered)
    low, high = np.quantile(shares, [0.0005, 0.9995])
    return low <= np.mean(covered) <= high


@pytest.mark.parametrize("size", [400, 3000])
def test_prediction_sets_cover_new_patients_as_often_as_they_say(size):
    train, val, calibration = patients(1500)[0], patients(500)[0], patients(size)[0]
    probes = fit_probes(train, val, calibration, LvefClasses()).probes
    new, _ = patients(2000)
    lvef, shd = predicted(probes, new.features_NF)
    lvef_truth = LvefClasses().class_of(new.lvef_percent_N)
    for sets, probability, truth in (
        (probes.lvef.sets, lvef, lvef_truth),
        (probes.shd.sets, np.column_stack([1 - shd, shd]), new.shd_N),
    ):
        assert abs(sets.n_calibration - size / 2) < 4 * np.sqrt(size / 4)
        found = [sets.classes(row) for row in probability]
        # That the most probable class is always in can only add to the coverage.
        unforced = [1 - row[int(t)] <= sets.quantile for row, t in zip(probability, truth, strict=True)]
        assert within_sampling_error(unforced, n_calibration=sets.n_calibration)
        assert np.mean([t in s for s, t in zip(found, truth, strict=True)]) >= np.mean(unforced)
        assert min(map(len, found)) >= 1
        assert np.mean([len(s) for s in found]) < probability.shape[1]


def test_a_patient_either_calibrates_or_sizes_sets_and_counts_once_there():
    train, val, calibration = (patients(1000)[0] for _ in range(3))
    names = [f"patient-{row // 4}" for row in range(1000)]
    fit = fit_probes(train, val, replace(calibration, patients=names), LvefClasses())
    sized, calibrated = fit.probes.shd.sets.n_calibration, fit.choices.shd.calibration_ecgs
    assert calibrated % 4 == 0
    assert sized == 250 - calibrated / 4
    one_N = one_per_patient(names)
    assert one_N.sum() == 250
    assert len({name for name, chosen in zip(names, one_N, strict=True) if chosen}) == 250


def test_copies_of_a_patients_ecg_count_once_in_the_sets():
    train, val, calibration = patients(1000)[0], patients(500)[0], patients(600)[0]
    names = np.array([f"patient-{row}" for row in range(600)])
    often = np.concatenate([np.arange(600), np.repeat(np.flatnonzero(calibration.shd_N == 1), 5)])
    copied = ProbeData(
        calibration.features_NF[often],
        calibration.lvef_percent_N[often],
        calibration.shd_N[often],
        names[often].tolist(),
    )
    once = fit_probes(train, val, replace(calibration, patients=names.tolist()), LvefClasses()).probes
    again = fit_probes(train, val, copied, LvefClasses()).probes
    assert again.shd.sets.n_calibration == once.shd.sets.n_calibration
    assert again.shd.prevalence > once.shd.prevalence, "calibration itself uses every ECG"


def test_where_patients_are_few_all_of_them_calibrate_and_there_are_no_sets():
    train, val, calibration = patients(1000)[0], patients(500)[0], patients(30)[0]
    fit = fit_probes(train, val, calibration, LvefClasses())
    assert fit.probes.lvef.sets is None
    assert fit.choices.lvef.calibration_ecgs == 30


def test_probes_say_which_prevalence_they_hold_for():
    train, val, everyone = patients(2000)[0], patients(1000)[0], patients(4000)[0]
    kept = np.flatnonzero((everyone.shd_N == 0) | (np.arange(4000) % 8 == 0))
    rare = rows_of(everyone, kept)  # the positives are those they were, only fewer
    probes = fit_probes(train, val, rare, LvefClasses()).probes
    new, truth = patients(3000)
    moved = probes.with_prevalence(shd=float(np.mean(new.shd_N)))
    assert probes.shd.prevalence == pytest.approx(rare.shd_N.mean(), abs=0.02)
    assert sum(probes.lvef.prevalence_C) == pytest.approx(1)
    before, after = (np.abs(predicted(p, new.features_NF)[1] - truth).mean() for p in (probes, moved))
    assert after < 0.05 < 0.2 < before


def test_a_flag_has_a_probe_where_enough_had_it_and_is_named_where_not():
    sets = [patients(count)[0] for count in (800, 300, 300)]
    draw = np.random.default_rng(4)

    def with_flags(data):
        common = (data.features_NF[:, 0] * DIRECTION[0, 0] + draw.normal(0, 0.3, len(data.shd_N)) > 1).astype(float)
        unknown = np.where(draw.uniform(size=len(common)) < 0.5, np.nan, common)
        rare = (np.arange(len(common)) < 4).astype(float)
        return replace(data, flags={"common": common, "half_unknown": unknown, "rare": rare})

    fit = fit_probes(*map(with_flags, sets), LvefClasses())
    assert fit.probes.flag_names == ("common", "half_unknown")
    assert fit.too_few == ("rare",)
    new = with_flags(patients(2000)[0])
    with torch.inference_mode():
        flags = ProbeHeads(fit.probes)(torch.from_numpy(new.features_NF)).flags_BQ.numpy()
    for column in (0, 1):
        probe = fit.probes.flags[fit.probes.flag_names[column]]
        said = np.array([probe.rule.finding(p, probe.prevalence) for p in flags[:, column].tolist()])
        assert set(said) == {"raised", "not_raised"}
        assert (
            new.flags["common"][said == "raised"].mean() > 0.7 > 0.2 > new.flags["common"][said == "not_raised"].mean()
        )
        assert flags[:, column].mean() == pytest.approx(new.flags["common"].mean(), abs=0.06)


@pytest.mark.parametrize("rare_in", ["train", "val", "calibration"])
def test_many_ecgs_of_few_patients_are_too_few_for_a_flag(rare_in):
    """Forty ECGs with the flag in every split, of forty patients or of four."""
    splits = {name: patients(400)[0] for name in ("train", "val", "calibration")}

    def fit(patient_of):
        named = {
            name: replace(
                data,
                flags={"flag": (np.arange(400) < 40).astype(float)},
                patients=[patient_of(name, row) for row in range(400)],
            )
            for name, data in splits.items()
        }
        return fit_probes(named["train"], named["val"], named["calibration"], LvefClasses())

    assert fit(lambda name, row: f"{row}").too_few == ()
    assert fit(lambda name, row: f"{row // 10 if name == rare_in else row}").too_few == ("flag",)


def test_how_unusual_is_told_against_one_ecg_of_each_calibration_patient():
    train, val, calibration = (replace(patients(count)[0], shape=shape_of(count)) for count in (300, 120, 300))
    names = [f"patient-{row // 2}" for row in range(300)]
    fit = fit_probes(train, val, replace(calibration, patients=names), LvefClasses())
    one = one_per_patient(names)
    held_out = OodData(calibration.features_NF[one], EcgShape(*(kind[one] for kind in calibration.shape)))
    expected = fit_ood(OodData(train.features_NF, train.shape), OodData(val.features_NF, val.shape), held_out)
    assert len(fit.probes.ood.held_out_scores) == fit.choices.ood_held_out_ecgs == 150
    assert fit.probes.ood == expected


def test_of_many_held_out_ecgs_the_card_is_told_all_of_them():
    train, val, calibration = (replace(patients(count)[0], shape=shape_of(count)) for count in (300, 120, 1200))
    fit = fit_probes(train, val, calibration, LvefClasses())
    assert (len(fit.probes.ood.held_out_scores), fit.choices.ood_held_out_ecgs) == (1000, 1200)
