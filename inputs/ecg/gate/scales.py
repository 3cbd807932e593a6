"""Whether some leads have another scale than the others: by ten or more too large or too small against them.

The leads of all hearts vary together in one way (`wiring.py`). Under that covariance, at whatever size of the whole,
the logarithm of the likelihood says how much better the leads fit with a group of them brought to a tenth, or to ten
times.

Letters in array names: K independent leads, W samples of a beat, G groups of leads with a factor,
V those of the independent leads that move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.gate.wiring import COVARIANCE_KK, INDEPENDENT_LEADS, NOISE

LEAST_GAIN, FAR_GAIN = 12.0, 20.0
"""Of 750 hearts, made-up ones with every axis among them, the most had 11, a ventricular tachycardia; ordinary rhythms
up to 9. With limb leads or some chest leads a tenth or ten times as large, nine in ten have more than 12."""
_FEWEST_LEADS = 6
_FACTOR = 10.0
_CHEST = range(2, len(INDEPENDENT_LEADS))
_GROUPS = [list(range(first, last + 1)) for first in _CHEST for last in _CHEST if first <= last]
"""Neighbours among the chest leads; all of them are limb leads against chest leads."""


@dataclass(frozen=True)
class OtherScale:
    """leads: those that are too large, or else too small, against all others. gain: of the logarithm of likelihood."""

    leads: tuple[str, ...]
    too_large: bool
    gain: float


def other_scale_in(beat_mv_KW: NDArray[np.float64]) -> OtherScale | None:
    """The group of leads that most likely has another scale, None where none is likely.

    beat_mv_KW: as for `wiring.exchange_in`.
    """
    beat_KW = np.nan_to_num(beat_mv_KW)
    product_KK = beat_KW @ beat_KW.T
    live_V = np.flatnonzero(np.diag(product_KK) > 0)
    if len(live_V) < _FEWEST_LEADS:
        return None
    live_VV = np.ix_(live_V, live_V)
    product_VV = product_KK[live_VV]
    form_VV = np.linalg.inv((COVARIANCE_KK + NOISE * np.eye(len(COVARIANCE_KK)))[live_VV])
    undo_GV = _UNDO_GK[:, live_V]
    cost_G = np.einsum("ij,gi,gj,ij->g", form_VV, undo_GV, undo_GV, product_VV)
    as_it_is = float(np.sum(form_VV * product_VV))
    gain_G = len(live_V) * np.log(as_it_is / cost_G) + 2.0 * np.log(undo_GV).sum(axis=1)
    best = int(gain_G.argmax())
    if gain_G[best] < LEAST_GAIN:
        return None
    too_large = bool(_UNDO_GK[best].min() < 1.0)
    leads = [INDEPENDENT_LEADS[row] for row in np.flatnonzero(_UNDO_GK[best] != 1.0)]
    if len(leads) == len(_CHEST) and not too_large:
        return OtherScale(("I", "II", "III", "aVR", "aVL", "aVF"), True, float(gain_G[best]))
    return OtherScale(tuple(leads), too_large, float(gain_G[best]))


def _undone(group: list[int], factor: float) -> NDArray[np.float64]:
    undo_K = np.ones(len(INDEPENDENT_LEADS))
    undo_K[group] = factor
    return undo_K


_UNDO_GK = np.stack([_undone(group, factor) for group in _GROUPS for factor in (1.0 / _FACTOR, _FACTOR)])
