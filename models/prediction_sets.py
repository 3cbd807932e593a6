"""Prediction sets: the answers not ruled out, with a stated coverage over all patients or within each class.

Letters in array names: C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.operating_point import Share

CoverageKind = Literal["per_class", "overall", "mixed"]
"""Whether a coverage is promised within each class, over all patients, or within some classes alone."""
Called = int | Sequence[int] | None


class PredictionSets(BaseModel):
    """Split-conformal prediction sets (Vovk et al. 2005; the score is that of Sadinle et al., arXiv 1609.00451).

    A class is in the set when 1 - its probability is at most `quantile`, which so many of the calibration patients
    kept that the set holds the truth for a share `coverage` of patients like them. This holds over all patients, not
    within each class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverage: Share
    quantile: float = Field(ge=0, le=1)
    n_calibration: int = Field(ge=1)
    """Patients, one ECG of each, who fitted neither the probe nor its calibration."""

    def classes(self, probability_C: ArrayLike, called: Called = None) -> tuple[int, ...]:
        """Class numbers, rising. What is given as the answer, `called`, is always in: no answer may rule itself out.

        Without `called` that is the most probable class. Adding a class can only raise the coverage.
        """
        values_C = np.asarray(probability_C, dtype=np.float64)
        return _with_called(1.0 - values_C <= self.quantile, values_C, called)


class PerClassSets(BaseModel):
    """The same with a quantile for each class: label-conditional, or Mondrian, sets (Vovk et al. 2003, 2005).

    Class c is in the set when 1 - its probability is at most `quantile_C[c]`, which so many of the calibration patients
    of class c kept that the set holds the truth for a share `coverage` of patients of that class. A class of too few
    patients has the quantile of all of them, and the promise over all of them alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverage: Share
    quantile_C: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    n_calibration_C: tuple[Annotated[int, Field(ge=0)], ...]
    """Patients of each class, one ECG of each, who fitted neither the probe nor its calibration."""
    falls_back: tuple[int, ...] = ()
    """Numbers of the classes that have the quantile of all, rising."""

    @model_validator(mode="after")
    def _classes_fit(self) -> PerClassSets:
        if len(self.quantile_C) != len(self.n_calibration_C):
            raise ValueError("sets within a class need one quantile and one number of patients for each class")
        if list(self.falls_back) != sorted(set(self.falls_back) & set(range(len(self.quantile_C)))):
            raise ValueError("the classes that fall back must be numbers of classes, each once, rising")
        return self

    @property
    def n_calibration(self) -> int:
        return sum(self.n_calibration_C)

    @property
    def coverage_kind(self) -> CoverageKind:
        if not self.falls_back:
            return "per_class"
        return "overall" if len(self.falls_back) == len(self.quantile_C) else "mixed"

    def classes(self, probability_C: ArrayLike, called: Called = None) -> tuple[int, ...]:
        """As `PredictionSets.classes`."""
        values_C = np.asarray(probability_C, dtype=np.float64)
        return _with_called(1.0 - values_C <= np.asarray(self.quantile_C), values_C, called)


def _with_called(inside_C: NDArray[np.bool_], probability_C: NDArray[np.float64], called: Called) -> tuple[int, ...]:
    inside_C[probability_C.argmax() if called is None else np.asarray(called, dtype=np.int64)] = True
    return tuple(np.flatnonzero(inside_C).tolist())
