"""A zip of one record, unpacked in memory within limits. Nothing is written, so nothing can be written elsewhere."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import PurePosixPath

from inputs.ecg.formats.not_read import of_zip, refused_as
from inputs.errors import UnreadableFile
from inputs.limits import (
    FREELY_UNZIPPED_BYTES,
    MAX_UNZIPPED_BYTES,
    MAX_UNZIPPED_RATIO,
    MAX_ZIP_ENTRIES,
    MAX_ZIP_LISTED,
)
from inputs.records import UploadedFile
from inputs.zipped import is_encrypted, is_inflatable, is_regular, looks_like_zip

_LISTED = b"PK\x01\x02"
"""What each entry of a zip's directory begins with."""


_OF_A_DAMAGED_ZIP = (
    zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, IndexError, struct.error, zlib.error,
)  # fmt: skip
"""What `zipfile` raises on one, of unusual methods; text that is not in its encoding is a ValueError."""


def unpack(data: bytes) -> list[UploadedFile]:
    """The files of a zip, named with their folders, by slashes whatever the zip writes. Raises UnreadableFile.

    Sizes are counted while inflating, because the ones a zip declares are the sender's word.
    """
    listed = data.count(_LISTED)
    if listed > MAX_ZIP_LISTED:  # before all of them are taken apart
        raise _too_many(listed)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _unpack(archive)
    except _OF_A_DAMAGED_ZIP as error:
        raise UnreadableFile(
            "unreadable_file",
            "The zip is damaged or compressed in an unusual way.",
            hint="Pack the files again as an ordinary zip.",
        ) from error


def _unpack(archive: zipfile.ZipFile) -> list[UploadedFile]:
    # Some programs of Windows write its backslashes. Nothing is written here, so that they are mere letters of a name.
    named = [(entry, entry.filename.replace("\\", "/")) for entry in archive.infolist()]
    entries = [(entry, name) for entry, name in named if not name.endswith("/")]
    if (program := of_zip([name for _, name in entries])) is not None:
        raise refused_as(program)
    if len(entries) > MAX_ZIP_ENTRIES:
        raise _too_many(len(entries))
    files = []
    left = MAX_UNZIPPED_BYTES
    for entry, name in entries:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
            raise UnreadableFile("file_not_in_upload", "The zip holds a file that points outside of it.")
        if is_encrypted(entry):
            raise UnreadableFile(
                "unreadable_file",
                "The zip is encrypted.",
                hint="Unpack it with its password, and send the files themselves or a zip without one.",
            )
        if not is_inflatable(entry):
            raise NotImplementedError
        if not is_regular(entry):
            raise UnreadableFile("unreadable_file", "The zip holds something that is not a regular file.")
        if "__MACOSX" in path.parts or path.name == ".DS_Store" or path.name.startswith("._"):
            continue  # what file managers add; anything else is a part like others
        allowed = min(left, FREELY_UNZIPPED_BYTES + MAX_UNZIPPED_RATIO * entry.compress_size)
        with archive.open(entry) as stream:
            content = stream.read(allowed + 1)
        left -= len(content)
        if left < 0:
            raise UnreadableFile(
                "too_long", f"The zip unpacks to more than {MAX_UNZIPPED_BYTES // 2**20} MiB.", hint="Send one ECG."
            )
        if len(content) > allowed:
            raise UnreadableFile(
                "too_long",
                f"A file of the zip unpacks to more than {MAX_UNZIPPED_RATIO} times its size.",
                hint="Send one ECG.",
            )
        if looks_like_zip(content):
            raise UnreadableFile("unreadable_file", "The zip holds another zip.")
        files.append(UploadedFile(str(path), content))
    if not files:
        raise UnreadableFile("file_empty", "The zip holds no file.")
    return files


def _too_many(files: int) -> UnreadableFile:
    return UnreadableFile("too_many_files", f"The zip holds {files} files; at most {MAX_ZIP_ENTRIES} are read.")
