"""Which exceptions are a person's business: those get one sentence; the rest are defects and keep their traceback."""

from __future__ import annotations

import errno

import httpx

from cli.query import QueryRefused
from index.base import IndexError_
from inputs.errors import InputError
from models.bundle import BundleError


def sentence_of(error: BaseException) -> str | None:
    """The sentence to show for an expected failure, or None when the failure is a defect."""
    if isinstance(error, InputError):
        return f"{error.message} {error.hint}".strip()
    if isinstance(error, BundleError | IndexError_ | QueryRefused | ValueError):
        return str(error)
    if isinstance(error, httpx.TransportError):
        return f"The service could not be reached ({type(error).__name__}): is it running at that address?"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "There is no space left on the device."
    if isinstance(error, PermissionError | FileNotFoundError | FileExistsError | NotADirectoryError):
        return f"{error.strerror}: {error.filename}"
    return None
