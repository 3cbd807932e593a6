"""The one shape of an answer: JSON, page and tables are renderings of it, and a client reads it back from JSON.

A required field is always there; one with a default of null is left out where there is nothing to say, never written as
null: write with `exclude_unset`. What is unknown of a study is null. Members that a newer service adds are passed over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from outputs.words import flag_words


class LvefClass(BaseModel):
    label: str
    range: str = Field(description="LVEF in percent.")
    probability: float


class _WithSet(BaseModel):
    """An answer as a set that holds the truth for a share `coverage` of patients. Absent where none was fitted."""

    prediction_set: list[str] | None = Field(default=None, description="Answers not ruled out; the one given is in.")
    coverage: float | None = Field(default=None, description="The share of patients whose set holds the truth.")
    n_calibration: int | None = Field(default=None, description="Patients who decided how large the sets are.")


class LvefPrediction(_WithSet):
    classes: list[LvefClass]
    predicted: str = Field(description="The label of the most probable class.")


def _words_of(validated: dict[str, Any]) -> str:
    return flag_words(validated["flag"])


class FlagPrediction(BaseModel):
    """One finding that makes a heart count as structurally diseased, from a probe of its own."""

    flag: str
    words: str = Field(default_factory=_words_of, description="The flag as a person says it.")
    probability: float
    threshold: float
    positive: bool


class ShdPrediction(_WithSet):
    """Structural heart disease: any of the flags in /v1/info. A prediction set holds `negative`, `positive` or both."""

    probability: float
    threshold: float
    positive: bool
    flags: list[FlagPrediction] | None = Field(default=None, description="Those that the bundle has a probe for.")


class OodPrediction(BaseModel):
    """How unlike the ECGs of training this one is; the percentile is the share of held-out ECGs less unusual."""

    score: float
    percentile: float


class Predictions(BaseModel):
    lvef: LvefPrediction
    shd: ShdPrediction
    not_predicted: list[str] | None = Field(default=None, description="Flags of SHD without a probe of their own.")
    ood: OodPrediction | None = Field(default=None, description="Absent when the bundle cannot tell.")


class EcgSummary(BaseModel):
    """The upload as it was understood."""

    format: str
    rate_hz: float
    duration_s: float
    leads: list[str] = Field(description="As recorded, in the file's order.")
    resampled_to_hz: float
    sha256: str = Field(description="Of the uploaded file; of several, of their bytes one after another.")


class AnswerWarning(BaseModel):
    """Something to know although the ECG is usable. `code` is stable."""

    code: str
    message: str
    leads: list[str]


class View(BaseModel):
    view_id: str
    view: str | None
    pool_weight: float = Field(description="How much this view counts in the study's vector; sums to 1 over its views.")
    thumbnail_url: str

    @property
    def name(self) -> str:
        """What the view shows, where somebody said it, else its id."""
        return self.view or self.view_id


class Study(BaseModel):
    """One echo study. Unknown values are null; the patient is never named."""

    study_id: str
    acquired_at: datetime | None
    age: float | None
    sex: str | None
    lvef_percent: float | None
    shd: bool | None


class Neighbour(Study):
    rank: int
    similarity: float = Field(description="Cosine between ECG and study, -1 to 1.")
    n_views: int
    views: list[View]

    @property
    def heaviest_views(self) -> list[View]:
        """The view that counts most first."""
        return sorted(self.views, key=lambda view: -view.pool_weight)


class StudyDetail(Study):
    lvedv_ml: float | None
    lvesv_ml: float | None
    flags: dict[str, bool | None]
    n_views: int
    views: list[View]
    generation: str
    disclaimer: str


class EcgAnswer(BaseModel):
    """What every answer to an ECG says."""

    request_id: str
    bundle: str
    device: str
    ecg: EcgSummary
    warnings: list[AnswerWarning]
    timing_ms: dict[str, float]
    disclaimer: str


class SearchAnswer(EcgAnswer):
    generation: str
    predictions: Predictions | None = Field(default=None, description="Absent when the bundle has no probes.")
    neighbours: list[Neighbour]


class PredictAnswer(EcgAnswer):
    predictions: Predictions


class EmbedAnswer(EcgAnswer):
    features: list[float] = Field(description="The encoder's features, which the probes use.")
    embedding: list[float] = Field(description="The unit vector that is searched with.")
