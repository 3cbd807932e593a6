"""NumPy arrays: one ECG as (leads, samples) or (samples, leads), or many of them one behind the other.

The file knows neither rate, unit nor lead names. Letters in array names: L leads, N samples.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.array_rates import doubts_of_rows
from inputs.ecg.formats.arrays import (
    EIGHT_LEADS,
    MOST_OF_AN_AXIS,
    agreed,
    as_samples,
    check_axes,
    check_given,
    leads_first,
    usual_leads,
)
from inputs.ecg.formats.base import Channel, EcgFormat, build_recording, check_size, of_one_file
from inputs.ecg.formats.exams import place_of_exam
from inputs.ecg.leads import leads_from_names, names_given
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, EcgRecording, ReadHints

_MAGIC = b"\x93NUMPY"


def looks_like_npy(data: bytes) -> bool:
    return data.startswith(_MAGIC)


def read_npy(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read an array of floats or integers of two axes, or of three where the first one counts ECGs.

    `hints.rate_hz` and `hints.unit` are needed, `hints.leads` for any other order than I, II, III, aVR, aVL, aVF,
    V1..V6 or, with eight leads, I, II, V1..V6, and `hints.exam` for the place, from 0, where there are several ECGs.
    Raises UnreadableFile.
    """
    leads = names_given(hints.leads)
    array = _the_exam(_read_array(data), hints)
    check_given("A NumPy file", rate_is_known=hints.rate_hz is not None, unit_is_known=hints.unit is not None)
    warnings = []
    counts = [len(STANDARD_LEADS), len(EIGHT_LEADS)] if leads is None else [len(leads)]
    signal_LN = leads_first(array, counts)
    names: Sequence[str | None]
    if leads is not None:
        names = leads_from_names(leads)
    else:
        names, warning = usual_leads(len(signal_LN))
        warnings.append(warning)
    rows = zip(names, as_samples(signal_LN), strict=True)
    channels = [Channel(name, str(hints.unit), samples_N) for name, samples_N in rows]
    rate_hz = agreed(None, hints)
    warnings += doubts_of_rows(signal_LN, names, rate_hz)
    return build_recording(channels, rate_hz, "npy", warnings)


def _the_exam(array: NDArray[Any], hints: ReadHints) -> NDArray[Any]:
    """The ECG that is meant, of an array of three axes."""
    check_axes("The NumPy file", array.shape)
    if array.ndim == 2:
        array = array[np.newaxis]
    exam: NDArray[Any] = array[place_of_exam("The NumPy file", len(array), None, hints.exam)]
    return exam


def _read_array(data: bytes) -> NDArray[Any]:
    """The array, from a header checked against the bytes that follow: numpy would allocate what it claims."""
    stream = io.BytesIO(data)
    shape, fortran, dtype = read_npy_header(stream)
    if dtype.kind not in "fiu" or dtype.hasobject or len(shape) not in (2, 3):
        raise UnreadableFile(
            "unsupported_format",
            "The NumPy file is not an array of numbers with two axes, or three for many ECGs.",
            hint="Save (leads, samples), (samples, leads) or many of one kind, as floats or integers.",
        )
    check_size(min(shape[-2:]), max(shape[-2:]))
    if len(data) - stream.tell() != math.prod(shape) * dtype.itemsize:
        raise UnreadableFile("truncated", "The NumPy file has not the length that its header states.")
    if 0 in shape:
        raise UnreadableFile("signal_empty", "The file holds no sample.")
    array = np.frombuffer(data, dtype, math.prod(shape), stream.tell())
    return array.reshape(shape, order="F" if fortran else "C")


def read_npy_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and type; the stream stands at the first value then. Raises UnreadableFile."""
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
    except Exception as error:  # numpy parses a header as Python, which has a dozen errors: MemoryError among them
        raise _damaged() from error
    if not all(0 <= size < MOST_OF_AN_AXIS for size in shape):
        raise _damaged()
    return shape, fortran, dtype


def _damaged() -> UnreadableFile:
    return UnreadableFile("unreadable_file", "The NumPy file has a damaged header.")


NPY = EcgFormat("npy", looks_like_npy, of_one_file(read_npy), states_itself=False, chooses=frozenset({"exam"}))
