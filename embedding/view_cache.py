"""View vectors, thumbnails and cines kept between runs, by the hash of the file and of what made them.

Training, evaluation, `embed` and the index rebuild share its form. Every batch is committed when it is stored, so a
killed run loses at most the batch in flight. Nothing is ever deleted: another cohort or an older bundle finds its
vectors again. The file may be removed between runs; the next one then embeds everything once more.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ground.disk import is_sqlite_no_space, sha256
from ground.errors import Refusal
from ground.schema import NEWER

_SCHEMA = """
CREATE TABLE IF NOT EXISTS views (
    file_sha256 TEXT, embedder TEXT, vector BLOB, thumbnail BLOB, checksum BLOB, PRIMARY KEY (file_sha256, embedder)
) WITHOUT ROWID
"""
_CINES = """
CREATE TABLE IF NOT EXISTS cines (
    file_sha256 TEXT, made_by TEXT, webp BLOB, checksum BLOB, PRIMARY KEY (file_sha256, made_by)
)
"""
"""A table of its own: what an older version kept has no cine yet, and it goes on with a file that has this table."""
_LAYOUT = 1
_IN_EVERY_BYTE = 0x01010101
"""The layout stands four times over in the file's `user_version`: a flipped bit is not taken for a newer version."""
_UNUSABLE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""The last is what SQLite says of tables other than those that were written."""
_NOT_TO_BE_HAD = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PERM}
_BUSY_S = 60.0
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class EmbeddedView:
    """What is kept of one clip. vector_V: float32. The thumbnail is empty where only the prepared clip was at hand."""

    vector_V: NDArray[np.float32]
    thumbnail_jpeg: bytes = b""


class ViewCache:
    """One file, from any thread; without a `path` it lives in memory.

    `embedder` names everything besides the file that a vector depends on (`embedding.clips.embedder_of`). A cache that
    is damaged is begun again (`begun_again`), an entry that does not have its checksum counts as absent. Refusal for
    one that a newer version of this software wrote.
    """

    def __init__(self, path: Path | None, embedder: str) -> None:
        self._path = path
        self._embedder = embedder
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self.begun_again = False

    def get(self, file_sha256: str) -> EmbeddedView | None:
        query = "SELECT vector, thumbnail, checksum FROM views WHERE file_sha256 = ? AND embedder = ?"
        row = self._do(lambda connection: connection.execute(query, (file_sha256, self._embedder)).fetchone())
        if row is None or _checksum(file_sha256, row[0], row[1]) != row[2]:
            return None
        return EmbeddedView(np.frombuffer(row[0], dtype="<f4").astype(np.float32), row[1])

    def __contains__(self, file_sha256: str) -> bool:
        return self.get(file_sha256) is not None

    def put(self, views: Mapping[str, EmbeddedView]) -> None:
        """Store views by the sha256 of their files; durable against the end of this process when it returns."""
        rows = []
        for file_sha256, view in views.items():
            vector = view.vector_V.astype("<f4").tobytes()
            checksum = _checksum(file_sha256, vector, view.thumbnail_jpeg)
            rows.append((file_sha256, self._embedder, vector, view.thumbnail_jpeg, checksum))

        def insert(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("INSERT OR REPLACE INTO views VALUES (?, ?, ?, ?, ?)", rows)

        self._do(insert)

    def cine(self, file_sha256: str, made_by: str) -> bytes | None:
        """The moving picture of a clip, empty where it has none, None where nobody has made it yet."""
        query = "SELECT webp, checksum FROM cines WHERE file_sha256 = ? AND made_by = ?"
        row = self._do(lambda connection: connection.execute(query, (file_sha256, made_by)).fetchone())
        if row is None or _checksum(file_sha256, made_by.encode(), row[0]) != row[1]:
            return None
        webp: bytes = row[0]
        return webp

    def put_cine(self, file_sha256: str, made_by: str, webp: bytes) -> None:
        """Store one by the sha256 of its file and by what it depends on besides; durable as `put`."""
        row = (file_sha256, made_by, webp, _checksum(file_sha256, made_by.encode(), webp))

        def insert(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("INSERT OR REPLACE INTO cines VALUES (?, ?, ?, ?)", row)

        self._do(insert)

    def close(self) -> None:
        """For good, when nobody is at it any more: SQLite does not survive a connection closed under a query."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _do(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        with self._lock:
            if self._closed:
                raise ValueError("this cache is closed")
            try:
                return self._done(work)
            except sqlite3.DatabaseError as error:
                raise _plain(error) from error

    def _done(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        try:
            return work(self._connected())
        except sqlite3.DatabaseError as error:
            if _code(error) not in _UNUSABLE:
                raise
        self.begun_again = True
        self._disconnect()
        self._remove()
        return work(self._connected())

    def _remove(self) -> None:
        if self._path is None:
            return
        for suffix in ("", "-journal", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).unlink()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._path is not None:  # for its owner alone: whoever may read it may hold it
                with contextlib.suppress(OSError):  # SQLite will say what is wrong
                    os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            # Two runs may share a work folder: each waits for the other's batch.
            connection = sqlite3.connect(self._path or ":memory:", check_same_thread=False, timeout=_BUSY_S)
            try:
                layout_is_said = _says_our_layout(connection)
                _without_mapped_memory(connection)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(_SCHEMA)
                connection.execute(_CINES)
                if not layout_is_said:
                    connection.execute(f"PRAGMA user_version = {_LAYOUT * _IN_EVERY_BYTE}")
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


def _says_our_layout(connection: sqlite3.Connection) -> bool:
    """Files from before there was a layout say 0, and a damaged one anything. Refusal for a newer version's."""
    (written,) = connection.execute("PRAGMA user_version").fetchone()
    layout, rest = divmod(written, _IN_EVERY_BYTE)
    if layout > _LAYOUT and not rest:
        raise Refusal("views_newer", f"The file of view vectors in this folder {NEWER}.", hint="Move it away.")
    return bool(layout == _LAYOUT and not rest)


def _without_mapped_memory(connection: sqlite3.Connection) -> None:
    """No write-ahead log, which earlier versions had: its index is mapped memory.

    Where a full disk has no block for a page of it the process ends by SIGBUS, and no network file system has it.
    """
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if _code(error) != sqlite3.SQLITE_BUSY:  # somebody else has the file open with its log; then so do we
            raise


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _plain(error: sqlite3.DatabaseError) -> Exception:
    """The error as everybody else means it: no space as an OSError, a folder that cannot be used as a Refusal."""
    if is_sqlite_no_space(error):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if _code(error) in _NOT_TO_BE_HAD:
        return Refusal(
            "views_not_kept", "View vectors cannot be kept in this folder: it cannot be written, or is busy."
        )
    return error


def _checksum(file_sha256: str, *kept: bytes) -> bytes:
    parts = (file_sha256.encode(), *kept)
    return sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts)).digest()
