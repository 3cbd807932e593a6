"""A recording to the stretch that is measured: one rate, whole leads, no gaps and no pacing spikes.

Letters in array names: L leads, N samples, R runs with their two ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.signal import butter, filtfilt, iirnotch, sosfiltfilt

from inputs.ecg.gate.levels import carries_signal
from inputs.records import STANDARD_LEADS, EcgRecording

RATE_HZ = 500.0
"""All times are found at 2 ms, whatever the recorder's rate."""
LONGEST_S = 20.0
"""Of a longer record the first 20 s are measured: more beats would tell no more of an interval, and cost time."""
SHORTEST_S = 1.0
RATES_HZ = (50.0, 20_000.0)
"""As preparation takes them."""

_BAND_HZ = 150.0
"""What a diagnostic electrocardiograph passes (Kligfield et al. 2007); above it, resampling would fold noise back."""
_SHORT_GAP_S = 0.04
_STUCK_S = 1.8
"""A lead that keeps one exact value for longer than a heart pauses carries no signal there: padding, or lead off."""
_SPIKE_S = 0.006
_SPIKE_SHARE = 0.4
"""Of a lead's swing: what returns to where it was within 6 ms and is this large is a pacemaker's, not a heart's."""
_SPIKE_MV, _LEADS_OF_SPIKE = 0.15, 4
_SPIKE_OF_SWING = 0.08
"""Of a lead's swing: a notch of QRS may be less."""
_SPIKE_OVER_NOISE, _NOISE_PERCENT = 5.0, 90.0
"""A pacemaker's pulse stands so far over nine tenths of what is as short in the same lead: noise does not."""
_AROUND_SPIKE_S, _AROUND_PERCENT, _ALONE = 0.075, 75.0, 5.0
"""And so far over three quarters of what is as short around it: the peaks of a burst of muscle do not."""
_SHORT = 0.7
"""Of what a pulse rises by within twice _SPIKE_S, what it does within that: an amplifier of 100 Hz leaves 0.95 of a
pacemaker's, narrow Q and R waves, which take 20 ms and more, have some 0.4."""
_MAINS_HZ = (50.0, 60.0)
_HUM_SHARE = 0.02
"""Of a lead's swing: the QRS itself has half of that at 50 Hz in a mean second."""
_NOTCH_Q = 15.0
_THROUGH = 0.8
_ENOUGH_THROUGH = 3
"""Leads that last through are measured alone where there are so many; what has gaps is left out."""


@dataclass(frozen=True, eq=False)
class Tracing:
    """signal_mv_LN: float64 millivolt at RATE_HZ, continued over gaps. present_LN: False in gaps.

    leads: L names; none is flat, at the end of its range or without samples.
    hum_mv_L: height of the mains' hum that was taken off or left.
    spikes_S: samples at which several leads have a pulse as short as a pacemaker's, or the peak of a narrow QRS.
    """

    signal_mv_LN: NDArray[np.float64]
    present_LN: NDArray[np.bool_]
    leads: tuple[str, ...]
    hum_mv_L: NDArray[np.float64]
    spikes_S: NDArray[np.intp]

    def part(self, rows_L: NDArray[np.intp], first: int, last: int) -> Tracing:
        """Some leads, from sample `first` to before `last`."""
        window = slice(first, last)
        names = tuple(self.leads[row] for row in rows_L)
        signal_mv_LN, present_LN = self.signal_mv_LN[rows_L, window], self.present_LN[rows_L, window]
        return Tracing(signal_mv_LN, present_LN, names, self.hum_mv_L[rows_L], self.spikes_S)


def parts(tracing: Tracing) -> list[Tracing]:
    """Stretches whose leads were recorded together: the tracing itself, or the columns of a printout.

    A lead that lasts through, as a rhythm strip does, is in every part. What is too short to show a beat is none.
    """
    samples = tracing.signal_mv_LN.shape[1]
    through_L = tracing.present_LN.mean(axis=1) >= _THROUGH
    if np.count_nonzero(through_L) >= _ENOUGH_THROUGH or through_L.all():
        return [tracing.part(np.flatnonzero(through_L), 0, samples)]
    found = []
    centre_L = np.array([np.flatnonzero(row).mean() for row in tracing.present_LN])
    left = [row for row in np.argsort(centre_L).tolist() if not through_L[row]]
    while left:
        together = [row for row in left if centre_L[row] - centre_L[left[0]] < SHORTEST_S * RATE_HZ]
        left = [row for row in left if row not in together]
        span = np.flatnonzero(tracing.present_LN[together].all(axis=0))
        if len(span) and span[-1] + 1 - span[0] >= SHORTEST_S * RATE_HZ:
            rows_L = np.array(sorted([*together, *np.flatnonzero(through_L).tolist()]), dtype=np.intp)
            found.append(tracing.part(rows_L, int(span[0]), int(span[-1]) + 1))
    return found


def trace(recording: EcgRecording) -> Tracing | None:
    """The standard leads of the first LONGEST_S seconds at RATE_HZ; None where no lead has anything to measure."""
    rate_hz = recording.rate_hz
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        return None
    samples = int(min(recording.signal_mv.shape[1], LONGEST_S * rate_hz))
    if samples < SHORTEST_S * rate_hz:
        return None
    rows, masks, leads = [], [], []
    for name, row_mv in zip(recording.lead_names, recording.signal_mv, strict=True):
        if name not in STANDARD_LEADS or name in leads:
            continue
        row_N = row_mv[:samples].astype(np.float64)
        present_N = _present(row_N, rate_hz)
        if np.count_nonzero(present_N) < SHORTEST_S * rate_hz or not carries_signal(row_mv[:samples][present_N]):
            continue
        if not present_N.all() or not np.isfinite(row_N).all():
            row_N = _continued(row_N, present_N)
        row_N, present_N, row_hz = _at_most_2_khz(row_N, present_N, rate_hz)
        rows.append(row_N)
        masks.append(present_N)
        leads.append(name)
    if not rows:
        return None
    signal_mv_LN, present_LN = _at_one_rate(np.stack(rows), np.stack(masks), row_hz)
    signal_mv_LN, spikes_S = _without_spikes(signal_mv_LN)
    signal_mv_LN, hum_mv_L = _without_hum(signal_mv_LN)
    return Tracing(signal_mv_LN, present_LN, tuple(leads), hum_mv_L, spikes_S)


def _present(row_N: NDArray[np.float64], rate_hz: float) -> NDArray[np.bool_]:
    """Where a lead has a signal: samples that are numbers, or in a gap too short to matter, and not stuck."""
    present_N = np.ones(len(row_N), dtype=bool)
    for first, last in _runs(~np.isfinite(row_N), longer_than=_SHORT_GAP_S * rate_hz):
        present_N[first:last] = False
    still_N = np.zeros(len(row_N), dtype=bool)
    np.equal(row_N[1:], row_N[:-1], out=still_N[1:])
    for first, last in _runs(still_N, longer_than=_STUCK_S * rate_hz - 1):
        present_N[first - 1 : last] = False
    return present_N


def _runs(true_N: NDArray[np.bool_], longer_than: float) -> list[tuple[int, int]]:
    """Those of more samples than that: a crafted record has hundreds of thousands of short ones."""
    if not true_N.any():
        return []
    runs_R2 = np.flatnonzero(np.diff(true_N.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    return [(first, last) for first, last in runs_R2[runs_R2[:, 1] - runs_R2[:, 0] > longer_than].tolist()]


def _continued(row_N: NDArray[np.float64], present_N: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Straight lines over gaps, so that no filter meets a step."""
    known = np.flatnonzero(present_N & np.isfinite(row_N))
    return np.interp(np.arange(len(row_N)), known, row_N[known])


def _at_most_2_khz(
    row_N: NDArray[np.float64], present_N: NDArray[np.bool_], rate_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], float]:
    """A lead, where it is present, and its rate. Lead by lead: all at 20 kHz would take 75 MB."""
    step = int(rate_hz / 1000.0)
    if step <= 1:
        return row_N, present_N, rate_hz
    whole = len(row_N) // step * step  # a mean over less than a millisecond takes no part of a wave away
    present_N = np.asarray(present_N[:whole].reshape(-1, step).all(axis=1))
    return row_N[:whole].reshape(-1, step).mean(axis=1), present_N, rate_hz / step


def _at_one_rate(
    signal_LN: NDArray[np.float64], present_LN: NDArray[np.bool_], rate_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    if rate_hz == RATE_HZ:
        return signal_LN, present_LN
    if rate_hz > RATE_HZ:
        signal_LN = sosfiltfilt(butter(2, _BAND_HZ, fs=rate_hz, output="sos"), signal_LN, axis=1)
    at_N = np.arange(int((signal_LN.shape[1] - 1) * RATE_HZ / rate_hz) + 1) * (rate_hz / RATE_HZ)
    spline = CubicSpline(np.arange(signal_LN.shape[1]), signal_LN, axis=1)
    return spline(at_N), present_LN[:, np.rint(at_N).astype(np.intp)]


def _without_spikes(signal_LN: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Pulses shorter than _SPIKE_S are replaced by the median of the sample and its neighbours at that distance.

    Also the moments of all short pulses, replaced or not.
    """
    reach = round(_SPIKE_S * RATE_HZ)
    at_LN, middle_LN = signal_LN[:, reach:-reach], _middle_of_three(signal_LN, reach)
    height_LN = np.abs(at_LN - middle_LN)
    noise_L1 = np.percentile(height_LN, _NOISE_PERCENT, axis=1, keepdims=True)
    swing_L1 = np.ptp(middle_LN, axis=1, keepdims=True)
    least_L1 = np.maximum(_SPIKE_MV, np.maximum(_SPIKE_OVER_NOISE * noise_L1, _SPIKE_OF_SWING * swing_L1))
    pulse_LN = height_LN > least_L1
    several = np.flatnonzero(np.count_nonzero(pulse_LN, axis=0) >= _LEADS_OF_SPIKE) + reach
    spikes_S = several[np.diff(several, prepend=-2 * reach) > 2 * reach]
    spike_S = [
        _stands_alone(height_LN, pulse_LN, at - reach) and _is_short(signal_LN[pulse_LN[:, at - reach]], at)
        for at in spikes_S.tolist()
    ]
    spikes_S = spikes_S[np.array(spike_S, dtype=bool)]
    spike_LN = height_LN > np.maximum(_SPIKE_SHARE * swing_L1, _SPIKE_OVER_NOISE * noise_L1)  # hum's crests are none
    if not spike_LN.any():
        return signal_LN, spikes_S
    cleaned_LN = signal_LN.copy()
    cleaned_LN[:, reach:-reach][spike_LN] = middle_LN[spike_LN]
    return cleaned_LN, spikes_S


def _middle_of_three(signal_LN: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """(L, N - 2 x reach): the median of each sample and its neighbours at a distance."""
    before_LN, at_LN, after_LN = signal_LN[:, : -2 * reach], signal_LN[:, reach:-reach], signal_LN[:, 2 * reach :]
    return np.asarray(np.maximum(np.minimum(before_LN, after_LN), np.minimum(np.maximum(before_LN, after_LN), at_LN)))


def _is_short(own_LN: NDArray[np.float64], at: int) -> bool:
    """Whether the pulse at or just after a sample is over within _SPIKE_S, in most of the leads that have it.

    A wave that is narrow at its tip has fallen further at twice the distance.
    """
    reach = round(_SPIKE_S * RATE_HZ)
    near_LN = own_LN[:, max(0, at - 2 * reach) : at + 4 * reach]
    if near_LN.shape[1] <= 4 * reach:
        return True  # at an end there is no telling
    short_LN, long_LN = (np.abs(near_LN[:, r:-r] - _middle_of_three(near_LN, r)) for r in (reach, 2 * reach))
    return bool(np.median(short_LN.max(axis=1) / np.maximum(long_LN.max(axis=1), 1e-9)) >= _SHORT)


def _stands_alone(height_LN: NDArray[np.float64], pulse_LN: NDArray[np.bool_], at: int) -> bool:
    """Whether a pulse is larger, in most of the leads that have it, than what is as short before and after it."""
    around, reach = round(_AROUND_SPIKE_S * RATE_HZ), round(_SPIKE_S * RATE_HZ)
    own_LN = height_LN[pulse_LN[:, at]]
    beside_LN = np.concatenate(
        [own_LN[:, max(0, at - around) : max(0, at - reach)], own_LN[:, at + 3 * reach : at + around]], axis=1
    )
    pulse_L = own_LN[:, at : at + 2 * reach].max(axis=1)
    return bool(np.median(pulse_L / np.maximum(np.percentile(beside_LN, _AROUND_PERCENT, axis=1), 1e-9)) > _ALONE)


def _without_hum(signal_LN: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A notch at 50 or 60 Hz for leads that hum at it: for others it would only blur the edges of QRS.

    Also the height of the hum in each lead, at that of both at which it is higher.
    """
    hum_L = np.zeros(len(signal_LN))
    seconds = signal_LN.shape[1] // int(RATE_HZ)
    if seconds == 0:
        return signal_LN, hum_L
    blocks_LBS = signal_LN[:, : seconds * int(RATE_HZ)].reshape(len(signal_LN), seconds, -1)
    swing_L = np.ptp(signal_LN, axis=1)
    for mains_hz in _MAINS_HZ:
        wave_S = np.exp(-2j * np.pi * mains_hz * np.arange(int(RATE_HZ)) / RATE_HZ)
        height_L = np.median(np.abs(blocks_LBS @ wave_S), axis=1) * (2.0 / RATE_HZ)
        hum_L = np.maximum(hum_L, height_L)
        humming = np.flatnonzero(height_L > _HUM_SHARE * swing_L)
        if len(humming):
            signal_LN = signal_LN.copy()
            b, a = iirnotch(mains_hz, _NOTCH_Q, fs=RATE_HZ)
            signal_LN[humming] = filtfilt(b, a, signal_LN[humming], axis=1)
    return signal_LN, hum_L
