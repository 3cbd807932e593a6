"""Opening a file that may be hostile."""

from __future__ import annotations

import errno
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from inputs.errors import UnreadableFile
from inputs.limits import MAX_FILE_BYTES

_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO without a writer must not hold us up
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class BoundedReader(io.BufferedReader):
    """A file that never allocates more than it holds, whatever length a header asks it to read."""

    def __init__(self, raw: io.FileIO, size: int) -> None:
        super().__init__(raw, buffer_size=1 << 16)
        self.size = size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self.size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


@dataclass(frozen=True)
class PlacedFile:
    """A file that a cohort names. under: the real folders below one of which it must lie, whatever links lead to it."""

    path: Path
    under: tuple[Path, ...] = ()

    def __fspath__(self) -> str:
        return os.fspath(self.path)


File = Path | PlacedFile
"""A file that somebody named, through no link; or one of a cohort, which says where links may lead."""


def open_regular_file(file: File, most_bytes: int = MAX_FILE_BYTES) -> BoundedReader:
    """Open a regular file for reading. Pipes, devices and folders are refused without waiting on them.

    A link is followed only for a PlacedFile that says under what its target may lie. Where the opened file lies is
    asked of its descriptor, which is what is read then: a link that is turned meanwhile gains nothing.
    Raises UnreadableFile; its message never holds the path.
    """
    under = file.under if isinstance(file, PlacedFile) else ()
    try:
        descriptor = os.open(file, _OPEN_FLAGS | (0 if under else getattr(os, "O_NOFOLLOW", 0)))
    except (OSError, ValueError) as error:
        code = error.errno if isinstance(error, OSError) else None
        if code == errno.ENOENT:
            raise UnreadableFile("file_missing", "The file does not exist.") from None
        if code == errno.ELOOP:
            what = "links that lead in a circle" if under else "a symbolic link"
            raise UnreadableFile("not_a_regular_file", f"The file is {what}.") from None
        raise UnreadableFile("file_not_opened", "The file cannot be opened.") from None
    try:
        size = _checked_size(descriptor, under, most_bytes)
    except BaseException:
        os.close(descriptor)
        raise
    return BoundedReader(io.FileIO(descriptor, "rb"), size)


def _checked_size(descriptor: int, under: tuple[Path, ...], most_bytes: int) -> int:
    """The size of what a descriptor is open for. Raises UnreadableFile for what must not be read."""
    if under and not _lies_under(descriptor, under):
        raise UnreadableFile("path_outside", "The file lies outside the cohort folder and its roots.")
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFile("not_a_regular_file", "This is not a regular file.")
    if status.st_size == 0:
        raise UnreadableFile("file_empty", "The file is empty.")
    if status.st_size > most_bytes:
        raise UnreadableFile("file_too_large", f"The file is larger than {most_bytes >> 30} GiB.")
    return status.st_size


def _lies_under(descriptor: int, under: tuple[Path, ...]) -> bool:
    try:
        real = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    except OSError:  # no such folder of descriptors: nobody can say where the file lies
        return False
    return any(real.is_relative_to(folder) for folder in under)
