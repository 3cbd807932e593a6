"""A zip of echo studies, as archives and workstations export them, unpacked into a folder within limits.

Clips are large and many, so that they go to a disk and not into memory as the parts of an ECG do; a zip within a zip
stays one, and is named as such by who reads it.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from inputs.errors import NO_ROOM_TO_READ, UnreadableFile
from inputs.limits import (
    FREELY_UNZIPPED_BYTES,
    MAX_STUDY_DEPTH,
    MAX_STUDY_FILES,
    MAX_UNZIPPED_RATIO,
    MAX_UNZIPPED_STUDY_BYTES,
)
from inputs.zipped import is_encrypted, is_inflatable, is_regular, looks_like_zip

_PIECE = 2**20
_MAX_NAME_BYTES = 200
_DRIVE = re.compile(r"[A-Za-z]:")
_UNPACK = "Unpack it and name the folder with its clips."


def is_zip(path: Path) -> bool:
    """By its first bytes. An empty one counts."""
    with path.open("rb") as file:
        return looks_like_zip(file.read(4))


def unpack_studies(archive: Path, into: Path) -> None:
    """Write the regular files of a zip below a folder that is there and empty, with their own folders.

    Sizes are counted while inflating, because the ones a zip declares are its maker's word. Raises UnreadableFile, and
    OSError where the disk has no room.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            _unpack(opened, into)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error) as error:
        raise _unusual() from error
    except OSError as error:  # two files of one name, a file that is also a folder, a place before the start
        if error.errno in NO_ROOM_TO_READ:
            raise
        raise _unusual() from None


def _unusual() -> UnreadableFile:
    return UnreadableFile("unreadable_file", "The zip is damaged, encrypted or made in an unusual way.", hint=_UNPACK)


def _unpack(opened: zipfile.ZipFile, into: Path) -> None:
    entries = [(entry, entry.filename.replace("\\", "/")) for entry in opened.infolist()]
    entries = [(entry, name) for entry, name in entries if not name.endswith("/")]
    if len(entries) > MAX_STUDY_FILES:
        raise UnreadableFile("too_many_files", f"The zip holds more than {MAX_STUDY_FILES} files.")
    left = MAX_UNZIPPED_STUDY_BYTES
    for entry, name in entries:
        path = _within(name)
        if is_encrypted(entry) or not is_inflatable(entry):
            raise NotImplementedError
        if not is_regular(entry) or "__MACOSX" in path.parts or path.name.startswith("."):
            continue  # links and what file managers add
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        allowed = min(left, FREELY_UNZIPPED_BYTES + MAX_UNZIPPED_RATIO * entry.compress_size)
        with opened.open(entry) as packed, target.open("xb") as file:
            left -= _copy(packed, file, allowed)


def _within(name: str) -> PurePosixPath:
    """A path that leads nowhere else; letters in it that file systems refuse or nobody sees become underscores."""
    path = PurePosixPath("".join(letter if letter.isprintable() and letter != ":" else "_" for letter in name))
    elsewhere = path.is_absolute() or ".." in path.parts or _DRIVE.match(name) or not path.parts
    if (
        elsewhere
        or len(path.parts) > MAX_STUDY_DEPTH
        or any(len(part.encode()) > _MAX_NAME_BYTES for part in path.parts)
    ):
        raise UnreadableFile(
            "file_not_in_upload",
            "The zip holds a file that points outside of it, lies too deep in it or has too long a name.",
            hint=_UNPACK,
        )
    return path


def _copy(packed: IO[bytes], file: IO[bytes], allowed: int) -> int:
    written = 0
    while piece := packed.read(_PIECE):
        written += len(piece)
        if written > allowed:
            raise UnreadableFile(
                "too_long",
                f"The zip unpacks to more than {MAX_UNZIPPED_STUDY_BYTES >> 30} GiB, or a file of it to more than "
                f"{MAX_UNZIPPED_RATIO} times its size.",
            )
        file.write(piece)
    return written
