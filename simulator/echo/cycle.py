"""The cardiac cycle as an echo sees it: how far each chamber has emptied and each valve opened, frame by frame.

Letters in array names: T frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BEATS_DRAWN = 12
"""Intervals drawn in advance, enough for 48 frames at the slowest frame rate and the fastest heart."""

_RR_SPREAD = {"sinus": 0.02, "atrial_fibrillation": 0.17, "atrial_flutter": 0.05}


@dataclass(frozen=True)
class Cycle:
    """Frame times and what the heart does then. Fractions are 0..1.

    emptying_T: ventricles, 0 at end diastole, 1 at end systole; the atria fill as they empty.
    mitral_T, aortic_T: how far the inflow and outflow valves stand open. systole_T: 1 during ejection, smooth edges.
    since_r_T: time since the R wave over the duration of systole, so 1 at end systole and more in diastole.
    """

    time_s_T: Floats
    emptying_T: Floats
    mitral_T: Floats
    aortic_T: Floats
    systole_T: Floats
    since_r_T: Floats
    r_waves_s: Floats
    has_p_waves: bool


def cardiac_cycle(time_s_T: Floats, *, heart_rate_bpm: float, rhythm: str, interval_noise: Floats) -> Cycle:
    """Times relative to an R wave at 0 s -> cycle. `interval_noise`: BEATS_DRAWN standard normal numbers.

    Atrial fibrillation and flutter have no atrial kick, fibrillation irregular intervals; in sinus rhythm the kick
    fills the last quarter of the stroke. Systole shortens with the square root of the interval, as QT does.
    """
    assert interval_noise.shape == (BEATS_DRAWN,)
    without_kick = rhythm != "sinus"
    intervals_s = 60.0 / heart_rate_bpm * np.exp(_RR_SPREAD[rhythm] * np.clip(interval_noise, -2.0, 2.0))
    r_waves_s = np.concatenate([[0.0], np.cumsum(intervals_s)]) - intervals_s[:2].sum()
    beat_T = np.clip(np.searchsorted(r_waves_s, time_s_T, side="right") - 1, 0, BEATS_DRAWN - 1)
    since_r_T = time_s_T - r_waves_s[beat_T]
    interval_T = intervals_s[beat_T]
    systole_s_T = np.minimum(0.37 * np.sqrt(interval_T), 0.55 * interval_T)
    s_T = np.clip(since_r_T / systole_s_T, 0.0, 1.0)
    d_T = np.clip((since_r_T - systole_s_T) / (interval_T - systole_s_T), 0.0, 1.0)

    early, early_end = (1.0, 0.60) if without_kick else (0.75, 0.42)
    refilled_T = early * _ramp(d_T, 0.06, early_end) + (1.0 - early) * _ramp(d_T, 0.70, 0.98)
    emptying_T = _ramp(s_T, 0.10, 1.0) - refilled_T
    kick = 0.0 if without_kick else 0.4
    mitral_T = _ramp(d_T, 0.04, 0.14) - 0.65 * _ramp(d_T, 0.25, 0.42)
    mitral_T += kick * (_ramp(d_T, 0.70, 0.80) - _ramp(d_T, 0.86, 0.94)) - 0.35 * _ramp(d_T, 0.93, 1.0)
    return Cycle(
        time_s_T=time_s_T,
        emptying_T=emptying_T,
        mitral_T=np.clip(mitral_T, 0.0, 1.0),
        aortic_T=_ramp(s_T, 0.10, 0.20) - _ramp(s_T, 0.86, 0.98),
        systole_T=_ramp(s_T, 0.05, 0.15) - _ramp(d_T, 0.0, 0.05),
        since_r_T=since_r_T / systole_s_T,
        r_waves_s=r_waves_s,
        has_p_waves=not without_kick,
    )


def _ramp(x: Floats, start: float, end: float) -> Floats:
    """0 before `start`, 1 after `end`, a smooth step between."""
    u = np.clip((x - start) / (end - start), 0.0, 1.0)
    return np.asarray(u * u * (3.0 - 2.0 * u))
