"""Study cards: what a catalogue knows of one study, whichever database keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ground.findings import LV_PHENOTYPES


@dataclass(frozen=True)
class CataloguedView:
    """One clip of a study. `view` is its name (PLAX, A4C, ...), None where nobody said; `pool_weight` sums to 1.

    has_thumbnail, has_cine: as the catalogue holds them; a view that was given as a vector has neither, and in a
    catalogue from before cines were made no view has one.
    """

    view_id: str
    view: str | None
    pool_weight: float
    has_thumbnail: bool = True
    has_cine: bool = False


@dataclass(frozen=True)
class StudyCard:
    """What is known of one study; None is unknown.

    `patient_id` is the cohort's pseudonym. It serves to leave a patient out of a search and is never shown: not in an
    answer, a log or this object's `repr`. `acquired_at` is naive or UTC, as the whole cohort is.
    """

    row_id: int
    study_id: str
    patient_id: str = field(repr=False)
    acquired_at: datetime | None
    age: float | None
    sex: str | None
    lvef_percent: float | None
    lvedv_ml: float | None
    lvesv_ml: float | None
    flags: Mapping[str, bool | None]
    shd: bool | None
    views: tuple[CataloguedView, ...]
    measurements: Mapping[str, float] = field(default_factory=dict)
    """Known ones of `ground.findings.MEASUREMENTS`; none in a catalogue from before they were kept."""

    def measured(self, column: str) -> float | None:
        """The value of a number about the heart, of the ventricle or a further one. None where it is unknown."""
        value: float | None = getattr(self, column) if column in LV_PHENOTYPES else self.measurements.get(column)
        return value
