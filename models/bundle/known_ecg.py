"""A known ECG and what a bundle said of it, as a bundle keeps them.

Letters: L leads, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inputs.records import STANDARD_LEADS, EcgRecording

_RATE_HZ, _SECONDS = 500.0, 10.0
_BEAT_S = 0.8
_WAVES = (
    # of a beat: centre and width in s, millivolt to the left (x), down (y) and to the back (z)
    (-0.16, 0.022, (0.10, 0.09, 0.01)),
    (-0.03, 0.009, (-0.10, -0.05, -0.15)),
    (0.0, 0.012, (1.10, 0.80, 0.35)),
    (0.03, 0.010, (-0.20, -0.15, 0.40)),
    (0.26, 0.050, (0.30, 0.20, -0.18)),
)
_CHEST = (
    (-0.5, -0.1, -0.85),
    (-0.2, 0.0, -0.9),
    (0.2, 0.1, -0.75),
    (0.55, 0.2, -0.5),
    (0.8, 0.2, 0.0),
    (0.8, 0.2, 0.3),
)
"""Directions of V1 to V6 in x, y and z."""
_MICROVOLTS = 1000.0

_SIGNAL, _ANSWER = "signal_uv", "answer:"


def known_ecg_mv() -> NDArray[np.float32]:
    """(12, 5000) float32 millivolt at 500 Hz: an invented, regular rhythm of 75 a minute, leads as in STANDARD_LEADS.

    A dipole of one Gaussian a wave, in the sense of McSharry et al., IEEE Trans Biomed Eng 2003;50:289. Always the
    same.
    """
    t_N = np.arange(int(_RATE_HZ * _SECONDS)) / _RATE_HZ
    beats = np.arange(0.3, _SECONDS + _BEAT_S, _BEAT_S)
    heart_3N = np.zeros((3, len(t_N)))
    for centre_s, width_s, direction_mv in _WAVES:
        shape_N = sum(np.exp(-0.5 * ((t_N - beat - centre_s) / width_s) ** 2) for beat in beats)
        heart_3N += np.asarray(direction_mv)[:, None] * shape_N
    lead_i, lead_ii = heart_3N[0], 0.5 * heart_3N[0] + 0.87 * heart_3N[1]
    limbs = [lead_i, lead_ii, lead_ii - lead_i, -(lead_i + lead_ii) / 2, lead_i - lead_ii / 2, lead_ii - lead_i / 2]
    return np.concatenate([limbs, np.asarray(_CHEST) @ heart_3N]).astype(np.float32)


@dataclass(frozen=True)
class SelfTest:
    """signal_uv_LN: int16 microvolt at `rate_hz`, leads as in STANDARD_LEADS. answers: float32 by name, one ECG's.

    The signal is kept, and not only how it is made, so that a bundle goes on to be asked what it was asked.
    """

    signal_uv_LN: NDArray[np.int16]
    rate_hz: float
    answers: Mapping[str, NDArray[np.float32]]

    @property
    def recording(self) -> EcgRecording:
        signal_mv = (self.signal_uv_LN / _MICROVOLTS).astype(np.float32)
        return EcgRecording(signal_mv, self.rate_hz, STANDARD_LEADS, "known")

    @classmethod
    def of_known_ecg(cls) -> SelfTest:
        """Without answers yet."""
        return cls(np.round(known_ecg_mv() * _MICROVOLTS).astype(np.int16), _RATE_HZ, {})

    def as_tensors(self) -> dict[str, Tensor]:
        answers = {f"{_ANSWER}{name}": torch.from_numpy(value.copy()) for name, value in self.answers.items()}
        return {_SIGNAL: torch.from_numpy(self.signal_uv_LN.copy()), **answers}

    def as_metadata(self) -> dict[str, str]:
        return {"rate_hz": repr(self.rate_hz)}

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> SelfTest:
        """KeyError or ValueError for tensors and metadata that are none."""
        signal = tensors[_SIGNAL].numpy()
        if signal.dtype != np.int16 or signal.ndim != 2 or len(signal) != len(STANDARD_LEADS):
            raise ValueError("the signal of a self-test is int16, a row for each standard lead")
        answers = {
            name.removeprefix(_ANSWER): tensor.numpy() for name, tensor in tensors.items() if name.startswith(_ANSWER)
        }
        return cls(signal, float(metadata["rate_hz"]), answers)
