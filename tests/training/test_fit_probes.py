import numpy as np
import pytest
import torch

from models.probes import LvefClasses, ProbeHeads
from training.fit_probes import ProbeData, fit_probes

DRAW = np.random.default_rng(8)
DIRECTION = DRAW.standard_normal((2, 6)) * np.array([[3.0, 0.1, 1, 1, 10, 1]])


def patients(count, *, shd_shift=0.0):
    """Six features of very different scale; LVEF and the odds of SHD are linear in them."""
    features = DRAW.standard_normal((count, 6)) / DIRECTION[0]
    lvef = 50 + 8 * (features @ DIRECTION[0]) / np.sqrt(6) + DRAW.normal(0, 4, count)
    odds = 1.5 * (features * DIRECTION[0]) @ np.array([1, -1, 0.5, 0, 0, 0]) + shd_shift
    shd = (DRAW.uniform(size=count) < 1 / (1 + np.exp(-odds))).astype(float)
    return ProbeData(features.astype(np.float32), lvef, shd), 1 / (1 + np.exp(-odds))


def predicted(probes, features):
    with torch.inference_mode():
        lvef, shd, _ = ProbeHeads(probes)(torch.from_numpy(features))
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
    assert (fit.choices["shd_train_ecgs"], fit.choices["lvef_train_ecgs"]) == (1000, 2000)


def test_threshold_lies_where_sensitivity_and_specificity_of_val_are_greatest():
    train, val, calibration = (patients(2000)[0] for _ in range(3))
    fit = fit_probes(train, val, calibration, LvefClasses())
    _, shd = predicted(fit.probes, val.features_NF)

    def youden(threshold):
        return (shd > threshold)[val.shd_N == 1].mean() + (shd <= threshold)[val.shd_N == 0].mean()

    assert youden(fit.probes.shd.threshold) == pytest.approx(max(youden(t) for t in np.linspace(0, 1, 2001)), abs=2e-3)


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


def test_a_split_without_one_of_the_classes_is_refused_by_name():
    train, val, calibration = (patients(500)[0] for _ in range(3))
    calibration.shd_N[:] = 0
    with pytest.raises(ValueError, match="calibration patients do not show every class of SHD"):
        fit_probes(train, val, calibration, LvefClasses())
