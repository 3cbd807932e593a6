"""Files of arrays as MATLAB writes them, and what becomes of them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from scipy.io import savemat

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import ReadHints, UploadedFile

KNOWN = ReadHints(rate_hz=500.0, unit="mV")


def cells(values) -> np.ndarray:
    return np.array(list(values), dtype=object)


def structs(**fields) -> np.ndarray:
    """An array of structs, from the values of each field."""
    (count,) = {len(values) for values in fields.values()}
    array = np.empty(count, dtype=[(name, object) for name in fields])
    for name, values in fields.items():
        array[name] = cells(values)
    return array


def mat(**variables) -> bytes:
    stream = io.BytesIO()
    savemat(stream, variables)
    return stream.getvalue()


def read(data: bytes, hints: ReadHints = KNOWN):
    return read_ecg([UploadedFile("ecg", data)], hints)


def refusal(data: bytes, hints: ReadHints = KNOWN) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(data, hints)
    return caught.value


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]
