"""Which clips a study has: as many and as mixed as published studies, and free of disease."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from simulator.echo.composition import FEWEST_CLIPS, HABITS, MOST_CLIPS, choose_views
from simulator.patient import sample_patient
from simulator.physiology import shd_flags

STILLS = {"CW_TRICUSPID", "CW_AORTIC", "PW_MITRAL"}


@pytest.fixture(scope="module")
def studies():
    rng = np.random.default_rng(1)
    return [choose_views(rng) for _ in range(3000)]


def test_a_study_has_15_to_25_clips_and_18_on_average(studies):
    counts = [len(views) for views in studies]
    assert (min(counts), max(counts)) == (FEWEST_CLIPS, MOST_CLIPS) == (15, 25)
    assert np.mean(counts) == pytest.approx(18.0, abs=0.7)


@pytest.mark.parametrize("passed_over", [set(), STILLS])
def test_six_of_ten_clips_show_no_whole_left_ventricle_with_the_stills_and_without(studies, passed_over):
    clips = [view for views in studies for view in views if view not in passed_over]
    assert np.mean([not HABITS[view].whole_lv for view in clips]) == pytest.approx(0.60, abs=0.05)


def test_every_view_is_sometimes_missing_but_never_both_parasternal_and_four_chamber(studies):
    for view in HABITS:
        assert 0.2 < np.mean([view in views for views in studies]) < 0.99, view
    assert all({"PLAX", "A4C"} & set(views) for views in studies)


def test_standard_views_are_sometimes_repeated(studies):
    for view in ("PLAX", "PSAX", "A4C", "A2C"):
        assert 0.03 < np.mean([views.count(view) > 1 for views in studies]) < 0.3


def test_views_come_in_the_order_of_the_examination(studies):
    order = list(HABITS)
    assert all(sorted(views, key=order.index) == list(views) for views in studies)


def test_counts_of_clips_do_not_tell_structural_heart_disease():
    """By all counts at once, cross-validated, and by the number of clips alone; 0.5 but for chance."""
    patients, reader = np.random.default_rng(5), np.random.default_rng(6)
    sick = np.array([any(shd_flags(sample_patient(patients).at(0.0)).values()) for _ in range(3000)])
    studies = [choose_views(reader) for _ in sick]
    counts = np.array([[views.count(view) for view in HABITS] for views in studies])
    told = cross_val_predict(LogisticRegression(max_iter=500), counts, sick, cv=5, method="predict_proba")[:, 1]
    for score in (told, counts.sum(axis=1)):
        area = roc_auc_score(sick, score)
        assert max(area, 1.0 - area) <= 0.55
