"""The door: what is known of a recording's quality before a model sees it, and whether it may be answered from.

Every finding is an `InputWarning` with its leads and severity; those of severity `withheld` forbid an answer.
Letters in array names: K independent leads, W samples of a beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.gate.disturbances import disturbance_warnings
from inputs.ecg.gate.heartbeat import heartbeat_warnings
from inputs.ecg.gate.wiring import AFTER_R_S, BEFORE_R_S, INDEPENDENT_LEADS, REVERSED, exchange_in
from inputs.ecg.measured.beats import Beats
from inputs.ecg.measured.measure import beats_of_heart
from inputs.ecg.measured.traced import TracedEcg
from inputs.ecg.measured.tracing import RATE_HZ, Tracing
from inputs.records import InputWarning

QRS_MV = (0.2, 6.0)
"""Geometric mean over the independent leads of QRS, peak to peak. 200 people had 0.54 to 2.9: ten times more or less
lies outside for nearly all. Low voltage and hypertrophy lie inside."""
_QRS_S = (0.05, 0.07)


@dataclass(frozen=True)
class LeadQuality:
    """One lead's findings, by their codes; none where nothing is wrong with it."""

    lead: str
    codes: tuple[str, ...]


def gate_warnings(traced: TracedEcg | None) -> tuple[InputWarning, ...]:
    """What the beats and what lies over them tell, of a recording that was traced."""
    found = heartbeat_warnings(traced)
    found += disturbance_warnings(traced)
    whole = [one for one in beats_of_heart(traced) if set(INDEPENDENT_LEADS) <= set(one[1].leads)]
    if len(whole) == 1 and not withheld_codes(found):
        beat_mv_KW, r = _typical(*whole[0])
        found += _scale(beat_mv_KW, r)
        found += _wiring(beat_mv_KW, r)
    return tuple(found)


def withheld_codes(warnings: Sequence[InputWarning]) -> tuple[str, ...]:
    """The codes that forbid an answer, each once, in their order."""
    return tuple(dict.fromkeys(one.code for one in warnings if one.severity == "withheld"))


def lead_quality(leads: Sequence[str], warnings: Sequence[InputWarning]) -> tuple[LeadQuality, ...]:
    """Every lead with the codes of the findings that name it, what is merely good to know left out."""
    serious = [one for one in warnings if one.severity != "note"]
    return tuple(
        LeadQuality(lead, tuple(dict.fromkeys(one.code for one in serious if lead in one.leads))) for lead in leads
    )


def _typical(beats: Beats, part: Tracing) -> tuple[NDArray[np.float64], int]:
    """The typical beat of the independent leads, (K, W) at RATE_HZ, and where its R is."""
    rows = [part.leads.index(lead) for lead in INDEPENDENT_LEADS]
    return beats.typical()[rows], beats.r


def _scale(beat_mv_KW: NDArray[np.float64], r: int) -> list[InputWarning]:
    before, after = (round(reach_s * RATE_HZ) for reach_s in _QRS_S)
    qrs_mv_KW = np.nan_to_num(beat_mv_KW[:, max(0, r - before) : r + after])
    swing_mv = float(np.exp(np.log(np.maximum(np.ptp(qrs_mv_KW, axis=1), 1e-6)).mean()))
    low_mv, high_mv = QRS_MV
    if low_mv <= swing_mv <= high_mv:
        return []
    message = f"QRS swings {swing_mv:.2g} mV in a typical lead: the unit or the gain is wrong by about ten or more."
    return [InputWarning("scale_implausible", message, severity="withheld")]


def _wiring(beat_mv_KW: NDArray[np.float64], r: int) -> list[InputWarning]:
    around = slice(max(0, r - round(BEFORE_R_S * RATE_HZ)), r + round(AFTER_R_S * RATE_HZ))
    exchange = exchange_in(beat_mv_KW[:, around])
    if exchange is None:
        return []
    if exchange.what == "RA-LA":
        message = "The arm electrodes seem to be exchanged (lead I is upside down)."
        return [InputWarning("arms_exchanged", message, exchange.leads, "withheld")]
    if exchange.what in ("RA-LL", "LA-LL"):
        arm = "right" if exchange.what == "RA-LL" else "left"
        message = f"The electrodes of the {arm} arm and the left leg may be exchanged."
        return [InputWarning("limb_leads_exchanged", message, exchange.leads)]
    if exchange.what == REVERSED:
        return [InputWarning("chest_leads_exchanged", "V1 to V6 may be in reverse order.", exchange.leads)]
    message = f"{' and '.join(exchange.leads)} may be exchanged."
    return [InputWarning("chest_leads_exchanged", message, exchange.leads)]
