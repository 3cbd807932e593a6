from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score, log_loss, r2_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from models.labels import LvefClasses
from training.data.embedded import EmbeddedEcgs, FlagAnswers
from training.evaluation.answers import fitted_answers, flag_answers
from training.evaluation.probe_reports import (
    flag_reports,
    knn_probe_report,
    phenotype_reports,
    probe_report,
)
from training.probes.regression import knn_probabilities

FLAGS = ("easy_flag", "rare_flag", "unknown_flag")


def embedded(ecgs, seed, *, rare=4):
    """Two ECGs per patient. The first feature follows `easy_flag` and LVEF."""
    draw = np.random.default_rng(seed)
    easy = np.repeat(draw.integers(0, 2, ecgs // 2), 2).astype(float)
    features = draw.standard_normal((ecgs, 5)).astype(np.float32)
    features[:, 0] += 2 * easy
    labels = pd.DataFrame(
        {
            "easy_flag": easy,
            "rare_flag": (np.arange(ecgs) < rare).astype(float),
            "unknown_flag": np.full(ecgs, np.nan),
            "lvef_percent": 65 - 5 * features[:, 0] + draw.standard_normal(ecgs),
            "lvedv_ml": np.full(ecgs, np.nan),
            "lvesv_ml": 40.0 + np.arange(ecgs) % 7,
            "patient_id": np.repeat(np.arange(ecgs // 2), 2).astype(str),
        }
    )
    labels.loc[:2, "easy_flag"] = np.nan
    return EmbeddedEcgs(labels, features, features, None, None)


def flags_of(known, choosing, test, flags):
    return flag_reports(known, test, flag_answers(known, choosing, test, flags))


def test_every_flag_is_listed_measured_or_not_with_its_counts():
    known = replace(embedded(120, 0, rare=4), split="train")
    easy, rare, unknown = flags_of(known, None, embedded(100, 1, rare=30), FLAGS)
    assert easy.not_measured is None
    assert easy.linear.n == easy.knn.n == 97
    assert easy.positives + easy.negatives == 97
    assert easy.linear.patients == 49  # one patient has no known answer
    assert easy.linear.auroc.low > 0.7
    assert (rare.train_positives, rare.train_negatives, rare.positives, rare.negatives) == (4, 116, 30, 70)
    assert rare.linear is None
    assert rare.knn is None
    assert "needs 5 ECGs of each answer, and the train patients have 116 (no), 4 (yes)" in rare.not_measured
    assert (unknown.train_positives, unknown.negatives) == (0, 0)
    assert unknown.not_measured.endswith("the measured patients have 0 (no), 0 (yes), 100 (unknown)")


@pytest.mark.parametrize(("train", "here", "measured"), [(5, 5, True), (4, 5, False), (5, 4, False)])
def test_a_flag_needs_five_ecgs_of_either_answer_on_both_sides(train, here, measured):
    _, rare, _ = flags_of(embedded(60, 2, rare=train), None, embedded(60, 3, rare=here), FLAGS)
    assert (rare.linear is not None) == (rare.knn is not None) == (rare.not_measured is None) == measured
    assert (rare.knn_not_measured is None) == measured


def test_a_flag_that_too_few_measured_ecgs_have_is_told_with_their_counts():
    known, test = replace(embedded(60, 2, rare=5), split="train"), replace(embedded(60, 3, rare=3), split="val")
    rare = flags_of(known, None, test, FLAGS)[1]
    assert rare.not_measured == "needs 5 ECGs of each answer, and the val patients have 57 (no), 3 (yes)"
    assert rare.knn_not_measured == rare.not_measured


@pytest.mark.parametrize(("train", "reason"), [(3, "the train patients have 117 (no), 3 (yes)"), (None, "no ECG")])
def test_a_flag_with_a_probe_of_its_own_but_no_neighbours_says_why_it_has_none(train, reason):
    known = None if train is None else replace(embedded(120, 0, rare=train), split="train")
    served = replace(embedded(100, 1, rare=30), flags={"rare_flag": FlagAnswers(np.full(100, 0.2), 0.3)})
    rare = flags_of(known, None, served, FLAGS)[1]
    assert rare.linear is not None
    assert rare.not_measured is None
    assert rare.knn is None
    assert reason in rare.knn_not_measured


def with_labels(data, split, **labels):
    return replace(data, labels=data.labels.assign(**labels), split=split)


def test_a_probe_that_lacks_a_class_or_labels_is_told_and_the_others_are_measured():
    shd = (np.arange(120) % 4 == 0).astype(float)
    known = with_labels(embedded(120, 0), "train", shd=shd, lvef_percent=np.where(shd, 30.0, 60.0))
    test = with_labels(embedded(120, 1), "val", shd=shd, lvef_percent=np.tile([30.0, 45.0, 60.0, np.nan], 30))
    fitted = probe_report(test, LvefClasses(), fitted_answers(known, None, test, LvefClasses()))
    knn = knn_probe_report(known, test, LvefClasses())
    assert fitted.shd.positives == knn.shd.positives == 30
    assert fitted.lvef_classes is fitted.lvef_lowest_class is None
    assert set(fitted.not_measured) == {"lvef_classes", "lvef_lowest_class"}
    counts = "the train patients have 30 (<= 40 %), 0 (> 40 % and < 50 %), 90 (>= 50 %)"
    assert all("LVEF class" in reason and counts in reason for reason in fitted.not_measured.values())
    assert knn.lvef_classes.class_counts == (30, 30, 30)
    assert knn.not_measured == {}

    unlabelled = with_labels(known, "train", shd=np.where(np.arange(120) < 3, shd, np.nan))
    knn = knn_probe_report(unlabelled, test, LvefClasses())
    assert knn.lvef_classes is not None
    assert knn.not_measured == {"shd": "SHD by nearest neighbours needs 5 labelled ECGs, and the train patients have 3"}

    preserved = with_labels(known, "val", lvef_percent=np.full(120, 60.0))
    knn = knn_probe_report(known, preserved, LvefClasses())
    assert knn.shd is not None
    assert knn.not_measured == {
        "lvef_classes": "LVEF class needs ECGs of each answer, and the val patients have 0 (<= 40 %), "
        "0 (> 40 % and < 50 %), 120 (>= 50 %)",
        "lvef_lowest_class": "LVEF <= 40 % needs ECGs of each answer, and the val patients have 120 (no), 0 (yes)",
    }


def test_without_train_ecgs_no_flag_and_no_phenotype_is_measured():
    test = embedded(60, 3, rare=20)
    assert all(report.not_measured for report in flags_of(None, None, test, FLAGS))
    assert all(report.not_measured for report in phenotype_reports(None, test))


def test_flag_scores_are_those_of_its_probe():
    known, test = embedded(120, 0), embedded(100, 1)
    easy = flags_of(known, None, test, FLAGS)[0]
    has_n, has_e = known.labels["easy_flag"].notna(), test.labels["easy_flag"].notna()
    model = KNeighborsClassifier(5, algorithm="brute")
    model.fit(known.features_EF[has_n], known.labels.loc[has_n, "easy_flag"])
    shares = model.predict_proba(test.features_EF[has_e])[:, 1]
    assert easy.knn.auroc.value == pytest.approx(roc_auc_score(test.labels.loc[has_e, "easy_flag"], shares))


def test_the_bundles_own_flag_probe_goes_before_one_fitted_here():
    known, test = embedded(120, 0), embedded(100, 1)
    has_e = test.labels["easy_flag"].notna().to_numpy()
    fitted = flags_of(known, None, test, FLAGS)[0]
    assert fitted.linear_from == "train patients"
    assert fitted.linear.threshold == pytest.approx(known.labels["easy_flag"].mean())
    probability = np.random.default_rng(2).uniform(size=100).astype(np.float32)
    served = replace(test, flags={"easy_flag": FlagAnswers(probability, 0.3)})
    for train in (known, None):  # it needs no train patients
        own = flags_of(train, None, served, FLAGS)[0]
        assert own.linear_from == "bundle"
        assert own.linear.threshold == 0.3
        expected = roc_auc_score(test.labels["easy_flag"][has_e], probability[has_e])
        assert own.linear.auroc.value == pytest.approx(expected)
        assert (own.knn is None) == (train is None)
        assert own.not_measured is None


def test_a_flags_regularisation_is_the_one_with_the_least_loss_on_the_ecgs_to_choose_by():
    known, choosing, test = embedded(120, 0), embedded(80, 3), embedded(100, 1)
    mean, std = known.features_EF.mean(axis=0), known.features_EF.std(axis=0)

    def labelled(data):
        has = data.labels["easy_flag"].notna().to_numpy()
        return ((data.features_EF - mean) / std)[has], data.labels["easy_flag"][has].to_numpy(dtype=int)

    models = [LogisticRegression(C=c, max_iter=2000).fit(*labelled(known)) for c in (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)]
    x, y = labelled(choosing)
    best = min(models, key=lambda model: log_loss(y, model.predict_proba(x)[:, 1]))
    assert best.C != 0.01  # which is what they have where nothing chooses
    asked, truth = labelled(test)
    chosen, fixed = (flags_of(known, by, test, FLAGS)[0].linear for by in (choosing, None))
    assert chosen.auroc.value == pytest.approx(roc_auc_score(truth, best.predict_proba(asked)[:, 1]))
    assert fixed.auroc.value == pytest.approx(roc_auc_score(truth, models[2].predict_proba(asked)[:, 1]))
    decided = best.predict_proba(asked)[:, 1] > chosen.threshold
    assert chosen.f1.value == pytest.approx(f1_score(truth, decided))
    unlabelled = replace(choosing, labels=choosing.labels.assign(easy_flag=np.nan))
    assert flags_of(known, unlabelled, test, FLAGS)[0].linear == fixed


def test_classes_that_no_known_ecg_has_get_no_share():
    known = np.eye(6, dtype=np.float32)
    shares = knn_probabilities(known, np.array([0, 0, 2, 2, 2, 2]), known[:2], 4)
    assert shares.shape == (2, 4)
    assert (shares[:, [1, 3]] == 0).all()
    assert shares.sum(axis=1) == pytest.approx([1, 1])


def test_phenotypes_are_regressed_on_the_features():
    known, test = embedded(120, 0), embedded(100, 1)
    lvef, lvedv, lvesv = phenotype_reports(known, test)
    model = LinearRegression().fit(known.features_EF, known.labels["lvef_percent"])
    predicted = model.predict(test.features_EF)
    assert lvef.linear.r2.value == pytest.approx(r2_score(test.labels["lvef_percent"], predicted), abs=1e-5)
    assert (lvef.train_ecgs, lvef.ecgs) == (120, 100)
    assert lvedv.linear is None
    assert (lvedv.train_ecgs, lvedv.ecgs) == (0, 0)
    assert lvesv.linear.r2.high < 0.2


def test_a_regression_with_fewer_ecgs_than_numbers_to_fit_is_not_made():
    lvef = phenotype_reports(embedded(6, 0), embedded(100, 1))[0]
    assert lvef.linear is None
    assert lvef.not_measured == "no more labelled train ECGs than numbers to fit (6 for 6)"
