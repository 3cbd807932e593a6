"""What linear probes answer to every ECG that is measured, before anything is scored.

The bundle's own probes answer where it has them. The others are fitted here as `training` fits a bundle's: weights on
the train patients of the cohort, regularisation chosen on the val patients.

Letters: E ECGs asked, N ECGs known, V ECGs to choose by, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import methodcaller

import numpy as np
from numpy.typing import NDArray

from models.labels import LvefClasses
from models.probes import Probes
from training.data.embedded import EmbeddedEcgs, FlagAnswers
from training.probes.regression import best_regression, lacking_answers, linear_probabilities, standardised

FEWEST = 5
"""A flag with fewer ECGs of either answer is counted, not measured."""
NO_YES = ("no", "yes")
NO_KNOWN = "no ECG of the train patients can be used"

_Float64 = NDArray[np.float64]
_Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class ProbeAnswers:
    """Of one kind of probe, for every ECG; where it has no answers, the reason stands in their place."""

    lvef_EC: NDArray[np.floating] | str
    shd: FlagAnswers | str

    @property
    def lowest(self) -> FlagAnswers | str:
        """Of the lowest LVEF class against the rest."""
        return self.lvef_EC if isinstance(self.lvef_EC, str) else FlagAnswers(self.lvef_EC[:, 0], 0.5)


@dataclass(frozen=True)
class YesNoAnswers:
    """One yes-no question to every ECG: the truth (1, 0, NaN unknown) and the answers, or why there are none."""

    question: str
    """As a table names it: `SHD`, `LVEF <= 40 %` or the column of a flag."""
    truth_E: _Float64
    answers: FlagAnswers | str

    def known(self, patient_E: _Int64, among_E: NDArray[np.bool_] | None = None) -> tuple[_Int64, _Float64, _Int64]:
        """Truth, probability and patient of the ECGs with a truth; `among_E` takes a part of them."""
        assert not isinstance(self.answers, str)
        has_E = np.isfinite(self.truth_E)
        if among_E is not None:
            has_E &= among_E
        probability_E = self.answers.probability_E[has_E].astype(np.float64)
        return self.truth_E[has_E].astype(np.int64), probability_E, patient_E[has_E]


def bundle_answers(test: EmbeddedEcgs, probes: Probes) -> ProbeAnswers:
    """Of the bundle's own linear probes, as it serves them."""
    lvef_EC: NDArray[np.floating] | str = "the bundle has no probe of LVEF class"
    if test.lvef_EC is not None:
        lvef_EC = test.lvef_EC
    if test.shd_E is None or probes.shd is None:
        return ProbeAnswers(lvef_EC, "the bundle has no probe of SHD")
    return ProbeAnswers(lvef_EC, FlagAnswers(test.shd_E, probes.shd.threshold))


def fitted_answers(
    known: EmbeddedEcgs | None, choosing: EmbeddedEcgs | None, test: EmbeddedEcgs, classes: LvefClasses
) -> ProbeAnswers:
    """Of linear probes for a bundle without any, fitted on the known ECGs; SHD is decided at their share of positives.

    `choosing` are ECGs of other patients that choose the regularisation. A probe needs known ECGs of every class.
    """

    def fitted(label: str, names: Sequence[str], truth: Callable[[EmbeddedEcgs], _Float64]) -> _Float64 | str:
        if known is None:
            return f"the bundle has no probe of {label}, and {NO_KNOWN} to fit one"
        lacking = lacking_answers(known.split, truth(known), names)
        if lacking is not None:
            return f"the bundle has no probe of {label}, and fitting one {lacking}"
        return _chosen_probabilities(known, choosing, test, truth)

    lvef_EC = fitted("LVEF class", classes.ranges, lambda data: data.lvef_class(classes))
    shd_EC = fitted("SHD", NO_YES, lambda data: data.truth("shd"))
    if isinstance(shd_EC, str):
        return ProbeAnswers(lvef_EC, shd_EC)
    assert known is not None
    threshold = float(np.nanmean(known.truth("shd")))
    return ProbeAnswers(lvef_EC, FlagAnswers(shd_EC[:, 1], threshold))


def flag_answers(
    known: EmbeddedEcgs | None, choosing: EmbeddedEcgs | None, test: EmbeddedEcgs, flags: Sequence[str]
) -> dict[str, FlagAnswers | str]:
    """Of each flag the bundle's answers or those of a probe fitted here; `choosing` as in `fitted_answers`."""
    found: dict[str, FlagAnswers | str] = {}
    for flag in flags:
        lacking = lacking_answers(test.split, test.truth(flag), NO_YES, FEWEST)
        if lacking is None and flag not in test.flags:
            lacking = known_lacks(known, flag)
        if lacking is not None:
            found[flag] = lacking
        elif flag in test.flags:
            found[flag] = test.flags[flag]
        else:
            assert known is not None
            probability_EC = _chosen_probabilities(known, choosing, test, methodcaller("truth", flag))
            found[flag] = FlagAnswers(probability_EC[:, 1], threshold=float(np.nanmean(known.truth(flag))))
    return found


def known_lacks(known: EmbeddedEcgs | None, flag: str) -> str | None:
    """Why no probe of a flag can be fitted on the known ECGs."""
    return NO_KNOWN if known is None else lacking_answers(known.split, known.truth(flag), NO_YES, FEWEST)


def yes_no_answers(
    test: EmbeddedEcgs, classes: LvefClasses, probe: ProbeAnswers, flags: Mapping[str, FlagAnswers | str]
) -> tuple[YesNoAnswers, ...]:
    """Every yes-no question: the lowest LVEF class, SHD, each flag."""
    return (
        _question(test, f"LVEF {classes.ranges[0]}", lowest_class(test, classes), probe.lowest),
        _question(test, "SHD", test.truth("shd"), probe.shd),
        *(YesNoAnswers(flag, test.truth(flag), answers) for flag, answers in flags.items()),
    )


def lowest_class(data: EmbeddedEcgs, classes: LvefClasses) -> _Float64:
    """1 for the lowest LVEF class, 0 for the others, NaN where LVEF is unknown."""
    class_E = data.lvef_class(classes)
    return np.where(np.isnan(class_E), np.nan, class_E == 0)


def _question(test: EmbeddedEcgs, question: str, truth_E: _Float64, answers: FlagAnswers | str) -> YesNoAnswers:
    """Without an ECG of either answer there is nothing to score."""
    lacking = None if isinstance(answers, str) else lacking_answers(test.split, truth_E, NO_YES)
    return YesNoAnswers(question, truth_E, answers if lacking is None else f"{question} {lacking}")


def _chosen_probabilities(
    known: EmbeddedEcgs, choosing: EmbeddedEcgs | None, test: EmbeddedEcgs, truth: Callable[[EmbeddedEcgs], _Float64]
) -> _Float64:
    """Probabilities (E, C) of the regression that does best on `choosing`; where nothing is labelled there, of C 0.01.

    `truth` gives class numbers as floats, NaN where unknown.
    """
    known_NF, asked_EF = standardised(known, test)
    truth_N = truth(known)
    has_N = np.isfinite(truth_N)
    known_NF, class_N = known_NF[has_N], truth_N[has_N].astype(np.int64)
    if choosing is None or not np.isfinite(truth(choosing)).any():
        return linear_probabilities(known_NF, class_N, asked_EF)
    _, choosing_VF = standardised(known, choosing)
    truth_V = truth(choosing)
    has_V = np.isfinite(truth_V)
    model, _ = best_regression(known_NF, class_N, choosing_VF[has_V], truth_V[has_V].astype(np.int64))
    probability_EC: _Float64 = model.predict_proba(asked_EF)
    return probability_EC
