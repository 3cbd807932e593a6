"""The service's answers, field by field.

A required field is always there; one with a default of null is left out where there is nothing to say, never written as
null. What is unknown of a study is null.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from app.answering.pipeline import Answer
from app.http.problems import NotFound
from app.predictions import Predictions, predictions_of, unusual_warnings
from index.catalogue.cards import CataloguedView, StudyCard
from index.generation import Generation
from inputs.records import InputWarning

DISCLAIMER = "Research software, not a medical device: not for diagnosis or treatment."
DEFAULT_K = 10
MAX_K = 100


class ReadQuery(BaseModel):
    """What helps to read files that do not say it themselves (NPY, CSV)."""

    model_config = ConfigDict(extra="forbid")

    rate_hz: float | None = Field(default=None, gt=0, le=1e6, description="Samples per second; needed for NPY and CSV.")
    unit: Literal["mV", "uV", "V"] | None = Field(default=None, description="Unit of NPY and CSV samples.")
    leads: str | None = Field(
        default=None, max_length=200, description="Lead names in file order, comma-separated: `I,II,III,...`."
    )

    @property
    def lead_names(self) -> tuple[str, ...] | None:
        return tuple(name.strip() for name in self.leads.split(",")) if self.leads else None


class SearchQuery(ReadQuery):
    """A search; an unknown parameter is refused, because a filter that silently does nothing is a wrong answer."""

    k: int = Field(default=DEFAULT_K, ge=1, le=MAX_K, description="How many studies.")
    exclude_patient: str | None = Field(
        default=None, max_length=200, description="Leave out the studies of the patient with this pseudonym."
    )


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


class StudyDetail(Study):
    lvedv_ml: float | None
    lvesv_ml: float | None
    flags: dict[str, bool | None]
    n_views: int
    views: list[View]
    generation: str
    disclaimer: str


class _EcgAnswer(BaseModel):
    request_id: str
    bundle: str
    device: str
    ecg: EcgSummary
    warnings: list[AnswerWarning]
    timing_ms: dict[str, float]
    disclaimer: str


class SearchAnswer(_EcgAnswer):
    generation: str
    predictions: Predictions | None = Field(default=None, description="Absent when the bundle has no probes.")
    neighbours: list[Neighbour]


class PredictAnswer(_EcgAnswer):
    predictions: Predictions


class EmbedAnswer(_EcgAnswer):
    features: list[float] = Field(description="The encoder's features, which the probes use.")
    embedding: list[float] = Field(description="The unit vector that is searched with.")


class RebuildRequest(BaseModel):
    """Which cohort to index, by its name in the settings; may be left out where there is only one."""

    source: str | None = Field(default=None, max_length=100)


class Progress(BaseModel):
    done: int = 0
    total: int = 0
    message: str = ""


class JobView(BaseModel):
    """A rebuild. `report` appears when it has ended well, `problem` when it has not."""

    id: str
    source: str
    state: Literal["running", "done", "failed", "cancelled", "interrupted"]
    created_at: datetime
    ended_at: datetime | None = None
    progress: Progress
    report: dict[str, Any] | None = None
    problem: str | None = None


class IndexView(BaseModel):
    """The generation being served. `degraded` says in a sentence why it is not the newest or not at its best."""

    generation: str
    bundle: str
    studies: int
    backend: str
    exact: bool
    degraded: str | None = None
    manifest: dict[str, Any]
    running_job: str | None = None


class Readiness(BaseModel):
    ready: bool
    reasons: list[str] = Field(description="Why not, in stable codes; empty when ready.")
    degraded: str | None = None


def search_answer(answer: Answer, request_id: str, sha256: str) -> SearchAnswer:
    shaped = SearchAnswer(
        **_common(answer, request_id, sha256),
        generation=answer.snapshot.searchable.id,
        neighbours=[
            _neighbour(rank, card, float(similarity))
            for rank, (card, similarity) in enumerate(
                zip(answer.cards, answer.found.similarity_K, strict=True), start=1
            )
        ],
    )
    if (predictions := predictions_of(answer)) is not None:
        shaped.predictions = predictions  # set, and therefore written
    return shaped


def predict_answer(answer: Answer, request_id: str, sha256: str) -> PredictAnswer:
    predictions = predictions_of(answer)
    if predictions is None:
        raise NotFound("no_probes", "The bundle being served has no probes, so it predicts nothing.")
    return PredictAnswer(**_common(answer, request_id, sha256), predictions=predictions)


def embed_answer(answer: Answer, request_id: str, sha256: str) -> EmbedAnswer:
    return EmbedAnswer(
        **_common(answer, request_id, sha256),
        features=answer.found.features_F.tolist(),
        embedding=answer.found.embedding_D.tolist(),
    )


def study_detail(card: StudyCard, generation: Generation) -> StudyDetail:
    return StudyDetail(
        **_study(card),
        lvedv_ml=card.lvedv_ml,
        lvesv_ml=card.lvesv_ml,
        flags=dict(card.flags),
        n_views=len(card.views),
        views=_views(card),
        generation=generation.id,
        disclaimer=DISCLAIMER,
    )


def _common(answer: Answer, request_id: str, sha256: str) -> dict[str, Any]:
    recording, bundle = answer.recording, answer.snapshot.bundle
    return {
        "request_id": request_id,
        "bundle": bundle.id,
        "device": str(bundle.device),
        "ecg": EcgSummary(
            format=recording.source_format,
            rate_hz=recording.rate_hz,
            duration_s=round(recording.duration_s, 3),
            leads=list(recording.lead_names),
            resampled_to_hz=bundle.manifest.ecg.rate_hz,
            sha256=sha256,
        ),
        "warnings": [_warning(warning) for warning in (*answer.warnings, *unusual_warnings(answer))],
        "timing_ms": answer.timing_ms,
        "disclaimer": DISCLAIMER,
    }


def _warning(warning: InputWarning) -> AnswerWarning:
    return AnswerWarning(code=warning.code, message=warning.message, leads=list(warning.leads))


def _study(card: StudyCard) -> dict[str, Any]:
    return {name: getattr(card, name) for name in Study.model_fields}


def _neighbour(rank: int, card: StudyCard, similarity: float) -> Neighbour:
    return Neighbour(
        **_study(card), rank=rank, similarity=round(similarity, 6), n_views=len(card.views), views=_views(card)
    )


def _views(card: StudyCard) -> list[View]:
    return [_view(card.study_id, view) for view in card.views]


def _view(study_id: str, view: CataloguedView) -> View:
    place = f"/v1/studies/{quote(study_id, safe='')}/views/{quote(view.view_id, safe='')}/thumbnail"
    return View(view_id=view.view_id, view=view.view, pool_weight=round(view.pool_weight, 6), thumbnail_url=place)
