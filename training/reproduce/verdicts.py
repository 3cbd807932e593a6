"""Whether the protocol's hypotheses hold: the rules, as data, for what was measured of the arms.

`docs/protocol.md` says why they are what they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.evaluation.metrics import Estimate, ReportPart
from training.reproduce.arms import Arm
from training.reproduce.data import PatientGroup
from training.reproduce.differences import FEW, LIFT, OWN, Endpoint, ScoresOfSeeds, paired_difference
from training.reproduce.endpoints import PHENOTYPES

Outcome = Literal["holds", "fails", "undecided", "not measured"]


@dataclass(frozen=True)
class Condition:
    """`this` arm less the `other` by one endpoint: what the lower bound must pass, and the value reach."""

    endpoint: Endpoint
    this: Arm
    other: Arm
    low_above: float = 0.0
    value_at_least: float = -np.inf

    def outcome(self, difference: Estimate) -> Outcome:
        """Undecided is a difference that is there, and may or may not be as large as it must be."""
        if difference.low is None or difference.high is None:
            return "not measured"
        if difference.low <= self.low_above or difference.high < self.value_at_least:
            return "fails"
        return "holds" if difference.value >= self.value_at_least else "undecided"


HYPOTHESES: dict[str, tuple[str, tuple[Condition, ...]]] = {
    "H1": (
        "all views are better than one drawn anew each time",
        (Condition(LIFT, "multi", "single_fresh", value_at_least=0.03),),
    ),
    "H2": ("attention is better than the mean", (Condition(LIFT, "multi", "mean"),)),
    "H3": (
        "all views are better than the apical four-chamber view alone",
        (Condition(LIFT, "multi", "a4c_only"), Condition(OWN, "multi", "a4c_only")),
    ),
    "H4": (
        "aligned is better than unimodal, and no worse than supervised",
        (
            Condition(FEW, "multi", "random"),
            Condition(FEW, "multi", "masked"),
            Condition(FEW, "multi", "supervised", low_above=-0.01),
        ),
    ),
}
EFFICIENT, INEFFICIENT = 0.75, 0.60
"""H5: of what the ideal ranking gains over chance, for LVEF."""
NO_DIFFERENCE = 0.03
"""N1: between multi and single, where every clip was taught the whole study."""
CHANCE_LIFTS = (0.95, 1.05)
"""N2: of every phenotype, where pairs were shuffled, over what a stranger's ranking finds."""


class Verdict(ReportPart):
    """One hypothesis or control, what was measured for it, and what follows."""

    name: str
    claim: str
    measured: tuple[str, ...]
    outcome: Outcome


def verdicts(
    scores: ScoresOfSeeds, test: PatientGroup, metrics: Mapping[Arm, Mapping[str, float]], ideal: Mapping[str, float]
) -> tuple[Verdict, ...]:
    """Of every hypothesis and control; `not measured` where an arm is missing. `metrics` are means over seeds."""
    return (
        *(_difference_verdict(name, scores, test) for name in HYPOTHESES),
        _efficiency(metrics, ideal),
        _study_taught(scores, test),
        _shuffled(metrics),
    )


def _difference_verdict(name: str, scores: ScoresOfSeeds, test: PatientGroup) -> Verdict:
    claim, conditions = HYPOTHESES[name]
    measured, outcomes = [], []
    for condition in conditions:
        found = paired_difference(condition.endpoint, condition.this, condition.other, scores, test)
        outcomes.append("not measured" if found is None else condition.outcome(found))
        said = "not measured" if found is None else found.in_digits(3)
        measured.append(f"{condition.this} less {condition.other}, {condition.endpoint}: {said}")
    return Verdict(name=name, claim=claim, measured=tuple(measured), outcome=together(outcomes))


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """All conditions must hold; one that fails decides."""
    order: tuple[Outcome, ...] = ("fails", "not measured", "undecided", "holds")
    return min(outcomes, key=order.index)


def _efficiency(metrics: Mapping[Arm, Mapping[str, float]], ideal: Mapping[str, float]) -> Verdict:
    claim = "the chain finds what can be found: (lift - 1) / (ideal - 1) of LVEF"
    lift, best = metrics.get("multi", {}).get("lift_lvef_percent"), ideal.get("lift_lvef_percent")
    if lift is None or best is None or best <= 1:
        return Verdict(name="H5", claim=claim, measured=(), outcome="not measured")
    share = (lift - 1) / (best - 1)
    outcome: Outcome = "holds" if share >= EFFICIENT else "fails" if share < INEFFICIENT else "undecided"
    return Verdict(
        name="H5", claim=claim, measured=(f"multi: {share:.2f}, of {lift:.2f} and {best:.2f}",), outcome=outcome
    )


def _study_taught(scores: ScoresOfSeeds, test: PatientGroup) -> Verdict:
    claim = "where every clip was taught the whole study, all views are no better than one"
    found = paired_difference(LIFT, "multi_taught_by_study", "single_taught_by_study", scores, test)
    if found is None:
        return Verdict(name="N1", claim=claim, measured=(), outcome="not measured")
    outcome: Outcome = "holds" if abs(found.value) <= NO_DIFFERENCE else "fails"
    return Verdict(name="N1", claim=claim, measured=(f"mean lift: {found.in_digits(3)}",), outcome=outcome)


def _shuffled(metrics: Mapping[Arm, Mapping[str, float]]) -> Verdict:
    claim = "what was trained on pairs of strangers finds nothing"
    found = metrics.get("multi_shuffled", {})
    lifts = [found[f"lift_{name}"] for name in PHENOTYPES if f"lift_{name}" in found]
    strangers = [found[f"popularity_lift_{name}"] for name in PHENOTYPES if f"lift_{name}" in found]
    if not lifts:
        return Verdict(name="N2", claim=claim, measured=(), outcome="not measured")
    low, high = CHANCE_LIFTS
    beyond = [lift / stranger for lift, stranger in zip(lifts, strangers, strict=True)]
    outcome: Outcome = "holds" if all(low <= one <= high for one in beyond) else "fails"
    measured = (
        f"lifts over those of strangers' rankings {min(beyond):.3f} to {max(beyond):.3f}",
        f"lifts {min(lifts):.3f} to {max(lifts):.3f}, hub share {found.get('hub_share', np.nan):.2f}",
    )
    return Verdict(name="N2", claim=claim, measured=measured, outcome=outcome)
