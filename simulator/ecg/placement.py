"""Electrodes on a body: which combination of the heart's dipole each lead sees.

Letters in array names: K independent leads (I, II, V1..V6), D dipole directions.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simulator.ecg.electrics import Electrics

# Lead field of Dower (1980): I, II, V1..V6 from a dipole pointing left, to the feet, to the back.
LEAD_FIELD_KD = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)

# V1 and V2 in the third interspace look down on the heart: smaller r, negative P, an r' in some.
# Textbooks call it a common mistake; a quarter of people here.
_HIGH_V1_V2_2D = np.array([[-0.500, -0.180, -0.860], [0.040, -0.190, -1.260]])


def place_electrodes(electrics: Electrics, rng: Generator) -> NDArray[np.float64]:
    """(8, 3) the lead field of one recording: this torso, and electrodes never quite where they were last time."""
    field_KD = LEAD_FIELD_KD.copy()
    if electrics.high_v1_v2:
        field_KD[2:4] = _HIGH_V1_V2_2D
    return field_KD * electrics.lead_scatter_KD * rng.normal(1.0, 0.025, size=(8, 1))
