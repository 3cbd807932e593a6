"""Linear probes on frozen ECG features and what makes their probabilities honest: numbers, each from its own patients.

`train` fits the weights, `val` chooses the regularisation and the operating points. The `calibration` patients trained
nothing else: one half makes probabilities of the scores, the other half says how large prediction sets must be, and all
of them show what operating points and rules bring, how wide the interval of LVEF must be, and what a percentile of the
out-of-distribution score is.

Letters: N ECGs, F features, C classes, Q flags.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from ground.errors import Refusal
from ground.findings import FLAGS_ABOUT_LVEF
from models.ecg_shape import EcgShape
from models.labels import LvefClasses, class_numbers
from models.ood import OutOfDistribution
from models.probes import Calibration, FlagProbe, LvefProbe, Probes
from training.probes.calibrate import fit_between, fit_calibration, fit_yes_no
from training.probes.conformal import per_class_sets, prediction_sets
from training.probes.fit_decided import YesNoChoices, fit_decided, with_cases, yes_no_choices
from training.probes.fit_number import fit_number
from training.probes.fit_ood import OodData, fit_ood
from training.probes.fit_own import Kind, NumberChoices, fit_own
from training.probes.labelled import (
    FEWEST_OF_AN_ANSWER,
    Labelled,
    Splits,
    first_half,
    halves,
    labelled,
    one_per_patient,
    rarer,
)
from training.probes.operating import SENSITIVITY, operating_point, threshold_for
from training.probes.regression import best_regression
from training.probes.rules import fit_rule
from training.probes.shown import bounds_by_lvef, flag_probability

LABEL_HINT = "A column of your own is fitted with --label."

_Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class ProbeData:
    """ECG features of one split with what is known about their studies; NaN means unknown.

    patients: whose ECG each is; without it every ECG counts as a patient. flags: each SHD flag (1, 0), by name.
    shape: what the out-of-distribution score needs beside the features; without it there is no score. own and
    own_kinds: labels of the user's own, by name.
    """

    features_NF: NDArray[np.float32]
    lvef_percent_N: _Float64
    shd_N: _Float64
    patients: Sequence[str] | None = None
    flags: Mapping[str, _Float64] = field(default_factory=dict)
    shape: EcgShape | None = None
    own: Mapping[str, _Float64] = field(default_factory=dict)
    own_kinds: Mapping[str, Kind] = field(default_factory=dict)


@dataclass(frozen=True)
class LvefChoices:
    """What was chosen for the probe of LVEF classes, and on how many ECGs."""

    inverse_regularisation: float
    train_ecgs: int
    calibration_ecgs: int
    calibration_unlabelled_ecgs: int
    train_prevalence_C: tuple[float, ...]
    """Share of each class among the train ECGs."""


@dataclass(frozen=True)
class ProbeChoices:
    """For the model card and the manifest."""

    lvef: LvefChoices | None
    """None, as `shd`, where there is no probe."""
    shd: YesNoChoices | None
    flags: Mapping[str, YesNoChoices]
    """Of the flags that have a probe."""
    ood_held_out_ecgs: int | None
    """ECGs that percentiles are told against; None without an out-of-distribution score."""
    own: Mapping[str, YesNoChoices | NumberChoices] = field(default_factory=dict)

    def as_metrics(self) -> dict[str, float]:
        """Flat: names begin with the question, as in `lvef_train_ecgs`; `lvef_train_prevalence_0` is of class 0."""
        of = {flag: asdict(choices) for flag, choices in {**self.flags, **self.own}.items()}
        if self.shd is not None:
            of = {"shd": asdict(self.shd), **of}
        if self.lvef is not None:
            lvef = asdict(self.lvef)
            shares_C = lvef.pop("train_prevalence_C")
            lvef |= {f"train_prevalence_{number}": share for number, share in enumerate(shares_C)}
            of = {"lvef": lvef, **of}
        metrics = {
            f"{question}_{name}": value
            for question, found in of.items()
            for name, value in found.items()
            if value is not None
        }
        return metrics if self.ood_held_out_ecgs is None else metrics | {"ood_held_out_ecgs": self.ood_held_out_ecgs}


@dataclass(frozen=True)
class ProbeFit:
    """`choices`: what was chosen, on how many ECGs. `too_few`: the flags without a probe.

    left_out: of `LVEF` and `SHD` what has no probe, and why, as the end of a sentence.
    """

    probes: Probes
    choices: ProbeChoices
    too_few: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def fit_probes(train: ProbeData, val: ProbeData, calibration: ProbeData, classes: LvefClasses) -> ProbeFit:
    """LVEF and SHD probes with calibration, operating points, sets; flags and their rules; LVEF as a number; ood; own.

    What the labels do not allow is left out: LVEF or SHD where a split lacks one of its classes, flags with few cases.
    Refusal where nothing can be fitted, and for too few patients of an answer of a label of the user's own.
    """
    features = train.features_NF.astype(np.float64)
    mean_F, std_F = features.mean(axis=0), features.std(axis=0)
    std_F = np.where(std_F > 0, std_F, 1.0)

    standardised = [(data, (data.features_NF - mean_F) / std_F) for data in (train, val, calibration)]

    def splits_of(label: Callable[[ProbeData], _Float64]) -> Splits:
        """`label` gives class numbers as floats, or values, NaN where unknown."""
        return Splits(*(labelled(x_NF, label(data), data.patients) for data, x_NF in standardised))

    own = fit_own({name: (kind, splits_of(partial(_own_values, name=name))) for name, kind in train.own_kinds.items()})
    lvef = splits_of(lambda data: class_numbers(data.lvef_percent_N, classes))
    shd = splits_of(lambda data: data.shd_N)
    questions = (("LVEF", lvef, len(classes.labels)), ("SHD", shd, 2))
    left_out = {name: lacks for name, splits, count in questions if (lacks := _lacks(splits, count)) is not None}
    lvef_probe, lvef_choices = None, None
    if "LVEF" not in left_out:
        lvef_probe, lvef_choices = _fit_lvef(lvef, len(classes.labels))
        number = fit_number(splits_of(lambda data: data.lvef_percent_N), classes)
        lvef_probe = lvef_probe.model_copy(update={"number": number})
    halved = "SHD" not in left_out and halves(shd.calibration, 2)[1] is not None
    flags: dict[str, FlagProbe] = {}
    flag_choices: dict[str, YesNoChoices] = {}
    for name in train.flags:
        flag = splits_of(partial(_flag_values, name=name))
        if all(rarer(patients) >= FEWEST_OF_AN_ANSWER[split] for split, patients in flag.named().items()):
            bounds = None if lvef_probe is None else _lvef_classes_of(name, classes)
            if (fitted := _fit_flag(flag, lvef_probe, bounds, halved=halved)) is not None:
                flags[name], flag_choices[name] = fitted
    shd_probe, shd_choices = None, None
    if "SHD" not in left_out:
        shd_probe, shd_choices = fit_decided(shd, tuple(flags.values()), lvef_probe)
    ood, held_out_ecgs = _fit_ood(train, val, calibration)
    probes = Probes(
        feature_mean_F=tuple(mean_F.tolist()),
        feature_std_F=tuple(std_F.tolist()),
        lvef=lvef_probe,
        shd=shd_probe,
        flags=flags,
        shd_covers_flags=True,
        ood=ood,
        own_yes_no=own.yes_no,
        own_numbers=own.numbers,
    )
    if not probes.predicts:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise Refusal("labels_missing", f"No label of this cohort can be fitted ({why}).", hint=LABEL_HINT)
    choices = ProbeChoices(lvef_choices, shd_choices, flag_choices, held_out_ecgs, own.choices)
    return ProbeFit(probes, choices, tuple(name for name in train.flags if name not in flags), left_out)


def _lacks(splits: Splits, count: int) -> str | None:
    """Why there is no probe of a question of so many classes."""
    for name, found in splits.named().items():
        if not len(found.y_N):
            return f"the {name} patients' ECGs have no label of it"
        if set(range(count)) - set(found.y_N.tolist()):
            return f"the {name} patients do not show every class of it"
    return None


def _own_values(data: ProbeData, *, name: str) -> _Float64:
    return data.own[name]


def _flag_values(data: ProbeData, *, name: str) -> _Float64:
    return data.flags[name]


def _lvef_classes_of(flag: str, classes: LvefClasses) -> tuple[int, int] | None:
    """See `FlagProbe.lvef_classes`; None of a flag that is not about LVEF."""
    return classes.classes_up_to(FLAGS_ABOUT_LVEF[flag]) if flag in FLAGS_ABOUT_LVEF else None


def _fit_lvef(splits: Splits, count: int) -> tuple[LvefProbe, LvefChoices]:
    model, inverse_regularisation = best_regression(
        splits.train.x_NF, splits.train.y_N, splits.val.x_NF, splits.val.y_N
    )
    fitting, sizing = halves(splits.calibration, count)
    scale, shift_C = fit_calibration(fitting.x_NF @ model.coef_.T + model.intercept_, fitting.y_N)
    prevalence_C = tuple((np.bincount(fitting.y_N, minlength=count) / len(fitting.y_N)).tolist())

    def probability_NC(data: Labelled) -> _Float64:
        logits_NC = (data.x_NF @ model.coef_.T + model.intercept_) * scale + shift_C
        return np.asarray(softmax(logits_NC, axis=1), np.float64)

    choosing, counted = with_cases(splits.val, 0), splits.calibration.one_each()
    threshold = threshold_for(SENSITIVITY, probability_NC(choosing)[:, 0], choosing.y_N == 0)
    probe = LvefProbe(
        weight_CF=tuple(tuple(row) for row in model.coef_.tolist()),
        bias_C=tuple(model.intercept_.tolist()),
        calibration=Calibration(scale=scale, shift=tuple(shift_C.tolist())),
        prevalence_C=prevalence_C,
        sets=None if sizing is None else prediction_sets(probability_NC(sizing), sizing.y_N),
        per_class_sets=None if sizing is None else per_class_sets(probability_NC(sizing), sizing.y_N),
        operating_point=operating_point(threshold, probability_NC(counted)[:, 0], counted.y_N, 0, prevalence_C),
    )
    return probe, LvefChoices(
        inverse_regularisation=inverse_regularisation,
        train_ecgs=len(splits.train.y_N),
        calibration_ecgs=len(fitting.y_N),
        calibration_unlabelled_ecgs=splits.calibration.unlabelled,
        train_prevalence_C=tuple((np.bincount(splits.train.y_N, minlength=count) / len(splits.train.y_N)).tolist()),
    )


def _fit_flag(
    splits: Splits, lvef: LvefProbe | None, lvef_classes: tuple[int, int] | None, *, halved: bool
) -> tuple[FlagProbe, YesNoChoices] | None:
    """The probe and its rule; None where one ECG of each calibration patient shows a single answer.

    Its probability may become that of SHD, whose sets promise that their patients fitted nothing: it is calibrated on
    the half that calibrates SHD, unless too few of them have the flag, or have it not. All that is fitted is of the
    shown probability: between those of the LVEF classes where it is about LVEF.
    """
    model, inverse_regularisation = best_regression(
        splits.train.x_NF, splits.train.y_N, splits.val.x_NF, splits.val.y_N
    )
    weight_F, bias = model.coef_[0], float(model.intercept_[0])
    half = first_half(splits.calibration)
    fitting = half if halved and rarer(half) >= FEWEST_OF_AN_ANSWER["calibration"] else splits.calibration
    score_N = fitting.x_NF @ weight_F + bias
    if lvef is None or lvef_classes is None:
        scale, shift = fit_yes_no(score_N, fitting.y_N)
    else:
        scale, shift = fit_between(score_N, fitting.y_N, *bounds_by_lvef(lvef, lvef_classes, fitting.x_NF))
    prevalence = float(fitting.y_N.mean())
    probe = FlagProbe(
        weight_F=tuple(weight_F.tolist()),
        bias=bias,
        calibration=Calibration(scale=scale, shift=(shift,)),
        prevalence=prevalence,
        threshold=0.0,  # until there is the rule
        lvef_classes=lvef_classes,
    )
    counted = splits.calibration.one_each()
    rule = fit_rule(flag_probability(probe, lvef, counted.x_NF), counted.y_N, prevalence)
    if rule is None:
        return None
    probe = probe.model_copy(update={"threshold": None, "rule": rule})
    return probe, yes_no_choices(splits, fitting, inverse_regularisation, None)


def _fit_ood(train: ProbeData, val: ProbeData, calibration: ProbeData) -> tuple[OutOfDistribution | None, int | None]:
    """The score, and how many ECGs its percentiles are of."""
    if train.shape is None or val.shape is None or calibration.shape is None:
        return None, None
    one_N = np.ones(len(calibration.features_NF), dtype=bool)
    if calibration.patients is not None:
        one_N = one_per_patient(calibration.patients)
    held_out = OodData(calibration.features_NF[one_N], EcgShape(*(kind_NS[one_N] for kind_NS in calibration.shape)))
    ood = fit_ood(OodData(train.features_NF, train.shape), OodData(val.features_NF, val.shape), held_out)
    return ood, None if ood is None else int(one_N.sum())
