"""Linear probes on the ECG features, as numbers a person can read; `models.probe_heads` applies them.

With the probabilities come what makes them honest: operating points and finding rules, prediction sets with a stated
coverage, the prevalence they hold for and how to move them to another, LVEF as a number with an interval, and how
unusual an ECG is (`models.ood`).

Letters in array names: B batch, F features, C LVEF classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from models.findings import FindingRule
from models.labels import Numbers
from models.lvef_number import LvefNumber
from models.ood import OutOfDistribution
from models.operating_point import OperatingPoint, Share
from models.prediction_sets import PerClassSets, PredictionSets

PROBES_SCHEMA_VERSION: Literal[5] = 5


class Calibration(BaseModel):
    """Fitted on a split that trained nothing else: logits * scale + shift (temperature, or Platt's sigmoid)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    shift: Numbers
    """One per class, or one for a yes-no probe."""


class LvefProbe(BaseModel):
    """Softmax regression on standardised features, then calibration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight_CF: tuple[Numbers, ...]
    bias_C: Numbers
    calibration: Calibration
    prevalence_C: tuple[Share, ...] | None = None
    """Share of each class among the ECGs of the calibration: the prevalence that the probabilities hold for."""
    sets: PredictionSets | None = None
    per_class_sets: PerClassSets | None = None
    operating_point: OperatingPoint | None = None
    """Of the lowest class."""
    number: LvefNumber | None = None


class YesNoProbe(BaseModel):
    """Logistic regression on standardised features, then Platt calibration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight_F: Numbers
    bias: FiniteFloat
    calibration: Calibration
    prevalence: Share | None = None
    """Share of positives among the ECGs of the calibration: the prevalence that the probability holds for."""
    sets: PredictionSets | None = None


class ShdProbe(YesNoProbe):
    """Structural heart disease as a whole, or a label of the user's own: decided at `threshold`."""

    threshold: float = Field(ge=0, le=1)
    """Positive when the calibrated probability is greater."""
    per_class_sets: PerClassSets | None = None
    operating_point: OperatingPoint | None = None
    """What the threshold brings; its own threshold is the same."""

    @model_validator(mode="after")
    def _one_threshold(self) -> ShdProbe:
        if self.operating_point is not None and self.operating_point.threshold != self.threshold:
            raise ValueError("the operating point must have the threshold of the probe")
        return self


class FlagProbe(YesNoProbe):
    """One SHD flag, with the rule of what is said of it."""

    threshold: float | None = Field(default=None, ge=0, le=1)
    """Of schema versions before 3, which say yes above it and know no rule."""
    rule: FindingRule | None = None
    lvef_classes: tuple[int, int] | None = None
    """Of a flag that says that LVEF is at most some value: how many of the lowest LVEF classes lie wholly at or below
    it, and how many hold any value that does. What is shown lies between the probabilities of those; rule, calibration
    of SHD and its sets were fitted with this step in place."""

    @model_validator(mode="after")
    def _decides_somehow(self) -> FlagProbe:
        if self.threshold is None and self.rule is None:
            raise ValueError("a flag needs a rule, or a threshold of an earlier schema")
        if self.rule is not None and self.prevalence is None:
            raise ValueError("the rule of a flag needs the prevalence of the flag")
        if self.lvef_classes is not None and not 0 <= self.lvef_classes[0] <= self.lvef_classes[1]:
            raise ValueError("the LVEF classes of a flag must be counted from none, the fewer first")
        return self

    @property
    def decision_threshold(self) -> float:
        """The probability from which the odds rule alone raises the flag, or the threshold of an earlier schema.

        For scores that need a cut, as F1 does: whether the flag is raised is `FindingRule.finding`'s to say.
        """
        if self.rule is not None and self.prevalence is not None:
            return self.rule.odds_threshold(self.prevalence)
        assert self.threshold is not None
        return self.threshold


class OwnNumber(BaseModel):
    """A numeric label of the user's own: ridge regression on standardised features, in the label's unit.

    `half_width` is the ceil((n + 1) coverage)-th smallest |label - prediction| of n calibration patients, one ECG of
    each, who fitted nothing (split conformal; Lei et al. 2018). All three are None where there were too few.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight_F: Numbers
    bias: FiniteFloat
    half_width: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    coverage: Share | None = None
    n_calibration: int | None = Field(default=None, ge=1)


class Probes(BaseModel):
    """Everything that turns an ECG's features into probabilities. ValueError when the numbers do not fit together.

    Schema version 1 has the two probes alone; before 3 there are no rules, operating points, sets within a class and
    no LVEF as a number, and SHD does not cover its flags; before 4 a flag about LVEF may contradict the LVEF classes;
    before 5 there are both LVEF and SHD and no labels of the user's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1, 2, 3, 4, 5] = PROBES_SCHEMA_VERSION
    feature_mean_F: Numbers
    feature_std_F: Numbers
    lvef: LvefProbe | None = None
    """None, as `shd`, where the cohort's labels did not allow a probe."""
    shd: ShdProbe | None = None
    flags: dict[str, FlagProbe] = Field(default_factory=dict)
    """One probe for each SHD flag that enough patients had and enough had not."""
    shd_covers_flags: bool = False
    """Whether the probability of SHD is raised to that of the most probable flag where it is lower: a heart with a flag
    has SHD. The calibration of SHD, its threshold and its sets were fitted with this step in place."""
    ood: OutOfDistribution | None = None
    own_yes_no: dict[str, ShdProbe] = Field(default_factory=dict)
    """By the column of the cohort that the user named."""
    own_numbers: dict[str, OwnNumber] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _versions_fit(self) -> Probes:
        if self.schema_version < 5 and (self.lvef is None or self.shd is None or self.own):
            raise ValueError("before schema version 5 there are LVEF and SHD, and nothing of the user's own")
        return self

    @model_validator(mode="after")
    def _numbers_fit(self) -> Probes:
        features, lvef = len(self.feature_mean_F), self.lvef
        classes = 0 if lvef is None else len(lvef.weight_CF)
        rows = [self.feature_std_F, *(probe.weight_F for probe in self.yes_no)]
        rows += [number.weight_F for number in self.own_numbers.values()]
        if lvef is not None:
            rows += [*lvef.weight_CF, *([] if lvef.number is None else [lvef.number.weight_F])]
        if any(len(row) != features for row in rows) or (self.ood and len(self.ood.features.mean_S) != features):
            raise ValueError(f"every probe must have one number for each of the {features} features")
        if lvef is not None:
            _check_lvef(lvef, classes)
        for name, decided in (*([] if self.shd is None else [("SHD", self.shd)]), *self.own_yes_no.items()):
            _check_classes(name, 2, 1, decided.per_class_sets, decided.operating_point)
        if any(
            flag.rule and (len(flag.rule.calls.n_C), flag.rule.calls.case) != (2, 1) for flag in self.flags.values()
        ):
            raise ValueError("the rule of a flag must be counted on patients without and with it")
        if any(flag.lvef_classes and flag.lvef_classes[1] > classes for flag in self.flags.values()):
            raise ValueError(f"a flag reaches into more than the {classes} LVEF classes")
        if any(len(probe.calibration.shift) != 1 for probe in self.yes_no):
            raise ValueError("a yes-no probe must have one calibration shift")
        if min(self.feature_std_F) <= 0:
            raise ValueError("feature_std_F must be positive")
        return self

    @property
    def flag_names(self) -> tuple[str, ...]:
        """The flags that have a probe, in the order of `HeadOutput.flags_BQ`."""
        return tuple(self.flags)

    @property
    def yes_no(self) -> tuple[YesNoProbe, ...]:
        """SHD where there is a probe of it, its flags, and the labels of the user's own."""
        return (*([] if self.shd is None else [self.shd]), *self.flags.values(), *self.own_yes_no.values())

    @property
    def own(self) -> tuple[str, ...]:
        """The labels of the user's own, those of yes and no first."""
        return (*self.own_yes_no, *self.own_numbers)

    @property
    def own_kinds(self) -> dict[str, Literal["yes_no", "number"]]:
        """Of each of them what it is."""
        return {name: "yes_no" if name in self.own_yes_no else "number" for name in self.own}

    @property
    def predicts(self) -> bool:
        """Whether there is any probe; a measure of how unusual an ECG is, is none."""
        return self.lvef is not None or bool(self.yes_no) or bool(self.own_numbers)

    def with_prevalence(
        self,
        *,
        lvef_C: Sequence[float] | None = None,
        shd: float | None = None,
        flags: Mapping[str, float] | None = None,
    ) -> Probes:
        """The same probes for patients among whom the classes are otherwise frequent (prior shift).

        Every probability is what `reweighted` makes of it; only then is a flag about LVEF brought between its classes,
        and SHD raised to the most probable flag where it covers them, moved or not: move them together. It holds where
        an ECG of a class looks as before and only the shares differ. Thresholds move along, so that the same ECGs are
        called positive, and so do the counts behind PPV and NPV; of the lowest LVEF class exactly so where the other
        classes keep their shares among themselves, and of SHD and a flag about LVEF where their own scores decide. The
        rules of moved flags keep whom they raise. Prediction sets and LVEF as a number are left out, whichever moved:
        their coverage was promised over the old mix of patients. Labels of the user's own stay and lose their sets and
        intervals. ValueError where the old prevalence is not known.
        """
        if lvef_C is None and shd is None and not flags:
            return self
        lvef_probe, shd_probe, flag_probes = self.lvef, self.shd, self.flags
        if (lvef_C is not None and lvef_probe is None) or (shd is not None and shd_probe is None):
            raise ValueError("there is no probe for what is to be moved")
        if lvef_C is not None and lvef_probe is not None:
            lvef_probe = _moved_lvef(lvef_probe, lvef_C)
        if shd is not None and shd_probe is not None:
            weight_C = _weights(shd_probe.prevalence, shd)
            shd_probe = _moved(shd_probe, shd)
            if shd_probe.operating_point is not None:
                point = _moved_point(shd_probe.operating_point, shd_probe.threshold, weight_C)
                shd_probe = shd_probe.model_copy(update={"operating_point": point})
        if flags:
            unknown = set(flags) - set(self.flags)
            if unknown:
                raise ValueError(f"there is no probe for {', '.join(sorted(unknown))}")
            flag_probes = {
                name: _moved_flag(probe, flags[name]) if name in flags else probe for name, probe in self.flags.items()
            }
        without = {"sets": None, "per_class_sets": None}
        return self.model_copy(
            update={
                "lvef": None if lvef_probe is None else lvef_probe.model_copy(update=without | {"number": None}),
                "shd": None if shd_probe is None else shd_probe.model_copy(update=without),
                "flags": flag_probes,
                "own_yes_no": {name: probe.model_copy(update=without) for name, probe in self.own_yes_no.items()},
                "own_numbers": {
                    name: OwnNumber(weight_F=number.weight_F, bias=number.bias)
                    for name, number in self.own_numbers.items()
                },
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


def _check_lvef(lvef: LvefProbe, classes: int) -> None:
    per_class = [lvef.bias_C, lvef.calibration.shift, lvef.prevalence_C or lvef.bias_C]
    if any(len(row) != classes for row in per_class):
        raise ValueError(f"the LVEF probe must have one bias and one shift for each of its {classes} classes")
    _check_classes("LVEF", classes, 0, lvef.per_class_sets, lvef.operating_point)
    if lvef.prevalence_C is not None:
        _check_shares(lvef.prevalence_C)


def _check_shares(share_C: Sequence[float]) -> None:
    if not all(share > 0 for share in share_C) or not math.isclose(sum(share_C), 1.0, abs_tol=1e-6):
        raise ValueError("a prevalence must be positive for every class and sum to 1")


def _log_ratios(new_C: Sequence[float], old_C: Sequence[float] | None) -> list[float]:
    if old_C is None:
        raise ValueError("this probe does not say which prevalence it was calibrated for")
    _check_shares(new_C)
    _check_shares(old_C)
    return [math.log(new / old) for new, old in zip(new_C, old_C, strict=True)]


def _weights(old: float | None, new: float) -> tuple[float, float]:
    """How many times as frequent no and yes become."""
    less, more = _log_ratios((1.0 - new, new), None if old is None else (1.0 - old, old))
    return math.exp(less), math.exp(more)


def _moved_threshold(threshold: float, no: float, yes: float) -> float:
    """Of a probability whose negatives become `no` times, its positives `yes` times as frequent."""
    below, above = (1.0 - threshold) * no, threshold * yes
    return above / (above + below)


def _moved_point(point: OperatingPoint, threshold: float, weight_C: Sequence[float]) -> OperatingPoint:
    return point.model_copy(update={"threshold": threshold, "calls": point.calls.weighed(weight_C)})


_AnyYesNo = TypeVar("_AnyYesNo", ShdProbe, FlagProbe)


def _moved(probe: _AnyYesNo, prevalence: float) -> _AnyYesNo:
    no, yes = _weights(probe.prevalence, prevalence)
    shift = probe.calibration.shift[0] + math.log(yes) - math.log(no)
    new: dict[str, object] = {
        "calibration": probe.calibration.model_copy(update={"shift": (shift,)}),
        "prevalence": prevalence,
    }
    if probe.threshold is not None:
        new["threshold"] = _moved_threshold(probe.threshold, no, yes)
    return probe.model_copy(update=new)


def _moved_flag(probe: FlagProbe, prevalence: float) -> FlagProbe:
    moved = _moved(probe, prevalence)
    if probe.rule is None:
        return moved
    calls = probe.rule.calls.weighed(_weights(probe.prevalence, prevalence))
    return moved.model_copy(update={"rule": probe.rule.model_copy(update={"calls": calls})})


def _moved_lvef(probe: LvefProbe, share_C: Sequence[float]) -> LvefProbe:
    if len(share_C) != len(probe.bias_C):
        raise ValueError(f"there are {len(probe.bias_C)} LVEF classes, not {len(share_C)}")
    moves_C = _log_ratios(share_C, probe.prevalence_C)
    shift_C = tuple(shift + move for shift, move in zip(probe.calibration.shift, moves_C, strict=True))
    calibration = probe.calibration.model_copy(update={"shift": shift_C})
    moved = probe.model_copy(update={"calibration": calibration, "prevalence_C": tuple(share_C)})
    point, old_C = probe.operating_point, probe.prevalence_C
    if point is None or old_C is None:
        return moved
    yes, no = share_C[0] / old_C[0], (1.0 - share_C[0]) / (1.0 - old_C[0])
    point = _moved_point(point, _moved_threshold(point.threshold, no, yes), [math.exp(move) for move in moves_C])
    return moved.model_copy(update={"operating_point": point})


def _check_classes(
    question: str, classes: int, case: int, sets: PerClassSets | None, point: OperatingPoint | None
) -> None:
    if sets is not None and len(sets.quantile_C) != classes:
        raise ValueError(f"the {question} sets within a class must have one quantile for each of {classes} classes")
    if point is not None and (len(point.calls.n_C), point.calls.case) != (classes, case):
        raise ValueError(f"the {question} operating point must call class {case} of {classes}")
