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
from scipy.special import expit, softmax

from ground.errors import Refusal
from ground.findings import FLAGS_ABOUT_LVEF
from models.ecg_shape import EcgShape
from models.labels import LvefClasses, class_numbers
from models.ood import OutOfDistribution
from models.probes import Calibration, FlagProbe, LvefProbe, Probes, ShdProbe
from training.probes.calibrate import fit_between, fit_calibration, fit_yes_no
from training.probes.conformal import per_class_sets, prediction_sets
from training.probes.fit_number import fit_number
from training.probes.fit_ood import OodData, fit_ood
from training.probes.labelled import Labelled, Splits, first_half, halves, labelled, one_per_patient, rarer
from training.probes.operating import SENSITIVITY, operating_point, threshold_for
from training.probes.regression import best_regression
from training.probes.rules import fit_rule
from training.probes.shown import bounds_by_lvef, flag_probability, largest_flag

_FEWEST_OF_A_FLAG = {"train": 10, "val": 5, "calibration": 5}
"""Patients with, and as many without; a flag that a split shows in fewer gets no probe."""

_Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class ProbeData:
    """ECG features of one split with what is known about their studies; NaN means unknown.

    patients: whose ECG each is; without it every ECG counts as a patient. flags: each SHD flag (1, 0), by name.
    shape: what the out-of-distribution score needs beside the features; without it there is no score.
    """

    features_NF: NDArray[np.float32]
    lvef_percent_N: _Float64
    shd_N: _Float64
    patients: Sequence[str] | None = None
    flags: Mapping[str, _Float64] = field(default_factory=dict)
    shape: EcgShape | None = None


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
class YesNoChoices:
    """The same for a yes-no probe."""

    inverse_regularisation: float
    train_ecgs: int
    calibration_ecgs: int
    calibration_unlabelled_ecgs: int
    threshold: float | None
    """None of a flag, which has a rule."""
    train_prevalence: float


@dataclass(frozen=True)
class ProbeChoices:
    """For the model card and the manifest."""

    lvef: LvefChoices
    shd: YesNoChoices
    flags: Mapping[str, YesNoChoices]
    """Of the flags that have a probe."""
    ood_held_out_ecgs: int | None
    """ECGs that percentiles are told against; None without an out-of-distribution score."""

    def as_metrics(self) -> dict[str, float]:
        """Flat: names begin with the question, as in `lvef_train_ecgs`; `lvef_train_prevalence_0` is of class 0."""
        lvef = asdict(self.lvef)
        shares_C = lvef.pop("train_prevalence_C")
        lvef |= {f"train_prevalence_{number}": share for number, share in enumerate(shares_C)}
        of = {"lvef": lvef, "shd": asdict(self.shd), **{flag: asdict(choices) for flag, choices in self.flags.items()}}
        metrics = {
            f"{question}_{name}": value
            for question, found in of.items()
            for name, value in found.items()
            if value is not None
        }
        return metrics if self.ood_held_out_ecgs is None else metrics | {"ood_held_out_ecgs": self.ood_held_out_ecgs}


@dataclass(frozen=True)
class ProbeFit:
    """`choices`: what was chosen, on how many ECGs. `too_few`: the flags without a probe."""

    probes: Probes
    choices: ProbeChoices
    too_few: tuple[str, ...] = ()


def fit_probes(train: ProbeData, val: ProbeData, calibration: ProbeData, classes: LvefClasses) -> ProbeFit:
    """LVEF and SHD probes with calibration, operating points, sets; flags and their rules; LVEF as a number; ood.

    Refusal where a split lacks one of the classes of LVEF or SHD.
    """
    features = train.features_NF.astype(np.float64)
    mean_F, std_F = features.mean(axis=0), features.std(axis=0)
    std_F = np.where(std_F > 0, std_F, 1.0)

    standardised = [(data, (data.features_NF - mean_F) / std_F) for data in (train, val, calibration)]

    def splits_of(label: Callable[[ProbeData], _Float64]) -> Splits:
        """`label` gives class numbers as floats, or values, NaN where unknown."""
        return Splits(*(labelled(x_NF, label(data), data.patients) for data, x_NF in standardised))

    lvef = splits_of(lambda data: class_numbers(data.lvef_percent_N, classes))
    shd = splits_of(lambda data: data.shd_N)
    for question, splits, count in (("LVEF", lvef, len(classes.labels)), ("SHD", shd, 2)):
        for name, found in splits.named().items():
            if set(range(count)) - set(found.y_N.tolist()):
                sentence = f"the {name} patients do not show every class of {question}; a larger cohort is needed"
                raise Refusal("labels_missing", sentence)
    lvef_probe, lvef_choices = _fit_lvef(lvef, len(classes.labels))
    number = fit_number(splits_of(lambda data: data.lvef_percent_N), classes)
    halved = halves(shd.calibration, 2)[1] is not None
    flags: dict[str, FlagProbe] = {}
    too_few: list[str] = []
    flag_choices: dict[str, YesNoChoices] = {}
    for name in train.flags:
        flag = splits_of(partial(_flag_values, name=name))
        fitted = None
        if all(rarer(patients) >= _FEWEST_OF_A_FLAG[split] for split, patients in flag.named().items()):
            fitted = _fit_flag(flag, lvef_probe, _lvef_classes_of(name, classes), halved=halved)
        if fitted is None:
            too_few.append(name)
        else:
            flags[name], flag_choices[name] = fitted
    shd_probe, shd_choices = _fit_shd(shd, tuple(flags.values()), lvef_probe)
    ood, held_out_ecgs = _fit_ood(train, val, calibration)
    probes = Probes(
        feature_mean_F=tuple(mean_F.tolist()),
        feature_std_F=tuple(std_F.tolist()),
        lvef=lvef_probe.model_copy(update={"number": number}),
        shd=shd_probe,
        flags=flags,
        shd_covers_flags=True,
        ood=ood,
    )
    return ProbeFit(probes, ProbeChoices(lvef_choices, shd_choices, flag_choices, held_out_ecgs), tuple(too_few))


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

    choosing, counted = _with_cases(splits.val, 0), splits.calibration.one_each()
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
    splits: Splits, lvef: LvefProbe, lvef_classes: tuple[int, int] | None, *, halved: bool
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
    fitting = half if halved and rarer(half) >= _FEWEST_OF_A_FLAG["calibration"] else splits.calibration
    score_N = fitting.x_NF @ weight_F + bias
    if lvef_classes is None:
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
    return probe, _yes_no_choices(splits, fitting, inverse_regularisation, None)


def _fit_shd(splits: Splits, flags: Sequence[FlagProbe], lvef: LvefProbe) -> tuple[ShdProbe, YesNoChoices]:
    """All that is fitted here is of the shown probability: the largest of SHD's own and those of the flags."""
    model, inverse_regularisation = best_regression(
        splits.train.x_NF, splits.train.y_N, splits.val.x_NF, splits.val.y_N
    )
    weight_F, bias = model.coef_[0], float(model.intercept_[0])
    fitting, sizing = halves(splits.calibration, 2)
    if flags:
        floor_N = largest_flag(flags, lvef, fitting.x_NF)
        scale, shift = fit_between(fitting.x_NF @ weight_F + bias, fitting.y_N, floor_N)
    else:
        scale, shift = fit_yes_no(fitting.x_NF @ weight_F + bias, fitting.y_N)

    def probability_N(data: Labelled) -> _Float64:
        own_N = expit((data.x_NF @ weight_F + bias) * scale + shift)
        return np.asarray(np.maximum(own_N, largest_flag(flags, lvef, data.x_NF)), np.float64)

    def both_N2(data: Labelled) -> _Float64:
        return np.column_stack([1.0 - probability_N(data), probability_N(data)])

    choosing, counted = _with_cases(splits.val, 1), splits.calibration.one_each()
    threshold = threshold_for(SENSITIVITY, probability_N(choosing), choosing.y_N == 1)
    prevalence = float(fitting.y_N.mean())
    probe = ShdProbe(
        weight_F=tuple(weight_F.tolist()),
        bias=bias,
        calibration=Calibration(scale=scale, shift=(shift,)),
        threshold=threshold,
        prevalence=prevalence,
        sets=None if sizing is None else prediction_sets(both_N2(sizing), sizing.y_N),
        per_class_sets=None if sizing is None else per_class_sets(both_N2(sizing), sizing.y_N),
        operating_point=operating_point(
            threshold, probability_N(counted), counted.y_N, 1, (1.0 - prevalence, prevalence)
        ),
    )
    return probe, _yes_no_choices(splits, fitting, inverse_regularisation, threshold)


def _with_cases(val: Labelled, case: int) -> Labelled:
    """One ECG of each patient; every ECG where those chosen blindly show no case."""
    chosen = val.one_each()
    return chosen if (chosen.y_N == case).any() else val


def _yes_no_choices(
    splits: Splits, fitting: Labelled, inverse_regularisation: float, threshold: float | None
) -> YesNoChoices:
    return YesNoChoices(
        inverse_regularisation=inverse_regularisation,
        train_ecgs=len(splits.train.y_N),
        calibration_ecgs=len(fitting.y_N),
        calibration_unlabelled_ecgs=splits.calibration.unlabelled,
        threshold=threshold,
        train_prevalence=float(splits.train.y_N.mean()),
    )


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
