"""The cone in which a sector lies, told from what of it is seen: one straight flank and a part of the rim are enough.

Letters in array names: H rows, W columns; points are column and row.
"""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Floats = NDArray[np.float64]

_PAIRS = np.array(list(combinations(np.linspace(0.04, 0.96, 12), 2)))
"""Of points on the rim, as shares of the columns that it has."""
_LEAST_SLANT, _MOST_SLANT = 0.25, 1.6
"""Columns to a row of a flank. One cone has both flanks at the same slant: machines show sectors upright."""
_MIN_FLANK_SHARE = 0.3
"""Of the rows that a flank runs through."""
_MIN_HELD_SHARE = 0.2
"""Of a flank beside which the picture is lit; black blood and shadows may reach it elsewhere."""
_MOST_ROWS_ABOVE = 0.1
"""Of the rows that an apex may lie above the picture; the outer flanks of two sectors meet far above."""
_WITHIN = 1.5
"""How many times the tolerance what is lit may reach beyond the other flank."""
_COLUMN_STEP = 3
"""Enough columns of the rim are looked at."""
_MIN_RIM_SHARE = 0.5
"""Of the columns whose lowest pixel lies on the rim, less those of which it lies beyond."""


def cone(lit_HW: Mask, tolerance: int) -> Mask:
    """1 in the cone of the upright sector of which the largest lit part is shown, (H, W) uint8; nothing without one.

    A flank is a long slanting edge of that part's convex hull. The apex is the point on its continuation from which
    most of the part's lower outline is equally far. tolerance: in pixels.
    """
    cone_HW = np.zeros_like(lit_HW)
    outlines, _tree = cv2.findContours(lit_HW, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return cone_HW
    largest = max(outlines, key=len)
    corners = cv2.approxPolyDP(cv2.convexHull(largest), tolerance, True)[:, 0].astype(float)
    flanks = _flanks(lit_HW, corners, tolerance)
    if not len(flanks):
        return cone_HW
    apexes, slants, radii, rim = _likely(np.asarray(largest[:, 0], np.int32), flanks, len(lit_HW))
    beyond = np.abs(corners[:, 0] - apexes[:, :1]) - slants[:, None] * (corners[:, 1] - apexes[:, 1:])
    radii[beyond.max(axis=1, initial=0) > _WITHIN * tolerance] = np.nan  # agrees with nothing
    further = np.hypot(rim[:, 0] - apexes[:, :1], rim[:, 1] - apexes[:, 1:]) - radii[:, None]
    agreeing = (np.abs(further) < tolerance).mean(axis=1) - (further > tolerance).mean(axis=1)
    if agreeing.max(initial=0) < _MIN_RIM_SHARE:
        return cone_HW
    best = agreeing.argmax()
    column, row, radius = (round(float(v)) for v in (*apexes[best], radii[best]))
    half_deg = float(np.degrees(np.arctan(slants[best])))
    cv2.ellipse(cone_HW, (column, row), (radius, radius), 90, -half_deg, half_deg, 1, cv2.FILLED)
    return cone_HW


def _flanks(lit_HW: Mask, corners: Floats, tolerance: int) -> Floats:
    """The upper and the lower end of each, (flanks, 2, 2)."""
    middle = corners.mean(axis=0)
    flanks = []
    for one, other in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        upper, lower = (one, other) if one[1] < other[1] else (other, one)
        columns, rows = lower - upper
        if rows < _MIN_FLANK_SHARE * len(lit_HW) or not _LEAST_SLANT * rows < abs(columns) < _MOST_SLANT * rows:
            continue
        if (upper[0] + (middle[1] - upper[1]) * columns / rows - middle[0]) * columns < 0:  # a chord of the rim
            continue
        ys = np.arange(upper[1], lower[1])
        xs = upper[0] + (ys - upper[1]) * columns / rows - np.sign(columns) * 2 * tolerance
        xs = xs.clip(0, lit_HW.shape[1] - 1)
        if lit_HW[ys.astype(int), xs.astype(int)].mean() > _MIN_HELD_SHARE:
            flanks.append((upper, lower))
    return np.array(flanks)


def _likely(outline: NDArray[np.int32], flanks: Floats, n_rows: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Apexes as far from two points of the lower outline, (N, 2), their slants and radii, (N,), and that outline."""
    lowest = np.full(outline[:, 0].max() + 1, -1)
    np.maximum.at(lowest, outline[:, 0], outline[:, 1])
    columns = np.nonzero(lowest >= 0)[0][::_COLUMN_STEP]
    rim = np.stack([columns, lowest[columns]], axis=1).astype(float)
    one, other = rim[(_PAIRS * (len(rim) - 1)).astype(int).T]
    upper = flanks[:, None, 0]
    per_row = flanks[:, None, 1] - upper
    per_row /= per_row[..., 1:]
    across = (per_row * (other - one)).sum(axis=-1)
    across[across == 0] = np.nan
    down = ((other**2 - one**2).sum(axis=-1) / 2 - (upper * (other - one)).sum(axis=-1)) / across
    apexes = upper + down[..., None] * per_row
    is_above = (down <= 0) & (apexes[..., 1] > -_MOST_ROWS_ABOVE * n_rows)
    slants = np.broadcast_to(np.abs(per_row[..., 0]), down.shape)
    radii = np.hypot(*np.moveaxis(apexes - one, -1, 0))
    return apexes[is_above], slants[is_above], radii[is_above], rim
