"""Linear probes on the ECG features, as numbers a person can read and as a module that applies them.

With the probabilities come what makes them honest: prediction sets with a stated coverage, the prevalence they hold for
and how to move them to another, and how unusual an ECG is (`models.ood`).

Letters in tensor names: B batch, F features, C LVEF classes, Q SHD flags, N studies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator
from torch import Tensor, nn

from models.labels import Numbers
from models.ood import OutOfDistribution

PROBES_SCHEMA_VERSION: Literal[2] = 2
Share = Annotated[float, Field(gt=0, lt=1)]


class Calibration(BaseModel):
    """Fitted on a split that trained nothing else: logits * scale + shift (temperature, or Platt's sigmoid)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    shift: Numbers
    """One per class, or one for a yes-no probe."""


class PredictionSets(BaseModel):
    """Split-conformal prediction sets (Vovk et al. 2005; the score is that of Sadinle et al., arXiv 1609.00451).

    A class is in the set when 1 - its probability is at most `quantile`, which so many of the calibration patients
    kept that the set holds the truth for a share `coverage` of patients like them. This holds over all patients, not
    within each class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverage: Share
    quantile: float = Field(ge=0, le=1)
    n_calibration: int = Field(ge=1)
    """Patients, one ECG of each, who fitted neither the probe nor its calibration."""

    def classes(self, probability_C: ArrayLike, called: int | None = None) -> tuple[int, ...]:
        """Class numbers, rising. The class given as the answer, `called`, is always in: no answer may rule itself out.

        Without `called` that is the most probable class. Adding a class can only raise the coverage.
        """
        values_C = np.asarray(probability_C, dtype=np.float64)
        inside_C = 1.0 - values_C <= self.quantile
        inside_C[values_C.argmax() if called is None else called] = True
        return tuple(np.flatnonzero(inside_C).tolist())


class LvefProbe(BaseModel):
    """Softmax regression on standardised features, then calibration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight_CF: tuple[Numbers, ...]
    bias_C: Numbers
    calibration: Calibration
    prevalence_C: tuple[Share, ...] | None = None
    """Share of each class among the ECGs of the calibration: the prevalence that the probabilities hold for."""
    sets: PredictionSets | None = None


class ShdProbe(BaseModel):
    """Logistic regression on standardised features, then Platt calibration, then a decision at `threshold`.

    For structural heart disease as a whole, and for each of its flags.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight_F: Numbers
    bias: FiniteFloat
    calibration: Calibration
    threshold: float = Field(ge=0, le=1)
    """Positive when the calibrated probability is greater."""
    prevalence: Share | None = None
    """Share of positives among the ECGs of the calibration: the prevalence that the probability holds for."""
    sets: PredictionSets | None = None


class Probes(BaseModel):
    """Everything that turns an ECG's features into probabilities. ValueError when the numbers do not fit together.

    Schema version 1 has the two probes alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1, 2] = PROBES_SCHEMA_VERSION
    feature_mean_F: Numbers
    feature_std_F: Numbers
    lvef: LvefProbe
    shd: ShdProbe
    flags: dict[str, ShdProbe] = Field(default_factory=dict)
    """One probe for each SHD flag that enough patients had and enough had not."""
    ood: OutOfDistribution | None = None

    @model_validator(mode="after")
    def _numbers_fit(self) -> Probes:
        features, classes = len(self.feature_mean_F), len(self.lvef.weight_CF)
        rows = [self.feature_std_F, *self.lvef.weight_CF, *(probe.weight_F for probe in self.yes_no)]
        if any(len(row) != features for row in rows) or (self.ood and len(self.ood.features.mean_S) != features):
            raise ValueError(f"every probe must have one number for each of the {features} features")
        per_class = [self.lvef.bias_C, self.lvef.calibration.shift, self.lvef.prevalence_C or self.lvef.bias_C]
        if any(len(row) != classes for row in per_class):
            raise ValueError(f"the LVEF probe must have one bias and one shift for each of its {classes} classes")
        if any(len(probe.calibration.shift) != 1 for probe in self.yes_no):
            raise ValueError("a yes-no probe must have one calibration shift")
        if self.lvef.prevalence_C is not None:
            _check_shares(self.lvef.prevalence_C)
        if min(self.feature_std_F) <= 0:
            raise ValueError("feature_std_F must be positive")
        return self

    @property
    def flag_names(self) -> tuple[str, ...]:
        """The flags that have a probe, in the order of `HeadOutput.flags_BQ`."""
        return tuple(self.flags)

    @property
    def yes_no(self) -> tuple[ShdProbe, ...]:
        """SHD, then its flags."""
        return (self.shd, *self.flags.values())

    def with_prevalence(
        self,
        *,
        lvef_C: Sequence[float] | None = None,
        shd: float | None = None,
        flags: Mapping[str, float] | None = None,
    ) -> Probes:
        """The same probes for patients among whom the classes are otherwise frequent (prior shift).

        Every probability is what `reweighted` makes of it. It holds where an ECG of a class looks as before and only
        the shares differ. Thresholds move along, so that the same ECGs are called positive. Prediction sets are left
        out, of LVEF and of SHD whichever moved: their coverage was promised over the old mix of patients. ValueError
        where the old prevalence is not known.
        """
        if lvef_C is None and shd is None and not flags:
            return self
        lvef_probe, shd_probe, flag_probes = self.lvef, self.shd, self.flags
        if lvef_C is not None:
            if len(lvef_C) != len(self.lvef.bias_C):
                raise ValueError(f"there are {len(self.lvef.bias_C)} LVEF classes, not {len(lvef_C)}")
            moves = _log_ratios(lvef_C, self.lvef.prevalence_C)
            shift = tuple(s + m for s, m in zip(self.lvef.calibration.shift, moves, strict=True))
            calibration = self.lvef.calibration.model_copy(update={"shift": shift})
            lvef_probe = self.lvef.model_copy(update={"calibration": calibration, "prevalence_C": tuple(lvef_C)})
        if shd is not None:
            shd_probe = _moved(self.shd, shd)
        if flags:
            unknown = set(flags) - set(self.flags)
            if unknown:
                raise ValueError(f"there is no probe for {', '.join(sorted(unknown))}")
            flag_probes = {
                name: _moved(probe, flags[name]) if name in flags else probe for name, probe in self.flags.items()
            }
        return self.model_copy(
            update={
                "lvef": lvef_probe.model_copy(update={"sets": None}),
                "shd": shd_probe.model_copy(update={"sets": None}),
                "flags": flag_probes,
            }
        )


def reweighted(probability_BC: ArrayLike, old_C: ArrayLike, new_C: ArrayLike) -> NDArray[np.float64]:
    """Probabilities (B, C) for shares new_C instead of old_C: times new / old, normalised (Saerens et al. 2002).

    ValueError unless both are C positive shares that sum to 1.
    """
    probabilities_BC = np.asarray(probability_BC, np.float64)
    new_shares, old_shares = (np.asarray(shares, np.float64).ravel().tolist() for shares in (new_C, old_C))
    if probabilities_BC.ndim != 2 or not probabilities_BC.shape[1] == len(new_shares) == len(old_shares):
        raise ValueError("there must be one old and one new share for each column of probabilities")
    weighed_BC = probabilities_BC * np.exp(_log_ratios(new_shares, old_shares))
    return np.asarray(weighed_BC / weighed_BC.sum(axis=1, keepdims=True), dtype=np.float64)


def _check_shares(share_C: Sequence[float]) -> None:
    if not all(share > 0 for share in share_C) or not math.isclose(sum(share_C), 1.0, abs_tol=1e-6):
        raise ValueError("a prevalence must be positive for every class and sum to 1")


def _log_ratios(new_C: Sequence[float], old_C: Sequence[float] | None) -> list[float]:
    if old_C is None:
        raise ValueError("this probe does not say which prevalence it was calibrated for")
    _check_shares(new_C)
    _check_shares(old_C)
    return [math.log(new / old) for new, old in zip(new_C, old_C, strict=True)]


def _moved(probe: ShdProbe, prevalence: float) -> ShdProbe:
    old = None if probe.prevalence is None else (1.0 - probe.prevalence, probe.prevalence)
    less, more = _log_ratios((1.0 - prevalence, prevalence), old)
    calibration = probe.calibration.model_copy(update={"shift": (probe.calibration.shift[0] + more - less,)})
    yes, no = probe.threshold * math.exp(more), (1.0 - probe.threshold) * math.exp(less)
    new = {"calibration": calibration, "prevalence": prevalence, "threshold": yes / (yes + no)}
    return probe.model_copy(update=new)


class HeadOutput(NamedTuple):
    """Probabilities of the LVEF classes, of SHD, and of the flags in the order of `Probes.flag_names`."""

    lvef_BC: Tensor
    shd_B: Tensor
    flags_BQ: Tensor


class ProbeHeads(nn.Module):
    """Features (B, F) to probabilities.

    Standardising, the probes and their calibration are linear one after the other, so they are folded into one layer
    in float64: its first rows are LVEF, then SHD, then the flags.
    """

    def __init__(self, probes: Probes) -> None:
        super().__init__()
        yes_no, lvef = probes.yes_no, probes.lvef
        self.classes = len(lvef.bias_C)

        def double(rows: Sequence[object]) -> Tensor:
            return torch.tensor(rows, dtype=torch.float64)

        std, mean = double(probes.feature_std_F), double(probes.feature_mean_F)
        scale = double([lvef.calibration.scale] * self.classes + [probe.calibration.scale for probe in yes_no])
        weight = double([*lvef.weight_CF, *(probe.weight_F for probe in yes_no)]) / std
        bias = double([*lvef.bias_C, *(probe.bias for probe in yes_no)]) - weight @ mean
        shift = double([*lvef.calibration.shift, *(probe.calibration.shift[0] for probe in yes_no)])
        self.linear = nn.Linear(len(mean), len(bias))
        self.linear.weight = nn.Parameter((weight * scale[:, None]).float(), requires_grad=False)
        self.linear.bias = nn.Parameter((bias * scale + shift).float(), requires_grad=False)

    def forward(self, features_BF: Tensor) -> HeadOutput:
        logits = self.linear(features_BF)
        yes_no = logits[:, self.classes :].sigmoid()
        return HeadOutput(logits[:, : self.classes].softmax(dim=1), yes_no[:, 0], yes_no[:, 1:])
