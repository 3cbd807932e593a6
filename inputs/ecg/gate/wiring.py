"""Which electrodes seem to have been exchanged: the wiring under which the leads of the typical beat fit together best.

The eight independent leads of a heart vary together in a way that all hearts share (a few dipoles seen from eight
places); two cables exchanged turn them into a combination that hearts hardly make. Kors and van Herpen (2001) rebuild
every lead from the others; here the same is one quadratic form: the leads' covariance over many hearts, and what the
recording costs under it as it is and with every exchange undone.

Letters in array names: K independent leads (I, II, V1 to V6), W samples of a beat, X exchanges,
V those of the independent leads that move or do not.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INDEPENDENT_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
BEFORE_R_S, AFTER_R_S = 0.26, 0.45
"""P, QRS and T of the beat are compared, or what of them there is."""
_UNSEEN_GAIN = 0.03
"""More that has to be gained for every independent lead that is not seen."""
_FEWEST_LEADS = 6
"""Of the eight, that must move: of fewer, too little is known of how they fit together."""

COVARIANCE_KK = np.array(
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
NOISE = 0.01
"""Added to every lead's own variance: what differs from heart to heart beyond what all share."""

_LIMBS = {
    "RA-LA": ((-1.0, 0.0), (-1.0, 1.0)),
    "RA-LL": ((1.0, -1.0), (0.0, -1.0)),
    "LA-LL": ((0.0, 1.0), (1.0, 0.0)),
}
"""What I and II were before two limb electrodes were exchanged, by what they are; each is its own inverse."""
REVERSED, MIRRORED = "V1 to V6", "mirror"
AS_MIRRORED = (MIRRORED, f"RA-LA and {REVERSED}")
"""What a few hearts resemble as they are: old infarctions, tachycardias from the ventricles."""
ROTATED = ("RA-LL then RA-LA", "RA-LA then RA-LL")
_CHEST = INDEPENDENT_LEADS[2:]
_PAIRS = tuple(f"{one}-{other}" for one, other in itertools.combinations(_CHEST, 2))
_LEFT_K = np.array([0.632, 0.235, -0.515, 0.044, 0.882, 1.213, 1.125, 0.831])
_TO_LEFT_K = np.array([0.156, -0.010, -0.172, -0.074, 0.122, 0.231, 0.239, 0.194])
"""How the leads see a dipole that points left (Dower et al. 1980), and how they give it back (Edenbrandt and Pahlm
1988): a heart on the right side has it the other way round."""

_LEAST_GAIN, _LEAST_GAIN_ARMS = 0.10, 0.05
_MORE_WHEN_BROAD, _AS_EVER_WHEN_BROAD = 0.10, ("RA-LA", "RA-LL")
"""To be gained besides where QRS is broad, but for the right arm's exchanges, which broad beats hardly resemble.
Excitation that goes from muscle to muscle has directions of its own, which the 200 people hardly had: of 50 with left
bundle block (mfD_LBBB of the R package roahd) 8 gained enough without it, 3 with it."""
_NEAR = 2
"""Places between two chest leads that are exchanged together with the arms."""
_RARE, _RARE_TWICE, _RARE_FAR, _RARE_ROTATED, _RARE_MIRRORED = 0.10, 0.20, 0.30, 0.15, 0.30
"""Taken off the gain of what is rarer than one exchange of two electrodes: the reverse order, a slip of files, which
looks much like an exchange of the arms; the arms together with two chest leads, or with two far apart; the limb
electrodes moved round, which looks like another axis; a heart on the right side, which old infarctions resemble."""


@dataclass(frozen=True)
class Exchange:
    """Electrodes that seem exchanged. what: of `EXCHANGES`. arms: whether RA and LA are among those exchanged.

    gain: how much better the leads fit with it undone, from 0 to 1.
    """

    what: str
    leads: tuple[str, ...]
    arms: bool
    gain: float


def exchange_in(beat_mv_KW: NDArray[np.float64], *, broad: bool = False) -> Exchange | None:
    """The likeliest exchange in a typical beat of the independent leads, None where none is likely.

    beat_mv_KW: around R, of BEFORE_R_S and AFTER_R_S at any rate; NaN counts as the baseline. Leads that do not move
    are left out, and so are exchanges in which they would have a part. broad: QRS is, as of a bundle block or paced.
    """
    beat_KW = np.nan_to_num(beat_mv_KW)
    product_KK = beat_KW @ beat_KW.T / beat_KW.shape[1]
    live_V, dead_V = np.flatnonzero(np.diag(product_KK) > 0), np.flatnonzero(np.diag(product_KK) <= 0)
    if len(live_V) < _FEWEST_LEADS:
        return None
    live_KK = np.ix_(live_V, live_V)
    product_KK = product_KK[live_KK] / (np.trace(product_KK) / len(live_V))
    form_KK = np.linalg.inv((COVARIANCE_KK + NOISE * np.eye(len(COVARIANCE_KK)))[live_KK])
    known_X = ~_MOVED_XK[:, dead_V].any(axis=1)
    undo_XKK = _UNDO_XKK[known_X][:, live_V][:, :, live_V]
    undone_XKK = undo_XKK @ product_KK @ undo_XKK.transpose(0, 2, 1)
    as_it_is, cost_X = float(np.sum(form_KK * product_KK)), np.einsum("ij,xij->x", form_KK, undone_XKK)
    gain_X = np.full(len(EXCHANGES), -1.0)
    gain_X[known_X] = (as_it_is - cost_X) / (as_it_is + cost_X)
    best = int((gain_X - _RARE_X).argmax())
    what, gain = EXCHANGES[best], float(gain_X[best])
    leads = tuple(lead for lead, moved in zip(INDEPENDENT_LEADS, _MOVED_XK[best], strict=True) if moved)
    if leads[0] in ("I", "II"):
        leads = ("I", "II", "III", "aVR", "aVL", "aVF", *(lead for lead in leads if lead in _CHEST))
    least = _LEAST_X[best] + _UNSEEN_GAIN * len(dead_V) + _MORE_WHEN_BROAD * (broad and what not in _AS_EVER_WHEN_BROAD)
    return Exchange(what, leads, "RA-LA" in what, gain) if gain > least else None


def undone(what: str) -> NDArray[np.float64]:
    """(K, K): what turns the independent leads as they are into those before an exchange of that name.

    Two exchanges are joined by ` and `, or by ` then ` in the order in which they were made.
    """
    undo_KK = np.eye(len(INDEPENDENT_LEADS))
    for one in what.replace(" and ", " then ").split(" then "):
        undo_KK = undo_KK @ _undone_one(one)
    return undo_KK


def _undone_one(what: str) -> NDArray[np.float64]:
    undo_KK = np.eye(len(INDEPENDENT_LEADS))
    if what == MIRRORED:
        return np.asarray(undo_KK - 2.0 * np.outer(_LEFT_K, _TO_LEFT_K) / (_LEFT_K @ _TO_LEFT_K))
    if what in _LIMBS:
        undo_KK[:2, :2] = _LIMBS[what]
    elif what == REVERSED:
        undo_KK[2:] = undo_KK[2:][::-1].copy()
    else:
        pair = [INDEPENDENT_LEADS.index(lead) for lead in what.split("-")]
        undo_KK[pair] = undo_KK[pair[::-1]]
    return undo_KK


_ONE = (*_LIMBS, *_PAIRS, REVERSED)
_TWO = (*(f"RA-LA and {what}" for what in (*_PAIRS, REVERSED)), *ROTATED, MIRRORED)
EXCHANGES = _ONE + _TWO
_RARE_OF = {REVERSED: _RARE, **dict.fromkeys(_TWO, _RARE_TWICE), **dict.fromkeys(ROTATED, _RARE_ROTATED)}
_RARE_OF[MIRRORED] = _RARE_MIRRORED
_RARE_OF |= {f"RA-LA and {pair}": _RARE_FAR for pair in _PAIRS if int(pair[-1]) - int(pair[1]) > _NEAR}
_RARE_X = np.array([_RARE_OF.get(what, 0.0) for what in EXCHANGES])
_LEAST_X = np.array([_LEAST_GAIN + _RARE_OF.get(what, 0.0) * (what in _TWO) for what in EXCHANGES])
_LEAST_X[EXCHANGES.index("RA-LA")] = _LEAST_GAIN_ARMS
_UNDO_XKK = np.stack([undone(what) for what in EXCHANGES])
_MOVED_XK: NDArray[np.bool_] = np.asarray((np.abs(_UNDO_XKK - np.eye(len(INDEPENDENT_LEADS))) > 1e-9).any(axis=2))
