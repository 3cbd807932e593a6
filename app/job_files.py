"""The file of a rebuild's job: what it holds, and how it is read. `app.jobs` writes it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ValidationError

from ground.disk import stamp
from ground.progress import Step
from inputs.errors import UnreadableFile
from inputs.opened import open_regular_file

MAX_FILE_BYTES = 2**22

JobState = Literal["running", "done", "failed", "cancelled", "interrupted"]


class StoredJob(BaseModel):
    """A job's file. `report` is there when it has ended well, `problem` when it has not.

    `pid` and `pid_started` (clock ticks) name the process that a crashed server left behind.
    """

    schema_version: Literal[1] = 1
    """A newer version's file cannot be read, and nobody takes its job for a leftover."""
    id: str
    source: str
    state: JobState
    created_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    progress: Step = Step()
    report: dict[str, Any] | None = None
    problem: str | None = None
    pid: int | None = None
    pid_started: int | None = None


def is_job_id(job_id: str) -> bool:
    return len(job_id) == 16 and all(letter in "0123456789abcdef" for letter in job_id)


def load_job(path: Path) -> StoredJob | None:
    """None for what is not there or no job of this name: a copy or a pipe in this folder counts for nothing."""
    try:
        with open_regular_file(path) as file:
            job = StoredJob.model_validate_json(file.read(MAX_FILE_BYTES))
    except (OSError, UnreadableFile, ValidationError):
        return None
    return job if job.id == path.stem and is_job_id(job.id) else None


def stamp_of(path: Path) -> tuple[int, ...]:
    """Changes with every writing of a file; another one each time where there is none."""
    try:
        return stamp(path.stat(follow_symlinks=False))
    except OSError:
        return (time.monotonic_ns(),)
