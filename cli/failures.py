"""Which exceptions are a person's business: those get one sentence; the rest are defects and keep their traceback."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path

import httpx

from cli.demo import DemoFailed
from cli.query import QueryRefused
from index.base import IndexProblem
from inputs.errors import InputError
from models.bundle import BundleError

OUR_CODE = Path(__file__).resolve().parent.parent
OUR_FOLDERS = (
    "app", "cli", "cohorts", "embedding", "ground", "index", "inputs", "models", "simulator", "training",
)  # fmt: skip


def sentence_of(error: BaseException) -> str | None:
    """The sentence to show for an expected failure, or None when the failure is a defect."""
    if isinstance(error, InputError):
        return f"{error.message} {error.hint}".strip()
    if isinstance(error, BundleError | IndexProblem | QueryRefused | DemoFailed):
        return str(error)
    if isinstance(error, httpx.TransportError):
        return f"The service could not be reached ({type(error).__name__}): is it running at that address?"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "There is no space left on the device."
    if isinstance(error, PermissionError | FileNotFoundError | FileExistsError | NotADirectoryError):
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, ValueError) and _raised_by_us(error):
        return str(error)
    return None


def _raised_by_us(error: BaseException) -> bool:
    """Our own ValueErrors are sentences about an argument; a library's is a defect of ours."""
    innermost = traceback.extract_tb(error.__traceback__)[-1].filename
    return any(Path(innermost).is_relative_to(OUR_CODE / folder) for folder in OUR_FOLDERS)
