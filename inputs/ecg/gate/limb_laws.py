"""Do the limb leads that a file holds follow from one another, as three electrodes make them?

Letters in array names: N samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inputs.records import EcgRecording, InputWarning

FROM_LIMB_LEADS = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}
"""Einthoven's and Goldberger's laws: coefficients of I and II."""
INCONSISTENT = 0.15
"""How far II may be from I + III, as a share of the largest of their standard deviations."""


def law_warnings(recording: EcgRecording) -> list[InputWarning]:
    """`leads_inconsistent`: withheld where I, II and III contradict each other, else a warning for each lead.

    Whoever names leads wrongly breaks these laws in nearly every case; so does a file whose leads are each scaled by
    themselves. An offset between amplifiers does not matter.
    """
    warnings = []
    limbs = _common_samples(recording, ("I", "II", "III"))
    if limbs is not None and _contradict([limbs[1], limbs[0], limbs[2]], (1.0, 1.0)):
        message = "Leads I, II and III contradict each other (II is not I + III): leads may be mislabelled."
        warnings.append(InputWarning("leads_inconsistent", message, ("I", "II", "III"), "withheld"))
    for lead, (of_i, of_ii) in FROM_LIMB_LEADS.items():
        rows = None if lead == "III" else _common_samples(recording, ("I", "II", lead))
        if rows is None:
            continue
        if _contradict([rows[2], rows[0], rows[1]], (of_i, of_ii)):
            message = (
                f"Lead {lead} contradicts leads I and II, from which it follows: it may be mislabelled or inverted."
            )
            warnings.append(InputWarning("leads_inconsistent", message, (lead,)))
    return warnings


def _contradict(rows: Sequence[NDArray[np.float32]], factors: tuple[float, float]) -> bool:
    """Whether the first of three leads is not the sum of the others by their factors, but for offsets and rounding."""
    residual = rows[0] - np.float32(factors[0]) * rows[1] - np.float32(factors[1]) * rows[2]
    limit = INCONSISTENT * max(float(row.std()) for row in rows)
    spread = float(residual.std())
    if spread <= limit:
        return False
    # A twelfth of the step squared, and a little: the errors of a lead that hardly moves are not spread evenly.
    rounding = sum((factor * _step(row)) ** 2 / 9.0 for factor, row in zip((1.0, *factors), rows, strict=True))
    return spread**2 - rounding > limit**2


def _step(row: NDArray[np.float32]) -> float:
    """The smallest difference between values: of the converter, or of who rounded them."""
    values = np.unique(row)
    return float(np.diff(values).min()) if len(values) > 1 else 0.0


def _common_samples(recording: EcgRecording, leads: tuple[str, ...]) -> list[NDArray[np.float32]] | None:
    """Each of `leads` where all have samples; None when a lead is not in the file or nothing remains."""
    if not set(leads) <= set(recording.lead_names):
        return None
    rows = [recording.signal_mv[recording.lead_names.index(lead)] for lead in leads]
    present_N = np.isfinite(rows[0])
    for row in rows[1:]:
        present_N &= np.isfinite(row)
    if present_N.all():
        return rows  # the recording's own, which a copy would hold twice
    return [row[present_N] for row in rows] if present_N.any() else None
