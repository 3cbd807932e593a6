"""Which leads show the heart that beats in the others: one that does not carries no signal, at whatever noise.

Letters in array names: L leads, B beats, W samples of a beat.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.gate.known import mean_of_known, median_of_known
from inputs.ecg.measured.beats import Beats
from inputs.ecg.measured.tracing import RATE_HZ, Tracing

AROUND_R_S = ((0.08, 0.12), (0.26, 0.45))
"""QRS, and the whole beat: a lead across the heart's axis may show T and hardly a QRS, or QRS and hardly a T."""
_STANDS_OUT, _MANY_BEATS = 3.0, 8
"""The typical beat over what chance leaves of the noise in a mean of so many beats. In 280 people's ECGs the least was
3.7, in leads of noise of any colour hardly any had 3; over few beats a weak lead stands out less far."""
_FEWEST_BEATS = 3


def lifeless_leads(found: Sequence[tuple[Beats, Tracing]]) -> tuple[str, ...]:
    """Leads in which no beat stands out, in no part of the recording, in their order."""
    shown: dict[str, bool] = {}
    for beats, part in found:
        shows_L = _shows(beats)
        for lead, shows in zip(part.leads, shows_L.tolist(), strict=True):
            shown[lead] = shown.get(lead, False) or shows
    return tuple(lead for lead, shows in shown.items() if not shows)


def _shows(beats: Beats) -> NDArray[np.bool_]:
    """(L,): whether the beats share more than beats of noise would by chance, in QRS or in the whole beat."""
    beats_BLW = beats.beats_mv_BLW
    shows_L = np.zeros(beats_BLW.shape[1], dtype=bool)
    if len(beats_BLW) < _FEWEST_BEATS:
        return ~shows_L
    least = _STANDS_OUT * min(1.0, np.sqrt(len(beats_BLW) / _MANY_BEATS))
    for before_s, after_s in AROUND_R_S:
        first = max(0, beats.r - round(before_s * RATE_HZ))
        window_BLW = beats_BLW[:, :, first : beats.r + round(after_s * RATE_HZ)]
        level_BLW = window_BLW - mean_of_known(window_BLW, axis=2)
        shared_1LW = median_of_known(level_BLW, axis=0)
        differ_L = np.sqrt(median_of_known(mean_of_known((level_BLW - shared_1LW) ** 2, axis=2), axis=0)).ravel()
        shared_L = np.sqrt(mean_of_known(shared_1LW**2, axis=2)).ravel()
        shows_L |= np.nan_to_num(shared_L) * np.sqrt(len(beats_BLW)) > least * np.nan_to_num(differ_L)
    return shows_L
