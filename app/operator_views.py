"""What the operator's addresses take and say, field by field. As in `app.schemas`, null is never written."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.access.keys import MAX_NAME_LETTERS, ApiKey, RevokedKey, Scope
from app.job_files import JobState, StoredJob
from app.recent_refusals import MAX_REASONS, MINUTES, RefusalCount
from app.schemas import printable

MAX_EXPIRY_DAYS = 3650


class Progress(BaseModel):
    done: int = Field(default=0, description="Steps of the present stage.")
    total: int = Field(default=0, description="Of the present stage; 0 where it is not known.")
    message: str = Field(default="", description="What is being done.")


class JobSummary(BaseModel):
    """A rebuild without its report, which /v1/jobs/{job_id} has."""

    id: str = Field(description="Its name in addresses.")
    source: str = Field(description="The name of the cohort in the settings.")
    state: JobState = Field(description="`interrupted`: its server ended first.")
    created_at: datetime = Field(description="When it began.")
    ended_at: datetime | None = Field(default=None, description="Absent while it runs.")
    progress: Progress = Field(description="How far it is.")
    problem: str | None = Field(default=None, description="Why it has not ended well.")

    @classmethod
    def of(cls, job: StoredJob) -> Self:
        """Without what names its process, nor a result before its end."""
        fields = set(cls.model_fields) - ({"report", "problem"} if job.state == "running" else set())
        return cls.model_validate(job.model_dump(include=fields))


class JobView(JobSummary):
    """A rebuild. `report` appears when it has ended well, `problem` when it has not."""

    report: dict[str, Any] | None = Field(
        default=None, description="What the rebuild said at its end; versions of this software differ in it."
    )


class JobList(BaseModel):
    jobs: list[JobSummary] = Field(description="The newest first.")


class KeyView(BaseModel):
    """What is known of a key; not the key."""

    id: str = Field(description="By which it is revoked.")
    name: str = Field(description="Whose it is.")
    scopes: list[Scope] = Field(description="What it may do.")
    created: datetime = Field(description="When it was made.")
    expires: datetime | None = Field(default=None, description="Absent where it never does.")
    revoked: datetime | None = Field(default=None, description="Absent of a key that was not.")
    valid: bool = Field(description="Neither revoked nor expired.")
    last_used: datetime | None = Field(
        default=None, description="Since the service started; it is kept in memory alone. Absent where it was not."
    )

    @classmethod
    def of(cls, key: ApiKey | RevokedKey, *, last_used: datetime | None = None) -> Self:
        valid = isinstance(key, ApiKey) and key.is_valid_now
        return cls(**key.model_dump(exclude={"sha256"}), valid=valid, last_used=last_used)


class KeyList(BaseModel):
    enforced: bool = Field(description="Whether a key is asked for at all: not where no keys file is set.")
    keys: list[KeyView] = Field(description="Those in the keys file, then those revoked last.")


class NewKeyRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(printable)] = Field(
        min_length=1, max_length=MAX_NAME_LETTERS, description="Whose key this is."
    )
    scopes: list[Scope] = Field(
        min_length=1, max_length=2, description="None that the asking key lacks.", examples=[["query"]]
    )
    expires_in_days: int | None = Field(
        default=None, ge=1, le=MAX_EXPIRY_DAYS, description="It never expires unless this is given."
    )


class NewKey(KeyView):
    key: str = Field(description="The key itself, which is told this once.")


class RefusalView(BaseModel):
    code: str = Field(description=f"Of the problem; `other` where a minute had more than {MAX_REASONS} reasons.")
    method: str = Field(description="Of the requests.")
    route: str = Field(description="The address with names in place of what a caller put there.")
    count: int = Field(description="How often.")
    last_at: datetime = Field(description="To the minute.")

    @classmethod
    def of(cls, counted: RefusalCount) -> Self:
        reason = counted.reason
        return cls(
            code=reason.code, method=reason.method, route=reason.route, count=counted.count, last_at=counted.last_at
        )


class RecentRefusalsView(BaseModel):
    minutes: int = Field(default=MINUTES, description="How far back it counts.")
    refusals: list[RefusalView] = Field(description="The most frequent first.")
