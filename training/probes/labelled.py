"""ECGs of one question whose answer is known, and who among the calibration patients counts for what.

Letters: N ECGs, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ground.disk import sha256

FEWEST_FOR_SETS = 20
"""Patients in the half that sizes prediction sets; with fewer there are no sets, and calibration has all patients."""

FEWEST_OF_AN_ANSWER = {"train": 10, "val": 5, "calibration": 5}
"""Patients with, and as many without; a flag that a split shows in fewer gets no probe."""

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """Standardised features and labels of the ECGs of one split whose label is known.

    unlabelled: how many ECGs of the split had no label and are left out.
    """

    x_NF: _Float64
    value_N: _Float64
    patients: NDArray[np.str_]
    unlabelled: int = 0

    @property
    def y_N(self) -> _Int64:
        """Class numbers, where the labels are such."""
        return self.value_N.astype(np.int64)

    def of(self, chosen_N: NDArray[np.bool_]) -> Labelled:
        return Labelled(self.x_NF[chosen_N], self.value_N[chosen_N], self.patients[chosen_N])

    def one_each(self) -> Labelled:
        """One ECG of each patient."""
        return self.of(one_per_patient(self.patients))


@dataclass(frozen=True)
class Splits:
    train: Labelled
    val: Labelled
    calibration: Labelled

    def named(self) -> dict[str, Labelled]:
        return {"train": self.train, "val": self.val, "calibration": self.calibration}


def labelled(x_NF: _Float64, value_N: _Float64, patients: Sequence[str] | None) -> Labelled:
    """`value_N` is NaN where unknown; without `patients` every ECG counts as one."""
    names = np.array(range(len(x_NF)) if patients is None else patients, dtype=np.str_)
    known_N = np.isfinite(value_N)
    return Labelled(x_NF[known_N], value_N[known_N], names[known_N], int((~known_N).sum()))


def rarer(data: Labelled) -> int:
    """Patients with the rarer of the two answers; one whose ECGs have both is counted with both."""
    return min(len(np.unique(data.patients[data.y_N == answer])) for answer in (0, 1))


def halves(calibration: Labelled, count: int) -> tuple[Labelled, Labelled | None]:
    """Patients for the calibration itself (all their ECGs), and others, one ECG of each, for prediction sets.

    Halved by a hash of the patient, so that nothing about them decides and a patient stays on one side, whatever the
    question. None in place of the second half where it would be too small, or where the first would lack one of the
    `count` classes: then the first has everyone.
    """
    fitting, sizing = first_half(calibration), calibration.of(_sizes_sets(calibration)).one_each()
    if len(sizing.y_N) < FEWEST_FOR_SETS or set(range(count)) - set(fitting.y_N.tolist()):
        return calibration, None
    return fitting, sizing


def first_half(calibration: Labelled) -> Labelled:
    """All ECGs of the patients who calibrate where the others size sets."""
    return calibration.of(~_sizes_sets(calibration))


def _sizes_sets(data: Labelled) -> NDArray[np.bool_]:
    return np.array(
        [sha256(f"prediction sets {patient}".encode()).digest()[0] % 2 == 1 for patient in data.patients], dtype=bool
    )


def one_per_patient(patients: Sequence[str] | NDArray[np.str_]) -> NDArray[np.bool_]:
    """Marks one ECG of each patient, chosen blindly: ECGs of one patient are alike, and would count as several."""
    order = np.random.default_rng(0).permutation(len(patients))
    _, first = np.unique(np.asarray(patients)[order], return_index=True)
    chosen_N = np.zeros(len(patients), dtype=bool)
    chosen_N[order[first]] = True
    return chosen_N
