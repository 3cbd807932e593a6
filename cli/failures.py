"""Which exceptions are a person's business: those get one sentence; the rest are defects and keep their traceback."""

from __future__ import annotations

import httpx

from ground.disk import is_no_space
from ground.errors import Refusal


def sentence_of(error: BaseException) -> str | None:
    """The sentence to show for an expected failure, or None when the failure is a defect."""
    if isinstance(error, Refusal):
        return error.in_full
    if isinstance(error, httpx.TransportError):
        return f"The service could not be reached ({type(error).__name__}): is it running at that address?"
    if isinstance(error, OSError) and is_no_space(error):
        return "There is no space left on the device."
    if isinstance(error, PermissionError | FileNotFoundError | FileExistsError | NotADirectoryError):
        return f"{error.strerror}: {error.filename}"
    return None
