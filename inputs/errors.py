"""What can be wrong with a file somebody gave us: refusals (`ground.errors`) with the leads they concern.

    InputError
    ├── UnreadableFile        this file is not an ECG or an echo clip that we can read        (raised by readers)
    └── UnusableRecording     it was read, but cannot be used: leads missing, flat, too short (raised by preparation)
    ReaderUnavailable         no process to read with can be had now: no file's fault, so no InputError

Sentences never hold a server path, a header's free text or anything that could identify a patient.
"""

from __future__ import annotations

import errno

from ground.disk import NO_SPACE
from ground.errors import Refusal

NO_ROOM_TO_READ = (NO_SPACE - {errno.EFBIG}) | {errno.EROFS}
"""An OSError with one of these while temporary files are written says nothing about the file that is read.

EFBIG does: it is the limit that a reading child has, met by what a parser made of the file."""


def no_room(error: OSError) -> OSError:
    """The same in a number of NO_ROOM_TO_READ, for any error about a folder or file of our own: gone, forbidden, full.

    What such an error says is never about the file that is read, whatever its number.
    """
    return error if error.errno in NO_ROOM_TO_READ else OSError(errno.ENOSPC, "no temporary files can be written")


class InputError(Refusal):
    """`leads` are those that the sentence is about."""

    def __init__(self, code: str, sentence: str, *, hint: str = "", leads: tuple[str, ...] = ()) -> None:
        super().__init__(code, sentence, hint=hint)
        self.leads = leads


class UnreadableFile(InputError):
    """The bytes are not in a format we read, or they are damaged."""


class UnusableRecording(InputError):
    """The file was read, but this recording cannot be prepared as the specification asks."""


class ReaderUnavailable(Refusal):
    """Nothing can be read now: no process can be started, or the service has no memory or descriptors left."""

    retry_after_s = 5

    def __init__(self, sentence: str = "No process to read files with could be started.") -> None:
        super().__init__(
            "reader_unavailable",
            sentence,
            hint="Try again in a moment; this says nothing about the file.",
        )
