"""Stretches of a recording in which nothing was recorded although samples are there: padding, and values held.

An amplifier is never quiet to the last bit. In some 300 recordings of devices all leads together kept their values for
140 ms at most, one lead alone for 610 ms.
Letters in array names: L leads, N samples, R runs with their two ends.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from inputs.records import EcgRecording, InputWarning

FEWEST_PADDED = 3
"""So many leads that share a value for long at an end do not do so by chance."""
ZEROS_S, HELD_S = 0.02, 0.2
"""From where on zeros, and any values, that all leads keep at an end are padding."""
STILL_TOGETHER_S = 1.5
"""Inside a record. A simulator's heart without noise is quiet between its beats: 0.65 s at 60 a minute, 1.4 s at 30."""
STILL_ALONE_S = 1.8
"""A lead that is still for longer missed a beat."""


def without_padding(recording: EcgRecording) -> tuple[EcgRecording, list[InputWarning]]:
    """The recording without what makes it longer than it was at its ends: zeros, other constants, the last value held.

    Each lead may have its own constant; zeros and missing samples are one.
    """
    still_rows = [row_N for row_N in _still(recording.signal_mv) if not row_N.all()]
    if len(still_rows) < FEWEST_PADDED:
        return recording, []
    still_N = np.logical_and.reduce(still_rows)
    zero_N = np.logical_and.reduce([np.nan_to_num(row) == 0.0 for row in recording.signal_mv])
    rate_hz, samples = recording.rate_hz, len(zero_N)
    before = _padded(still_N, zero_N, rate_hz)
    after = _padded(still_N[::-1], zero_N[::-1], rate_hz) if before < samples else 0
    if not before and not after:
        return recording, []
    cut_N = np.r_[zero_N[:before], zero_N[samples - after :]]
    what = "zeros in all leads" if cut_N.all() else "all leads staying at one value"
    message = f"{len(cut_N) / rate_hz:.2f} s of {what} at the ends are padding and were cut off."
    kept = replace(recording, signal_mv=recording.signal_mv[:, before : samples - after])
    return kept, [InputWarning("padding_cut", message, severity="note")]


def without_held(recording: EcgRecording) -> tuple[EcgRecording, bool]:
    """The recording with NaN where leads stand still, and whether any did.

    Leads that never move stay as they are: flat is another finding.
    """
    still_rows = _still(recording.signal_mv)
    moving = [row for row, still_N in enumerate(still_rows) if not still_N.all()]
    if not moving:
        return recording, False
    together_N = _long(np.logical_and.reduce([still_rows[row] for row in moving]), STILL_TOGETHER_S * recording.rate_hz)
    held_mv: NDArray[np.float32] | None = None
    for row in moving:
        held_N = together_N | _long(still_rows[row], STILL_ALONE_S * recording.rate_hz)
        if np.isfinite(recording.signal_mv[row, held_N]).any():
            held_mv = recording.signal_mv.copy() if held_mv is None else held_mv
            held_mv[row, held_N] = np.nan
    return (recording, False) if held_mv is None else (replace(recording, signal_mv=held_mv), True)


def _still(signal_mv: NDArray[np.float32]) -> list[NDArray[np.bool_]]:
    """For each lead N - 1: whether the next sample is the same. A missing one counts as zero."""
    rows = (row if np.isfinite(row).all() else np.nan_to_num(row) for row in signal_mv)
    return [row[1:] == row[:-1] for row in rows]


def _padded(still_N: NDArray[np.bool_], zero_N: NDArray[np.bool_], rate_hz: float) -> int:
    """How many of N samples at the start are padding; there may be several constants one after another."""
    starts = np.r_[0, np.flatnonzero(~still_N) + 1]
    lengths = np.diff(starts, append=len(zero_N))
    long_enough = lengths >= np.where(zero_N[starts], ZEROS_S, HELD_S) * rate_hz
    return len(zero_N) if long_enough.all() else int(starts[long_enough.argmin()])


def _long(still_N: NDArray[np.bool_], fewest: float) -> NDArray[np.bool_]:
    """Which of N samples lie in stretches of at least `fewest` that keep their value."""
    runs_R2 = np.flatnonzero(np.diff(still_N.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    held_N = np.zeros(len(still_N) + 1, bool)
    long_R2 = runs_R2[runs_R2[:, 1] - runs_R2[:, 0] + 1 >= fewest]  # of short ones come very many
    for first, last in long_R2.tolist():
        held_N[first : last + 1] = True
    return held_N
