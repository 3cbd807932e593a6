"""Index rebuilds as jobs: the same program as `echo2ecg index rebuild`, in its own process, one at a time.

A job's state lies on disk, so it survives the server: a job that was running when the server ended reads
`interrupted`. The rebuild itself can be started again and reuses what it had embedded.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import ValidationError

from app.http.problems import (
    JobRunning,
    NoSpace,
    NotFound,
    NotReady,
    Problem,
)
from app.logs import where
from app.schemas import JobView, Progress
from ground.disk import READ_ONLY, is_no_space, write_whole

log = structlog.get_logger(__name__)

KEPT_JOBS = 50
SAVE_EVERY_S = 1.0
TERMINATE_S = 5.0
LINE_BYTES = 64 * 2**20
"""A report lists every skipped file on one line."""

Command = Callable[[Path], Sequence[str]]


def rebuild_command(bundle_dir: Path, index_dir: Path, device: str) -> Command:
    """The command line that indexes a cohort folder and tells its progress as JSON lines."""
    fixed = [sys.executable, "-P", "-m", "cli.main", "index", "rebuild", "--bundle", str(bundle_dir)]
    fixed += ["--index", str(index_dir), "--device", device, "--progress", "json"]
    return lambda cohort_dir: [*fixed, "--cohort", str(cohort_dir)]


class _StoredJob(JobView):
    """With what is needed to end the process that a crashed server left behind."""

    pid: int | None = None
    pid_started: int | None = None

    def view(self) -> JobView:
        return JobView.model_validate(self.model_dump(include=set(JobView.model_fields)))


class RebuildJobs:
    """Starts, watches, cancels and remembers rebuilds. `when_done` is awaited before a job reads `done`."""

    def __init__(self, folder: Path, command: Command, when_done: Callable[[], Awaitable[None]]) -> None:
        self._folder = folder
        self._command = command
        self._when_done = when_done
        self._job: _StoredJob | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ending: str | None = None
        self._changing = asyncio.Lock()
        """Held while a job is started or ended, so that `_process` and `_watching` are those of `_job`."""

    @property
    def running(self) -> str | None:
        """The id of the running job."""
        return self._job.id if self._job is not None and self._job.state == "running" else None

    def recover(self) -> None:
        """After a crash: what was running is interrupted, and its process, if it still lives, is ended."""
        for path in self._folder.glob("*.json"):
            job = _load(path)
            if job is not None and job.state == "running":
                _end_leftover(job)
                job.state, job.ended_at = "interrupted", datetime.now(UTC)
                job.problem = "The server ended while this job ran."
                with contextlib.suppress(OSError):
                    self._save(job)

    async def start(self, source: str, cohort_dir: Path) -> JobView:
        """Start a rebuild from a cohort folder. Raises JobRunning, NoSpace or NotReady."""
        async with self._changing:
            if self.running is not None:
                raise JobRunning(
                    "job_running",
                    "A rebuild is running already.",
                    hint=f"Follow it at /v1/jobs/{self.running}.",
                    extra={"job_id": self.running},
                )
            now = datetime.now(UTC)
            job = _StoredJob(
                id=secrets.token_hex(8), source=source, state="running", created_at=now, progress=Progress()
            )
            try:
                self._save(job)
                process = await self._spawn(cohort_dir)
            except BaseException as error:
                with contextlib.suppress(OSError):
                    self._file(job.id).unlink(missing_ok=True)  # it says `running`
                if isinstance(error, OSError):
                    raise _cannot_start(error) from None
                raise
            self._job, self._process, self._ending = job, process, None
            job.pid, job.pid_started = process.pid, _start_ticks(process.pid)
            self._watching = asyncio.create_task(self._watch(job, process))
            self._save_quietly(job)
            self._forget_old()
        log.info("job_started", job=job.id, source=source)
        return job.view()

    def get(self, job_id: str) -> JobView:
        """A job by id. Raises NotFound."""
        if self._job is not None and self._job.id == job_id:
            return self._job.view()
        job = _load(self._file(job_id)) if _is_job_id(job_id) else None
        if job is None:
            raise NotFound("unknown_job", "There is no job with this id.")
        return job.view()

    async def cancel(self, job_id: str) -> JobView:
        """End a running job. Raises NotFound, or JobRunning's sibling when it has ended already."""
        async with self._changing:
            if job_id != self.running:
                self.get(job_id)
                raise JobRunning("job_ended", "This job has ended already.")
            await self._end("cancelled")
        return self.get(job_id)

    async def close(self) -> None:
        """The server ends: a running job is interrupted."""
        async with self._changing:
            if self.running is not None:
                await self._end("interrupted")

    def _file(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.json"

    async def _spawn(self, cohort_dir: Path) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command(cohort_dir),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # it may name files; the sentence comes as JSON
            limit=LINE_BYTES,
            start_new_session=True,
        )

    async def _end(self, state: str) -> None:
        assert self._process is not None
        assert self._watching is not None
        self._ending = state
        _signal_group(self._process.pid, signal.SIGTERM)
        done, _ = await asyncio.wait([self._watching], timeout=TERMINATE_S)
        if not done:
            _signal_group(self._process.pid, signal.SIGKILL)
            await self._watching

    async def _watch(self, job: _StoredJob, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        saved = time.monotonic()
        try:
            async for line in process.stdout:
                _take_line(job, line)
                if time.monotonic() - saved > SAVE_EVERY_S:
                    self._save_quietly(job)
                    saved = time.monotonic()
        except ValueError:  # a line longer than LINE_BYTES
            job.problem = "The rebuild wrote more on one line than is read."
            _signal_group(process.pid, signal.SIGKILL)
            while await process.stdout.read(LINE_BYTES):  # else the process does not count as ended
                pass
        code = await process.wait()
        try:
            if code == 0:
                await self._when_done()
        except Exception as error:
            job.problem = "The index was rebuilt, but the service could not turn to it."
            log.error("swap_failed", job=job.id, **where(error))  # noqa: TRY400 - a traceback names paths
        finally:
            self._finish(job, code)

    def _finish(self, job: _StoredJob, code: int) -> None:
        job.ended_at, job.pid, job.pid_started = datetime.now(UTC), None, None
        if code == 0:
            job.state = "done"
        elif self._ending is not None:
            job.state, job.problem = ("cancelled", None) if self._ending == "cancelled" else ("interrupted", None)
        else:
            job.state = "failed"
            job.problem = job.problem or "The rebuild failed; run `echo2ecg index rebuild` to see why."
        self._save_quietly(job)
        log.info("job_ended", job=job.id, state=job.state)

    def _save(self, job: _StoredJob) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._file(job.id), job.model_dump_json(indent=2))

    def _save_quietly(self, job: _StoredJob) -> None:
        """A full disk must not end a running job; the state in memory is still right."""
        try:
            self._save(job)
        except OSError as error:
            log.warning("job_not_saved", job=job.id, reason=errno.errorcode.get(error.errno or 0, "OSError"))

    def _forget_old(self) -> None:
        with contextlib.suppress(OSError):  # somebody else may tidy the same folder at this moment
            by_age = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in by_age[KEPT_JOBS:]:
                path.unlink(missing_ok=True)


def _take_line(job: _StoredJob, line: bytes) -> None:
    """One JSON line of the rebuild: progress, the report, or the sentence of its failure. Others are ignored."""
    try:
        told = json.loads(line)
        if not isinstance(told, dict):
            return
        if "report" in told:
            job.report = told["report"]
        elif "error" in told:
            job.problem = str(told["error"])
        elif "done" in told:
            job.progress = Progress.model_validate(told)
    except (ValueError, ValidationError):
        return


def _cannot_start(error: OSError) -> Problem:
    if is_no_space(error):
        return NoSpace()
    if error.errno in READ_ONLY:
        return NotReady("index_read_only", "The index folder cannot be written, so nothing can be rebuilt.")
    return NotReady("job_not_started", "The rebuild could not be started.")


def _is_job_id(job_id: str) -> bool:
    return len(job_id) == 16 and all(letter in "0123456789abcdef" for letter in job_id)


def _load(path: Path) -> _StoredJob | None:
    try:
        return _StoredJob.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks: with its id the only safe name of a process. None off Linux."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def _end_leftover(job: _StoredJob) -> None:
    if job.pid is not None and job.pid_started is not None and _start_ticks(job.pid) == job.pid_started:
        _signal_group(job.pid, signal.SIGKILL)
