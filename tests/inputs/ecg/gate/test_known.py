"""Means and medians of what was recorded are numpy's, without its warnings."""

import warnings

import numpy as np
import pytest

from inputs.ecg.gate.known import mean_of_known, median_of_known


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    ("ours", "numpys"), [(mean_of_known, np.nanmean), (median_of_known, np.nanmedian)], ids=["mean", "median"]
)
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.9, 1.0])
def test_what_numpy_says_is_said_in_silence(ours, numpys, axis, missing):
    draw = np.random.default_rng(1)
    values = draw.standard_normal((6, 5, 7))
    values[draw.random(values.shape) < missing] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = ours(values, axis)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(told, numpys(values, axis=axis, keepdims=True))
