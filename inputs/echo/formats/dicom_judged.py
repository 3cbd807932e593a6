"""What three samples of a pixel are, judged by their values. Letters: H rows, W columns, S samples (of three).

Of all values that three samples can have only those inside a double cone are YCbCr of any colour: dark pixels of an
RGB picture lie outside. And nearly every pixel of an echo is grey: as RGB all three samples are then alike, as YCbCr
the two colours are 128. Zeros tell nothing, since they are what text is blackened with, whatever the samples are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

KR, KG, KB = 0.299, 0.587, 0.114
"""ITU-R BT.601, which DICOM's YBR is (PS3.3 C.7.6.3.1.2)."""
_TO_RED, _TO_BLUE = 2 - 2 * KR, 2 - 2 * KB

_ZERO = 8
"""All three samples below this are zeros, which lossy compression may have lifted. No YCbCr is such a colour."""
_FEWEST = 0.01
"""The share of pixels that have to be something else before they say anything."""
_OUTSIDE = 16
"""Grey levels by which rounding and lossy compression may push a colour out of RGB."""
_INSIDE, _NEARLY_ALL_INSIDE = 0.9, 0.95
_ALIKE, _NEAR_128 = 16, 12
_MORE_GREY = 0.25
"""By what share of pixels one reading has to make more of them grey than the other does."""
_DARK, _DARK_SHARE = 64, 0.1
_BLACK_SHARE, _NO_DARK_SHARE = 0.3, 0.005
"""A picture with so many zeros and hardly a dark grey of YCbCr has the black of RGB, not blackened text."""
_MOST_SAMPLES = 2**16


def zeros(values_HWS: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W): pixels of which nothing is known but that they are to be black."""
    joined_HW = values_HWS[..., 0] | values_HWS[..., 1] | values_HWS[..., 2]
    return np.asarray(joined_HW < _ZERO)


def judged_ycbcr(values_HWS: NDArray[np.uint8], *, said_ycbcr: bool, certain: bool = False) -> bool | None:
    """Whether the samples are YCbCr, where a header says so or says RGB. None: too few that are not zero.

    What is said to be RGB is overruled only where the values leave no doubt; `certain`: what is said to be YCbCr too.
    """
    step = int(max(1, (values_HWS.size / (3 * _MOST_SAMPLES)) ** 0.5))
    some_HWS = values_HWS[::step, ::step]
    is_zero_HW = zeros(some_HWS)
    black = float(is_zero_HW.mean())
    if 1 - black < _FEWEST:
        return None
    kept_NS = some_HWS[~is_zero_HW].astype(np.float32)
    luminance, blue, red = kept_NS[:, 0], kept_NS[:, 1] - 128, kept_NS[:, 2] - 128
    green = -(KR * _TO_RED * red + KB * _TO_BLUE * blue) / KG
    is_inside = np.ones(len(kept_NS), bool)
    for colour in (luminance + _TO_RED * red, luminance + green, luminance + _TO_BLUE * blue):
        is_inside &= (colour > -_OUTSIDE) & (colour < 255 + _OUTSIDE)
    inside = float(is_inside.mean())
    grey_as_rgb = float((np.ptp(kept_NS, axis=1) <= _ALIKE).mean())
    is_near_128 = (np.abs(blue) <= _NEAR_128) & (np.abs(red) <= _NEAR_128)
    grey_as_ycbcr = float(is_near_128.mean())
    dark = float((is_near_128 & (luminance < _DARK)).mean())
    if said_ycbcr:
        greyer = grey_as_rgb > grey_as_ycbcr + _MORE_GREY
        if certain:
            return not (inside < _INSIDE and greyer)
        return inside >= _INSIDE and not greyer and not (black > _BLACK_SHARE and dark < _NO_DARK_SHARE)
    greyer = grey_as_ycbcr > max(0.5, grey_as_rgb + _MORE_GREY)
    return inside >= _NEARLY_ALL_INSIDE and greyer and dark >= _DARK_SHARE
