"""Opening a file that may be hostile."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

from inputs.errors import UnreadableFile
from inputs.limits import MAX_FILE_BYTES

_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
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


def open_regular_file(path: Path) -> BoundedReader:
    """Open a regular file for reading. Links, pipes, devices and folders are refused without waiting on them.

    Raises UnreadableFile; its message never holds the path.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except (OSError, ValueError) as error:
        code = error.errno if isinstance(error, OSError) else None
        if code == errno.ENOENT:
            raise UnreadableFile("file_missing", "The file does not exist.") from None
        if code == errno.ELOOP:
            raise UnreadableFile("not_a_regular_file", "The file is a symbolic link.") from None
        raise UnreadableFile("file_not_opened", "The file cannot be opened.") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise UnreadableFile("not_a_regular_file", "This is not a regular file.")
    if not 0 < status.st_size <= MAX_FILE_BYTES:
        os.close(descriptor)
        if status.st_size == 0:
            raise UnreadableFile("file_empty", "The file is empty.")
        raise UnreadableFile("file_too_large", f"The file is larger than {MAX_FILE_BYTES >> 30} GiB.")
    return BoundedReader(io.FileIO(descriptor, "rb"), status.st_size)
