"""What can be wrong with a file somebody gave us.

    InputError
    ├── UnreadableFile        this file is not an ECG, an echo clip or a table we can read   (raised by readers)
    ├── UnusableRecording     it was read, but cannot be used: leads missing, flat, too short (raised by preparation)
    └── CohortError           a cohort folder contradicts itself                              (raised by cohort loading)

Each carries a stable `code`, one sentence for a person and, where it helps, what to do. Messages never hold a
server path, a header's free text or anything that could identify a patient.
"""

from __future__ import annotations

import errno

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""An OSError with one of these while temporary files are written says nothing about the file that is read."""


class InputError(Exception):
    """`code` is stable and machine-readable; `str(error)` is one sentence; `hint` says what would help."""

    def __init__(self, code: str, message: str, *, hint: str = "", leads: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.leads = leads

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes raise errors across a pickle; keyword arguments need help to survive it.
        return (_rebuild, (type(self), self.code, self.message, self.hint, self.leads))


def _rebuild(kind: type[InputError], code: str, message: str, hint: str, leads: tuple[str, ...]) -> InputError:
    return kind(code, message, hint=hint, leads=leads)


class UnreadableFile(InputError):
    """The bytes are not in a format we read, or they are damaged."""


class UnusableRecording(InputError):
    """The file was read, but this recording cannot be prepared as the specification asks."""
