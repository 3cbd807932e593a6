"""Samples and numbers that a file writes out as text, counted before they are parsed."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.text import number
from inputs.errors import UnreadableFile

_NO_SAMPLES = re.compile(r"[^0-9eE+.,\-\s]")
_WORD = re.compile(r"[^,\s]+")


def count_written(text: str, vendor: str, separator: str | None = None) -> int:
    """How many samples a text holds, between white space or `separator`, which may also follow the last one.

    vendor: whose file it is, for the sentence. Raises UnreadableFile for letters, and for a place without a sample.
    """
    if _NO_SAMPLES.search(text) is not None:  # such as `1_000`, which is a number in Python's eyes alone
        raise _no_number(vendor)
    count = sum(1 for _ in _WORD.finditer(text))
    commas = text.count(",") - text.rstrip().endswith(",")
    if commas != (0 if separator is None else max(count - 1, 0)):
        raise _no_number(vendor)
    return count


def written_samples(text: str, count: int, vendor: str) -> NDArray[np.float64]:
    """(N,) float64: the samples of a text that `count_written` has counted. Raises UnreadableFile."""
    try:
        return np.fromiter((float(word[0]) for word in _WORD.finditer(text)), np.float64, count)
    except ValueError as error:
        raise _no_number(vendor) from error


def written_number(text: str | None) -> float | None:
    """A finite number as files write them, None for anything else."""
    try:
        value = math.nan if text is None else number(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _no_number(vendor: str) -> UnreadableFile:
    return UnreadableFile("unreadable_file", f"The {vendor} file has a sample that is no number: it is damaged.")
