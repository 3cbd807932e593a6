"""Arrays of vectors as people keep them: .npy, which is mapped, and .npz, of which each array is unpacked to a file.

An .npz has `vectors` (M, W) and may have `ids` or `views` (M): what each vector's view is called. Nothing is unpickled.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib import format as npy
from numpy.typing import NDArray

from cohorts.found import CohortError
from ground.disk import is_no_space
from inputs.limits import MAX_COHORT_TABLE_BYTES, MAX_COHORT_VIEW_BYTES

_NAMES = ("ids", "views")
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True)
class VectorArray:
    """(M, W) mapped from a file, and the name of each row's view where the file says them."""

    file_name: str
    array_MW: NDArray[np.floating]
    names: pd.Index | None = None


def open_vectors(file: Path, folder: Path) -> VectorArray:
    """Of an .npy or an .npz, which is unpacked into `folder` under no name. Raises CohortError for anything else."""
    with _refused(file):
        if file.suffix.lower() != ".npz":
            return VectorArray(file.name, _checked(np.load(file, mmap_mode="r", allow_pickle=False), file))
        with zipfile.ZipFile(file) as zipped:
            members = {info.filename.removesuffix(".npy"): info for info in zipped.infolist()}
            if "vectors" not in members:
                hint = "`vectors` holds them, `ids` the view_id of each, if no column says its row."
                raise CohortError("array_missing", f"{file.name} has no array vectors.", hint=hint)
            array_MW = _checked(_unpacked(zipped, members["vectors"], MAX_COHORT_VIEW_BYTES, folder), file)
            named = next((members[name] for name in _NAMES if name in members), None)
            if named is None:
                return VectorArray(file.name, array_MW)
            names_M = _unpacked(zipped, named, MAX_COHORT_TABLE_BYTES, folder)
    if names_M.dtype.kind not in "Uiu" or names_M.shape != array_MW.shape[:1]:
        raise CohortError("array_shape", f"{file.name} has not one name, of text or whole numbers, for each vector.")
    names = pd.Index(names_M.astype(str).astype(object))
    if names.has_duplicates:
        raise CohortError("id_twice", f"{file.name} has more than one vector of the same name.")
    return VectorArray(file.name, array_MW, names)


def _checked(array: Any, file: Path) -> NDArray[np.floating]:
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f" or 0 in array.shape:
        raise CohortError("array_shape", f"{file.name} holds no array of floating-point numbers, (vectors, numbers).")
    return array


def _unpacked(zipped: zipfile.ZipFile, info: zipfile.ZipInfo, most_bytes: int, folder: Path) -> NDArray[Any]:
    """Mapped. ValueError, before anything is written, where header and length differ or there is more than the most."""
    with zipped.open(info) as content, tempfile.TemporaryFile(dir=folder) as file:
        shape, is_fortran, dtype = _READERS[npy.read_magic(content)](content)
        n_bytes = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or n_bytes != info.file_size - content.tell() or n_bytes > most_bytes:
            raise ValueError("not of the length that is declared")
        shutil.copyfileobj(content, file)  # written, not mapped: a full disk is an error then, and no signal
        file.flush()
        return np.memmap(file, dtype, "c", shape=shape, order="F" if is_fortran else "C")


@contextmanager
def _refused(file: Path) -> Iterator[None]:
    try:
        yield
    except CohortError:
        raise
    except (
        Exception
    ) as error:  # a damaged header fails in many ways: ValueError, TypeError, BadZipFile, TokenError, ...
        if isinstance(error, OSError) and is_no_space(error):
            raise
        sentence = f"{file.name} is cut short, or is no NumPy array of numbers."
        raise CohortError("array_unreadable", sentence) from error
