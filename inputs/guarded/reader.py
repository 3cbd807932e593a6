"""Reads files of unknown origin in child processes that may be killed: what a service calls instead of `read_ecg`.

Third-party parsers open any file a header names and turn kilobytes into gigabytes. Here they run in a process that
knows no secrets of the service (its environment is empty), has little memory and time, sees uploads only as bytes or
under names chosen by us, and whose answers are checked (`inputs.guarded.messages`). It imports neither torch nor FAISS.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeGuard, TypeVar, cast

from inputs.errors import NO_ROOM_TO_READ, InputError, ReaderUnavailable, UnreadableFile
from inputs.guarded.messages import (
    TAKEN,
    Block,
    Message,
    raise_if_error,
    read_message,
    unpack_clip,
    unpack_recording,
    unpack_row,
    write_message,
)
from inputs.guarded.uploads import Uploads
from inputs.limits import (
    MAX_ECG_ANSWER_BYTES,
    MAX_MESSAGE_BODY_BYTES,
    MAX_REQUEST_WORDS_BYTES,
    MAX_UPLOAD_PARTS,
    ChildLimits,
)
from inputs.opened import File, PlacedFile
from inputs.records import NO_HINTS, EcgRecording, EchoClip, ReadHints, UploadedFile

Result = TypeVar("Result")

_PAUSES_S = (0.0, 0.0, 0.1, 0.3, 1.0)
"""Before each child that is tried to be started, the first included."""
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE")
"""All that a child inherits of the environment: keys and addresses of the service stay out of its reach."""


class GuardedReader:
    """A pool of reading children. Thread-safe: as many calls run at once as there are workers, others wait.

    A child that died, was stopped, or has read its share of files is replaced behind the back of the callers.
    """

    def __init__(self, limits: ChildLimits | None = None, workers: int = 1) -> None:
        if workers < 1:
            raise ValueError("workers must be at least 1")
        self._limits = limits or ChildLimits()
        self._workers = workers
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)
        self._children: set[_Child] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._uploads = Uploads()

    def read_ecg(self, files: Sequence[UploadedFile], hints: ReadHints = NO_HINTS) -> EcgRecording:
        """`inputs.ecg.read.read_ecg` in a child. Raises UnreadableFile, code `reading_failed` when the child died.

        What is no file's fault: ReaderUnavailable when no child or no memory can be had, OSError with one of
        `inputs.errors.NO_ROOM_TO_READ` when temporary files find no room.
        """
        if len(files) > MAX_UPLOAD_PARTS:
            raise UnreadableFile(
                "too_many_files", f"The upload holds {len(files)} files; at most {MAX_UPLOAD_PARTS} are read."
            )
        try:
            return self._read_ecg(files, hints)
        except _FolderGone:  # tidied away while it was in use: once more in a new one, if one can be made
            return self._read_ecg(files, hints)

    def _read_ecg(self, files: Sequence[UploadedFile], hints: ReadHints) -> EcgRecording:
        with self._uploads.folder() as folder:
            header = {
                "kind": "ecg",
                "folder": os.fspath(folder),
                "names": [file.name for file in files],
                "options": asdict(hints),
            }
            if len(json.dumps(header)) > MAX_REQUEST_WORDS_BYTES:
                raise UnreadableFile(
                    "names_too_long",
                    "The names of the files, or the parameters given with them, are too long.",
                    hint="Give the files shorter names.",
                )
            try:
                return self._ask(header, [file.data for file in files], unpack_recording)
            except OSError as error:
                if os.path.isdir(folder):
                    raise
                raise _FolderGone(error.errno, error.strerror) from error

    def read_echo(self, path: File, *, max_frames: int | None = None, every: int = 1) -> EchoClip:
        """`inputs.echo.read.read_echo` in a child. Raises UnreadableFile and ReaderUnavailable as `read_ecg` does."""
        header = {"kind": "echo", "max_frames": max_frames, "every": every}
        return self._ask(header | _place_of(path), [], unpack_clip)

    def read_stack(self, file: File) -> EchoClip:
        """`inputs.echo.stacks.read_stack` in a child. Raises UnreadableFile and ReaderUnavailable as `read_ecg`."""
        return self._ask({"kind": "stack"} | _place_of(file), [], unpack_clip)

    def cut_row(self, file: File, row: int, dataset: str = "") -> bytes:
        """`inputs.ecg.rows.cut_row` in a child. Raises UnreadableFile and ReaderUnavailable as `read_ecg` does."""
        return self._ask({"kind": "row", "row": row, "dataset": dataset} | _place_of(file), [], unpack_row)

    def _ask(self, header: Mapping[str, Any], blocks: Sequence[Block], unpack: Callable[[Message], Result]) -> Result:
        self._check_open()
        child = self._idle.get()
        try:
            for _ in range(2):
                child = self._ready(child)
                with contextlib.suppress(_NotTaken):
                    return _checked(child, child.ask(header, blocks), unpack)
            raise ReaderUnavailable
        except MemoryError as error:  # of this process: what the child lacks ends the child
            raise ReaderUnavailable("There is no memory to read files with.") from error
        finally:
            self._give_back(child)

    def _ready(self, child: _Child | None) -> _Child:
        """A child that waits for a request: this one or, where it cannot go on, a fresh one.

        One that is killed while it starts is no reason to refuse a file, so a few are tried. Raises ReaderUnavailable.
        """
        end = time.monotonic() + self._limits.start_s
        for pause_s in _PAUSES_S:
            if self._closed.wait(pause_s):
                break
            with contextlib.suppress(OSError, _NotStarted):
                return self._waiting(child)
            child = None
            if time.monotonic() > end:
                break
        raise ReaderUnavailable

    def _waiting(self, child: _Child | None) -> _Child:
        """This child, or its successor, with its parsers imported; where that fails none is left behind."""
        if not self._goes_on(child):
            self._end(child)
            child = self._start()
        try:
            child.wait_until_ready()
        except BaseException:
            self._end(child)
            raise
        return child

    def _goes_on(self, child: _Child | None) -> TypeGuard[_Child]:
        return child is not None and child.alive and child.served < self._limits.files_per_child

    def _give_back(self, child: _Child | None) -> None:
        """Free a slot, whatever happens; a child that cannot go on gets a successor.

        Whoever ended a child waits for its successor, so that no caller's files end one after the other until none is
        left for the rest. For one that has read its share nobody is held up.
        """
        if child is None or self._goes_on(child):
            self._idle.put(child)
            return
        if not child.alive:
            self._replace(child)
            return
        try:
            threading.Thread(target=self._replace, args=(child,), name="reading-successor", daemon=True).start()
        except (RuntimeError, MemoryError):  # no thread to be had: the next caller starts one
            self._end(child)
            self._idle.put(None)

    def _replace(self, child: _Child) -> None:
        """Put a child's successor in its slot once it is ready; none where there is none to be had now."""
        successor = None
        try:
            with contextlib.suppress(OSError, _NotStarted, ReaderUnavailable):
                successor = self._waiting(child)
        finally:
            self._idle.put(successor)

    def _start(self) -> _Child:
        with self._lock:
            if self._closed.is_set():  # while somebody waited
                raise ReaderUnavailable
            child = _Child(self._limits)
            self._children.add(child)
        return child

    def _end(self, child: _Child | None) -> None:
        if child is not None:
            child.kill()
            with self._lock:
                self._children.discard(child)

    def warm(self) -> None:
        """Start all children and wait until their parsers are imported. Raises ReaderUnavailable as `read_ecg` does."""
        self._check_open()
        slots = [self._idle.get() for _ in range(self._workers)]
        try:
            for place, child in enumerate(slots):  # all at once, then wait for each
                if not self._goes_on(child):
                    self._end(child)
                    slots[place] = None
                    with contextlib.suppress(OSError):
                        slots[place] = self._start()
            for place, child in enumerate(slots):
                slots[place] = self._ready(child)
        finally:
            for child in slots:
                self._give_back(child)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise RuntimeError("the reader is closed")

    def close(self) -> None:
        """Kill all children, busy ones included. The reader cannot be used afterwards."""
        with self._lock:
            self._closed.set()
            children = list(self._children)
        for child in children:
            child.kill()
        self._uploads.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _place_of(file: File) -> dict[str, Any]:
    """Where a file lies that a child opens itself: whose descriptor it checks is what it reads."""
    under = file.under if isinstance(file, PlacedFile) else ()
    return {"path": os.path.abspath(file), "under": [os.fspath(folder) for folder in under]}


class _FolderGone(OSError):
    """The folder of a request was removed while a child worked in it."""


def _checked(child: _Child, answer: Message, unpack: Callable[[Message], Result]) -> Result:
    """What a child answered or refused. One that answered anything else is killed before another caller meets it."""
    try:
        raise_if_error(answer)
        return unpack(answer)
    except InputError:
        raise
    except OSError as error:
        if error.errno not in NO_ROOM_TO_READ:
            child.kill()
        raise
    except MemoryError:
        child.kill()
        raise
    except Exception as error:  # whatever odd values make the checks raise
        child.kill()
        raise UnreadableFile("reading_failed", "Reading this file failed.") from error
    except BaseException:
        child.kill()
        raise


class _NotStarted(Exception):
    """A child was not ready in time, or died before it was."""


class _NotTaken(Exception):
    """A child was killed before it had taken a request, most likely while it was idle: no file's fault."""


class _Child:
    """One process and its pipes. One request at a time; any trouble kills it."""

    def __init__(self, limits: ChildLimits) -> None:
        root = str(Path(__file__).resolve().parents[2])
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        # One thread per pool: reading one file needs no more, and every thread reserves address space.
        environment |= {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.served = 0
        self._limits = limits
        self._ready = False
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "inputs.guarded.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._requests = cast(BinaryIO, self._process.stdin)
        self._answers = cast(BinaryIO, self._process.stdout)

    @property
    def alive(self) -> bool:
        """Whether it can be asked: neither dead nor stopped."""
        if self._process.poll() is not None:
            return False
        try:
            return os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:  # it ended just now
            return False

    def wait_until_ready(self) -> None:
        """Wait for the imports. Raises _NotStarted."""
        if self._ready:
            return
        try:
            self._exchange(asdict(self._limits), [], self._limits.start_s)
        except UnreadableFile as error:
            raise _NotStarted from error
        self._ready = True

    def ask(self, header: Mapping[str, Any], blocks: Sequence[Block]) -> Message:
        """Send a request and wait for its answer, within the wall limit. Raises UnreadableFile and _NotTaken."""
        self.wait_until_ready()
        self.served += 1
        return self._exchange(header, blocks, self._limits.wall_s)

    def _exchange(self, header: Mapping[str, Any], blocks: Sequence[Block], seconds: float) -> Message:
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, end)
        try:
            timer.start()
        except RuntimeError as error:  # no thread to be had, and nothing sent yet
            raise ReaderUnavailable from error
        taken = not self._ready  # before it is ready, no file is sent
        try:
            write_message(self._requests, header, blocks)
            if not taken:
                self._hear_that_it_took()
                taken = True
            return read_message(
                self._answers, MAX_ECG_ANSWER_BYTES if header.get("kind") in ("ecg", "row") else MAX_MESSAGE_BODY_BYTES
            )
        except MemoryError:
            self.kill()
            raise
        except Exception as error:  # RecursionError among them: a header may be nested as deep as it is long
            untouched = not taken and not late.is_set() and self._was_killed(error)
            self.kill()
            if untouched:
                raise _NotTaken from error
            why = f"took longer than {seconds:g} s" if late.is_set() else "failed"
            raise UnreadableFile(
                "reading_failed", f"Reading this file {why}.", hint="The file is damaged, or no ordinary recording."
            ) from error
        except BaseException:  # the rest of the answer is still in the pipe, where the next caller would read it
            self.kill()
            raise
        finally:
            timer.cancel()
            timer.join()
            if late.is_set():  # perhaps just after the answer: this child is of no further use
                self.kill()

    def _hear_that_it_took(self) -> None:
        if read_message(self._answers, 0)[0] != TAKEN:
            raise ValueError("another answer than asked for")

    def _was_killed(self, error: Exception) -> bool:
        """Whether a pipe broke because a signal ended the process, and not because it ended by itself."""
        if not isinstance(error, EOFError | BrokenPipeError):
            return False
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=1.0) < 0  # pipes close an instant before the process has ended
        return False

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(OSError):  # a request half written cannot be flushed any more
                pipe.close()
