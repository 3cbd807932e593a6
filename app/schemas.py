"""What is asked of the service, and what it says of itself, field by field. Answers to an ECG are `outputs.report`.

A required field is always there; one with a default of null is left out where there is nothing to say, never written as
null.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from app.answering.pipeline import Question
from app.jobs import JobState, StoredJob
from inputs.ecg.readable import UNSTATED
from inputs.records import MAX_EXAM_LETTERS, MAX_STRETCH_S, ReadHints

DEFAULT_K = 10
MAX_K = 100


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("not_printable", "Input should be printable letters")
    return text


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

    exam: Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_printable)] | None = Field(
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


class SearchQuery(ReadQuery):
    """A search; an unknown parameter is refused, because a filter that silently does nothing is a wrong answer."""

    k: int = Field(default=DEFAULT_K, ge=1, le=MAX_K, description="How many studies.")
    exclude_patient: Annotated[str, StringConstraints(strip_whitespace=True)] | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Leave out the studies of the patient with this pseudonym.",
    )

    def question(self) -> Question:
        return replace(super().question(), k=self.k, exclude_patient=self.exclude_patient)


class SimilarQuery(BaseModel):
    """Which studies like one of the index are wanted."""

    model_config = ConfigDict(extra="forbid")

    k: int = Field(default=DEFAULT_K, ge=1, le=MAX_K, description="How many studies.")
    exclude_patient: bool = Field(default=True, description="Leave out the other studies of its patient.")


class RebuildRequest(BaseModel):
    """Which cohort to index, by its name in the settings; may be left out where there is only one."""

    model_config = ConfigDict(extra="forbid")

    source: str | None = Field(default=None, max_length=100)


class Progress(BaseModel):
    done: int = 0
    total: int = 0
    message: str = ""


class JobView(BaseModel):
    """A rebuild. `report` appears when it has ended well, `problem` when it has not."""

    id: str
    source: str
    state: JobState
    created_at: datetime
    ended_at: datetime | None = None
    progress: Progress
    report: dict[str, Any] | None = None
    problem: str | None = None

    @classmethod
    def of(cls, job: StoredJob) -> Self:
        """Without what names its process, nor a result before its end."""
        return cls.model_validate(job.model_dump(exclude={"report", "problem"} if job.state == "running" else None))


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
