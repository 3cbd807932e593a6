"""One ECG cut out of an array of many (NPY, HDF5), as the bytes of a small NumPy file, the rest of the array unread.

Letters in array names: E ECGs, A and B the two axes of one ECG, leads and samples in either order.
"""

from __future__ import annotations

import io
import math
import re
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ground.extras import ExtraMissing, require
from inputs.ecg.formats.base import check_size
from inputs.ecg.formats.hdf5 import looks_like_hdf5
from inputs.ecg.formats.hdf5_values import Loading, damaged
from inputs.ecg.formats.npy import looks_like_npy, read_npy_header
from inputs.errors import InputError, UnreadableFile
from inputs.limits import MAX_ARRAY_FILE_BYTES
from inputs.opened import BoundedReader, File, open_regular_file

_START_BYTES = 1024


def cut_row(file: File, row: int, dataset: str = "") -> bytes:
    """The ECG `row`, from 0, of an array of shape (E, A, B) or (E, 1, A, B), as an NPY file of (A, B).

    `dataset` names the array in an HDF5 file. Only the bytes of that row are read, of a file of any size. Raises
    UnreadableFile.
    """
    with open_regular_file(file, MAX_ARRAY_FILE_BYTES) as opened:
        start = opened.read(_START_BYTES)
        opened.seek(0)
        if looks_like_npy(start):
            array_AB = _row_of_npy(opened, row)
        elif looks_like_hdf5(start):
            array_AB = _row_of_hdf5(opened, row, dataset)
        else:
            raise UnreadableFile(
                "unsupported_format",
                "A row is read of NumPy (.npy) and HDF5 arrays only, and this file is neither.",
                hint="Leave the column row empty for files of one ECG.",
            )
    cut = io.BytesIO()
    np.lib.format.write_array(cut, np.ascontiguousarray(array_AB), version=(1, 0), allow_pickle=False)
    return cut.getvalue()


def _row_of_npy(file: BoundedReader, row: int) -> NDArray[Any]:
    shape, by_columns, dtype = read_npy_header(file)
    _check_numbers(dtype)
    one = _shape_of_one("The NumPy file", shape, row)
    if by_columns:
        raise UnreadableFile(
            "unsupported_format",
            "The NumPy file keeps its ECGs interleaved (Fortran order), so that no row can be read alone.",
            hint="Save it with numpy.ascontiguousarray.",
        )
    begins, each = file.tell(), math.prod(one) * dtype.itemsize
    if file.size != begins + shape[0] * each:
        raise UnreadableFile("truncated", "The NumPy file has not the length that its header states.")
    file.seek(begins + row * each)
    data = file.read(each)
    if len(data) != each:  # it became shorter since it was opened
        raise UnreadableFile("truncated", "The NumPy file ends within this row.")
    return np.frombuffer(data, dtype).reshape(one)


def _row_of_hdf5(file: BoundedReader, row: int, dataset: str) -> NDArray[Any]:
    try:
        h5py = require("h5py", "Reading an HDF5 file")
    except ExtraMissing as error:
        raise UnreadableFile("format_not_installed", error.sentence, hint=error.hint) from error
    if not dataset:
        raise UnreadableFile(
            "dataset_missing",
            "A row of an HDF5 file needs the name of the dataset that it is of.",
            hint="Name it in the column dataset, such as tracings.",
        )
    try:
        with h5py.File(file, "r") as opened:
            found = own_dataset(h5py, opened, dataset)
            loading = Loading(h5py, found, file.size, reverse=False)
            _check_numbers(found.dtype)
            one = _shape_of_one("The dataset", found.shape or (), row)
            return loading.load(row).reshape(one)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # h5py has a dozen for damaged files, OSError and RuntimeError among them
        raise damaged() from error


def own_dataset(h5py: ModuleType, file: Any, name: str) -> Any:
    """The dataset of that name, by hard links only: others may lead out of the file. Raises UnreadableFile."""
    found = file
    for part in re.split("/+", name.strip("/")):
        if not isinstance(found, h5py.Group) or not isinstance(found.get(part, getlink=True), h5py.HardLink):
            break
        found = found[part]
    else:
        if isinstance(found, h5py.Dataset):
            return found
    raise UnreadableFile(
        "dataset_missing", "The HDF5 file has no dataset of its own of the name in the column dataset."
    )


def _check_numbers(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "fiu" or dtype.hasobject:
        raise UnreadableFile("unsupported_format", "The array holds something else than numbers.")


def _shape_of_one(what: str, shape: tuple[int, ...], row: int) -> tuple[int, int]:
    """The two axes of one ECG. Raises UnreadableFile where the array is not one of many, or has no such row."""
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[1] != 1):
        raise UnreadableFile(
            "unsupported_format",
            f"{what} has the shape ({', '.join(map(str, shape[:8]))}); a row is read of (ECGs, samples, leads), "
            "(ECGs, leads, samples) or (ECGs, 1, samples, leads).",
        )
    check_size(min(shape[-2:]), max(shape[-2:]))
    if 0 in shape[1:]:
        raise UnreadableFile("signal_empty", "The file holds no sample.")
    if not 0 <= row < shape[0]:
        raise UnreadableFile("row_not_there", f"{what} holds {shape[0]} ECGs, and none in row {row}, counted from 0.")
    return shape[-2], shape[-1]
