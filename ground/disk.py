"""Files that are whole or not there, folders that one process holds, and what names a file's content.

Standard library alone. The index store keeps a commit in steps and a lock of its own (`index.store`).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""A write that finds no room: a full disk, a quota, a limit on the size of files."""
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def is_no_space(error: OSError) -> bool:
    """Whether a write failed for want of room."""
    return error.errno in NO_SPACE


@contextmanager
def written_whole(path: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """A file to write to beside `path`, which takes its name when the block ends without an exception.

    Content and name are then on the disk. On any failure `path` is as it was and nothing is left beside it; what a kill
    leaves (`.<name>.<random>.partial`) the next write of the same file removes. `private`: for the owner's eyes alone.
    A link is followed; what is no regular file, such as a terminal or a pipe, is written to as it is.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        with open(path, "wb") as file:
            yield file
        return
    for leftover in path.parent.glob(f".{path.name}.*.partial"):
        _remove_unless_held(leftover)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # says that somebody writes it
            yield file
            file.flush()
            if not private:
                os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def write_whole(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """`content` (text as UTF-8) under the name `path`, whole or not at all."""
    with written_whole(path, private=private) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_flushed(path: Path, content: bytes) -> None:
    """Write a file that nobody reads yet and wait until the disk has it."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_file(path: Path) -> None:
    """Wait until the disk has what was written to a file."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def flush_folder(path: Path) -> None:
    """Wait until the disk has the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hold(file: IO[bytes] | IO[str]) -> bool:
    """Take an open file for this process alone, until it is closed or the process ends; False where another has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Wait for a folder and hold it; only those who ask for the same lock are kept out."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


sha256 = hashlib.sha256
"""For what is hashed piece by piece."""


def sha256_of(path: Path) -> str:
    """Of a file's content, in hexadecimal, read piece by piece."""
    with open(path, "rb") as file:
        return sha256_of_open(file)


def sha256_of_open(file: IO[bytes]) -> str:
    """Of what an open file still holds."""
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def short_name_of(description: str) -> str:
    """Twelve hexadecimal digits that stand for a description: another description is another thing."""
    return hashlib.sha256(description.encode()).hexdigest()[:12]


def _remove_unless_held(path: Path) -> None:
    try:
        with open(path, "rb") as file:
            if hold(file):
                path.unlink(missing_ok=True)
    except OSError:  # another process removed it, or may
        return


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    status = Path("/proc/self/status")
    try:
        line = next(line for line in status.read_text().splitlines() if line.startswith("Umask:"))
        return int(line.split()[1], 8)
    except (OSError, StopIteration, ValueError):
        return 0o022
