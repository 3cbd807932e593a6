"""Which electrodes seem to have been exchanged: the wiring under which the leads of the typical beat fit together best.

The eight independent leads of a heart vary together in a way that all hearts share (a few dipoles seen from eight
places); two cables exchanged turn them into a combination that hearts hardly make. Kors and van Herpen (2001) rebuild
every lead from the others; here the same is one quadratic form: the leads' covariance over many hearts, and what the
recording costs under it as it is and with every exchange undone.

Letters in array names: K independent leads (I, II, V1 to V6), W samples of a beat.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INDEPENDENT_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
BEFORE_R_S, AFTER_R_S = 0.26, 0.45
"""P, QRS and T of the beat are compared, or what of them there is."""
_FEWEST_LEADS_MOVING = 8

_COVARIANCE_KK = np.array(
    [
        [+0.4126, +0.3172, -0.2925, -0.0118, +0.2344, +0.4962, +0.5542, +0.4814],
        [+0.3172, +0.5805, -0.3284, -0.1225, +0.2883, +0.6708, +0.6994, +0.5903],
        [-0.2925, -0.3284, +0.6062, +0.6581, +0.3565, -0.1864, -0.4143, -0.4433],
        [-0.0118, -0.1225, +0.6581, +1.3000, +1.1150, +0.4619, +0.0542, -0.1444],
        [+0.2344, +0.2883, +0.3565, +1.1150, +1.4904, +1.1632, +0.6681, +0.3183],
        [+0.4962, +0.6708, -0.1864, +0.4619, +1.1632, +1.5555, +1.2419, +0.8428],
        [+0.5542, +0.6994, -0.4143, +0.0542, +0.6681, +1.2419, +1.2372, +0.9504],
        [+0.4814, +0.5903, -0.4433, -0.1444, +0.3183, +0.8428, +0.9504, +0.8177],
    ]
)
"""Mean product of two leads over the typical beats of 200 people, each beat scaled to a mean square of 1.

From the Lobachevsky University Electrocardiography Database 1.0.1 (Kalyakulina et al. 2020, PhysioNet, ODC-By 1.0),
its counts taken as microvolt, since its headers scale every lead by itself. `benchmarks.quality_gate` makes it again.
"""
_NOISE = 0.01
"""Added to every lead's own variance: what differs from heart to heart beyond what all share."""

_LIMBS = {
    "RA-LA": ((-1.0, 0.0), (-1.0, 1.0)),
    "RA-LL": ((1.0, -1.0), (0.0, -1.0)),
    "LA-LL": ((0.0, 1.0), (1.0, 0.0)),
}
"""What I and II were before two limb electrodes were exchanged, by what they are; each is its own inverse."""
_LEAST_GAIN = {"RA-LA": 0.05, "RA-LL": 0.10, "LA-LL": 0.10}
_LEAST_GAIN_CHEST = 0.10
_RARE = 0.10
"""Taken off the gain of the reverse order, a slip of files, which looks much like the commoner exchange of the arms."""
REVERSED = "V1 to V6"


@dataclass(frozen=True)
class Exchange:
    """Electrodes that seem exchanged. what: `RA-LA`, `V2-V3`, or REVERSED for chest leads in reverse order.

    gain: how much better the leads fit with it undone, from 0 to 1.
    """

    what: str
    leads: tuple[str, ...]
    gain: float


def exchange_in(beat_mv_KW: NDArray[np.float64]) -> Exchange | None:
    """The likeliest exchange in a typical beat of the independent leads, None where none is likely.

    beat_mv_KW: around R, of BEFORE_R_S and AFTER_R_S at any rate; NaN counts as the baseline. Where a lead does not
    move, nothing is said: a fallen electrode looks like anything.
    """
    beat_KW = np.nan_to_num(beat_mv_KW)
    product_KK = beat_KW @ beat_KW.T / beat_KW.shape[1]
    if np.count_nonzero(np.diag(product_KK) > 0) < _FEWEST_LEADS_MOVING:
        return None
    product_KK /= np.trace(product_KK) / len(product_KK)
    as_it_is, *undone_X = np.einsum("xij,ij->x", _COSTS_XKK, product_KK)
    gain_X = (as_it_is - np.array(undone_X)) / (as_it_is + np.array(undone_X))
    best = int((gain_X - _RARE * _IS_RARE_X).argmax())
    what, leads = _EXCHANGES[best]
    gain = float(gain_X[best])
    return Exchange(what, leads, gain) if gain > _LEAST_GAIN.get(what, _LEAST_GAIN_CHEST) else None


def undone(what: str) -> NDArray[np.float64]:
    """(K, K): what turns the independent leads as they are into those before an exchange of that name, and back."""
    undo_KK = np.eye(len(INDEPENDENT_LEADS))
    if what in _LIMBS:
        undo_KK[:2, :2] = _LIMBS[what]
    elif what == REVERSED:
        undo_KK[2:] = undo_KK[2:][::-1].copy()
    else:
        pair = [INDEPENDENT_LEADS.index(lead) for lead in what.split("-")]
        undo_KK[pair] = undo_KK[pair[::-1]]
    return undo_KK


def _exchanges() -> list[tuple[str, tuple[str, ...]]]:
    chest = INDEPENDENT_LEADS[2:]
    limbs = [(what, ("I", "II", "III", "aVR", "aVL", "aVF")) for what in _LIMBS]
    pairs = [(f"{one}-{other}", (one, other)) for one, other in itertools.combinations(chest, 2)]
    return [*limbs, *pairs, (REVERSED, chest)]


def _costs() -> NDArray[np.float64]:
    """The quadratic form of the leads as they are, and of each exchange undone first."""
    form_KK = np.linalg.inv(_COVARIANCE_KK + _NOISE * np.eye(len(_COVARIANCE_KK)))
    undo_XKK = [np.eye(len(form_KK)), *(undone(what) for what, _ in _EXCHANGES)]
    return np.stack([undo_KK.T @ form_KK @ undo_KK for undo_KK in undo_XKK])


_EXCHANGES = _exchanges()
_IS_RARE_X = np.array([what == REVERSED for what, _ in _EXCHANGES])
_COSTS_XKK = _costs()
