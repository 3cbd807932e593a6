"""NumPy arrays: one ECG as (leads, samples) or (samples, leads). The file knows neither rate, unit nor lead names."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import (
    Channel,
    EcgFormat,
    build_recording,
    check_size,
    checked_rate,
    of_one_file,
)
from inputs.ecg.leads import lead_from_name
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, EcgRecording, InputWarning, ReadHints

_MAGIC = b"\x93NUMPY"
_MOST = 10**12
"""Of an axis: no file has as many, and a number of any length would be a sentence of any length."""
_EIGHT_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def looks_like_npy(data: bytes) -> bool:
    return data.startswith(_MAGIC)


def read_npy(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read a two-dimensional float or integer array. Raises UnreadableFile.

    `hints.rate_hz` is needed, `hints.unit` too for integers (floats without one count as millivolt, with a warning),
    `hints.leads` for any other order than I, II, III, aVR, aVL, aVF, V1..V6 or, with eight leads, I, II, V1..V6.
    """
    rate_hz, unit, leads = hints.rate_hz, hints.unit, hints.leads
    array = _read_array(data)
    integers = array.dtype.kind in "iu"
    if rate_hz is None or (integers and unit is None):
        needed = [name for name, lacks in (("rate_hz", rate_hz is None), ("unit", unit is None)) if lacks]
        raise UnreadableFile(
            "rate_missing" if rate_hz is None else "unit_missing",
            "A NumPy file does not say its sampling rate or unit.",
            hint=f"Add {' and '.join(needed)} to the request, for example rate_hz=500 and unit=mV.",
        )
    warnings = []
    if unit is None:
        warnings.append(InputWarning("unit_assumed", "The values were taken as millivolt."))
    if leads is not None:
        names: Sequence[str | None] = [lead_from_name(lead) for lead in leads]
        counts = [len(leads)]
    else:
        counts = [len(STANDARD_LEADS), len(_EIGHT_LEADS)]
    signal_LN = _leads_first(array, counts)
    if leads is None:
        names = STANDARD_LEADS if len(signal_LN) == len(STANDARD_LEADS) else _EIGHT_LEADS
        warnings.append(InputWarning("lead_order_assumed", f"The leads were taken in the order {', '.join(names)}."))
    if array.dtype.kind == "i" and array.dtype.itemsize > 1:  # as 16-bit exports mark a lead that was not connected
        signal_LN = np.where(signal_LN == np.iinfo(array.dtype).min, np.nan, signal_LN)
    channels = [Channel(name, unit or "mV", row) for name, row in zip(names, signal_LN, strict=True)]
    return build_recording(channels, checked_rate(rate_hz), "npy", warnings)


def _read_array(data: bytes) -> NDArray[Any]:
    """The array, from a header checked against the bytes that follow: numpy would allocate what it claims."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
    except Exception as error:  # numpy parses a header as Python, which has a dozen errors: MemoryError among them
        raise _damaged() from error
    if not all(0 <= size < _MOST for size in shape):
        raise _damaged()
    if dtype.kind not in "fiu" or dtype.hasobject or len(shape) != 2:
        raise UnreadableFile(
            "unsupported_format",
            "The NumPy file is not a two-dimensional array of numbers.",
            hint="One ECG per file: (leads, samples) or (samples, leads), float or integer.",
        )
    check_size(min(shape), max(shape))
    if len(data) - stream.tell() != math.prod(shape) * dtype.itemsize:
        raise UnreadableFile("truncated", "The NumPy file has not the length that its header states.")
    if 0 in shape:
        raise UnreadableFile("signal_empty", "The file holds no sample.")
    array = np.frombuffer(data, dtype, math.prod(shape), stream.tell())
    return array.reshape(shape, order="F" if fortran else "C")


def _damaged() -> UnreadableFile:
    return UnreadableFile("unreadable_file", "The NumPy file has a damaged header.")


def _leads_first(array: NDArray[Any], counts: Sequence[int]) -> NDArray[Any]:
    rows, columns = array.shape
    if rows in counts and rows <= columns:
        return array
    if columns in counts and columns < rows:
        return array.T
    raise UnreadableFile(
        "leads_missing",
        f"The array has the shape ({rows}, {columns}); no axis has {' or '.join(map(str, counts))} leads.",
        hint="Give the parameter leads with the name of each lead in order.",
        leads=STANDARD_LEADS,
    )


NPY = EcgFormat("npy", looks_like_npy, of_one_file(read_npy), states_itself=False)
