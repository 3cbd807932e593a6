"""Beats of simulated hearts, and what a ruler finds in them: by code that knows nothing of how they were made.

Letters: K independent leads (I, II, V1..V6), N samples, S samples of a beat.
"""

from dataclasses import replace

import numpy as np
from scipy.signal import find_peaks

from simulator.ecg.electrics import Expression, sample_electrics
from simulator.ecg.heart import shape_beat
from simulator.ecg.signal import heart_leads, seen_by_leads
from simulator.ecg.waves import dipole_at

RATE_HZ = 500.0
ONE, TWO, V1, V2, V3, V4, V5, V6 = range(8)


def steady(number, **kwargs):
    """The electrics of one person without early beats."""
    return replace(sample_electrics(np.random.default_rng([5, number])), ectopy=0.0, atrial_ectopy=0.0, **kwargs)


def telling(number, **kwargs):
    """The same of one who shows everything to a typical degree."""
    return steady(number, expression=Expression.typical(), **kwargs)


def beats_of(leads_KN, rate_hz=RATE_HZ):
    """(beats, K, samples) from 300 ms before to 500 ms after each dominant deflection, flat before the P wave."""
    steep_N = np.square(np.diff(leads_KN, axis=1)).sum(axis=0)  # squared: a tall T wave is less steep by far
    smooth_N = np.convolve(steep_N, np.ones(30) / 30, "same")
    peaks, _ = find_peaks(smooth_N, height=0.15 * smooth_N.max(), distance=int(0.3 * rate_hz))
    before, after = int(0.3 * rate_hz), int(0.5 * rate_hz)
    cut = [leads_KN[:, p - before : p + after] for p in peaks if p >= before and p + after <= leads_KN.shape[1]]
    return np.array(cut), np.diff(peaks) / rate_hz


def median_beat(physiology, number, electrics=None, duration_s=6.0):
    """(K, S) of one person's recording: `steady` unless given."""
    rng = np.random.default_rng([6, number])
    leads_KN = heart_leads(
        physiology, electrics=electrics or steady(number), rate_hz=RATE_HZ, duration_s=duration_s, rng=rng
    )
    return np.median(beats_of(leads_KN)[0], axis=0)


def one_beat(physiology, number, **kwargs):
    """(K, W) millivolt at 1,000 Hz from 250 ms before QRS onset, and the slices of its QRS and of what follows."""
    beat = shape_beat(physiology, steady(number, **kwargs), np.random.default_rng([7, number]))
    bumps = tuple(bump for bump in beat.bumps if bump.before_ms > 1.0)  # without a pacemaker's spike
    leads_KW = seen_by_leads(beat, dipole_at(bumps, np.arange(-250.0, 650.0)))
    ends = 250 + round(beat.qrs_ms)
    return leads_KW, slice(250, ends), slice(ends + 60, 250 + round(beat.qt_ms))


QRS = slice(100, 210)
P_WAVE = slice(20, 115)
T_WAVE = slice(230, 390)


def qrs_width_ms(beat_KS):
    steep = np.abs(np.diff(beat_KS, axis=1)).sum(axis=0)[80:260]
    active = np.flatnonzero(steep > 0.12 * steep.max())
    return (active[-1] - active[0]) * 1000.0 / RATE_HZ


def limb_swing(beat_KS):
    one, two = beat_KS[ONE, QRS], beat_KS[TWO, QRS]
    return max(np.ptp(x) for x in (one, two, two - one, one - two / 2, two - one / 2, (one + two) / 2))


def axis_deg(beat_KS, during=QRS):
    one, foot = beat_KS[ONE, during], beat_KS[TWO, during] - beat_KS[ONE, during] / 2
    degrees = np.degrees(np.arctan2(2 / np.sqrt(3) * (foot.max() + foot.min()), one.max() + one.min()))
    return degrees + 360 if degrees < -90 else degrees  # far right goes past 180


def extreme(wave):
    return wave.max() if wave.max() > -wave.min() else wave.min()


MEASURES = {
    "qrs_width_ms": qrs_width_ms,
    "sv1_rv5_mv": lambda b: -b[V1, QRS].min() + b[V5, QRS].max(),
    "r_v3_mv": lambda b: b[V3, QRS].max(),
    "t_v6_mv": lambda b: extreme(b[V6, T_WAVE]),
    "t_v2_mv": lambda b: extreme(b[V2, T_WAVE]),
    "limb_swing_mv": limb_swing,
    "limb_over_chest": lambda b: limb_swing(b) / np.ptp(b[V1:, QRS], axis=1).mean(),
    "axis_deg": axis_deg,
    "r_over_s_v1": lambda b: b[V1, QRS].max() / max(0.02, -b[V1, QRS].min()),
    "s_v6_mv": lambda b: -b[V6, QRS].min(),
    "s_v2_mv": lambda b: -b[V2, QRS].min(),
    "p_v1_depth_mv": lambda b: -b[V1, P_WAVE].min(),
    "p_ii_mv": lambda b: b[TWO, P_WAVE].max() - b[TWO, 5:15].mean(),
    "q_ii_mv": lambda b: -b[TWO, 120:155].min(),
    "r_v2_mv": lambda b: b[V2, QRS].max(),
    "q_i_mv": lambda b: -b[ONE, 120:155].min(),
    "early_v2_mv": lambda b: b[V2, 130:150].mean(),
}
