"""What is asked of the service, and what it says of itself, field by field. Answers to an ECG are `outputs.report`.

A required field is always there; one with a default of null is left out where there is nothing to say, never written as
null.
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from app.answering.pipeline import Question
from index.catalogue.filters import AGE_YEARS, LVEF_PERCENT, MAX_VIEW_LETTERS, FilterRefused, Filters, moment
from index.generation import GenerationManifest
from inputs.ecg.readable import UNSTATED
from inputs.records import MAX_EXAM_LETTERS, MAX_STRETCH_S, ReadHints

DEFAULT_K = 10
MAX_K = 100


def printable(text: str) -> str:
    """A check of pydantic's: no control characters, which a log or a terminal would obey."""
    if not text.isprintable():
        raise PydanticCustomError("notprintable", "Input should be printable letters")
    return text


def _moment(given: Any) -> date:
    try:
        return moment(str(given))
    except FilterRefused as refusal:
        raise PydanticCustomError("no_moment", "{wanted}", {"wanted": refusal.in_full}) from None


def _sex(given: Any) -> Any:
    """`F` and `M`, and capitals, are understood too."""
    word = given.strip().lower() if isinstance(given, str) else given
    return {"f": "female", "m": "male"}.get(word, word)


Moment = Annotated[
    date,
    PlainValidator(_moment),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}),
]
Percent = Annotated[float, Field(ge=LVEF_PERCENT[0], le=LVEF_PERCENT[1], allow_inf_nan=False)]
ViewName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_VIEW_LETTERS),
    AfterValidator(printable),
]
Years = Annotated[float, Field(ge=AGE_YEARS[0], le=AGE_YEARS[1], allow_inf_nan=False)]


class ReadQuery(BaseModel):
    """What comes with a file: what it does not say itself, which part of it is meant, what the answer shows besides."""

    model_config = ConfigDict(extra="forbid")

    rate_hz: float | None = Field(
        default=None, gt=0, le=1e6, description=f"Samples per second; needed for {UNSTATED} that do not state it."
    )
    unit: Literal["mV", "uV", "V"] | None = Field(
        default=None,
        description=f"Unit of the samples; needed for {UNSTATED} that do not state it. Microvolt is spelt `uV`.",
    )
    leads: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="For files that name no leads: their names in file order, comma-separated, as in "
        "`leads=I,II,III,...`.",
    )

    exam: Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(printable)] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_EXAM_LETTERS,
        description="Which ECG of a file of many (NPY, HDF5, MATLAB): its id or, where they have none, its place from "
        "0.",
    )
    start_s: float | None = Field(
        default=None, ge=0, le=1e6, description="Where the stretch begins that is read of a long recording, in seconds."
    )
    length_s: float | None = Field(
        default=None, gt=0, le=MAX_STRETCH_S, description="How long that stretch is, in seconds; 10 unless given."
    )
    device_said: bool = Field(
        default=False,
        description="Whether the answer holds what the electrocardiograph wrote beside the signal, as "
        "`ecg.device_said`.",
    )

    quality: Literal["withhold", "report"] = Field(
        default="withhold",
        description="Where the ECG's quality forbids an answer: `withhold` gives none, `report` gives it all the same, "
        "with the codes.",
    )

    @property
    def lead_names(self) -> tuple[str, ...] | None:
        return tuple(name.strip() for name in self.leads.split(",")) if self.leads else None

    @property
    def hints(self) -> ReadHints:
        return ReadHints(self.rate_hz, self.unit, self.lead_names, self.exam, self.start_s, self.length_s)

    def question(self) -> Question:
        """For predictions or vectors alone."""
        return Question(hints=self.hints, device_said=self.device_said, withhold=self.quality == "withhold")


class StudyQuery(BaseModel):
    """Which studies an ECG is laid beside."""

    model_config = ConfigDict(extra="forbid")

    k: int = Field(default=DEFAULT_K, ge=1, le=MAX_K, description="How many studies.")
    exclude_patient: Annotated[str, StringConstraints(strip_whitespace=True)] | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Leave out the studies of the patient with this pseudonym.",
    )

    one_per_patient: bool = Field(
        default=False, description="Of each patient the most similar study alone: `k` studies of `k` patients."
    )
    lvef_min: Percent | None = Field(default=None, description="Only studies of at least this LVEF, in percent.")
    lvef_max: Percent | None = Field(default=None, description="Only studies of at most this LVEF, in percent.")
    age_min: Years | None = Field(default=None, description="Only studies at this age or later, in years.")
    age_max: Years | None = Field(default=None, description="Only studies at this age or earlier, in years.")
    sex: Annotated[Literal["female", "male"], BeforeValidator(_sex)] | None = Field(
        default=None, description="Only studies of women or of men; `F` and `M` are understood."
    )
    acquired_after: Moment | None = Field(
        default=None,
        description="Only studies of this day or time and later. Where the index has times with a zone, a time needs "
        "one, and a day is one of UTC; where it has none, a time must have none.",
    )
    acquired_before: Moment | None = Field(
        default=None, description="Only studies of this day, to its end, or time and earlier; as `acquired_after`."
    )
    view: ViewName | None = Field(
        default=None, description="Only studies that have a view of this name, such as `A4C`, in capitals or not."
    )
    shd: bool | None = Field(
        default=None, description="Only studies with structural heart disease, or (`false`) without it."
    )

    @property
    def filters(self) -> Filters:
        """Raises FilterRefused. A study of which something is unknown matches no filter that asks for it."""
        return Filters(**{field.name: getattr(self, field.name) for field in fields(Filters)})

    def narrows(self, question: Question) -> Question:
        """The same question of these studies. Raises FilterRefused."""
        return replace(
            question,
            k=self.k,
            exclude_patient=self.exclude_patient,
            filters=self.filters,
            one_per_patient=self.one_per_patient,
        )


class SearchQuery(ReadQuery, StudyQuery):
    """A search; an unknown parameter is refused, because a filter that silently does nothing is a wrong answer."""

    def question(self) -> Question:
        """Raises FilterRefused."""
        return self.narrows(super().question())


class SimilarQuery(BaseModel):
    """Which studies like one of the index are wanted."""

    model_config = ConfigDict(extra="forbid")

    k: int = Field(default=DEFAULT_K, ge=1, le=MAX_K, description="How many studies.")
    exclude_patient: bool = Field(default=True, description="Leave out the other studies of its patient.")


class RebuildRequest(BaseModel):
    """Which cohort to index, by its name in the settings; may be left out where there is only one."""

    model_config = ConfigDict(extra="forbid")

    source: str | None = Field(default=None, max_length=100, description="Its name in the settings.")


class IndexView(BaseModel):
    """The generation being served. `degraded` says in a sentence why it is not the newest or not at its best."""

    generation: str = Field(description="Its number.")
    bundle: str = Field(description="The model that made it.")
    studies: int = Field(description="How many it holds.")
    backend: str = Field(description="The search engine.")
    exact: bool = Field(description="Whether every search looks at every study.")
    degraded: str | None = Field(default=None, description="Absent where nothing is amiss.")
    manifest: GenerationManifest = Field(description="As it lies beside the index.")
    running_job: str | None = Field(
        default=None, description="The rebuild that runs, by its id; absent where none does."
    )


class BundleLacks(BaseModel):
    parts: list[str] = Field(description="In codes.")
    message: str = Field(description="In one sentence.")


class ServiceLimits(BaseModel):
    max_body_bytes: int = Field(description="Of a request.")
    max_upload_files: int = Field(description="Of one upload.")
    default_k: int = Field(description="Studies of a search that does not say how many.")
    max_k: int = Field(description="The most studies of a search.")


class ServiceInfo(BaseModel):
    """What is being served, and within what limits."""

    version: str = Field(description="Of this software.")
    device: str = Field(description="What the model runs on.")
    bundle: dict[str, Any] = Field(description="The bundle's manifest without the hashes of its files, and its own.")
    bundle_lacks: BundleLacks | None = Field(default=None, description="Absent where it lacks nothing.")
    generation: str | None = Field(default=None, description="Of the index; absent where there is none.")
    limits: ServiceLimits = Field(description="How much may be asked.")
    rebuild_sources: list[str] = Field(description="What a rebuild may name.")
    disclaimer: str = Field(description="What this software is not for.")


class Liveness(BaseModel):
    alive: bool = Field(description="Whether the thread that runs the models beats.")


class Readiness(BaseModel):
    ready: bool = Field(description="Whether queries are answered.")
    reasons: list[str] = Field(description="Why not, in stable codes; empty when ready.")
    degraded: str | None = Field(default=None, description="Absent where nothing is amiss.")
