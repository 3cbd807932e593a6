"""What simple probes read from the ECG features: LVEF classes, SHD, each SHD flag, volumes; each with how many.

The bundle's own probes answer where it has them. The others are fitted here as `training` fits a bundle's: weights on
the train patients of the cohort, regularisation chosen on the val patients.

Letters: E ECGs asked, N ECGs known, V ECGs to choose by, F features, C classes, K neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.linear_model import LinearRegression

from ground.findings import LV_PHENOTYPES, short_flag_words
from models.labels import LvefClasses
from training.data.embedded import EmbeddedEcgs, FlagAnswers
from training.evaluation.metrics import (
    ClassesReport,
    RegressionReport,
    ReportPart,
    YesNoReport,
    YesNoScores,
    classes_report,
    regression_report,
    yes_no_report,
    yes_no_scores,
)
from training.probes.regression import (
    _NEIGHBOURS,
    best_regression,
    knn_probabilities,
    lacking_answers,
    linear_probabilities,
    standardised,
)

_FEWEST = 5
"""A flag with fewer ECGs of either answer is counted, not measured."""
NO_YES = ("no", "yes")
_LVEF_CLASS = "LVEF class"
_NO_KNOWN = "no ECG of the train patients can be used"

_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


class ProbeReport(ReportPart):
    """What one kind of probe says of LVEF classes, of the lowest LVEF class against the rest, and of SHD."""

    lvef_classes: ClassesReport | None
    lvef_lowest_class: YesNoReport | None
    shd: YesNoReport | None
    not_measured: dict[str, str] = Field(default_factory=dict)
    """By field, why there are no scores."""


class FlagReport(ReportPart):
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
    """Why the linear probe has no scores."""
    knn_not_measured: str | None = None
    """Why the nearest neighbours have none."""

    def in_words(self) -> str:
        """The flag's name as a person would say it; `moderate or greater` and the like are left out."""
        return short_flag_words(self.flag)


class PhenotypeReport(ReportPart):
    """Ordinary linear regression of one phenotype (the unit is in its name) on the features."""

    phenotype: str
    train_ecgs: int
    ecgs: int
    linear: RegressionReport | None
    not_measured: str | None
    """Why there are no scores."""


def bundle_probe_report(test: EmbeddedEcgs, classes: LvefClasses, shd_threshold: float) -> ProbeReport:
    """The bundle's own linear probes, as it serves them."""
    assert test.lvef_EC is not None
    assert test.shd_E is not None
    return _probe_report(test, classes, test.lvef_EC, FlagAnswers(test.shd_E, shd_threshold))


def fitted_probe_report(
    known: EmbeddedEcgs | None, choosing: EmbeddedEcgs | None, test: EmbeddedEcgs, classes: LvefClasses
) -> ProbeReport:
    """Linear probes for a bundle without any, fitted on the known ECGs; SHD is decided at their share of positives.

    `choosing` are ECGs of other patients that choose the regularisation. A probe needs known ECGs of every class.
    """

    def fitted(label: str, names: Sequence[str], truth: Callable[[EmbeddedEcgs], _Float64]) -> _Float64 | str:
        if known is None:
            return f"the bundle has no probe of {label}, and {_NO_KNOWN} to fit one"
        lacking = lacking_answers(known.split, truth(known), names)
        if lacking is not None:
            return f"the bundle has no probe of {label}, and fitting one {lacking}"
        return _chosen_probabilities(known, choosing, test, truth)

    lvef_EC = fitted(_LVEF_CLASS, classes.ranges, lambda data: data.lvef_class(classes))
    shd_EC = fitted("SHD", NO_YES, lambda data: data.truth("shd"))
    if isinstance(shd_EC, str):
        return _probe_report(test, classes, lvef_EC, shd_EC)
    assert known is not None
    threshold = float(np.nanmean(known.truth("shd")))
    return _probe_report(test, classes, lvef_EC, FlagAnswers(shd_EC[:, 1], threshold))


def knn_probe_report(known: EmbeddedEcgs, test: EmbeddedEcgs, classes: LvefClasses) -> ProbeReport:
    """Five nearest neighbours among the known ECGs, where five are labelled."""

    def shares(label: str, truth_N: _Float64, names: Sequence[str]) -> _Float64 | str:
        has_N = np.isfinite(truth_N)
        if has_N.sum() < _NEIGHBOURS:
            count = f"the {known.split} patients have {has_N.sum()}"
            return f"{label} by nearest neighbours needs {_NEIGHBOURS} labelled ECGs, and {count}"
        return knn_probabilities(
            known.features_EF[has_N], truth_N[has_N].astype(np.int64), test.features_EF, len(names)
        )

    shd_EC = shares("SHD", known.truth("shd"), NO_YES)
    return _probe_report(
        test,
        classes,
        shares("LVEF", known.lvef_class(classes), classes.ranges),
        shd_EC if isinstance(shd_EC, str) else FlagAnswers(shd_EC[:, 1], 0.5),
    )


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
    train_counts, test_counts = ([int(np.sum(values == answer)) for answer in (1, 0)] for values in (truth_N, truth_E))
    has_E, answers = np.isfinite(truth_E), test.flags.get(flag)
    too_few_here = lacking_answers(test.split, truth_E, NO_YES, _FEWEST)
    too_few_known = _NO_KNOWN if known is None else lacking_answers(known.split, truth_N, NO_YES, _FEWEST)
    linear_lacks = too_few_here or (too_few_known if answers is None else None)
    knn_lacks = too_few_here or too_few_known
    linear, knn = None, None
    answer_E, patient_E = truth_E[has_E].astype(np.int64), test.patient_E[has_E]
    if linear_lacks is None:
        if answers is None:
            assert known is not None
            probability_EC = _chosen_probabilities(known, choosing, test, lambda data: data.truth(flag))
            answers = FlagAnswers(probability_EC[:, 1], threshold=float(np.nanmean(truth_N)))
        probability_E = answers.probability_E[has_E].astype(np.float64)
        linear = yes_no_scores(answer_E, probability_E, patient_E, threshold=answers.threshold)
    if knn_lacks is None:
        assert known is not None
        has_N = np.isfinite(truth_N)
        share_EC = knn_probabilities(
            known.features_EF[has_N], truth_N[has_N].astype(np.int64), test.features_EF[has_E], 2
        )
        knn = yes_no_scores(answer_E, share_EC[:, 1], patient_E)
    return FlagReport(
        flag=flag,
        train_positives=train_counts[0],
        train_negatives=train_counts[1],
        positives=test_counts[0],
        negatives=test_counts[1],
        linear_from=None if linear is None else "bundle" if flag in test.flags else "train patients",
        linear=linear,
        knn=knn,
        not_measured=linear_lacks,
        knn_not_measured=knn_lacks,
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
        counts = f"{has_N.sum()} for {test.features_EF.shape[1] + 1}"
        not_measured = f"no more labelled train ECGs than numbers to fit ({counts})"
    elif len(np.unique(truth_E[has_E])) < 2:
        not_measured = (
            f"fewer than two different values to explain in {has_E.sum()} labelled ECGs of the {test.split} patients"
        )
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


def _probe_report(
    test: EmbeddedEcgs, classes: LvefClasses, lvef_EC: NDArray[np.floating] | str, shd: FlagAnswers | str
) -> ProbeReport:
    """Where a probe has no answers, the reason stands in their place."""
    class_E = test.lvef_class(classes)
    lowest_E = np.where(np.isnan(class_E), np.nan, class_E == 0)
    lowest = lvef_EC if isinstance(lvef_EC, str) else FlagAnswers(lvef_EC[:, 0], 0.5)
    found = {
        "lvef_classes": _classes(test, class_E, lvef_EC, classes.ranges),
        "lvef_lowest_class": _yes_no(test, f"LVEF {classes.ranges[0]}", lowest_E, lowest),
        "shd": _yes_no(test, "SHD", test.truth("shd"), shd),
    }
    not_measured = {name: part for name, part in found.items() if isinstance(part, str)}
    return ProbeReport.model_validate({**found, **dict.fromkeys(not_measured), "not_measured": not_measured})


def _classes(
    test: EmbeddedEcgs, class_E: _Float64, probability_EC: NDArray[np.floating] | str, names: Sequence[str]
) -> ClassesReport | str:
    if isinstance(probability_EC, str):
        return probability_EC
    if lacking := lacking_answers(test.split, class_E, names):
        return f"{_LVEF_CLASS} {lacking}"
    has_E = np.isfinite(class_E)
    truth_E, patient_E = class_E[has_E].astype(np.int64), test.patient_E[has_E]
    return classes_report(truth_E, probability_EC[has_E].astype(np.float64), patient_E)


def _yes_no(test: EmbeddedEcgs, label: str, truth_E: _Float64, answers: FlagAnswers | str) -> YesNoReport | str:
    if isinstance(answers, str):
        return answers
    if lacking := lacking_answers(test.split, truth_E, NO_YES):
        return f"{label} {lacking}"
    has_E = np.isfinite(truth_E)
    probability_E = answers.probability_E[has_E].astype(np.float64)
    return yes_no_report(
        truth_E[has_E].astype(np.int64), probability_E, test.patient_E[has_E], threshold=answers.threshold
    )
