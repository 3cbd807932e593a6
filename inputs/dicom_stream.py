"""What pydicom reads a file of unknown origin through, so that it is not made to read without end.

pydicom makes an object of every element, splits a character set at each of its backslashes, and inflates a deflated
file without a limit: 80 kB in a zip were ten seconds or a gigabyte.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, cast

from inputs.errors import UnreadableFile
from inputs.limits import MAX_DICOM_READS

_CHARACTER_SET = (b"\x08\x00\x05\x00", b"\x00\x08\x00\x05")
_MAX_CHARACTER_SET_BYTES = 256


class Deflated(Exception):
    """What follows in the file is deflated, from where the stream stands."""


class ReadBudget:
    """How often pydicom may still read of one file: two or three times for each element. Streams may share it."""

    def __init__(self, reads: int = MAX_DICOM_READS) -> None:
        self._left = reads

    def spend(self) -> None:
        """Raises UnreadableFile when nothing is left."""
        self._left -= 1
        if self._left < 0:
            raise UnreadableFile("unreadable_file", "The DICOM file holds impossibly many elements.")


def watched(stream: BinaryIO, budget: ReadBudget) -> BinaryIO:
    """What pydicom may read `stream` through; `stream` itself stays where pydicom left it.

    Reading raises UnreadableFile when the budget is spent and for an impossible character set, which pydicom may turn
    into an error of its own; and Deflated where pydicom would inflate.
    """
    return cast(BinaryIO, _Watched(stream, budget))


class _Watched:
    """As much of a stream as pydicom uses."""

    def __init__(self, stream: BinaryIO, budget: ReadBudget) -> None:
        self._stream = stream
        self._budget = budget

    def read(self, size: int = -1) -> bytes:
        if size < 0:  # pydicom asks for all that is left only to inflate it
            raise Deflated
        self._budget.spend()
        data = self._stream.read(size)
        if size == 8 and data[:4] in _CHARACTER_SET:
            _check_character_set(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _check_character_set(header: bytes) -> None:
    """`header`: the eight bytes before the value of a Specific Character Set, explicit (a CS) or implicit."""
    order = "<" if header[:4] == _CHARACTER_SET[0] else ">"
    (length,) = (
        struct.unpack_from(f"{order}H", header, 6) if header[4:6] == b"CS" else struct.unpack(f"{order}4xI", header)
    )
    if length > _MAX_CHARACTER_SET_BYTES:
        raise UnreadableFile("unreadable_file", "The DICOM file has an impossible character set.")
