"""Work on this machine: guarded children read files, threads prepare them, a few results lie ready ahead.

Another engine would hand the same functions rows of its own shard (`embedding.clips.embed_clips`,
`embedding.ecgs.fill_store`); nothing in them knows who calls.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from inputs.errors import NO_ROOM_TO_READ, InputError
from inputs.guarded.reader import GuardedReader
from inputs.opened import File
from inputs.records import NO_HINTS, EcgRecording, EchoClip, ReadHints, UploadedFile

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MAY_PASS = frozenset({"reading_failed", "file_changed"})
"""Codes of refusals that say nothing final about a file: a child died or was late, perhaps on a busy machine."""


LACKING_HERE = NO_ROOM_TO_READ | {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM}
"""Room for temporary files, descriptors, processes, memory: a run that goes on without them shrinks in silence."""


class Reader(Protocol):
    """What reads files of unknown origin; all raise UnreadableFile, and ReaderUnavailable when they cannot now."""

    def read_ecg(self, files: Sequence[UploadedFile], hints: ReadHints = NO_HINTS) -> EcgRecording: ...

    def read_echo(self, path: File, *, max_frames: int | None = None, every: int = 1) -> EchoClip: ...

    def cut_row(self, file: File, row: int, dataset: str = "") -> bytes: ...


@dataclass(frozen=True)
class Refused:
    """Why a file gives nothing. `lasting`: the same bytes would be refused again."""

    reason: str
    lasting: bool
    code: str = ""


@contextmanager
def reading(workers: int) -> Iterator[Reader]:
    """`workers` guarded children, started when the first file is read. With 0 this process reads, unguarded."""
    if workers == 0:
        yield _ThisProcess()
        return
    with GuardedReader(workers=workers) as reader:
        yield reader


class _ThisProcess:
    """For tests and debuggers: a file's parser runs where they can see it."""

    def read_ecg(self, files: Sequence[UploadedFile], hints: ReadHints = NO_HINTS) -> EcgRecording:
        from inputs.ecg.read import read_ecg  # parsers are many, and a run with children has no use for them

        return read_ecg(files, hints)

    def read_echo(self, path: File, *, max_frames: int | None = None, every: int = 1) -> EchoClip:
        from inputs.echo.read import read_echo

        return read_echo(path, max_frames=max_frames, every=every)

    def cut_row(self, file: File, row: int, dataset: str = "") -> bytes:
        from inputs.ecg.rows import cut_row

        return cut_row(file, row, dataset)


def attempt(work: Callable[[], _Result]) -> _Result | Refused:
    """What `work` makes of a file, or why it makes nothing.

    What this machine lacks is no file's fault and ends the run: OSError, and ReaderUnavailable, which is no InputError.
    """
    try:
        return work()
    except InputError as error:
        return Refused(error.sentence, lasting=error.code not in _MAY_PASS, code=error.code)
    except OSError as error:
        if error.errno in LACKING_HERE:
            raise
        return Refused("The file cannot be read.", lasting=False)


@contextmanager
def in_order(
    work: Callable[[_Item], _Result], items: Iterable[_Item], *, workers: int, ahead: int
) -> Iterator[Iterator[tuple[_Item, _Result]]]:
    """Items with their results, in order; `workers` threads, at most `ahead` results that wait: clips are large.

    With 0 workers each is made when it is asked for. When the block ends, however it ends, no thread works any more:
    what they work with may be closed then.
    """
    with closing(_results(work, items, workers=workers, ahead=ahead)) as results:
        yield results


def _results(
    work: Callable[[_Item], _Result], items: Iterable[_Item], *, workers: int, ahead: int
) -> Generator[tuple[_Item, _Result], None, None]:
    if workers == 0:
        yield from ((item, work(item)) for item in items)
        return
    started: deque[tuple[_Item, Future[_Result]]] = deque()
    threads = ThreadPoolExecutor(workers, thread_name_prefix="read")
    try:
        for item in items:
            started.append((item, threads.submit(work, item)))
            if len(started) > ahead:
                first, result = started.popleft()
                yield first, result.result()
        while started:
            first, result = started.popleft()
            yield first, result.result()
    finally:
        threads.shutdown(cancel_futures=True)
