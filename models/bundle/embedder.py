"""What a service needs of a model, whichever it is: windows of prepared ECGs in, one verdict per ECG out.

Knows no torch, no files and no words: a stand-in behind `Embedder` is as good as a bundle. A new output of a model is
added to `EcgOutput.row` and `EcgVerdict` here, to the bundle that computes it, and to the report that shows it.

Letters in array names: B batch, W windows, L leads, N samples, F features, D embedding, C LVEF classes, Q SHD flags.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import JsonValue

from inputs.specs import EcgSpec
from models.findings import Finding
from models.labels import LvefClasses
from models.lacking import Lacking
from models.operating_point import OperatingPoint, rules_out, tells_apart
from models.prediction_sets import Called, CoverageKind, PerClassSets, PredictionSets

if TYPE_CHECKING:
    from models.attribution import Explainer
    from models.lvef_number import LvefEstimate
    from models.ood import OodOutput
    from models.probes import FlagProbe, LvefProbe, OwnNumber, Probes, ShdProbe

_Float32 = NDArray[np.float32]

Bound = Literal["at_most", "at_least"]
Gift = Literal["ecg_features", "ecg_embeddings", "search", "predictions", "unusual"]
"""Features of an ECG; embeddings; these in one space with embeddings of studies, so that an index of them can be
searched; probabilities of LVEF and SHD; how unusual an ECG is."""


class Embedder(Protocol):
    """A model that is being served. One thread at a time calls `embed_ecgs`.

    `sha256` tells two models of one `id` apart: an index belongs to the model with this hash. `about` is what callers
    may know of it, as JSON.
    """

    @property
    def id(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def gives(self) -> frozenset[Gift]: ...

    @property
    def ecg(self) -> EcgSpec:
        """How the ECGs that it takes are prepared."""
        ...

    @property
    def lvef(self) -> LvefClasses:
        """What the LVEF classes of its verdicts are called."""
        ...

    @property
    def lacking(self) -> tuple[Lacking, ...]:
        """What its answers will not say: see `models.lacking`."""
        ...

    @property
    def trained_on(self) -> str | None:
        """A sentence, where it has seen no real patient: see `models.lacking`."""
        ...

    @property
    def device_name(self) -> str:
        """`cpu`, `cuda` or `cuda:N`."""
        ...

    @property
    def about(self) -> dict[str, JsonValue]: ...

    def explainer(self) -> Explainer:
        """What tells which patches speak for its verdicts, on any thread."""
        ...

    def embed_ecgs(self, windows_BWLN: _Float32) -> EcgOutput:
        """Float32 windows, equally many of each ECG, to one row of output per ECG."""
        ...


@dataclass(frozen=True)
class PredictionSet:
    """The numbers of the classes not ruled out, rising; such sets hold the truth for a share `coverage` of patients.

    Of all patients, where `coverage_kind` is overall; of the patients of each class, where it is per_class; where it is
    mixed, of each class but those in `falls_back`. n_calibration_C: patients of each class, empty in an overall set.
    """

    classes: tuple[int, ...]
    coverage: float
    n_calibration: int
    coverage_kind: CoverageKind = "overall"
    falls_back: tuple[int, ...] = ()
    n_calibration_C: tuple[int, ...] = ()


@dataclass(frozen=True)
class PointVerdict:
    """What calling above `threshold` brings where patients are like those of the calibration.

    ppv, npv or echos_per_case is None where nobody is called, or everybody. n_cases and n_others: calibration patients
    with and without what is called.
    """

    threshold: float
    sensitivity: float
    specificity: float
    ppv: float | None
    npv: float | None
    echos_per_case: float | None
    n_cases: int
    n_others: int
    prevalence: float
    """How frequent cases are where ppv, npv and echos_per_case hold."""

    @property
    def can_tell(self) -> bool:
        """See `OperatingPoint.can_tell`."""
        return rules_out(self.threshold, self.sensitivity, self.specificity)

    @property
    def tells_apart(self) -> bool:
        """See `OperatingPoint.tells_apart`."""
        return tells_apart(self.sensitivity, self.specificity)


@dataclass(frozen=True, eq=False)
class LvefVerdict:
    """Probabilities of the LVEF classes; `called` is the number of the most probable one.

    positive: whether the lowest class is called, at an operating point that can tell. estimate: LVEF as a number.
    base_rate_C: how frequent each class is among calibration patients. None in a bundle without.
    """

    probability_C: _Float32
    called: int
    prediction_set: PredictionSet | None
    per_class_set: PredictionSet | None = None
    operating_point: PointVerdict | None = None
    positive: bool | None = None
    estimate: LvefEstimate | None = None
    base_rate_C: tuple[float, ...] | None = None


@dataclass(frozen=True)
class YesNoVerdict:
    """A probability and the decision on it, and the base rate, if known. Set: class 0 is negative and 1 positive.

    own: whether it is of a label of the user's own, where a limit above one half tells, too.
    """

    probability: float
    threshold: float
    prediction_set: PredictionSet | None = None
    per_class_set: PredictionSet | None = None
    operating_point: PointVerdict | None = None
    base_rate: float | None = None
    own: bool = False

    @property
    def positive(self) -> bool | None:
        """None where the operating point cannot tell."""
        point = self.operating_point
        if point is not None and not (point.tells_apart if self.own else point.can_tell):
            return None
        return self.probability > self.threshold


@dataclass(frozen=True)
class FlagVerdict:
    """One SHD flag: its probability, its base rate, and what is said of it.

    finding is None, and threshold is not, in bundles from before there were rules. bound: where the classes of LVEF set
    the probability of a flag about LVEF, whether it is the most or the least that they allow. raised_ppv and
    raised_sensitivity: of calibration patients, how many of those raised have it, and how many of those with it are.
    """

    probability: float
    base_rate: float | None = None
    finding: Finding | None = None
    threshold: float | None = None
    bound: Bound | None = None
    raised_ppv: float | None = None
    raised_sensitivity: float | None = None

    @property
    def positive(self) -> bool:
        """Raised, or above the threshold of an older bundle."""
        if self.finding is not None:
            return self.finding == "raised"
        return self.threshold is not None and self.probability > self.threshold


@dataclass(frozen=True)
class NumberVerdict:
    """A number in the unit of its label. `low` to `high` holds it for a share `coverage` of patients, or all None."""

    value: float
    low: float | None = None
    high: float | None = None
    coverage: float | None = None
    n_calibration: int | None = None


@dataclass(frozen=True)
class Unusual:
    """How unlike the ECGs of training one is: a score, and the share of held-out ECGs with a lower one, 0 to 100."""

    score: float
    percentile: float


@dataclass(frozen=True, eq=False)
class EcgVerdict:
    """All that a model says of one ECG: the one shape it has from the model to the answer.

    embedding_D has unit length; None of a model that aligns nothing. lvef or shd is None, and flags and own are empty,
    where the model does not predict them; `unusual` is None where it cannot tell. not_predicted: SHD flags that the
    model knows and has no probe for. own: labels that whoever fitted the model added.
    """

    features_F: _Float32
    embedding_D: _Float32 | None
    lvef: LvefVerdict | None
    shd: YesNoVerdict | None
    flags: Mapping[str, FlagVerdict]
    unusual: Unusual | None
    not_predicted: tuple[str, ...] = ()
    own: Mapping[str, YesNoVerdict | NumberVerdict] = field(default_factory=dict)


@dataclass(frozen=True)
class EcgOutput:
    """features_BF for probes; embeddings_BD of unit length, or None; probabilities, or None of what has no probe.

    flags_BQ has a column for each of `probes.flag_names`, maybe none. ood is None where the bundle cannot tell how
    unusual an ECG is, and with precision bf16, whose rounded features are not those it was fitted on. `probes` are
    those that gave the probabilities: without them `row` decides nothing. lvef_percent_B is LVEF as a number;
    not_predicted as in `EcgVerdict`. own_BK has a column for each of `probes.own`.
    """

    features_BF: _Float32
    embeddings_BD: _Float32 | None
    lvef_BC: _Float32 | None
    shd_B: _Float32 | None
    flags_BQ: _Float32 | None = None
    ood: OodOutput | None = None
    probes: Probes | None = None
    lvef_percent_B: _Float32 | None = None
    not_predicted: tuple[str, ...] = ()
    own_BK: NDArray[np.float64] | None = None

    def row(self, number: int) -> EcgVerdict:
        """What is said of one ECG of the batch, its decisions and prediction sets included."""
        unusual = None
        if self.ood is not None:
            unusual = Unusual(float(self.ood.score_B[number]), float(self.ood.percentile_B[number]))
        embedding_D = None if self.embeddings_BD is None else self.embeddings_BD[number]
        vectors = self.features_BF[number], embedding_D
        probes = self.probes
        if probes is None:
            return EcgVerdict(*vectors, None, None, {}, unusual)
        lvef_C = None if self.lvef_BC is None else self.lvef_BC[number]
        shd_probe = None if self.shd_B is None else probes.shd
        return EcgVerdict(
            *vectors,
            lvef=None if lvef_C is None or probes.lvef is None else self._lvef(probes.lvef, number, lvef_C),
            shd=None if shd_probe is None or self.shd_B is None else _decided(shd_probe, float(self.shd_B[number])),
            flags=self._flags(probes, number, lvef_C),
            unusual=unusual,
            not_predicted=self.not_predicted,
            own=self._own(probes, number),
        )

    def _flags(self, probes: Probes, number: int, lvef_C: _Float32 | None) -> Mapping[str, FlagVerdict]:
        if self.flags_BQ is None:
            return {}
        of_flags = zip(probes.flag_names, self.flags_BQ[number].tolist(), strict=True)
        return {name: _flag(probes.flags[name], chance, lvef_C) for name, chance in of_flags}

    def _own(self, probes: Probes, number: int) -> Mapping[str, YesNoVerdict | NumberVerdict]:
        if self.own_BK is None:
            return {}
        found = dict(zip(probes.own, self.own_BK[number].tolist(), strict=True))
        decided = {name: _decided(probe, found[name], own=True) for name, probe in probes.own_yes_no.items()}
        return decided | {name: _number(probe, found[name]) for name, probe in probes.own_numbers.items()}

    def _lvef(self, probe: LvefProbe, number: int, probability_C: _Float32) -> LvefVerdict:
        called = int(probability_C.argmax())
        point = probe.operating_point
        positive = bool(probability_C[0] > point.threshold) if point is not None and point.can_tell else None
        # Of two answers, the most probable class and the lowest one called, neither may be ruled out.
        answers = (called, 0) if positive else (called,)
        estimate = None
        if probe.number is not None and self.lvef_percent_B is not None:
            estimate = probe.number.estimate(float(self.lvef_percent_B[number]))
        return LvefVerdict(
            probability_C,
            called,
            _set(probe.sets, probability_C, answers),
            _per_class_set(probe.per_class_sets, probability_C, answers),
            _point(point),
            positive,
            estimate,
            probe.prevalence_C,
        )


def _decided(probe: ShdProbe, probability: float, *, own: bool = False) -> YesNoVerdict:
    both, answer = [1.0 - probability, probability], int(probability > probe.threshold)
    return YesNoVerdict(
        probability,
        probe.threshold,
        _set(probe.sets, both, answer),
        _per_class_set(probe.per_class_sets, both, answer),
        _point(probe.operating_point),
        probe.prevalence,
        own,
    )


def _number(probe: OwnNumber, value: float) -> NumberVerdict:
    if probe.half_width is None:
        return NumberVerdict(value)
    ends = value - probe.half_width, value + probe.half_width
    return NumberVerdict(value, *ends, probe.coverage, probe.n_calibration)


def _flag(probe: FlagProbe, probability: float, lvef_C: _Float32 | None) -> FlagVerdict:
    rule, base_rate = probe.rule, probe.prevalence
    bound = _bound(probe, probability, lvef_C)
    if rule is None or base_rate is None:
        return FlagVerdict(probability, base_rate, threshold=probe.threshold, bound=bound)
    finding = rule.finding(probability, base_rate)
    if not rule.can_tell:
        return FlagVerdict(probability, base_rate, finding, bound=bound)
    return FlagVerdict(probability, base_rate, finding, None, bound, rule.calls.ppv, rule.calls.sensitivity)


def _bound(probe: FlagProbe, probability: float, lvef_C: _Float32 | None) -> Bound | None:
    """Which of the LVEF classes' bounds is shown instead of the flag's own probability; None where neither is."""
    if probe.lvef_classes is None or lvef_C is None:
        return None
    wholly, partly = probe.lvef_classes
    if math.isclose(probability, float(lvef_C[:partly].sum()), abs_tol=1e-6):
        return "at_most"
    return "at_least" if math.isclose(probability, float(lvef_C[:wholly].sum()), abs_tol=1e-6) else None


def _point(point: OperatingPoint | None) -> PointVerdict | None:
    if point is None:
        return None
    calls = point.calls
    return PointVerdict(
        point.threshold,
        calls.sensitivity,
        calls.specificity,
        calls.ppv,
        calls.npv,
        calls.echos_per_case,
        calls.n_cases,
        calls.n_others,
        calls.prevalence,
    )


def _set(sets: PredictionSets | None, probability_C: ArrayLike, called: Called) -> PredictionSet | None:
    if sets is None:
        return None
    return PredictionSet(sets.classes(probability_C, called), sets.coverage, sets.n_calibration)


def _per_class_set(sets: PerClassSets | None, probability_C: ArrayLike, called: Called) -> PredictionSet | None:
    if sets is None:
        return None
    return PredictionSet(
        sets.classes(probability_C, called),
        sets.coverage,
        sets.n_calibration,
        sets.coverage_kind,
        sets.falls_back,
        sets.n_calibration_C,
    )
