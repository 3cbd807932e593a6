"""What is said of the studies of the index: one as a neighbour, one alone, and those like it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

CHANCE_PERCENTILE = 50.0
"""Of a study that was picked by chance, on average."""


class View(BaseModel):
    view_id: str = Field(description="Its name within the study.")
    view: str | None = Field(description="What it shows, such as `A4C`; null where nobody said it.")
    pool_weight: float = Field(
        description="How much this view counts in the study's vector; sums to 1 over its views. The same for every "
        "ECG: it says nothing of how similar the view is to this one."
    )
    similarity: float | None = Field(
        default=None,
        description="Cosine between this ECG and the view as if it were the study's only one, -1 to 1; with one view "
        "it is the study's. Weighted with `pool_weight` it does not sum to the study's similarity. Absent where no ECG "
        "was asked about, and in an index that an older version built.",
    )
    thumbnail_url: str | None = Field(default=None, description="Absent where the index has no picture of the view.")
    cine_url: str | None = Field(
        default=None,
        description="A moving picture, a looping WebP of at most 80 kB. Absent where there is none, as in an index "
        "that an older version built.",
    )
    made_of: Literal["vector"] | None = Field(
        default=None,
        description="`vector`: the index was given this view as a vector, without its clip, so that it has no "
        "thumbnail. Absent for a clip.",
    )

    @property
    def name(self) -> str:
        """What the view shows, where somebody said it, else its id."""
        return self.view or self.view_id


class Study(BaseModel):
    """One echo study. Unknown values are null; the patient is never named."""

    study_id: str = Field(description="Its name in the index.")
    acquired_at: datetime | None = Field(description="When it was made.")
    age: float | None = Field(description="Of the patient at the study, in years.")
    sex: str | None = Field(description="`female` or `male`.")
    lvef_percent: float | None = Field(description="As measured, in percent.")
    shd: bool | None = Field(description="Whether structural heart disease was found.")


class Neighbour(Study):
    rank: int = Field(description="From 1, the most similar.")
    similarity: float = Field(description="Cosine between what was asked about, ECG or study, and study, -1 to 1.")
    percentile: float | None = Field(
        default=None,
        description="Percentage of the index, told by a sample of it, that is less similar to this ECG: a place in "
        "this index, highest for the first study however unlike the ECG it is. Absent below 100 studies.",
    )
    n_views: int = Field(description="How many views the study has.")
    views: list[View] = Field(description="In the order of the index.")

    @property
    def unlike(self) -> bool:
        """Whether what was asked about is less like it than like most studies, as filters may leave one."""
        return self.similarity < 0 or (self.percentile is not None and self.percentile < CHANCE_PERCENTILE)

    @property
    def heaviest_views(self) -> list[View]:
        """The view that counts most first."""
        return sorted(self.views, key=lambda view: -view.pool_weight)


class StudyDetail(Study):
    lvedv_ml: float | None = Field(description="LV volume in diastole, in millilitres.")
    lvesv_ml: float | None = Field(description="LV volume in systole, in millilitres.")
    flags: dict[str, bool | None] = Field(description="Each finding by its column; null where it is unknown.")
    measurements: dict[str, float | None] = Field(
        default_factory=dict, description="Further ones, by column; unknown too where an older version built the index."
    )
    n_views: int = Field(description="How many views it has.")
    views: list[View] = Field(description="In the order of the index.")
    generation: str = Field(description="Of the index it was read from.")
    disclaimer: str = Field(description="What this software is not for.")


class SimilarAnswer(BaseModel):
    """The studies of the index that are most similar to one of its studies, by the vectors of both."""

    study_id: str = Field(description="The one that was asked about.")
    bundle: str = Field(description="The model that made the vectors.")
    generation: str = Field(description="Of the index that was searched.")
    neighbours: list[Neighbour] = Field(description="Without percentiles, and without similarities of their views.")
    disclaimer: str = Field(description="What this software is not for.")
