"""Do the limb leads that a file holds follow from one another, as three electrodes make them?

Letters in array names: N samples.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

import numpy as np
from numpy.typing import NDArray

from inputs.records import EcgRecording, InputWarning

FROM_LIMB_LEADS = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}
"""Einthoven's and Goldberger's laws: coefficients of I and II."""
LIMB_LEADS = {"I": (1.0, 0.0), "II": (0.0, 1.0), **FROM_LIMB_LEADS}
INCONSISTENT = 0.15
"""How far II may be from I + III, as a share of the largest of their usual standard deviations within a second."""
_STRETCH_S, _THIRD_S = 1.0, 0.8
"""A pulse, a step or one artefact lies in few stretches of a second; names that are wrong are wrong in all. So they are
in each third of what the model sees at once."""
_CUT = 0.005
"""A lead of which so much stays at an extreme was cut off there."""
_BROKEN_ALLOWED = 1
"""One lead may be inverted; names that were exchanged break several laws."""
_FAR = 2.0
"""Of the limit: so far wrong names lead. Leads sampled a millisecond apart contradict each other by less."""


def law_warnings(
    recording: EcgRecording, without: Container[str] = (), *, part_of: Mapping[str, float] | None = None
) -> list[InputWarning]:
    """`leads_inconsistent`: withheld where I, II and III contradict each other, or several leads I and II.

    One lead alone that contradicts I and II is a warning. Whoever names leads wrongly breaks these laws in nearly every
    case; so does a file whose leads are each scaled by themselves. An offset between amplifiers does not matter, nor
    what lasts a second or two. without: leads that carry no heartbeat, which no law holds for. part_of: what is usual
    in the whole of which these are a few seconds, by `usual_spreads`: then a law is broken that is so in each third.
    """
    warnings = []
    if _breaks(recording, ("II", "I", "III"), (1.0, 1.0), without, part_of):
        message = "Leads I, II and III contradict each other (II is not I + III): leads may be mislabelled."
        warnings.append(InputWarning("leads_inconsistent", message, ("I", "II", "III"), "withheld"))
    broken, far = [], []
    for lead, factors in FROM_LIMB_LEADS.items():
        if lead != "III" and _breaks(recording, (lead, "I", "II"), factors, without, part_of):
            broken.append(lead)
            far += [lead] if _breaks(recording, (lead, "I", "II"), factors, without, part_of, _FAR) else []
    if len(far) > _BROKEN_ALLOWED and not warnings:
        what = f"{', '.join(broken)} contradict leads I and II, from which they follow"
        message = f"Leads {what}: leads may be mislabelled."
        return [InputWarning("leads_inconsistent", message, ("I", "II", *broken), "withheld")]
    for lead in broken:
        message = f"Lead {lead} contradicts leads I and II, from which it follows: it may be mislabelled or inverted."
        warnings.append(InputWarning("leads_inconsistent", message, (lead,)))
    return warnings


def from_two(lead: str, first: str, second: str) -> tuple[float, float]:
    """The coefficients by which any two limb leads make a third, exactly as the three electrodes do."""
    of_two_22 = np.array([LIMB_LEADS[first], LIMB_LEADS[second]])
    of_first, of_second = np.linalg.solve(of_two_22.T, np.array(LIMB_LEADS[lead])).tolist()
    return of_first, of_second


def usual_spreads(recording: EcgRecording) -> dict[str, float]:
    """How far each limb lead usually spreads within a second, in millivolt."""
    rows = dict(zip(recording.lead_names, recording.signal_mv, strict=True))
    known = {lead: row[np.isfinite(row)] for lead, row in rows.items() if lead in LIMB_LEADS}
    return {lead: float(np.median(_spreads(row, recording.rate_hz))) for lead, row in known.items() if len(row)}


def _breaks(
    recording: EcgRecording,
    leads: tuple[str, str, str],
    factors: tuple[float, float],
    without: Container[str],
    part_of: Mapping[str, float] | None,
    far: float = 1.0,
) -> bool:
    """Whether the first of three leads is not the sum of the others by their factors, but for offsets and rounding.

    far: how many times the limit it must be off.
    """
    rows = _common_samples(recording, leads, without)
    if rows is None:
        return False
    residual = rows[0] - np.float32(factors[0]) * rows[1] - np.float32(factors[1]) * rows[2]
    usual = [float(np.median(_spreads(row, recording.rate_hz))) for row in rows]
    if part_of is None:
        spread = float(np.median(_spreads(residual, recording.rate_hz)))
    else:
        spread = min(_spreads(residual, recording.rate_hz, _THIRD_S))
        usual += [part_of[lead] for lead in leads]
    limit = far * INCONSISTENT * max(usual)
    if spread <= limit:
        return False
    # A twelfth of the step squared, and a little: the errors of a lead that hardly moves are not spread evenly.
    rounding = sum((factor * _step(row)) ** 2 / 9.0 for factor, row in zip((1.0, *factors), rows, strict=True))
    return spread**2 - rounding > limit**2


def _spreads(row: NDArray[np.float32], rate_hz: float, stretch_s: float = _STRETCH_S) -> list[float]:
    """Of stretches of a second, or as long as is said, the standard deviation within."""
    stretches = np.array_split(row, max(1, int(len(row) / (stretch_s * rate_hz))))
    return [float(stretch.std()) for stretch in stretches]


def _step(row: NDArray[np.float32]) -> float:
    """The smallest difference between values: of the converter, or of who rounded them."""
    values = np.unique(row)
    return float(np.diff(values).min()) if len(values) > 1 else 0.0


def _common_samples(
    recording: EcgRecording, leads: tuple[str, ...], without: Container[str]
) -> list[NDArray[np.float32]] | None:
    """Each of `leads` where all have samples that nothing cut off; None without one of them, or where none is left."""
    if not set(leads) <= set(recording.lead_names) or any(lead in without for lead in leads):
        return None
    rows = [recording.signal_mv[recording.lead_names.index(lead)] for lead in leads]
    present_N = _uncut(rows[0])
    for row in rows[1:]:
        present_N &= _uncut(row)
    if present_N.all():
        return rows  # the recording's own, which a copy would hold twice
    return [row[present_N] for row in rows] if present_N.any() else None


def _uncut(row: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where there are samples, those of a lead that stays at its largest or smallest value left out.

    Leads that were cut off each at their own place no longer follow from one another there.
    """
    uncut_N = np.isfinite(row)
    for extreme in (np.fmin.reduce(row), np.fmax.reduce(row)):
        at_N = row == extreme
        if np.count_nonzero(at_N[1:] & at_N[:-1]) > _CUT * len(row):
            uncut_N &= ~at_N
    return uncut_N
