"""Linear probes on frozen ECG features and what makes their probabilities honest: numbers, each from its own patients.

`train` fits the weights, `val` chooses the regularisation and the thresholds. The `calibration` patients trained
nothing else: one half makes probabilities of the scores, the other half says how large prediction sets must be, and all
of them show what a percentile of the out-of-distribution score is.

Letters: N ECGs, F features, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import roc_curve

from ground.disk import sha256
from ground.errors import Refusal
from models.ecg_shape import EcgShape
from models.labels import LvefClasses, class_numbers
from models.ood import OutOfDistribution
from models.probes import (
    Calibration,
    LvefProbe,
    PredictionSets,
    Probes,
    ShdProbe,
)
from training.probes.fit_ood import OodData, fit_ood
from training.probes.regression import best_regression

COVERAGE = 0.9
_FEWEST_FOR_SETS = 20
"""Patients in the half that sizes prediction sets; with fewer there are no sets, and calibration has all patients."""
_FEWEST_OF_A_FLAG = {"train": 10, "val": 5, "calibration": 5}
"""Patients with, and as many without; a flag that a split shows in fewer gets no probe."""

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


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
    threshold: float
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
        metrics = {f"{question}_{name}": value for question, found in of.items() for name, value in found.items()}
        return metrics if self.ood_held_out_ecgs is None else metrics | {"ood_held_out_ecgs": self.ood_held_out_ecgs}


@dataclass(frozen=True)
class ProbeFit:
    """`choices`: what was chosen, on how many ECGs. `too_few`: the flags without a probe."""

    probes: Probes
    choices: ProbeChoices
    too_few: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Labelled:
    """Standardised features and class numbers of the ECGs of one split whose class is known.

    unlabelled: how many ECGs of the split had no class and are left out.
    """

    x_NF: _Float64
    y_N: _Int64
    patients: NDArray[np.str_]
    unlabelled: int = 0

    def of(self, chosen_N: NDArray[np.bool_]) -> _Labelled:
        return _Labelled(self.x_NF[chosen_N], self.y_N[chosen_N], self.patients[chosen_N])


@dataclass(frozen=True)
class _Splits:
    train: _Labelled
    val: _Labelled
    calibration: _Labelled

    def named(self) -> dict[str, _Labelled]:
        return {"train": self.train, "val": self.val, "calibration": self.calibration}


def fit_probes(train: ProbeData, val: ProbeData, calibration: ProbeData, classes: LvefClasses) -> ProbeFit:
    """LVEF and SHD probes with calibration, thresholds and prediction sets; flags; the out-of-distribution score.

    Refusal where a split lacks one of the classes of LVEF or SHD.
    """
    features = train.features_NF.astype(np.float64)
    mean_F, std_F = features.mean(axis=0), features.std(axis=0)
    std_F = np.where(std_F > 0, std_F, 1.0)

    standardised = [(data, (data.features_NF - mean_F) / std_F) for data in (train, val, calibration)]

    def labelled(label: Callable[[ProbeData], _Float64]) -> _Splits:
        """`label` gives class numbers as floats, NaN where unknown."""
        return _Splits(*(_labelled(x_NF, label(data), data.patients) for data, x_NF in standardised))

    lvef = labelled(lambda data: class_numbers(data.lvef_percent_N, classes))
    shd = labelled(lambda data: data.shd_N)
    for question, splits, count in (("LVEF", lvef, len(classes.labels)), ("SHD", shd, 2)):
        for name, found in splits.named().items():
            if set(range(count)) - set(found.y_N.tolist()):
                sentence = f"the {name} patients do not show every class of {question}; a larger cohort is needed"
                raise Refusal("labels_missing", sentence)
    lvef_probe, lvef_choices = _fit_lvef(lvef, len(classes.labels))
    shd_probe, shd_choices = _fit_yes_no(shd, with_sets=True)
    flags: dict[str, ShdProbe] = {}
    too_few: list[str] = []
    flag_choices: dict[str, YesNoChoices] = {}
    for name in train.flags:
        flag = labelled(partial(_flag_values, name=name))
        if any(_rarer(found) < _FEWEST_OF_A_FLAG[split] for split, found in flag.named().items()):
            too_few.append(name)
            continue
        flags[name], flag_choices[name] = _fit_yes_no(flag, with_sets=False)
    ood, held_out_ecgs = _fit_ood(train, val, calibration)
    probes = Probes(
        feature_mean_F=tuple(mean_F.tolist()),
        feature_std_F=tuple(std_F.tolist()),
        lvef=lvef_probe,
        shd=shd_probe,
        flags=flags,
        ood=ood,
    )
    return ProbeFit(probes, ProbeChoices(lvef_choices, shd_choices, flag_choices, held_out_ecgs), tuple(too_few))


def _labelled(x_NF: _Float64, value_N: _Float64, patients: Sequence[str] | None) -> _Labelled:
    names = np.array(range(len(x_NF)) if patients is None else patients, dtype=np.str_)
    known_N = np.isfinite(value_N)
    return _Labelled(x_NF[known_N], value_N[known_N].astype(np.int64), names[known_N], int((~known_N).sum()))


def _flag_values(data: ProbeData, *, name: str) -> _Float64:
    return data.flags[name]


def _rarer(labelled: _Labelled) -> int:
    """Patients with the rarer of the two answers; one whose ECGs have both is counted with both."""
    return min(len(np.unique(labelled.patients[labelled.y_N == answer])) for answer in (0, 1))


def _fit_lvef(splits: _Splits, count: int) -> tuple[LvefProbe, LvefChoices]:
    model, inverse_regularisation = best_regression(
        splits.train.x_NF, splits.train.y_N, splits.val.x_NF, splits.val.y_N
    )
    fitting, sizing = _halves(splits.calibration, count)
    scale, shift_C = _fit_calibration(fitting.x_NF @ model.coef_.T + model.intercept_, fitting.y_N)
    sets = None
    if sizing is not None:
        logits_NC = (sizing.x_NF @ model.coef_.T + model.intercept_) * scale + shift_C
        sets = _prediction_sets(softmax(logits_NC, axis=1), sizing.y_N)
    probe = LvefProbe(
        weight_CF=tuple(tuple(row) for row in model.coef_.tolist()),
        bias_C=tuple(model.intercept_.tolist()),
        calibration=Calibration(scale=scale, shift=tuple(shift_C.tolist())),
        prevalence_C=tuple((np.bincount(fitting.y_N, minlength=count) / len(fitting.y_N)).tolist()),
        sets=sets,
    )
    return probe, LvefChoices(
        inverse_regularisation=inverse_regularisation,
        train_ecgs=len(splits.train.y_N),
        calibration_ecgs=len(fitting.y_N),
        calibration_unlabelled_ecgs=splits.calibration.unlabelled,
        train_prevalence_C=tuple((np.bincount(splits.train.y_N, minlength=count) / len(splits.train.y_N)).tolist()),
    )


def _fit_yes_no(splits: _Splits, *, with_sets: bool) -> tuple[ShdProbe, YesNoChoices]:
    model, inverse_regularisation = best_regression(
        splits.train.x_NF, splits.train.y_N, splits.val.x_NF, splits.val.y_N
    )
    weight_F, bias = model.coef_[0], float(model.intercept_[0])
    fitting, sizing = _halves(splits.calibration, 2) if with_sets else (splits.calibration, None)
    scores_N2 = np.column_stack([np.zeros(len(fitting.y_N)), fitting.x_NF @ weight_F + bias])
    scale, shift_2 = _fit_calibration(scores_N2, fitting.y_N)
    shift = float(shift_2[1] - shift_2[0])

    def probability(data: _Labelled) -> _Float64:
        return np.asarray(expit((data.x_NF @ weight_F + bias) * scale + shift), np.float64)

    sets = None
    if sizing is not None:
        positive_N = probability(sizing)
        sets = _prediction_sets(np.column_stack([1 - positive_N, positive_N]), sizing.y_N)
    threshold = _youden_threshold(probability(splits.val), splits.val.y_N)
    probe = ShdProbe(
        weight_F=tuple(weight_F.tolist()),
        bias=bias,
        calibration=Calibration(scale=scale, shift=(shift,)),
        threshold=threshold,
        prevalence=float(fitting.y_N.mean()),
        sets=sets,
    )
    return probe, YesNoChoices(
        inverse_regularisation=inverse_regularisation,
        train_ecgs=len(splits.train.y_N),
        calibration_ecgs=len(fitting.y_N),
        calibration_unlabelled_ecgs=splits.calibration.unlabelled,
        threshold=threshold,
        train_prevalence=float(splits.train.y_N.mean()),
    )


def _halves(calibration: _Labelled, count: int) -> tuple[_Labelled, _Labelled | None]:
    """Patients for the calibration itself (all their ECGs), and others, one ECG of each, for prediction sets.

    Halved by a hash of the patient, so that nothing about them decides and a patient stays on one side. None in place
    of the second half where it would be too small, or where the first would lack a class: then the first has everyone.
    """
    sizes_N = np.array([_sizes_sets(patient) for patient in calibration.patients])
    fitting, sizing = calibration.of(~sizes_N), calibration.of(sizes_N)
    one_each = sizing.of(one_per_patient(sizing.patients))
    if len(one_each.y_N) < _FEWEST_FOR_SETS or set(range(count)) - set(fitting.y_N.tolist()):
        return calibration, None
    return fitting, one_each


def _sizes_sets(patient: str) -> bool:
    return sha256(f"prediction sets {patient}".encode()).digest()[0] % 2 == 1


def one_per_patient(patients: Sequence[str] | NDArray[np.str_]) -> NDArray[np.bool_]:
    """Marks one ECG of each patient, chosen blindly: ECGs of one patient are alike, and would count as several."""
    order = np.random.default_rng(0).permutation(len(patients))
    _, first = np.unique(np.asarray(patients)[order], return_index=True)
    chosen_N = np.zeros(len(patients), dtype=bool)
    chosen_N[order[first]] = True
    return chosen_N


def _prediction_sets(probability_NC: _Float64, y_N: _Int64) -> PredictionSets:
    """The ceil((n + 1) coverage)-th smallest of 1 - the probability of the truth: split conformal prediction."""
    scores_N = np.sort(1.0 - probability_NC[np.arange(len(y_N)), y_N])
    rank = math.ceil((len(scores_N) + 1) * COVERAGE)
    return PredictionSets(coverage=COVERAGE, quantile=float(scores_N[rank - 1]), n_calibration=len(scores_N))


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


def _fit_calibration(logits_NC: _Float64, y_N: _Int64) -> tuple[float, _Float64]:
    """Scale and shift per class that minimise the log loss of softmax(logits * scale + shift).

    Temperature scaling with a bias (Guo et al., arXiv 1706.04599); for two classes it is Platt's sigmoid. Platt's
    smoothed targets keep it finite where a class is perfectly separated. The shifts sum to zero.
    """
    classes = logits_NC.shape[1]
    counts = np.bincount(y_N, minlength=classes)
    smoothed_NC = np.full((len(y_N), classes), 0.0)
    smoothed_NC[:] = 1.0 / (counts[y_N][:, None] + 2.0) / (classes - 1)
    smoothed_NC[np.arange(len(y_N)), y_N] = (counts[y_N] + 1.0) / (counts[y_N] + 2.0)

    def objective(parameters: _Float64) -> tuple[float, _Float64]:
        scale, shift_C = np.exp(parameters[0]), parameters[1:]
        scores = logits_NC * scale + shift_C
        error_NC = softmax(scores, axis=1) - smoothed_NC
        loss = -np.sum(smoothed_NC * log_softmax(scores, axis=1)) + 0.5 * np.sum(shift_C) ** 2
        gradient = np.concatenate([[np.sum(error_NC * logits_NC) * scale], error_NC.sum(axis=0) + np.sum(shift_C)])
        return float(loss), gradient

    solved = minimize(
        objective, np.zeros(1 + classes), jac=True, method="L-BFGS-B", bounds=[(-6, 6)] + [(None, None)] * classes
    )
    return float(np.exp(solved.x[0])), np.asarray(solved.x[1:], np.float64)


def _youden_threshold(probability_N: _Float64, y_N: _Int64) -> float:
    """Where sensitivity + specificity is greatest, in the middle of the gap between the two scores around it."""
    false_positive, true_positive, thresholds = roc_curve(y_N, probability_N, drop_intermediate=False)
    best = int(np.argmax(true_positive - false_positive))
    below = probability_N[probability_N < thresholds[best]]
    if not np.isfinite(thresholds[best]) or not len(below):
        return 0.5
    return float((thresholds[best] + below.max()) / 2)
