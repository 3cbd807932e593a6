"""What the comparison is decided by: phenotypes and findings by name, and what single test ECGs found and answered.

Letters: E ECGs, P phenotypes, Q questions, D draws of labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PHENOTYPES: tuple[str, ...] = (
    "lvef_percent",
    "lvedv_ml",
    "lvesv_ml",
    "septum_cm",
    "la_volume_index",
    "pasp_mmhg",
    "tapse_cm",
)
"""Over these seven a mean lift is taken. The first three, of the left ventricle, choose epochs."""
CHOOSING = 3
Question = Literal["walls", "pasp", "la", "lad"]
QUESTIONS: dict[Question, str] = {
    "walls": "walls >= 1.3 cm",
    "pasp": "PASP >= 45 mmHg",
    "la": "LA volume index > 34 ml/m2",
    "lad": "anterior (LAD) infarct",
}
"""Findings that few views show: probed with few labels, where arms differ."""
FEW_LABELS = 200

_Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """Scores of one yes-no question, of every test ECG: five or so draws of few labels, and nearest neighbours."""

    few_DE: _Float64
    knn_E: _Float64


@dataclass(frozen=True)
class EcgScores:
    """What one arm with one seed made of every test ECG; retrieval is None of an arm that is not aligned.

    precision_EP: of the first ten studies of other patients, NaN where the phenotype is unknown. own_E: whether a study
    of its own is in the first tenth of all. answers: by question, those that both trained and tested patients allow.
    """

    precision_EP: _Float64 | None
    own_E: _Float64 | None
    answers: dict[Question, Answers]

    def save(self, path: Path) -> None:
        arrays = {} if self.precision_EP is None else {"precision_EP": self.precision_EP}
        arrays |= {} if self.own_E is None else {"own_E": self.own_E}
        for question, answers in self.answers.items():
            arrays |= {f"few-{question}": answers.few_DE, f"knn-{question}": answers.knn_E}
        with open(path, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @staticmethod
    def load(path: Path) -> EcgScores:
        with np.load(path) as arrays:
            answers = {q: Answers(arrays[f"few-{q}"], arrays[f"knn-{q}"]) for q in QUESTIONS if f"few-{q}" in arrays}
            precision_EP, own_E = (arrays.get(name) for name in ("precision_EP", "own_E"))
        return EcgScores(precision_EP, own_E, answers)
