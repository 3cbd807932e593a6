"""What simple probes read from the ECG features: LVEF classes, SHD, each SHD flag, volumes; each with how many.

The bundle's own probes answer where it has them. The others are fitted here as `training` fits a bundle's: weights on
the train patients of the cohort, regularisation chosen on the val patients.

Letters: E ECGs asked, N ECGs known, V ECGs to choose by, F features, C classes, K neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import NearestNeighbors

from models.probes import LvefClasses
from training.cohort_arrays import LV_PHENOTYPES
from training.fit_probes import best_regression, class_numbers
from training.metrics import (
    ClassesReport,
    Record,
    RegressionReport,
    YesNoReport,
    YesNoScores,
    classes_report,
    regression_report,
    yes_no_report,
    yes_no_scores,
)

_NEIGHBOURS = 5
_FEWEST = 5
"""A flag with fewer ECGs of either answer is counted, not measured."""
_INVERSE_REGULARISATION = 0.01
"""C of a logistic regression where no labels are there to choose it by."""

_FLAG_WORDS = {
    "lvef_lte_45_flag": "LVEF <= 45 %",
    "lvwt_gte_13_flag": "LV wall >= 13 mm",
    "rv_systolic_dysfunction_moderate_or_greater_flag": "RV systolic dysfunction",
    "pasp_gte_45_flag": "PASP >= 45 mmHg",
    "tr_max_gte_32_flag": "TR velocity >= 3.2 m/s",
}

_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


class ProbeReport(Record):
    """What one kind of probe says of LVEF classes, of the lowest LVEF class against the rest, and of SHD."""

    lvef_classes: ClassesReport
    lvef_lowest_class: YesNoReport
    shd: YesNoReport


class FlagReport(Record):
    """One SHD flag: ECGs of either answer among the train patients and among those measured, and the two probes.

    The nearest neighbours decide at a share above 0.5, a linear probe at its own threshold: the bundle's, or the share
    of positives that it was fitted on.
    """

    flag: str
    train_positives: int
    train_negatives: int
    positives: int
    negatives: int
    linear_from: Literal["bundle", "train patients"] | None
    linear: YesNoScores | None
    knn: YesNoScores | None
    not_measured: str | None
    """Why there are no scores."""

    def in_words(self) -> str:
        """The flag's name as a person would say it; `moderate or greater` and the like are left out."""
        return _FLAG_WORDS.get(self.flag) or self.flag.split("_flag")[0].split("_moderate")[0].replace("_", " ")


class PhenotypeReport(Record):
    """Ordinary linear regression of one phenotype (the unit is in its name) on the features."""

    phenotype: str
    train_ecgs: int
    ecgs: int
    linear: RegressionReport | None
    not_measured: str | None
    """Why there are no scores."""


@dataclass(frozen=True)
class FlagAnswers:
    """What a probe says of one flag; positive above the threshold."""

    probability_E: NDArray[np.floating]
    threshold: float


@dataclass(frozen=True)
class EmbeddedEcgs:
    """ECGs of one split as the bundle sees them, with the labels of their nearest study (rows as `ecg_labels`)."""

    labels: pd.DataFrame
    features_EF: _Float32
    embeddings_ED: _Float32
    lvef_EC: _Float32 | None
    shd_E: _Float32 | None
    flags: Mapping[str, FlagAnswers] = field(default_factory=dict)
    """The flags that the bundle has a probe for."""

    def truth(self, label: str) -> _Float64:
        """A label of every ECG, NaN where unknown."""
        return self.labels[label].to_numpy(dtype=np.float64)

    @property
    def patient_E(self) -> _Int64:
        return pd.factorize(self.labels["patient_id"])[0].astype(np.int64)


def bundle_probe_report(test: EmbeddedEcgs, classes: LvefClasses, shd_threshold: float) -> ProbeReport:
    """The bundle's own linear probes, as it serves them."""
    assert test.lvef_EC is not None
    assert test.shd_E is not None
    return _probe_report(test, classes, test.lvef_EC, test.shd_E, shd_threshold)


def fitted_probe_report(
    known: EmbeddedEcgs, choosing: EmbeddedEcgs | None, test: EmbeddedEcgs, classes: LvefClasses
) -> ProbeReport:
    """Linear probes for a bundle without any, fitted on the known ECGs; SHD is decided at their share of positives.

    `choosing` are ECGs of other patients that choose the regularisation. ValueError where the known ECGs do not show
    every class.
    """

    def lvef_class(data: EmbeddedEcgs) -> _Float64:
        return class_numbers(data.truth("lvef_percent"), classes)

    def shd(data: EmbeddedEcgs) -> _Float64:
        return data.truth("shd")

    for truth, count in ((lvef_class, len(classes.labels)), (shd, 2)):
        if set(range(count)) - set(truth(known).tolist()):
            raise ValueError("the bundle has no probes, and the train patients do not show every class to fit them on")
    lvef_EC, shd_EC = (_chosen_probabilities(known, choosing, test, truth) for truth in (lvef_class, shd))
    return _probe_report(test, classes, lvef_EC, shd_EC[:, 1], float(np.nanmean(shd(known))))


def knn_probe_report(known: EmbeddedEcgs, test: EmbeddedEcgs, classes: LvefClasses) -> ProbeReport | None:
    """Five nearest neighbours among the known ECGs; None where fewer than five are labelled."""
    lvef_N, shd_N = known.truth("lvef_percent"), known.truth("shd")
    lvef_known, shd_known = np.isfinite(lvef_N), np.isfinite(shd_N)
    if min(lvef_known.sum(), shd_known.sum()) < _NEIGHBOURS:
        return None
    lvef_EC = knn_probabilities(
        known.features_EF[lvef_known], classes.class_of(lvef_N[lvef_known]), test.features_EF, len(classes.labels)
    )
    shd_EC = knn_probabilities(known.features_EF[shd_known], shd_N[shd_known].astype(np.int64), test.features_EF, 2)
    return _probe_report(test, classes, lvef_EC, shd_EC[:, 1], 0.5)


def flag_reports(
    known: EmbeddedEcgs | None, choosing: EmbeddedEcgs | None, test: EmbeddedEcgs, flags: Sequence[str]
) -> tuple[FlagReport, ...]:
    """One report per flag, measured or not; `choosing` as in `fitted_probe_report`."""
    return tuple(_flag_report(known, choosing, test, flag) for flag in flags)


def _flag_report(
    known: EmbeddedEcgs | None, choosing: EmbeddedEcgs | None, test: EmbeddedEcgs, flag: str
) -> FlagReport:
    truth_N = np.empty(0) if known is None else known.truth(flag)
    truth_E = test.truth(flag)
    train, here = ([int(np.sum(values == answer)) for answer in (1, 0)] for values in (truth_N, truth_E))
    has_E, enough_to_fit = np.isfinite(truth_E), min(train) >= _FEWEST
    linear, knn = None, None
    if min(here) >= _FEWEST:
        answer_E, patient_E = truth_E[has_E].astype(np.int64), test.patient_E[has_E]
        answers = test.flags.get(flag)
        if answers is None and known is not None and enough_to_fit:
            probability_EC = _chosen_probabilities(known, choosing, test, lambda data: data.truth(flag))
            answers = FlagAnswers(probability_EC[:, 1], threshold=float(np.nanmean(truth_N)))
        if answers is not None:
            probability_E = answers.probability_E[has_E].astype(np.float64)
            linear = yes_no_scores(answer_E, probability_E, patient_E, threshold=answers.threshold)
        if known is not None and enough_to_fit:
            has_N = np.isfinite(truth_N)
            answer_N = truth_N[has_N].astype(np.int64)
            share_EC = knn_probabilities(known.features_EF[has_N], answer_N, test.features_EF[has_E], 2)
            knn = yes_no_scores(answer_E, share_EC[:, 1], patient_E)
    return FlagReport(
        flag=flag,
        train_positives=train[0],
        train_negatives=train[1],
        positives=here[0],
        negatives=here[1],
        linear_from=None if linear is None else "bundle" if flag in test.flags else "train patients",
        linear=linear,
        knn=knn,
        not_measured=None
        if linear is not None
        else f"fewer than {_FEWEST} of either answer (train: {train[0]} yes, {train[1]} no)",
    )


def _chosen_probabilities(
    known: EmbeddedEcgs, choosing: EmbeddedEcgs | None, test: EmbeddedEcgs, truth: Callable[[EmbeddedEcgs], _Float64]
) -> _Float64:
    """Probabilities (E, C) of the regression that does best on `choosing`; where nothing is labelled there, of C 0.01.

    `truth` gives class numbers as floats, NaN where unknown.
    """
    known_NF, asked_EF = standardised(known, test)
    truth_N = truth(known)
    has_N = np.isfinite(truth_N)
    known_NF, class_N = known_NF[has_N], truth_N[has_N].astype(np.int64)
    if choosing is None or not np.isfinite(truth(choosing)).any():
        return linear_probabilities(known_NF, class_N, asked_EF)
    _, choosing_VF = standardised(known, choosing)
    truth_V = truth(choosing)
    has_V = np.isfinite(truth_V)
    model, _ = best_regression(known_NF, class_N, choosing_VF[has_V], truth_V[has_V].astype(np.int64))
    probability_EC: _Float64 = model.predict_proba(asked_EF)
    return probability_EC


def phenotype_reports(known: EmbeddedEcgs | None, test: EmbeddedEcgs) -> tuple[PhenotypeReport, ...]:
    """One report per phenotype, measured or not."""
    return tuple(_phenotype_report(known, test, phenotype) for phenotype in LV_PHENOTYPES)


def _phenotype_report(known: EmbeddedEcgs | None, test: EmbeddedEcgs, phenotype: str) -> PhenotypeReport:
    truth_N = np.empty(0) if known is None else known.truth(phenotype)
    truth_E = test.truth(phenotype)
    has_N, has_E = np.isfinite(truth_N), np.isfinite(truth_E)
    not_measured, linear = None, None
    if known is None or has_N.sum() <= test.features_EF.shape[1] + 1:
        not_measured = "no more labelled train ECGs than numbers to fit"
    elif len(np.unique(truth_E[has_E])) < 2:
        not_measured = "fewer than two different values to explain"
    else:
        model = LinearRegression().fit(known.features_EF[has_N].astype(np.float64), truth_N[has_N])
        predicted_E = model.predict(test.features_EF[has_E].astype(np.float64))
        linear = regression_report(truth_E[has_E], predicted_E, test.patient_E[has_E])
    return PhenotypeReport(
        phenotype=phenotype,
        train_ecgs=int(has_N.sum()),
        ecgs=int(has_E.sum()),
        linear=linear,
        not_measured=not_measured,
    )


def knn_probabilities(known_NF: _Float32, truth_N: _Int64, asked_EF: _Float32, classes: int) -> _Float64:
    """Shares (E, classes) of the classes among the five nearest known ECGs, found by brute force."""
    model = NearestNeighbors(n_neighbors=_NEIGHBOURS, algorithm="brute").fit(known_NF)
    nearest_EK = model.kneighbors(asked_EF, return_distance=False)
    shares_EC: _Float64 = np.mean(truth_N[nearest_EK][:, :, None] == np.arange(classes), axis=1)
    return shares_EC


def standardised(known: EmbeddedEcgs, test: EmbeddedEcgs) -> tuple[_Float64, _Float64]:
    """Features of both, over mean and standard deviation of all known ECGs, which needs no labels."""
    mean_F = known.features_EF.mean(axis=0, dtype=np.float64)
    std_F = known.features_EF.std(axis=0, dtype=np.float64)
    std_F = np.where(std_F > 0, std_F, 1.0)
    return (known.features_EF - mean_F) / std_F, (test.features_EF - mean_F) / std_F


def linear_probabilities(known_NF: _Float64, truth_N: _Int64, asked_EF: _Float64) -> _Float64:
    """Probabilities (E, C) of a logistic regression of C 0.01 on standardised features. The truth has every class."""
    model = LogisticRegression(C=_INVERSE_REGULARISATION, max_iter=2000).fit(known_NF, truth_N)
    probability_EC: _Float64 = model.predict_proba(asked_EF)
    return probability_EC


def _probe_report(
    test: EmbeddedEcgs,
    classes: LvefClasses,
    lvef_EC: NDArray[np.floating],
    shd_E: NDArray[np.floating],
    shd_threshold: float,
) -> ProbeReport:
    lvef_percent, shd, patient_E = test.truth("lvef_percent"), test.truth("shd"), test.patient_E
    has_lvef, has_shd = np.isfinite(lvef_percent), np.isfinite(shd)
    lvef_class = classes.class_of(lvef_percent[has_lvef])
    return ProbeReport(
        lvef_classes=classes_report(lvef_class, lvef_EC[has_lvef].astype(np.float64), patient_E[has_lvef]),
        lvef_lowest_class=yes_no_report(
            (lvef_class == 0).astype(np.int64), lvef_EC[has_lvef, 0].astype(np.float64), patient_E[has_lvef]
        ),
        shd=yes_no_report(
            shd[has_shd].astype(np.int64),
            shd_E[has_shd].astype(np.float64),
            patient_E[has_shd],
            threshold=shd_threshold,
        ),
    )
