"""Files that are whole or not there, folders that one process holds, and what names a file's content.

Standard library alone. The index store keeps a commit in steps and a lock of its own (`index.store`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import hashlib
import os
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""A write that finds no room: a full disk, a quota, a limit on the size of files."""
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.EBUSY})
"""The last of them where a file is mounted by itself, and would be replaced."""
_OF_THE_MACHINE = READ_ONLY | {
    errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP,
    errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
}  # fmt: skip
"""What names, rights and hardware may be to blame for; of other numbers, such as EBADF, only we are."""
_PARTIAL = ".partial"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_RANDOM = "[a-z0-9_]" * 8
"""What `tempfile` puts between prefix and suffix."""


def is_no_space(error: OSError) -> bool:
    """Whether a write failed for want of room."""
    return error.errno in NO_SPACE


def is_sqlite_no_space(error: BaseException) -> bool:
    """The same in SQLite's words: FULL is a full disk, IOERR what it makes of a file-size limit or quota."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def is_sqlite_read_only(error: BaseException) -> bool:
    """Whether SQLite may not write, or not make its file."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
    )


def words_of(error: OSError) -> str | None:
    """What the machine says, without the name of a file; None for an error that only a defect of ours can cause."""
    if is_no_space(error):
        return "There is no space left on the device"
    return error.strerror if error.errno in _OF_THE_MACHINE else None


@contextmanager
def written_whole(path: Path, *, private: bool = False, durable: bool = True) -> Iterator[IO[bytes]]:
    """A file to write to beside `path`, which takes its name when the block ends without an exception.

    Content and name are then on the disk. On any failure `path` is as it was and nothing is left beside it; what a kill
    leaves (`.<name>.<random>.partial`) the next write of the same file removes. `private`: a new file is its owner's
    alone. Without `durable` nobody waits for the disk: whole against the end of a process, not of the machine.
    A link is followed; what is no regular file, such as a terminal or a pipe, is written to as it is.
    """
    if _is_stream(path):
        with open(path, "wb") as stream:
            yield stream
        return
    path = path.resolve()
    _remove_leftovers(path)
    temporary, file = _beside(path)
    try:
        with file:
            yield file
            file.flush()
            _as_before(file, path, private=private)
            if durable:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        flush_folder(path.parent)


def write_whole(path: Path, content: bytes | str, *, private: bool = False, durable: bool = True) -> None:
    """`content` (text as UTF-8) under the name `path`, whole or not at all: see `written_whole`."""
    with written_whole(path, private=private, durable=durable) as file:
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


def hold(file: IO[bytes] | IO[str], *, shared: bool = False) -> bool:
    """Take an open file for this process alone, until it is closed or the process ends; False where another has it.

    `shared`: others may hold it so too.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Turn:
    """A file that one process at a time holds for as long as something is its own to do, with the word for what.

    The kernel lets go when the process ends, however it ends; programs that it starts do not inherit it. It holds
    between containers that share a volume. The file stays: to remove it would let two processes hold two of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: IO[bytes] | None = None

    def take(self, word: bytes) -> bool:
        """Hold it from now on; False where another does. Words must be of one length, so that each covers the last."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            if hold(file):
                file.write(word)  # over the last one, for which a full disk has room
                self._held = file
        finally:
            if self._held is not file:
                file.close()
        return self._held is file

    def taken_for(self) -> bytes | None:
        """The holder's word, None where nobody holds it. In the instant after a `take` still the holder's before."""
        try:
            file = open(self._path, "rb")  # noqa: SIM115 - closed below, and another error is the caller's
        except FileNotFoundError:
            return None
        with file:
            return None if hold(file, shared=True) else file.read(200)

    def let_go(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


@contextmanager
def locked(path: Path, *, wait_s: float, owned_as: Path) -> Iterator[None]:
    """Hold a file that only its owner may open, made where it is not there. TimeoutError where another keeps it.

    It belongs to whom `owned_as` belongs to: root may come first, and that one must not be locked out.
    """
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "r+b") as file:
        with contextlib.suppress(OSError):  # it is not there yet, or not ours to give away
            owner = os.stat(owned_as)
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        end = time.monotonic() + wait_s
        while not hold(file):
            if time.monotonic() >= end:
                raise TimeoutError
            time.sleep(0.02)
        yield


@contextmanager
def held_folder(prefix: str, *, suffix: str = "", parent: Path | None = None) -> Iterator[Path]:
    """A new folder for the owner's eyes alone, removed with what is in it when the block ends.

    It lies in `parent`, by default where temporary files do, as `<prefix><random><suffix>`, and is locked while block
    and process last; what a kill left there under such a name is removed first.
    """
    parent = parent or Path(tempfile.gettempdir())
    remove_abandoned(prefix, suffix=suffix, parent=parent)
    path, descriptor = _new_held(parent, prefix, suffix)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def remove_abandoned(prefix: str, *, suffix: str = "", parent: Path | None = None) -> None:
    """Remove this user's folders of `held_folder` that nobody holds any more. Never waits, never fails.

    Where the file system knows no locks nothing is removed: age does not tell who works slowly from who was killed.
    """
    try:
        parent = parent or Path(tempfile.gettempdir())
        there = list(parent.glob(f"{glob.escape(prefix)}{_RANDOM}{glob.escape(suffix)}"))
    except OSError:  # no folder for temporary files is to be had: whoever needs one will be told
        return
    for path in there:
        with contextlib.suppress(OSError):  # no folder but a link or a file, another user's, or gone already
            descriptor = os.open(path, _FOLDER)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)


def _new_held(parent: Path, prefix: str, suffix: str) -> tuple[Path, int]:
    """A new folder and the descriptor that holds it; children that are started do not inherit it."""
    while True:
        path = Path(tempfile.mkdtemp(dir=parent, prefix=prefix, suffix=suffix))
        try:
            descriptor = os.open(path, _FOLDER)
        except FileNotFoundError:  # somebody tidied it away in the instant before it was held
            continue
        with contextlib.suppress(OSError):  # no locks here: nobody else will take it for abandoned either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            return path, descriptor
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


def stamp(status: os.stat_result) -> tuple[int, ...]:
    """Changes with every writing, renaming and change of owner or mode: the same stamp is the same content."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def short_name_of(description: str) -> str:
    """Twelve hexadecimal digits that stand for a description: another description is another thing."""
    return hashlib.sha256(description.encode()).hexdigest()[:12]


def _is_stream(path: Path) -> bool:
    """Whether what is there must not be replaced. /dev/stdout is one even where it leads to a file somebody holds."""
    return path.parent in (Path("/dev"), Path("/dev/fd")) or (path.exists() and not path.is_file())


def _partial_prefix(path: Path) -> str:
    """Of temporary files for `path`: short enough for every name that a folder can hold."""
    return f".{path.name[:60]}."


def _beside(path: Path) -> tuple[Path, IO[bytes]]:
    """A new file in the folder of `path`, held, so that nobody takes it for what a kill left."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_partial_prefix(path), suffix=_PARTIAL)
        file = os.fdopen(handle, "wb")
        with contextlib.suppress(OSError):  # no locks here: nobody else will take it for a leftover either
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return Path(name), file
        file.close()  # somebody tidied it away in the instant before it was held


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f"{glob.escape(_partial_prefix(path))}*{_PARTIAL}"):
        with contextlib.suppress(OSError), open(leftover, "rb") as file:  # another process removed it, or may
            if hold(file):
                leftover.unlink(missing_ok=True)


def _as_before(file: IO[bytes], path: Path, *, private: bool) -> None:
    """Give a file owner, group and mode of the one whose place it takes, before it takes it.

    Root writes for a service's own user, and there is no instant in which that one may not read it.
    """
    try:
        before = os.stat(path)
    except OSError:
        before = None
    if before is not None:
        with contextlib.suppress(PermissionError):
            os.fchown(file.fileno(), before.st_uid, before.st_gid)
    if before is not None or not private:
        os.fchmod(file.fileno(), _mode_of(path))


def _mode_of(path: Path) -> int:
    """That of the file whose place is taken, else what the umask leaves."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0o666 & ~_umask()


def _umask() -> int:
    """The process's umask, as Linux tells it: otherwise it could only be learnt by setting it."""
    status = Path("/proc/self/status")
    try:
        line = next(line for line in status.read_text().splitlines() if line.startswith("Umask:"))
        return int(line.split()[1], 8)
    except (OSError, StopIteration, ValueError):
        return 0o022
