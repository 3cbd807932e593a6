"""Index rebuilds as jobs: `index.rebuild` as a program in its own process, one at a time.

A job's state lies on disk, so it survives the server: a job that was running when the server ended reads
`interrupted`. The rebuild itself can be started again and reuses what it had embedded.

    jobs/<id>.json    a job, written by its owner alone
    jobs/lock         held by the owner of the running job for as long as it runs; has the job's id

Several servers may share an index folder. A job that reads `running` and whose owner does not hold the lock has none
any more: whoever meets it interrupts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import structlog

from app.job_files import StoredJob, is_job_id, load_job, stamp_of
from app.logs import where
from app.refusals import JobElsewhere, JobEnded, JobNotStarted, JobRunning, JobUnknown, NoSpace
from ground.disk import READ_ONLY, Turn, is_no_space, write_whole
from ground.errors import Refusal
from ground.progress import Failure, Report, Step, parse_line

log = structlog.get_logger(__name__)

KEPT_JOBS = 50
SAVE_EVERY_S = 1.0
TERMINATE_S = 5.0
TURN_TRIES, TURN_PAUSE_S = 6, 0.05
"""Whoever looks whether the lock is held holds it for an instant."""
LINE_BYTES = 2**20
"""Of what a rebuild says; its report names only so many skipped clips."""

Command = Callable[[Path], Sequence[str]]


def rebuild_command(bundle_dir: Path, index_dir: Path, device: str) -> Command:
    """The command line that indexes a cohort folder and tells its progress in the lines of `ground.progress`."""
    fixed = [sys.executable, "-P", "-m", "index.rebuild", "--bundle", str(bundle_dir)]
    fixed += ["--index", str(index_dir), "--device", device]
    return lambda cohort_dir: [*fixed, "--cohort", str(cohort_dir)]


def _nobody_asks() -> None:
    return


class RebuildJobs:
    """Starts, watches, cancels and remembers rebuilds. `when_done` is awaited before a job reads `done`."""

    def __init__(self, folder: Path, command: Command, when_done: Callable[[], Awaitable[None]]) -> None:
        self._folder = folder
        self._turn = Turn(folder / "lock")
        self._command = command
        self._when_done = when_done
        self._job: StoredJob | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ending: Literal["cancelled", "interrupted"] | None = None
        self._changing = asyncio.Lock()
        """Held while a job is started or ended, so that `_process` and `_watching` are those of `_job`."""
        self._closed = False
        self._ended: dict[str, tuple[tuple[int, ...], StoredJob]] = {}
        """By name, of jobs that have ended: their file's stamp, and the job without its report."""

    @property
    def running(self) -> str | None:
        """The id of the running job, also of another server's."""
        return self._own_running or self._others_running()

    @property
    def _own_running(self) -> str | None:
        return self._job.id if self._job is not None and self._job.state == "running" else None

    def _others_running(self) -> str | None:
        try:
            job_id = self._owned()
        except OSError:
            return None
        job = load_job(self._file(job_id)) if job_id is not None else None
        return job.id if job is not None and job.state == "running" else None

    def recover(self) -> None:
        """What was running under a server that is gone is interrupted, its process, if it still lives, ended."""
        for path in self._folder.glob("*.json"):
            job = self._settled(path)
            if job is not None and job.state == "interrupted":
                _wait_for_end(job)  # one that was ended just now still holds what it was writing

    async def start(self, source: str, cohort_dir: Path, still: Callable[[], object] = _nobody_asks) -> StoredJob:
        """Start a rebuild from a cohort folder. Raises JobRunning, NoSpace or JobNotStarted.

        still: called when all has been waited for; nothing is started where it raises.
        """
        async with self._changing:
            if self._closed:
                raise JobNotStarted("job_not_started", "The service ends; nothing is started any more.")
            if self._own_running is not None:
                raise JobRunning(self._own_running)
            job = StoredJob(id=secrets.token_hex(8), source=source, state="running", created_at=datetime.now(UTC))
            try:
                await self._take_turn(job.id)
                if self._job is not None:
                    self._save_quietly(self._job)  # the disk may have been full when it ended
                await asyncio.to_thread(self.recover)
                still()  # last: its turn, and the end of an earlier server's rebuild, may have taken seconds
                self._save(job)
                process = await self._spawn(cohort_dir)
            except BaseException as error:
                with contextlib.suppress(OSError):
                    self._file(job.id).unlink(missing_ok=True)  # it says `running`
                self._turn.let_go()
                if isinstance(error, OSError):
                    raise _cannot_start(error) from None
                raise
            self._job, self._process, self._ending = job, process, None
            job.pid, job.pid_started = process.pid, _start_ticks(process.pid)
            self._watching = asyncio.create_task(self._watch(job, process))
            self._save_quietly(job)
            self._forget_old()
        log.info("job_started", job=job.id, source=source)
        return job

    async def _take_turn(self, job_id: str) -> None:
        """Hold the folder's lock for a job. Raises JobRunning, OSError, or JobNotStarted where the lock stays taken."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(TURN_TRIES):
            if self._turn.take(job_id.encode()):
                return
            if attempt and (other := self._others_running()) is not None:
                raise JobRunning(other)
            await asyncio.sleep(TURN_PAUSE_S)
        if (other := self._owned()) is not None:  # its file may be closed to us
            raise JobRunning(other)
        raise BlockingIOError("the lock stays taken")

    async def get(self, job_id: str) -> StoredJob:
        """A job as it is now, by id, also another server's. Raises JobUnknown."""
        if self._job is not None and self.is_own(job_id):
            return self._job.model_copy()
        job = await asyncio.to_thread(self._settled, self._file(job_id)) if is_job_id(job_id) else None
        if job is None:
            raise JobUnknown
        return job

    async def newest(self, most: int) -> list[StoredJob]:
        """Jobs as they are now, the newest first, without their reports, which may be long."""
        jobs = await asyncio.to_thread(self._without_reports)
        if (own := self._job) is not None:
            there = own.model_copy(update={"report": None})
            jobs = [there, *(job for job in jobs if job.id != own.id)]
        return sorted(jobs, key=lambda job: job.created_at.timestamp(), reverse=True)[:most]

    def _without_reports(self) -> list[StoredJob]:
        """A file that has been read once and says that its job has ended is read again only when it has changed."""
        jobs, ended = [], {}
        for path in self._folder.glob("*.json"):
            stamp, (known, job) = stamp_of(path), self._ended.get(path.name, ((), None))
            if job is None or stamp != known:
                job = self._settled(path)
            if job is not None:
                job.report = None
                jobs.append(job)
                if job.state != "running":
                    ended[path.name] = stamp, job
        self._ended = ended
        return jobs

    def is_own(self, job_id: str) -> bool:
        """Whether it is this server's latest job, which is known without the disk."""
        return self._job is not None and self._job.id == job_id

    async def cancel(self, job_id: str, still: Callable[[], object] = _nobody_asks) -> StoredJob:
        """End a running job. Raises JobUnknown, JobEnded, JobElsewhere.

        still: called when its turn has come; nothing is ended where it raises.
        """
        async with self._changing:
            still()
            if job_id != self._own_running:
                raise JobElsewhere if (await self.get(job_id)).state == "running" else JobEnded
            await self._end("cancelled")
        return await self.get(job_id)

    async def close(self) -> None:
        """The server ends: a running job of its own is interrupted, and none is started."""
        self._closed = True
        async with self._changing:
            if self._own_running is not None:
                await self._end("interrupted")

    def kill(self) -> None:
        """End the process of an own running job, whatever it does, and start none; its file says later what became
        of it."""
        self._closed = True
        if self._process is not None and self._process.returncode is None:
            self._ending = self._ending or "interrupted"
            _signal_group(self._process.pid, signal.SIGKILL)

    def _owned(self) -> str | None:
        """The id of the job whose owner lives. Raises OSError where that cannot be learnt."""
        word = self._turn.taken_for()
        job_id = None if word is None else word.decode("ascii", "replace")
        return job_id if job_id is not None and is_job_id(job_id) else None

    def _settled(self, path: Path) -> StoredJob | None:
        """A job's file, None where it cannot be read; a job without an owner is interrupted first."""
        job = load_job(path)
        if job is None or job.state != "running" or not self._is_abandoned(job.id):
            return job
        job = load_job(path)  # once more: its owner may just have ended it in order
        if job is not None and job.state == "running":
            _end_leftover(job)
            job.state, job.ended_at = "interrupted", datetime.now(UTC)
            job.problem = "The server ended while this job ran."
            with contextlib.suppress(OSError):
                self._save(job)
        return job

    def _is_abandoned(self, job_id: str) -> bool:
        try:
            return self._owned() != job_id
        except OSError:  # who cannot know kills nobody
            return False

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

    async def _end(self, state: Literal["cancelled", "interrupted"]) -> None:
        assert self._process is not None
        assert self._watching is not None
        self._ending = state
        if self._process.returncode is None:  # else the number may be another process's by now
            _signal_group(self._process.pid, signal.SIGTERM)
        done, _ = await asyncio.wait([self._watching], timeout=TERMINATE_S)
        if not done:
            self.kill()
            await self._watching

    async def _watch(self, job: StoredJob, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        saved = time.monotonic()
        try:
            async for line in process.stdout:
                _take(job, parse_line(line))
                if time.monotonic() - saved > SAVE_EVERY_S:
                    self._save_quietly(job)
                    saved = time.monotonic()
        except ValueError:  # a line longer than LINE_BYTES
            job.problem = "The rebuild wrote more on one line than is read."
            _signal_group(process.pid, signal.SIGKILL)
            while await process.stdout.read(LINE_BYTES):  # else the process does not count as ended
                pass
        code = await process.wait()
        published = code == 0 or job.report is not None
        try:
            if published:
                await self._when_done()
        except Exception as error:
            job.problem = "The index was rebuilt, but the service could not turn to it."
            log.error("swap_failed", job=job.id, **where(error))  # noqa: TRY400 - a traceback names paths
        finally:
            self._finish(job, published=published)

    def _finish(self, job: StoredJob, *, published: bool) -> None:
        """A rebuild that has reported is done, however its process ended: its generation is the current one."""
        job.ended_at, job.pid, job.pid_started = datetime.now(UTC), None, None
        if published:
            job.state = "done"
        elif self._ending is not None:
            job.state, job.problem = self._ending, None
        else:
            job.state = "failed"
            job.problem = job.problem or "The rebuild failed; run `echo2ecg index rebuild` to see why."
        self._save_quietly(job)
        self._turn.let_go()  # last: who finds the job abandoned reads its end
        log.info("job_ended", job=job.id, state=job.state)

    def _save(self, job: StoredJob) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Every second, on the event loop: nobody waits for the disk.
        write_whole(self._file(job.id), job.model_dump_json(indent=2), private=True, durable=False)

    def _save_quietly(self, job: StoredJob) -> None:
        """A full disk must not end a running job; the state in memory is still right."""
        try:
            self._save(job)
        except OSError as error:
            log.warning("job_not_saved", job=job.id, reason=errno.errorcode.get(error.errno or 0, "OSError"))
        except ValueError:  # what it said cannot be written as text
            log.warning("job_not_saved", job=job.id, reason="ValueError")

    def _forget_old(self) -> None:
        with contextlib.suppress(OSError):  # somebody else may tidy the same folder at this moment
            by_age = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in by_age[KEPT_JOBS:]:
                if self._job is None or path != self._file(self._job.id):  # clocks go back, too
                    path.unlink(missing_ok=True)


def _take(job: StoredJob, said: Step | Report | Failure | None) -> None:
    match said:
        case Step() as step:
            job.progress = step
        case Report(content):
            job.report = dict(content)
        case Failure(sentence):
            job.problem = sentence


def _cannot_start(error: OSError) -> Refusal:
    if is_no_space(error):
        return NoSpace()
    if error.errno in READ_ONLY:
        return JobNotStarted("index_read_only", "The index folder cannot be written, so nothing can be rebuilt.")
    return JobNotStarted("job_not_started", "The rebuild could not be started.")


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or another user's
        os.killpg(pid, number)


def _start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks: with its id the only safe name of a process.

    None where it has ended, also while nobody has taken note of that, and off Linux.
    """
    try:
        state, *others = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return None if state == "Z" else int(others[18])
    except (OSError, IndexError, ValueError):
        return None


def _end_leftover(job: StoredJob) -> None:
    if job.pid is not None and job.pid_started is not None and _start_ticks(job.pid) == job.pid_started:
        _signal_group(job.pid, signal.SIGKILL)


def _wait_for_end(job: StoredJob) -> None:
    end = time.monotonic() + TERMINATE_S
    while job.pid is not None and job.pid_started is not None and time.monotonic() < end:
        if _start_ticks(job.pid) != job.pid_started:
            return
        time.sleep(0.02)
