"""How well a bundle answers the labels that whoever fitted it added, as it serves them.

Letters: E ECGs asked, N ECGs with a known label.
"""

from __future__ import annotations

import numpy as np

from training.evaluation.answers import NO_YES
from training.evaluation.measured import Measured
from training.evaluation.metrics import (
    Estimate,
    RegressionReport,
    ReportPart,
    YesNoReport,
    bootstrap,
    regression_report,
    yes_no_report,
)
from training.probes.regression import lacking_answers


class OwnReport(ReportPart):
    """One label on the ECGs whose label is known: scores of a yes or no, or of a number.

    inside: the share of ECGs whose interval holds the number, where a share `coverage` of patients was promised it.
    """

    label: str
    yes_no: YesNoReport | None = None
    number: RegressionReport | None = None
    coverage: float | None = None
    inside: Estimate | None = None
    not_measured: str | None = None
    """Why there are no scores."""


def own_reports(found: Measured) -> tuple[OwnReport, ...]:
    """One for each label that the bundle has a probe of."""
    unfit = (OwnReport(label=name, not_measured=why) for name, why in found.own_unfit.items())
    return (*(_report(found, one.name) for one in found.own), *unfit)


def _report(found: Measured, name: str) -> OwnReport:
    test, probes = found.test, found.bundle.probes
    assert probes is not None
    truth_E = test.truth(name)
    has_E = np.isfinite(truth_E)
    said_N, patient_N = test.own[name][has_E], test.patient_E[has_E]
    number = probes.own_numbers.get(name)
    if number is None:
        if (lacks := lacking_answers(test.split, truth_E, NO_YES)) is not None:
            return OwnReport(label=name, not_measured=lacks)
        answer_N, threshold = truth_E[has_E].astype(np.int64), probes.own_yes_no[name].threshold
        return OwnReport(label=name, yes_no=yes_no_report(answer_N, said_N, patient_N, threshold=threshold))
    truth_N = truth_E[has_E]
    if len(np.unique(truth_N)) < 2:
        needs = f"needs two different numbers, and the {test.split} patients have"
        return OwnReport(label=name, not_measured=f"{needs} {len(np.unique(truth_N))}")
    inside = None
    if number.half_width is not None:
        held_N = (np.abs(truth_N - said_N) <= number.half_width).astype(np.float64)
        share = bootstrap(lambda weight_RN: {"inside": weight_RN @ held_N / weight_RN.sum(axis=1)}, patient_N)
        inside = share["inside"]
    try:
        report = regression_report(truth_N, said_N, patient_N)
    except ValueError as error:
        return OwnReport(label=name, not_measured=str(error))
    return OwnReport(label=name, number=report, coverage=number.coverage, inside=inside)
