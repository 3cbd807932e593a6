"""How a linear probe fares with few labels: 1 %, 10 % and all of the train patients labelled.

Letters: E ECGs asked, N ECGs known, F features, P patients, D draws.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.labels import LvefClasses
from training.data.embedded import EmbeddedEcgs
from training.evaluation.answers import NO_YES, lowest_class
from training.evaluation.metrics import ReportPart, Spread, binary_scores
from training.probes.regression import lacking_answers, linear_probabilities, standardised

SHARES = (0.01, 0.1, 1.0)
_DRAWS = 10


class FewShotPoint(ReportPart):
    """A share of the train patients labelled: how many that are, and the scores on the measured patients."""

    share: float
    patients: int
    ecgs: Spread
    draws: int
    auroc: Spread
    auprc: Spread


class FewShotCurve(ReportPart):
    """One yes-no question. A patient is positive when any ECG is.

    Without train patients of both kinds and ECGs of both kinds to measure them on there are no points.

    Patients are drawn from both kinds in proportion, at least one of each. The regularisation (C 0.01) is one for all
    shares and not chosen, as a few labels cannot spare some: the last point is not the linear probe of a report.
    """

    question: str
    train_positive_patients: int
    train_negative_patients: int
    n: int
    positives: int
    points: tuple[FewShotPoint, ...]
    not_measured: str | None = None
    """Why there are no points."""


def few_shot_curves(known: EmbeddedEcgs | None, test: EmbeddedEcgs, classes: LvefClasses) -> tuple[FewShotCurve, ...]:
    """The lowest LVEF class against the rest, and SHD, by logistic regression on the features.

    Features are standardised over all known ECGs, which needs no labels.
    """
    if known is None:
        return ()
    lowest_N, lowest_E = lowest_class(known, classes), lowest_class(test, classes)
    return (
        _curve(f"LVEF {classes.ranges[0]}", known, lowest_N, test, lowest_E),
        _curve("SHD", known, known.truth("shd"), test, test.truth("shd")),
    )


def _curve(
    question: str,
    known: EmbeddedEcgs,
    truth_N: NDArray[np.float64],
    test: EmbeddedEcgs,
    truth_E: NDArray[np.float64],
) -> FewShotCurve:
    has_N, has_E = np.isfinite(truth_N), np.isfinite(truth_E)
    known_NF, asked_EF = standardised(known, test)
    known_NF, asked_EF = known_NF[has_N], asked_EF[has_E]
    answer_N, answer_E = truth_N[has_N].astype(np.int64), truth_E[has_E].astype(np.int64)
    owner_N = pd.factorize(known.labels["patient_id"].to_numpy()[has_N])[0]
    positive_P = np.bincount(owner_N, answer_N) > 0
    points = []
    not_measured = lacking_answers(test.split, truth_E, NO_YES)
    if not (positive_P.any() and not positive_P.all()):
        counts = f"{positive_P.sum()} positive and {(~positive_P).sum()} negative"
        not_measured = f"needs patients of each answer, and the labelled {known.split} patients are {counts}"
    if not_measured is None:
        for share in SHARES:
            draws = [
                labelled_patients(positive_P, share, np.random.default_rng(seed))
                for seed in range(_DRAWS if share < 1 else 1)
            ]
            rows = [np.isin(owner_N, drawn) for drawn in draws]
            scores = [
                binary_scores(answer_E, linear_probabilities(known_NF[row], answer_N[row], asked_EF)[:, 1])
                for row in rows
            ]
            points.append(
                FewShotPoint(
                    share=share,
                    patients=len(draws[0]),
                    ecgs=Spread.of([float(row.sum()) for row in rows]),
                    draws=len(draws),
                    auroc=Spread.of([score["auroc"] for score in scores]),
                    auprc=Spread.of([score["auprc"] for score in scores]),
                )
            )
    return FewShotCurve(
        question=question,
        train_positive_patients=int(positive_P.sum()),
        train_negative_patients=int((~positive_P).sum()),
        n=len(answer_E),
        positives=int(answer_E.sum()),
        points=tuple(points),
        not_measured=not_measured,
    )


def labelled_patients(positive_P: NDArray[np.bool_], share: float, draw: np.random.Generator) -> NDArray[np.int64]:
    """Numbers of the patients drawn: `share` of those with and of those without a positive ECG, at least one each."""
    chosen = []
    for stratum in (np.flatnonzero(positive_P), np.flatnonzero(~positive_P)):
        chosen.append(draw.choice(stratum, max(1, round(share * len(stratum))), replace=False))
    return np.concatenate(chosen)
