"""Means and medians of what was recorded, NaN where nothing was.

numpy's own warn where nothing was, and to hush a warning is not safe in a service that reads in several threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def median_of_known(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """The median of all that is not NaN along an axis, which is kept with length 1."""
    ordered = np.sort(values, axis=axis)  # NaN goes last
    known = np.count_nonzero(~np.isnan(values), axis=axis, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum(known - 1, 0) // 2, axis=axis)
    high = np.take_along_axis(ordered, known // 2 * (known > 0), axis=axis)
    return np.asarray(0.5 * (low + high))


def mean_of_known(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """The mean of all that is not NaN along an axis, which is kept with length 1."""
    known = np.count_nonzero(~np.isnan(values), axis=axis, keepdims=True)
    total = np.nansum(values, axis=axis, keepdims=True)
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)
