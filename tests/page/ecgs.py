"""ECGs that the browser uploads, as text tables made here."""

from __future__ import annotations

import numpy as np
from dipole import heart_mv
from numpy.typing import NDArray

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
RATE_HZ = 500
PULSE_MV, PULSE_FROM_S, PULSE_S = 1.0, 1.0, 1.0
"""The one pulse of `pulse`: in every lead, so long that it is the distance to measure as well."""


def table(signal_mv: NDArray[np.float64]) -> bytes:
    """(12, N) as a text table that says its rate by its times, and its unit."""
    head = ",".join(["time_s", *(f"{lead}(mV)" for lead in LEADS)])
    times_s = np.arange(signal_mv.shape[1]) / RATE_HZ
    rows = [
        ",".join([f"{t_s:.3f}", *(f"{mv:.4f}" for mv in row)]) for t_s, row in zip(times_s, signal_mv.T, strict=True)
    ]
    return "\n".join([head, *rows, ""]).encode()


def heart(seed: int = 1) -> dict[str, object]:
    return _file(f"heart-{seed}.csv", table(heart_mv(seed)))


def noise() -> dict[str, object]:
    """Nothing of a heart: no answer is given to it."""
    return _file("noise.csv", table(np.random.default_rng(0).standard_normal((12, 5000))))


def pulse() -> dict[str, object]:
    # Not quite flat: what is flat from the start on is taken for padding.
    signal_mv = np.tile(0.001 * np.sin(np.arange(5000)), (12, 1))
    signal_mv[:, int(PULSE_FROM_S * RATE_HZ) : int((PULSE_FROM_S + PULSE_S) * RATE_HZ)] += PULSE_MV
    return _file("pulse.csv", table(signal_mv))


def without_rate() -> dict[str, object]:
    rows = [",".join(f"{mv:.4f}" for mv in row) for row in heart_mv(1).T]
    return _file("no-rate.csv", "\n".join([",".join(LEADS), *rows, ""]).encode())


def other(name: str, content: bytes) -> dict[str, object]:
    return _file(name, content)


def _file(name: str, content: bytes) -> dict[str, object]:
    """As Playwright takes it."""
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}
