"""The door: what is known of a recording's quality before a model sees it, and whether it may be answered from.

Every finding is an `InputWarning` with its leads and severity; those of severity `withheld` forbid an answer.
Letters in array names: K independent leads, W samples of a beat.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from inputs.ecg.gate.disturbances import disturbance_warnings
from inputs.ecg.gate.heartbeat import heartbeat_warnings, judged_beats
from inputs.ecg.gate.levels import LOST_LEADS_ALLOWED, listing, sentence_listing
from inputs.ecg.gate.limb_laws import LIMB_LEADS, from_two
from inputs.ecg.gate.live import lifeless_leads
from inputs.ecg.gate.scales import FAR_GAIN, other_scale_in
from inputs.ecg.gate.wiring import (
    AFTER_R_S,
    AS_MIRRORED,
    BEFORE_R_S,
    INDEPENDENT_LEADS,
    REVERSED,
    ROTATED,
    Exchange,
    exchange_in,
)
from inputs.ecg.measured.beats import Beats
from inputs.ecg.measured.traced import TracedEcg
from inputs.ecg.measured.tracing import RATE_HZ, Tracing
from inputs.records import InputWarning, Severity

QRS_MV = (0.2, 6.0)
"""Geometric mean over the independent leads of QRS, peak to peak. 200 people had 0.54 to 2.9: ten times more or less
lies outside for nearly all. Low voltage and hypertrophy lie inside."""
_QRS_S = (0.05, 0.07)
_WAVE_S, _WAVE_AROUND_S, _MOST_STEEP = 0.055, 0.12, 0.8
"""P waves are steep for 60 to 70 ms in all, narrow QRS complexes for 35 to 45; small wide ones pass for P."""
_BROAD_S = 0.055
"""So measured, QRS of a left bundle block and paced ones are steep for 60 to 90 ms."""
_FEWEST_FOR_SCALE = 4
_LOST = ("leads_flat", "leads_saturated", "disconnected")


@dataclass(frozen=True)
class LeadQuality:
    """One lead's findings, by their codes; none where nothing is wrong with it."""

    lead: str
    codes: tuple[str, ...]


def gate_warnings(traced: TracedEcg | None, lost: Container[str] = ()) -> tuple[InputWarning, ...]:
    """What the beats and what lies over them tell, of a recording that was traced.

    lost: leads whose samples carry no signal by their level, which are said already. `disconnected` are those in which
    no beat stands out of the others; scale and wiring are judged without either.
    """
    found = heartbeat_warnings(traced)
    if traced is None:
        return ()
    judged = judged_beats(traced)
    lifeless = tuple(lead for lead in lifeless_leads(judged) if lead not in lost)
    found += disturbance_warnings(traced, lifeless)
    if judged and not withheld_codes(found):
        beats, part = max(judged, key=lambda one: len(one[1].leads))
        live = [lead for lead in part.leads if lead not in lost and lead not in lifeless]
        beat_mv_KW = _typical(beats, part, live)
        found += _scale(beat_mv_KW, beats.r)
        around_KW = _around_r(beat_mv_KW, beats.r)
        broad = _lasts_s(beat_mv_KW, beats.r) > _BROAD_S
        found += _scales(around_KW) or _wiring(around_KW, broad=broad)
    return tuple(found)


def lost_leads(leads: Sequence[str], warnings: Sequence[InputWarning]) -> tuple[str, ...]:
    """Of these leads those that carry no signal, as the warnings say: flat, empty, saturated, or without a heartbeat.

    Limb leads that the recording does not hold itself are lost with I and II, from which they were computed.
    """
    lost = {lead for one in warnings if one.code in _LOST for lead in one.leads}
    for one in warnings:
        if one.code == "leads_derived" and lost & {"I", "II"}:
            lost.update(one.leads)
    return tuple(lead for lead in leads if lead in lost)


def lost_warnings(leads: Sequence[str], warnings: Sequence[InputWarning]) -> tuple[InputWarning, ...]:
    """`leads_lost`, where too many leads carry no signal for one reason or another and nobody said so."""
    lost = lost_leads(leads, warnings)
    if len(lost) <= LOST_LEADS_ALLOWED or "leads_lost" in withheld_codes(warnings):
        return ()
    message = f"Too much of the ECG is unusable: {listing(lost)} carry no heartbeat."
    return (InputWarning("leads_lost", message, lost, "withheld"),)


def withheld_codes(warnings: Sequence[InputWarning]) -> tuple[str, ...]:
    """The codes that forbid an answer, each once, in their order."""
    return tuple(dict.fromkeys(one.code for one in warnings if one.severity == "withheld"))


def lead_quality(leads: Sequence[str], warnings: Sequence[InputWarning]) -> tuple[LeadQuality, ...]:
    """Every lead with the codes of the findings that name it, what is merely good to know left out."""
    serious = [one for one in warnings if one.severity != "note"]
    return tuple(
        LeadQuality(lead, tuple(dict.fromkeys(one.code for one in serious if lead in one.leads))) for lead in leads
    )


def _typical(beats: Beats, part: Tracing, live: Sequence[str]) -> NDArray[np.float64]:
    """The typical beat of the independent leads, (K, W) at RATE_HZ; zeros for those that are not live.

    Of limb leads, any two that are live give I and II.
    """
    beat_LW = np.nan_to_num(beats.typical())
    row_of = {lead: beat_LW[part.leads.index(lead)] for lead in live}
    limbs = [lead for lead in LIMB_LEADS if lead in row_of]
    for lead in ("I", "II"):
        if lead not in row_of and len(limbs) > 1:
            of_one, of_two = from_two(lead, limbs[0], limbs[1])
            row_of[lead] = of_one * row_of[limbs[0]] + of_two * row_of[limbs[1]]
    none_W = np.zeros(beat_LW.shape[1])
    return np.stack([row_of.get(lead, none_W) for lead in INDEPENDENT_LEADS])


def _scale(beat_mv_KW: NDArray[np.float64], r: int) -> list[InputWarning]:
    before, after = (round(reach_s * RATE_HZ) for reach_s in _QRS_S)
    qrs_mv_KW = beat_mv_KW[:, max(0, r - before) : r + after]
    swing_mv_K = np.ptp(qrs_mv_KW, axis=1)
    swing_mv_K = swing_mv_K[swing_mv_K > 0]
    if len(swing_mv_K) < _FEWEST_FOR_SCALE:
        return []
    swing_mv = float(np.exp(np.log(swing_mv_K).mean()))
    low_mv, high_mv = QRS_MV
    if low_mv <= swing_mv <= high_mv:
        return []
    message = f"QRS swings {swing_mv:.2g} mV in a typical lead: the unit or the gain is wrong by about ten or more."
    found = [InputWarning("scale_implausible", message, severity="withheld")]
    if swing_mv < low_mv and _lasts_s(beat_mv_KW, r) > _WAVE_S:
        message = "No QRS complex was found: what repeats is as small and as slow as P waves are."
        found.insert(0, InputWarning("no_qrs", message, severity="withheld"))
    return found


def _lasts_s(beat_mv_KW: NDArray[np.float64], r: int) -> float:
    """The time in which most of the beat's steepness lies, around its fiducial point."""
    around = round(_WAVE_AROUND_S * RATE_HZ)
    smooth_KW = uniform_filter1d(beat_mv_KW[:, max(0, r - around) : r + around], round(0.02 * RATE_HZ), axis=1)
    steep_W = np.sort(np.sum(np.diff(smooth_KW, axis=1) ** 2, axis=0))[::-1]
    return float(np.searchsorted(np.cumsum(steep_W), _MOST_STEEP * steep_W.sum()) / RATE_HZ)


def _around_r(beat_mv_KW: NDArray[np.float64], r: int) -> NDArray[np.float64]:
    return beat_mv_KW[:, max(0, r - round(BEFORE_R_S * RATE_HZ)) : r + round(AFTER_R_S * RATE_HZ)]


def _scales(beat_mv_KW: NDArray[np.float64]) -> list[InputWarning]:
    other = other_scale_in(beat_mv_KW)
    if other is None:
        return []
    how = "large" if other.too_large else "small"
    message = f"{sentence_listing(other.leads)} seem ten times too {how} against the others, or more."
    severity: Severity = "withheld" if other.gain >= FAR_GAIN else "warning"
    return [InputWarning("scales_differ", message, other.leads, severity)]


def _wiring(beat_mv_KW: NDArray[np.float64], *, broad: bool) -> list[InputWarning]:
    exchange = exchange_in(beat_mv_KW, broad=broad)
    if exchange is None:
        return []
    if exchange.what in AS_MIRRORED:
        message = "The heart may lie on the right side, or the arm electrodes be exchanged and V1 to V6 reversed."
        return [InputWarning("heart_mirrored", message, exchange.leads)]
    if exchange.arms:
        return [InputWarning("arms_exchanged", _arms_message(exchange), exchange.leads, "withheld")]
    if exchange.what in ("RA-LL", "LA-LL"):
        arm = "right" if exchange.what == "RA-LL" else "left"
        message = f"The electrodes of the {arm} arm and the left leg may be exchanged."
        return [InputWarning("limb_leads_exchanged", message, exchange.leads)]
    if exchange.what == REVERSED:
        return [InputWarning("chest_leads_exchanged", "V1 to V6 may be in reverse order.", exchange.leads)]
    message = f"{' and '.join(exchange.leads)} may be exchanged."
    return [InputWarning("chest_leads_exchanged", message, exchange.leads)]


def _arms_message(exchange: Exchange) -> str:
    if exchange.what in ROTATED:
        return "All three limb electrodes seem to have changed places."
    also = exchange.what.removeprefix("RA-LA and ") if " and " in exchange.what else ""
    if not also:
        return "The arm electrodes seem to be exchanged (lead I is upside down)."
    return f"The arm electrodes seem to be exchanged, and {also.replace('-', ' and ')} too."
