"""Study cards: what a catalogue knows of one study, whichever database keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class CataloguedView:
    """One clip of a study. `view` is its name (PLAX, A4C, ...), None where nobody said; `pool_weight` sums to 1."""

    view_id: str
    view: str | None
    pool_weight: float


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
