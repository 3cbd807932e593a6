"""Which exceptions are a person's business: those get one sentence; the rest are defects and keep their traceback."""

from __future__ import annotations

import httpx

from ground.disk import is_no_space, words_of
from ground.errors import Refusal


def sentence_of(error: BaseException) -> str | None:
    """The sentence to show for an expected failure, or None when the failure is a defect."""
    if isinstance(error, Refusal):
        return error.in_full
    if isinstance(error, httpx.TransportError):
        return f"The service could not be reached ({type(error).__name__}): is it running at that address?"
    if isinstance(error, OSError) and (words := words_of(error)):
        return f"{words}." if error.filename is None or is_no_space(error) else f"{words}: {error.filename}"
    return None
