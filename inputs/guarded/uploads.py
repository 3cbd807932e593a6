"""Where reading children keep parts of uploads as files."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from ground.disk import held_folder, remove_abandoned
from inputs.errors import ReaderUnavailable, no_room

_UPLOADS = "echo2ecg-reading-"
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Soon over, and no matter of room on a disk."""


class Uploads:
    """A folder for each request, in one that this process holds.

    Patients' data must not outlive a kill: whoever makes a reader next removes the folders of processes that ended.
    """

    def __init__(self) -> None:
        remove_abandoned(_UPLOADS)
        self._lock = threading.Lock()
        self._held = contextlib.ExitStack()
        self._path: Path | None = None

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """For one request, gone afterwards. Raises OSError where there is no room for it."""
        with self._lock:
            try:
                path = self._new()
            except OSError as error:  # it is about our folders, whatever it is, and no file's fault
                if error.errno in _NO_DESCRIPTORS:
                    raise ReaderUnavailable("Too many files are open to read another one.") from error
                raise no_room(error) from error
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def _new(self) -> Path:
        if self._path is not None:
            try:
                return Path(tempfile.mkdtemp(dir=self._path))
            except (FileNotFoundError, NotADirectoryError):  # somebody tidied the temporary files
                self._held.close()
                self._path = None
        self._path = self._held.enter_context(held_folder(_UPLOADS))
        return Path(tempfile.mkdtemp(dir=self._path))

    def close(self) -> None:
        with self._lock:
            self._held.close()
            self._path = None
