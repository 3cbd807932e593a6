"""What simple probes read from the ECG features: LVEF classes, SHD, each SHD flag, volumes; each with how many.

Letters: E ECGs asked, N ECGs known, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.linear_model import LinearRegression

from ground.findings import LV_PHENOTYPES, short_flag_words
from models.labels import LvefClasses
from training.data.embedded import EmbeddedEcgs, FlagAnswers
from training.evaluation.answers import FEWEST, NO_YES, ProbeAnswers, known_lacks, lowest_class
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
from training.probes.regression import _NEIGHBOURS, knn_probabilities, lacking_answers

_LVEF_CLASS = "LVEF class"

_Float64 = NDArray[np.float64]


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
    lvef_EC = shares("LVEF", known.lvef_class(classes), classes.ranges)
    answers = ProbeAnswers(lvef_EC, shd_EC if isinstance(shd_EC, str) else FlagAnswers(shd_EC[:, 1], 0.5))
    return probe_report(test, classes, answers)


def flag_reports(
    known: EmbeddedEcgs | None, test: EmbeddedEcgs, answers: Mapping[str, FlagAnswers | str]
) -> tuple[FlagReport, ...]:
    """One report per flag, measured or not; `answers` are the linear probes'."""
    return tuple(_flag_report(known, test, flag, linear) for flag, linear in answers.items())


def _flag_report(known: EmbeddedEcgs | None, test: EmbeddedEcgs, flag: str, answers: FlagAnswers | str) -> FlagReport:
    truth_N = np.empty(0) if known is None else known.truth(flag)
    truth_E = test.truth(flag)
    train_counts, test_counts = ([int(np.sum(values == answer)) for answer in (1, 0)] for values in (truth_N, truth_E))
    has_E = np.isfinite(truth_E)
    knn_lacks = lacking_answers(test.split, truth_E, NO_YES, FEWEST) or known_lacks(known, flag)
    linear, knn = None, None
    answer_E, patient_E = truth_E[has_E].astype(np.int64), test.patient_E[has_E]
    if not isinstance(answers, str):
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
        not_measured=answers if isinstance(answers, str) else None,
        knn_not_measured=knn_lacks,
    )


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


def probe_report(test: EmbeddedEcgs, classes: LvefClasses, answers: ProbeAnswers) -> ProbeReport:
    """How well one kind of probe answers; what has no answers is told with its reason."""
    class_E = test.lvef_class(classes)
    found = {
        "lvef_classes": _classes(test, class_E, answers.lvef_EC, classes.ranges),
        "lvef_lowest_class": _yes_no(test, f"LVEF {classes.ranges[0]}", lowest_class(test, classes), answers.lowest),
        "shd": _yes_no(test, "SHD", test.truth("shd"), answers.shd),
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
