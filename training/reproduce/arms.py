"""The arms of the comparison as data: ways to an ECG encoder of one architecture, with one budget.

All see the same train ECGs, the same number of times, prepared alike, in batches of one size, and start from the same
weights for the same seed. What disturbs the masked arm's windows is the mask instead of the augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from models.towers import EchoTower
from training.objectives.single_view import MeanViewTower, SingleViewTower

Arm = Literal[
    "multi",
    "mean",
    "single_fresh",
    "single_fixed",
    "a4c_only",
    "masked",
    "supervised",
    "random",
    "multi_without_site",
    "multi_taught_by_study",
    "single_taught_by_study",
    "multi_shuffled",
]
ARMS: tuple[Arm, ...] = get_args(Arm)
TaughtBy = Literal["clip", "study"]
A4C = "A4C"
"""The apical four-chamber view, in which one alone would measure LVEF: the fairest single view."""
LEFT_OUT_SITE = "2"
"""As simulated cohorts number them: the outpatient clinic, with fewer ill patients and other machines."""


@dataclass(frozen=True)
class Aligned:
    """How an aligned arm comes to one vector of a study. What it does not say is as in every other arm."""

    says: str
    """For a reader of the table."""
    tower: type[EchoTower]
    views: Literal["all", "one_fixed", "a4c"] = "all"
    """`one_fixed`: in training each study is one of its views, drawn once by the seed. `a4c`: in training and testing
    a study is its apical four-chamber views, and all of its views where it has none."""
    taught_by: TaughtBy | None = None
    """What taught the frozen echo encoder; None: as the recipe has it."""
    shuffled: bool = False
    """In training and validation every ECG is paired with a study of another patient."""
    without_site: str | None = None
    """Patients of this site neither train nor choose; they are tested like all others."""


ALIGNED: dict[Arm, Aligned] = {
    "multi": Aligned("all views by attention", EchoTower),
    "mean": Aligned("the mean of all views, in training too", MeanViewTower),
    "single_fresh": Aligned("in training one view, drawn anew each time; tested by the mean", SingleViewTower),
    "single_fixed": Aligned(
        "in training one view per study, drawn once; tested by the mean", MeanViewTower, "one_fixed"
    ),
    "a4c_only": Aligned("the apical four-chamber views alone", MeanViewTower, "a4c"),
    "multi_without_site": Aligned(
        "as multi, trained without one site, whose clips the echo encoder has seen",
        EchoTower,
        without_site=LEFT_OUT_SITE,
    ),
    "multi_taught_by_study": Aligned(
        "as multi, on an echo encoder taught the whole study from every clip", EchoTower, taught_by="study"
    ),
    "single_taught_by_study": Aligned("as single_fresh, on that encoder", SingleViewTower, taught_by="study"),
    "multi_shuffled": Aligned("as multi, every ECG paired with another patient's study", EchoTower, shuffled=True),
}
