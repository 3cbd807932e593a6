"""Probes with few labels: what features are worth where hardly anybody has been labelled, and among neighbours.

Letters: E ECGs, N known ECGs, F features, P patients, D draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from training.evaluation.few_shot import labelled_patients
from training.probes.regression import knn_probabilities, linear_probabilities
from training.reproduce.data import PatientGroup
from training.reproduce.endpoints import FEW_LABELS, QUESTIONS, Answers, Question

_DRAWS = 5
_FEWEST = 2
"""Positives, and negatives, among train ECGs and among test ECGs: of fewer a question says nothing."""

_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]


def few_label_answers(
    train: PatientGroup, train_NF: _Float32, test: PatientGroup, test_EF: _Float32
) -> dict[Question, Answers]:
    """Of every question that enough of both answers are known of, for every test ECG.

    Two hundred patients with one ECG each, in five draws that are the same for every arm, teach a logistic regression
    of fixed strength on features standardised over all train ECGs, which needs no labels. All labels serve as
    neighbours.
    """
    scaler = StandardScaler().fit(train_NF.astype(np.float64))
    known_NF, asked_EF = scaler.transform(train_NF.astype(np.float64)), scaler.transform(test_EF.astype(np.float64))
    answers: dict[Question, Answers] = {}
    for column, question in enumerate(QUESTIONS):
        truth_N, tested_E = train.answers_EQ[:, column], test.answers_EQ[:, column]
        if not (enough_answers(truth_N) and enough_answers(tested_E)):
            continue
        has_N = np.isfinite(truth_N)
        known, true_N = known_NF[has_N], truth_N[has_N].astype(np.int64)
        draws = _labelled(true_N, train.ecgs.patient_E[has_N])
        few_DE = np.stack([linear_probabilities(known[rows], true_N[rows], asked_EF)[:, 1] for rows in draws])
        knn_E = knn_probabilities(train_NF[has_N], true_N, test_EF, 2)[:, 1]
        answers[question] = Answers(few_DE, knn_E)
    return answers


def enough_answers(truth_E: _Float64) -> bool:
    """Whether a question (1 yes, 0 no, NaN unknown) can be scored on these ECGs."""
    return bool(min((truth_E == 0).sum(), (truth_E == 1).sum()) >= _FEWEST)


def _labelled(true_N: NDArray[np.int64], patient_N: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of one ECG each of the patients who are drawn; a positive patient by a positive ECG."""
    order_N = np.argsort(-true_N, kind="stable")
    patient_P, first_P = np.unique(patient_N[order_N], return_index=True)
    row_P = order_N[first_P]
    share = min(1.0, FEW_LABELS / len(patient_P))
    return [row_P[labelled_patients(true_N[row_P] == 1, share, np.random.default_rng(seed))] for seed in range(_DRAWS)]
