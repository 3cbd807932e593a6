"""Reads files of unknown origin in child processes that may be killed: what a service calls instead of `read_ecg`.

Third-party parsers open any file a header names and turn kilobytes into gigabytes. Here they run in a process that
knows no secrets of the service (its environment is empty), has little memory and time, sees uploads only as bytes or
under names chosen by us, and whose answers are checked (`inputs.guarded.messages`). It imports neither torch nor FAISS.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar, cast

from inputs.errors import UnreadableFile
from inputs.guarded.messages import (
    Block,
    Message,
    raise_if_error,
    read_message,
    unpack_clip,
    unpack_recording,
    write_message,
)
from inputs.limits import MAX_ECG_ANSWER_BYTES, MAX_MESSAGE_BODY_BYTES, MAX_UPLOAD_PARTS, ChildLimits
from inputs.records import NO_HINTS, EcgRecording, EchoClip, ReadHints, UploadedFile

Result = TypeVar("Result")

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE")
"""All that a child inherits of the environment: keys and addresses of the service stay out of its reach."""


class GuardedReader:
    """A pool of reading children. Thread-safe: as many calls run at once as there are workers, others wait."""

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
        self._closed = False

    def read_ecg(self, files: Sequence[UploadedFile], hints: ReadHints = NO_HINTS) -> EcgRecording:
        """`inputs.ecg.read.read_ecg` in a child. Raises UnreadableFile, code `reading_failed` when the child died.

        OSError with one of `inputs.errors.NO_ROOM_TO_READ` when temporary files find no room, which is no file's fault.
        """
        if len(files) > MAX_UPLOAD_PARTS:
            raise UnreadableFile(
                "too_many_files", f"The upload holds {len(files)} files; at most {MAX_UPLOAD_PARTS} are read."
            )
        folder = tempfile.mkdtemp(prefix="echo2ecg-")
        try:
            header = {
                "kind": "ecg",
                "folder": folder,
                "names": [file.name[:200] for file in files],
                "options": asdict(hints),
            }
            return self._ask(header, [file.data for file in files], unpack_recording)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def read_echo(self, path: Path, *, max_frames: int | None = None, every: int = 1) -> EchoClip:
        """`inputs.echo.read.read_echo` in a child. Raises UnreadableFile as `read_ecg` does."""
        header = {"kind": "echo", "path": os.fspath(path.absolute()), "max_frames": max_frames, "every": every}
        return self._ask(header, [], unpack_clip)

    def _ask(self, header: Mapping[str, Any], blocks: Sequence[Block], unpack: Callable[[Message], Result]) -> Result:
        child = self._idle.get()
        try:
            child = self._kept(child) or self._start()  # an idle one may have been killed from outside
            answer = child.ask(header, blocks)
            try:
                raise_if_error(answer)
                return unpack(answer)
            except (KeyError, TypeError, ValueError) as error:
                child.kill()
                raise UnreadableFile("reading_failed", "Reading this file failed.") from error
        finally:
            self._give_back(child)

    def _give_back(self, child: _Child | None) -> None:
        """Free a slot, whatever happens: where no successor can be started now, the next caller tries again."""
        try:
            child = self._kept(child)
        except (OSError, RuntimeError):  # no process or memory to be had, or closed in between
            child = None
        self._idle.put(child)

    def _kept(self, child: _Child | None) -> _Child | None:
        """The child if it may go on, otherwise its successor, already importing while nobody waits."""
        if child is None or (child.alive and child.served < self._limits.files_per_child):
            return child
        child.kill()
        with self._lock:
            self._children.discard(child)
        return None if self._closed else self._start()

    def _start(self) -> _Child:
        with self._lock:
            if self._closed:
                raise RuntimeError("the reader is closed")
            child = _Child(self._limits)
            self._children.add(child)
        return child

    def warm(self) -> None:
        """Start all children and wait until their parsers are imported. Raises RuntimeError when they cannot be."""
        slots = [self._idle.get() for _ in range(self._workers)]
        try:
            for place, child in enumerate(slots):
                slots[place] = self._kept(child) or self._start()
            for child in slots:
                if child is not None:
                    child.wait_until_ready()
        finally:
            for child in slots:
                self._give_back(child)

    def close(self) -> None:
        """Kill all children, busy ones included. The reader cannot be used afterwards."""
        with self._lock:
            self._closed = True
            children = list(self._children)
        for child in children:
            child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait for the imports. Raises RuntimeError when the child cannot start, which is no file's fault."""
        if self._ready:
            return
        try:
            self._exchange(asdict(self._limits), [], self._limits.start_s)
        except UnreadableFile as error:
            raise RuntimeError("the reading child did not start") from error
        self._ready = True

    def ask(self, header: Mapping[str, Any], blocks: Sequence[Block]) -> Message:
        """Send a request and wait for its answer, within the wall limit."""
        self.wait_until_ready()
        self.served += 1
        return self._exchange(header, blocks, self._limits.wall_s)

    def _exchange(self, header: Mapping[str, Any], blocks: Sequence[Block], seconds: float) -> Message:
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            write_message(self._requests, header, blocks)
            return read_message(
                self._answers, MAX_ECG_ANSWER_BYTES if header.get("kind") == "ecg" else MAX_MESSAGE_BODY_BYTES
            )
        except (OSError, EOFError, ValueError) as error:
            self.kill()
            why = f"took longer than {seconds:g} s" if late.is_set() else "failed"
            raise UnreadableFile(
                "reading_failed", f"Reading this file {why}.", hint="The file is damaged, or no ordinary recording."
            ) from error
        finally:
            timer.cancel()
            timer.join()
            if late.is_set():  # perhaps just after the answer: this child is of no further use
                self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(OSError):  # a request half written cannot be flushed any more
                pipe.close()
