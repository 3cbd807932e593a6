"""A checked ECG to what the encoder eats: leads by name, one rate, no baseline, unit variance per lead group.

One path for training and serving: both call `prepare_ecg` with the spec of the bundle. Knows nothing of files.
Letters in array names: L leads, N samples, W windows.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.signal import resample

from inputs.ecg.quality import check_ecg, window_starts
from inputs.errors import UnusableRecording
from inputs.records import EcgRecording, InputWarning
from inputs.specs import EcgSpec

FAR_OFF_MV = 0.1
"""A lead whose median lies farther from zero is centred even where the published order would not."""
_SAMPLES_AT_ONCE = 500_000
"""Over all leads: a Fourier transform and a baseline take several times the memory of what they are made of."""
_LONG = 1_000_000
"""Samples over all leads, before or after resampling. An ordinary record has 60,000."""
_one_long = threading.Lock()
"""A small zip may hold a record of 30 MB: a process prepares one such at a time, and others pass by."""


@dataclass(frozen=True, eq=False)
class PreparedEcg:
    """A whole record as an encoder wants it, and everything a person should know about it.

    signal_LN: float32 without unit, L in the order of the spec's leads.
    warnings: those of reading first, then those of the judgement that preparation begins with.
    recording: what was prepared: without padding, NaN where leads stood still.
    """

    signal_LN: NDArray[np.float32]
    warnings: tuple[InputWarning, ...]
    recording: EcgRecording


def prepare_ecg(recording: EcgRecording, spec: EcgSpec, *, despite_lost_leads: bool = False) -> PreparedEcg:
    """Judge a recording and prepare the whole of it as `spec` says; N = int(samples * spec.rate_hz / rate_hz).

    Raises UnusableRecording when leads are missing, flat or empty, or the record is too short or at an impossible rate.
    despite_lost_leads: too many leads without a signal are a warning of severity `withheld` rather than a refusal.
    """
    is_long = recording.signal_mv.size * max(1.0, spec.rate_hz / recording.rate_hz) > _LONG
    with _one_long if is_long else contextlib.nullcontext():
        checked = check_ecg(recording, spec, despite_lost_leads=despite_lost_leads)
        levels_mv = [_level_mv(row) for row in checked.rows_mv]
        off = [spec.centre == "median" or abs(level_mv) > FAR_OFF_MV for level_mv in levels_mv]
        rows = _resampled(checked.rows_mv, levels_mv, off, recording.rate_hz, spec.rate_hz)
        signal_LN = normalise_signal(rows, spec).astype(np.float32, copy=False)
        centred = _centred(spec, off) if spec.centre == "none" else ()
        return PreparedEcg(signal_LN, recording.warnings + checked.warnings + centred, checked.recording)


def ecg_windows(signal_LN: NDArray[np.float32], spec: EcgSpec) -> NDArray[np.float32]:
    """Cut a prepared record into the windows an encoder sees: (W, L, spec.window_samples).

    `first` gives one window from the start; `mean` as many evenly spaced ones as cover the record, at most
    `spec.max_windows`. Raises UnusableRecording when the record is shorter than one window.
    """
    samples, width = signal_LN.shape[1], spec.window_samples
    if samples < width:
        raise UnusableRecording("too_short", f"The ECG is shorter than the {width / spec.rate_hz:.2f} s needed.")
    return np.stack([signal_LN[:, start : start + width] for start in window_starts(samples, spec)])


def resample_signal(signal_LN: NDArray[np.floating], rate_hz: float, to_rate_hz: float) -> NDArray[np.floating]:
    """Fourier resampling of each lead to int(N * to_rate_hz / rate_hz) samples, in the dtype given."""
    wanted = int(signal_LN.shape[1] * to_rate_hz / rate_hz)
    parts = [resample(signal_LN[block], wanted, axis=1) for block in _blocks(*signal_LN.shape)]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _resampled(
    rows: Sequence[NDArray[np.float32]],
    levels_mv: Sequence[float],
    off: Sequence[bool],
    rate_hz: float,
    to_rate_hz: float,
) -> NDArray[np.floating]:
    """`resample_signal` of leads not gathered yet, those that are `off` brought to zero.

    What is missing lies at its lead's level: a NaN would spread over its lead, and a zero would be a step.
    """
    parts = []
    for block in _blocks(len(rows), len(rows[0])):
        part_LN = np.stack(rows[block])
        for row, level_mv, is_off in zip(part_LN, levels_mv[block], off[block], strict=True):
            if is_off:
                row -= np.float32(level_mv)
            np.nan_to_num(row, copy=False, nan=0.0 if is_off else level_mv)
        parts.append(resample_signal(part_LN, rate_hz, to_rate_hz))
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _level_mv(row: NDArray[np.float32]) -> float:
    """The median of what is there; 0 of a lead without samples."""
    present = row[np.isfinite(row)]
    return float(np.median(present)) if len(present) else 0.0


def _centred(spec: EcgSpec, off: Sequence[bool]) -> tuple[InputWarning, ...]:
    leads = tuple(lead for lead, is_off in zip(spec.leads, off, strict=True) if is_off)
    if not leads:
        return ()
    what = f"Lead {leads[0]} lies" if len(leads) == 1 else f"Leads {', '.join(leads)} lie"
    message = (
        f"{what} more than {FAR_OFF_MV:g} mV off zero: {'its' if len(leads) == 1 else 'their'} median was taken off."
    )
    return (InputWarning("leads_centred", message, leads, "note"),)


def _blocks(leads: int, samples: int) -> list[slice]:
    """Of as many leads as are worked on at once."""
    at_once = max(1, _SAMPLES_AT_ONCE // samples)
    return [slice(first, first + at_once) for first in range(0, leads, at_once)]


def normalise_signal(signal_LN: NDArray[np.floating], spec: EcgSpec) -> NDArray[np.floating]:
    """Clip, subtract the baseline and z-score each lead group of a signal already at `spec.rate_hz`; dtype is kept.

    Missing samples count as zero. Source: arXiv 2603.08505.
    """
    signal_LN = np.nan_to_num(signal_LN, nan=0.0)
    limit = spec.clip_sd * signal_LN.std()
    signal_LN = np.clip(signal_LN, -limit, limit)
    for block in _blocks(*signal_LN.shape):
        signal_LN[block] -= als_baseline(signal_LN[block], spec)  # in float64, rounded once
    for first, last in spec.normalisation_groups:
        group = signal_LN[first:last]
        signal_LN[first:last] = (group - group.mean()) / np.sqrt(group.var() + spec.variance_floor)
    return signal_LN


def als_baseline(signal_LN: NDArray[np.floating], spec: EcgSpec) -> NDArray[np.float64]:
    """The slow drift under each lead by asymmetric least squares (Eilers and Boelens 2005): (L, N) float64.

    Minimises sum w (y - z)^2 + lambda sum (second difference of z)^2, with w = p above the baseline, 1 - p below it
    and 0 on it; the weights are renewed `spec.baseline_iterations` times.
    """
    if signal_LN.shape[1] < 4:
        raise ValueError("a baseline needs at least four samples")
    y_NL = np.ascontiguousarray(signal_LN.T, dtype=np.float64)
    z_NL: NDArray[np.float64] = _solve_baseline(y_NL, spec.baseline_lambda, spec.baseline_p, spec.baseline_iterations)
    return z_NL.T


def compile_solver() -> None:
    """Compile the baseline solver, or load it from the cache in NUMBA_CACHE_DIR, so that no request waits for it."""
    _solve_baseline(np.zeros((8, 1)), 1e7, 0.3, 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _solve_baseline(y_NL, smoothness, p, iterations):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """LDL^T of the pentadiagonal system, all leads abreast so that the inner loops run in vector registers.

    A weight of 0.3 beside a diagonal of 6e7 keeps only eight digits. The sum is therefore rounded as any solver of the
    published system rounds it: dividing the system by `smoothness` would save work and cost agreement (1e-7 of 1).
    """
    N, L = y_NL.shape
    # Two rows of zeros above and below spare the sweeps every question about the ends; row i lies at i + 2.
    z_NL = np.zeros((N + 4, L))
    below_NL = np.zeros((N + 4, L))  # first subdiagonal of L; the second is smoothness / d of two rows above
    inverse_NL = np.zeros((N + 4, L))  # 1 / d
    off_baseline_L = np.zeros(L, dtype=np.int64)
    above, under, on_baseline_L = 1.0, 1.0, np.ones(L)

    for _ in range(iterations):
        for i in range(N):
            # A row of D D^T, D the second difference with N - 2 columns: 1 -4 6 -4 1, cut at both ends.
            diagonal = smoothness * (1.0 if i == 0 or i == N - 1 else (5.0 if i == 1 or i == N - 2 else 6.0))
            left = smoothness * (0.0 if i == 0 else (-2.0 if i == 1 or i == N - 1 else -4.0))
            for k in range(L):
                y = y_NL[i, k]
                z = z_NL[i + 2, k]
                weight = above if y > z else (under if y < z else on_baseline_L[k])
                further = smoothness * inverse_NL[i, k]
                scaled = left - smoothness * below_NL[i + 1, k]
                below = scaled * inverse_NL[i + 1, k]
                below_NL[i + 2, k] = below
                inverse_NL[i + 2, k] = 1.0 / ((diagonal + weight) - below * scaled - smoothness * further)
                z_NL[i + 2, k] = weight * y - below * z_NL[i + 1, k] - further * z_NL[i, k]
        off_baseline_L[:] = 0
        for i in range(N - 1, -1, -1):
            for k in range(L):
                z = inverse_NL[i + 2, k] * (z_NL[i + 2, k] - smoothness * z_NL[i + 4, k])
                z -= below_NL[i + 3, k] * z_NL[i + 3, k]
                z_NL[i + 2, k] = z
                off_baseline_L[k] += y_NL[i, k] != z
        above, under = p, 1.0 - p
        for k in range(L):
            # Fewer than two weighted samples make the system singular: such a lead keeps its baseline.
            on_baseline_L[k] = 0.0 if off_baseline_L[k] > 1 else 1.0
    return z_NL[2 : N + 2]
