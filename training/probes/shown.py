"""What answers show of fitted probes, in float64 and on standardised features: as `models.probes.ProbeHeads`.

Letters: N ECGs, F features, C LVEF classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from models.probes import FlagProbe, LvefProbe

_Float64 = NDArray[np.float64]


def lvef_probability(probe: LvefProbe, x_NF: _Float64) -> _Float64:
    """(N, C)."""
    logits_NC = x_NF @ np.array(probe.weight_CF).T + np.array(probe.bias_C)
    return np.asarray(softmax(logits_NC * probe.calibration.scale + np.array(probe.calibration.shift), axis=1))


def bounds_by_lvef(lvef: LvefProbe, classes: tuple[int, int], x_NF: _Float64) -> tuple[_Float64, _Float64]:
    """Floor and ceiling (N,) of a flag about LVEF: the probabilities of its `FlagProbe.lvef_classes`."""
    probability_NC = lvef_probability(lvef, x_NF)
    wholly, partly = classes
    return probability_NC[:, :wholly].sum(axis=1), probability_NC[:, :partly].sum(axis=1)


def flag_probability(flag: FlagProbe, lvef: LvefProbe | None, x_NF: _Float64) -> _Float64:
    """(N,)."""
    score_N = x_NF @ np.array(flag.weight_F) + flag.bias
    own_N = np.asarray(expit(score_N * flag.calibration.scale + flag.calibration.shift[0]))
    return (
        own_N
        if lvef is None or flag.lvef_classes is None
        else np.clip(own_N, *bounds_by_lvef(lvef, flag.lvef_classes, x_NF))
    )


def largest_flag(flags: Sequence[FlagProbe], lvef: LvefProbe | None, x_NF: _Float64) -> _Float64:
    """The largest probability (N,) of the flags; 0 without flags."""
    largest_N = np.zeros(len(x_NF))
    for flag in flags:
        largest_N = np.maximum(largest_N, flag_probability(flag, lvef, x_NF))
    return largest_N
