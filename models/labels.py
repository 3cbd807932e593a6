"""What the answers mean: LVEF classes and their edges, and structural heart disease.

Letters in array names: N studies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

Numbers = tuple[FiniteFloat, ...]


SHD_ANSWERS = ("negative", "positive")
"""What a prediction set of the SHD probe is made of, by class number."""


class LvefClasses(BaseModel):
    """Classes of the left-ventricular ejection fraction, lowest first, divided at the edges."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: tuple[str, ...] = ("reduced", "mildly reduced", "preserved")
    edges_percent: Numbers = (40.0, 50.0)
    edge_belongs_below: tuple[bool, ...] = (True, False)
    """One per edge: does a value exactly on it belong to the class below?"""

    @model_validator(mode="after")
    def _edges_fit(self) -> LvefClasses:
        if not len(self.labels) == len(self.edges_percent) + 1 == len(self.edge_belongs_below) + 1:
            raise ValueError("LVEF classes need one label more than edges, and one side per edge")
        if not self.edges_percent or list(self.edges_percent) != sorted(set(self.edges_percent)):
            raise ValueError("LVEF edges must increase")
        return self

    @property
    def ranges(self) -> tuple[str, ...]:
        """The classes in words: `<= 40 %`, `> 40 % and < 50 %`, `>= 50 %`."""
        edges = list(zip(self.edges_percent, self.edge_belongs_below, strict=True))
        under = [f"{'<=' if below else '<'} {edge:g} %" for edge, below in edges]
        above = [f"{'>' if below else '>='} {edge:g} %" for edge, below in edges]
        between = [f"{low} and {high}" for low, high in zip(above[:-1], under[1:], strict=True)]
        return (under[0], *between, above[-1])

    def class_of(self, lvef_percent_N: ArrayLike) -> NDArray[np.int64]:
        """Class numbers (N,); ValueError where LVEF is unknown (NaN)."""
        lvef_N = np.asarray(lvef_percent_N, dtype=np.float64)
        if np.isnan(lvef_N).any():
            raise ValueError("an unknown LVEF has no class; leave it out first")
        edges = zip(self.edges_percent, self.edge_belongs_below, strict=True)
        above = [lvef_N > edge if below else lvef_N >= edge for edge, below in edges]
        return np.asarray(np.sum(above, axis=0), dtype=np.int64)

    def classes_up_to(self, lvef_percent: float) -> tuple[int, int]:
        """How many of the lowest classes lie wholly at or below a value, and how many hold any value that does."""
        edges = list(zip(self.edges_percent, self.edge_belongs_below, strict=True))
        wholly = sum(edge <= lvef_percent for edge, _ in edges)
        partly = 1 + sum(edge < lvef_percent or (edge == lvef_percent and not below) for edge, below in edges)
        return wholly, partly


class LabelDefinitions(BaseModel):
    """What the probes' outputs mean. Stored in every bundle beside the numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lvef: LvefClasses = LvefClasses()
    shd_flags: tuple[str, ...] = Field(min_length=1)
    shd_rule: str = "positive when any flag is true, negative when all are known and false, else unknown"


def class_numbers(lvef_percent_N: NDArray[np.float64], classes: LvefClasses) -> NDArray[np.float64]:
    """The class of each LVEF, as floats; NaN where unknown."""
    known_N = np.isfinite(lvef_percent_N)
    values_N = np.full(len(known_N), np.nan)
    values_N[known_N] = classes.class_of(lvef_percent_N[known_N])
    return values_N
