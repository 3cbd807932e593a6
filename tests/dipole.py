"""A heart as one dipole that turns, seen by twelve leads: enough of an ECG for everything that judges ECGs."""

import numpy as np

from simulator.ecg.placement import LEAD_FIELD_KD

# Each wave: when and how wide in seconds, and where its dipole points, in millivolt.
_WAVES = (
    (-0.16, 0.025, (0.06, 0.12, -0.03)),
    (-0.022, 0.008, (-0.10, 0.05, -0.35)),
    (0.0, 0.011, (1.00, 0.70, 0.10)),
    (0.024, 0.010, (0.10, -0.15, 0.55)),
    (0.25, 0.045, (0.30, 0.22, -0.18)),
)


def heart_mv(seed, *, rate_hz=500.0, seconds=10.0, noise_mv=0.01):
    """(12, N) float64 in the usual order; another seed is a somewhat other heart and other noise."""
    draw = np.random.default_rng(seed)
    t_s = np.arange(int(seconds * rate_hz)) / rate_hz
    dipole_3N = np.zeros((3, len(t_s)))
    every_s, begin_s = draw.uniform(0.7, 1.0), draw.uniform(0.2, 0.4)
    waves = [(at_s, width_s, np.multiply(size, draw.uniform(0.8, 1.2, 3))) for at_s, width_s, size in _WAVES]
    for beat_s in np.arange(begin_s, seconds + 0.5, every_s):
        for at_s, width_s, size in waves:
            dipole_3N += size[:, None] * np.exp(-0.5 * ((t_s - beat_s - at_s) / width_s) ** 2)
    one, two, *chest = LEAD_FIELD_KD @ dipole_3N + noise_mv * draw.standard_normal((8, len(t_s)))
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *chest])
