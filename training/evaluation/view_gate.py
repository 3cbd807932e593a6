"""Whether view vectors are fit to be aligned with ECGs: measured before any alignment, on vectors as towers get them.

An alignment can keep no more than its input has. Vectors of few directions, or of views that say the same, make every
way of pooling a study alike, whatever the towers do with them.

Letters: N views, S studies, D numbers of a vector, K names of views, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.metrics import roc_auc_score

from training.evaluation.metrics import ReportPart

FEWEST_DIRECTIONS = 8.0
VIEW_NAME_SHARE = (0.20, 0.50)
LEAST_TERRITORY_AUROC = 0.80
LEAST_LVEF_R = 0.90
LEAST_LOSS_OF_ONE_VIEW = 0.04
"""The gates stand in the protocol of simulator 2, fixed before its first alignment."""
ONE_VIEW = "A4C"
_RIDGE_ALPHAS = np.logspace(-1, 6, 15)

_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class StudyViews:
    """All views of some studies, and what is true of the studies."""

    vectors_ND: _Float32
    view_N: NDArray[np.str_]
    """Names of the views, empty where unknown."""
    study_N: NDArray[np.int64]
    """Places of the views' studies; every study has a view."""
    lvef_S: _Float64
    """Percent, NaN where unknown."""
    infarct_S: NDArray[np.str_]
    """The artery of an old infarct, empty where there is none."""


class Gate(ReportPart):
    """A value beside what it must be; None where these patients do not allow it to be measured."""

    measure: str
    value: float | None
    at_least: float
    at_most: float | None = None
    of: str = ""
    """What it was measured on, where there is a choice."""

    @property
    def passed(self) -> bool:
        value = self.value
        return value is not None and self.at_least <= value and (self.at_most is None or value <= self.at_most)


def view_gate(train: StudyViews, val: StudyViews) -> tuple[Gate, ...]:
    """Five gates, measured on `val`; what has to be fitted is fitted on `train`."""
    low, high = VIEW_NAME_SHARE
    pooled, r, lower = lvef_gates(train, val)
    auroc = territory_auroc(mean_vectors(train), train.infarct_S, mean_vectors(val), val.infarct_S)
    return (
        Gate(measure="participation ratio", value=participation_ratio(val.vectors_ND), at_least=FEWEST_DIRECTIONS),
        Gate(
            measure="variance explained by the view's name",
            value=share_of_names(val.vectors_ND, val.view_N),
            at_least=low,
            at_most=high,
        ),
        Gate(measure="infarct territory, AUROC", value=auroc, at_least=LEAST_TERRITORY_AUROC, of="mean vector"),
        Gate(measure="LVEF from all views, r", value=r, at_least=LEAST_LVEF_R, of=pooled),
        Gate(
            measure=f"LVEF from {ONE_VIEW} alone, r lower by",
            value=lower,
            at_least=LEAST_LOSS_OF_ONE_VIEW,
            of=f"studies with {ONE_VIEW}",
        ),
    )


def participation_ratio(vectors_ND: _Float32) -> float:
    """In how many directions vectors vary: (sum of eigenvalues)^2 / sum of squares, of their covariance. 1 to D."""
    centred_ND = vectors_ND.astype(np.float64) - vectors_ND.mean(axis=0, dtype=np.float64)
    covariance_DD = centred_ND.T @ centred_ND
    return float(np.trace(covariance_DD) ** 2 / np.sum(covariance_DD**2))


def share_of_names(vectors_ND: _Float32, name_N: NDArray[np.str_]) -> float:
    """Share of the variance, summed over all numbers, that lies between the means of the names: 0 to 1."""
    centred_ND = vectors_ND.astype(np.float64) - vectors_ND.mean(axis=0, dtype=np.float64)
    means = (centred_ND[name_N == name] for name in np.unique(name_N))
    between = sum(len(of_name) * float(np.sum(of_name.mean(axis=0) ** 2)) for of_name in means)
    return between / float(np.sum(centred_ND**2))


def mean_vectors(views: StudyViews, name: str | None = None) -> _Float64:
    """The mean (S, D) of each study's views, all or those of one name; NaN where a study has none."""
    chosen_N = np.ones(len(views.view_N), bool) if name is None else views.view_N == name
    sum_SD = np.zeros((len(views.lvef_S), views.vectors_ND.shape[1]))
    np.add.at(sum_SD, views.study_N[chosen_N], views.vectors_ND[chosen_N])
    count_S = np.bincount(views.study_N[chosen_N], minlength=len(sum_SD)).astype(np.float64)
    count_S[count_S == 0] = np.nan
    return sum_SD / count_S[:, None]


def means_side_by_side(views: StudyViews, names: Sequence[str]) -> _Float64:
    """The means (S, K D) of each study's views of each name; NaN for names that a study does not have."""
    return np.concatenate([mean_vectors(views, name) for name in names], axis=1)


def ridge_answers(train_SF: _Float64, train_S: _Float64, val_SF: _Float64) -> _Float64:
    """What a ridge regression fitted on the train studies says of others; its strength by leave-one-out on the former.

    What is missing of the features is the train studies' mean, which says nothing.
    """
    known_F = np.isfinite(train_SF).any(axis=0)
    mean_F = np.nanmean(train_SF[:, known_F], axis=0)
    train_x, val_x = (np.nan_to_num(part[:, known_F] - mean_F) for part in (train_SF, val_SF))
    answers: _Float64 = RidgeCV(alphas=_RIDGE_ALPHAS).fit(train_x, train_S).predict(val_x)
    return answers


def territory_auroc(
    train_SF: _Float64, train_infarct_S: NDArray[np.str_], val_SF: _Float64, val_infarct_S: NDArray[np.str_]
) -> float | None:
    """Mean over the arteries of the AUROC, among studies with an infarct, of one artery against the others.

    None unless every artery has studies on both sides.
    """
    train_has, val_has = train_infarct_S != "", val_infarct_S != ""
    arteries = np.unique(np.concatenate([train_infarct_S[train_has], val_infarct_S[val_has]]))
    counts = [np.sum(side == artery) for artery in arteries for side in (train_infarct_S, val_infarct_S)]
    if len(arteries) < 2 or min(counts) == 0:
        return None
    aurocs = []
    for artery in arteries:
        answers = ridge_answers(
            train_SF[train_has], (train_infarct_S[train_has] == artery).astype(np.float64), val_SF[val_has]
        )
        aurocs.append(roc_auc_score(val_infarct_S[val_has] == artery, answers))
    return float(np.mean(aurocs))


def lvef_gates(train: StudyViews, val: StudyViews) -> tuple[str, float | None, float | None]:
    """How a study's views were best pooled, r of LVEF from them, and by how much r is lower from `ONE_VIEW` alone.

    The latter among studies that have that view.
    """
    names = [str(name) for name in np.unique(train.view_N)]
    features = {
        "mean vector": (mean_vectors(train), mean_vectors(val)),
        "means by view, side by side": (means_side_by_side(train, names), means_side_by_side(val, names)),
    }
    answers = {pooled: lvef_answers(train.lvef_S, *sides) for pooled, sides in features.items()}
    found = {pooled: correlation(answers_S, val.lvef_S) for pooled, answers_S in answers.items()}
    best = max(found, key=lambda pooled: found[pooled] or -1.0)
    one_S = lvef_answers(train.lvef_S, mean_vectors(train, ONE_VIEW), mean_vectors(val, ONE_VIEW))
    has_S = np.isfinite(one_S)
    all_r, one_r = (correlation(said_S[has_S], val.lvef_S[has_S]) for said_S in (answers[best], one_S))
    return best, found[best], None if all_r is None or one_r is None else all_r - one_r


def lvef_answers(lvef_S: _Float64, train_SF: _Float64, val_SF: _Float64) -> _Float64:
    """By ridge from the train studies with features and a known LVEF; NaN for studies without any feature."""
    known_S = np.isfinite(lvef_S) & np.isfinite(train_SF).any(axis=1)
    has_S = np.isfinite(val_SF).any(axis=1)
    answers_S = np.full(len(val_SF), np.nan)
    if known_S.sum() > 1 and has_S.any():
        answers_S[has_S] = ridge_answers(train_SF[known_S], lvef_S[known_S], val_SF[has_S])
    return answers_S


def correlation(said_S: _Float64, true_S: _Float64) -> float | None:
    """Pearson's r over what both know; None where either does not vary."""
    both_S = np.isfinite(said_S) & np.isfinite(true_S)
    if both_S.sum() < 2 or not np.std(said_S[both_S]) or not np.std(true_S[both_S]):
        return None
    return float(np.corrcoef(said_S[both_S], true_S[both_S])[0, 1])
