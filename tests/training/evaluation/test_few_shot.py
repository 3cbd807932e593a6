import numpy as np
import pandas as pd

from models.labels import LvefClasses
from training.data.embedded import EmbeddedEcgs
from training.evaluation.few_shot import few_shot_curves, labelled_patients


def embedded(patients, seed, *, lvef=None, shd=None):
    """Two ECGs each; the first of six features follows LVEF, the second follows SHD, the rest is noise."""
    draw = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), 2)
    lvef = draw.uniform(20, 70, patients) if lvef is None else lvef
    shd = (draw.uniform(size=patients) < 0.4).astype(float) if shd is None else shd
    features = draw.standard_normal((2 * patients, 6)).astype(np.float32)
    features[:, 0] += np.nan_to_num(lvef[patient], nan=50.0) / 10
    features[:, 1] += 2 * np.nan_to_num(shd[patient])
    labels = pd.DataFrame({"lvef_percent": lvef[patient], "shd": shd[patient], "patient_id": patient.astype(str)})
    return EmbeddedEcgs(labels, features, features, None, None)


def test_draws_hold_both_kinds_of_patients_in_proportion():
    positive = np.arange(200) < 40
    for share, with_it, without_it in ((0.01, 1, 2), (0.1, 4, 16), (1.0, 40, 160)):
        drawn = labelled_patients(positive, share, np.random.default_rng(0))
        assert len(set(drawn.tolist())) == len(drawn)
        assert (positive[drawn].sum(), (~positive[drawn]).sum()) == (with_it, without_it)


def test_few_labels_are_counted_and_more_of_them_help():
    curves = few_shot_curves(embedded(300, 0), embedded(200, 1), LvefClasses())
    assert [curve.question for curve in curves] == ["LVEF <= 40 %", "SHD"]
    for curve in curves:
        assert [point.share for point in curve.points] == [0.01, 0.1, 1.0]
        assert [point.draws for point in curve.points] == [10, 10, 1]
        assert curve.points[-1].patients == 300 == curve.train_positive_patients + curve.train_negative_patients
        assert curve.points[0].patients == 3
        assert all(point.ecgs.mean == 2 * point.patients for point in curve.points)
        first, tenth, whole = (point.auroc for point in curve.points)
        assert first.low < first.mean < first.high
        assert first.mean < tenth.mean < whole.mean
        assert whole.low == whole.mean == whole.high > 0.85


def test_only_labelled_patients_are_drawn_and_measured():
    lvef = np.random.default_rng(2).uniform(20, 70, 100)
    lvef[:30] = np.nan
    lvef_curve, shd_curve = few_shot_curves(embedded(100, 3, lvef=lvef), embedded(100, 4, lvef=lvef), LvefClasses())
    assert lvef_curve.points[-1].patients == 70
    assert lvef_curve.n == 140
    assert shd_curve.points[-1].patients == 100


def test_few_labels_of_one_kind_of_patients_have_no_points_but_counts():
    _, shd = few_shot_curves(embedded(30, 5, shd=np.zeros(30)), embedded(30, 6), LvefClasses())
    assert shd.points == ()
    assert (shd.train_positive_patients, shd.train_negative_patients) == (0, 30)
    assert "patients are 0 positive and 30 negative" in shd.not_measured
    assert few_shot_curves(None, embedded(30, 6), LvefClasses()) == ()


def test_few_labels_are_not_measured_on_ecgs_of_one_answer():
    lvef, shd = few_shot_curves(embedded(30, 5), embedded(30, 6, shd=np.ones(30)), LvefClasses())
    assert len(lvef.points) == 3
    assert lvef.not_measured is None
    assert shd.points == ()
    assert shd.not_measured == "needs ECGs of each answer, and the measured patients have 0 (no), 60 (yes)"


def test_a_single_labelled_patient_of_each_kind_is_enough():
    lvef = np.array([30.0, *[60.0] * 9])
    curve, _ = few_shot_curves(embedded(10, 7, lvef=lvef), embedded(60, 8), LvefClasses())
    assert [point.patients for point in curve.points] == [2, 2, 10]
    assert [point.ecgs.mean for point in curve.points] == [4, 4, 20]
