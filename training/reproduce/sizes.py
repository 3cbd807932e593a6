"""How large a reproduction of the paper's comparison is, as data: cohort, towers and the budget of every arm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cohorts import CohortError
from training.recipes import EchoPretraining, MaskedEcgPretraining, Recipe, demo, paper
from training.reproduce.arms import ARMS, Arm

_NOT_OF_ALL_ARMS = ("weight_averaging", "patch_dropout")


DEVELOPMENT_SEED, EVALUATION_SEED = 20_261_201, 20_261_202
"""Of the protocol's two simulated cohorts. On the first everything is developed and every gate is measured; the second
is made once, and no arm but the protocol's is ever trained on it."""


class Split(BaseModel):
    """How many patients train, choose and test."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: int = Field(ge=2)
    val: int = Field(ge=2)
    test: int = Field(ge=2)
    seed: int = Field(ge=0)

    def of(self, patient_ids: pd.Series) -> pd.DataFrame:
        """A table `splits` for these patients, in whatever order they stand. CohortError where there are fewer."""
        wanted = [name for name in ("train", "val", "test") for _ in range(getattr(self, name))]
        if len(wanted) > len(patient_ids):
            raise CohortError("too_few_patients", f"{len(wanted)} patients are to be divided, and there are fewer.")
        shuffled = np.random.default_rng(self.seed).permutation(patient_ids.sort_values().to_numpy())
        return pd.DataFrame({"patient_id": shuffled[: len(wanted)], "split": wanted})


class Size(BaseModel):
    """One comparison but for its seeds. `recipe` holds what all arms share: preparation, towers, passes, optimiser."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    patients: int = Field(ge=1)
    cohort_seed: int = Field(ge=0)
    """Another one than any training or demo cohort has."""
    recipe: Recipe
    arms: tuple[Arm, ...] = ("multi", "single_fresh", "masked", "supervised", "random")
    temperatures: tuple[float, ...] = ()
    """Tried by every aligned arm with its first seed; the best on validation is the arm's. Empty: the recipe's own."""
    split: Split | None = None
    """Of the cohort that is simulated; None: as the simulator divides it."""
    clips_as_prepared: bool = True
    """Of the cohort that is simulated: drawn as its own echo encoder gets them, which takes a fraction of the time; but
    large ones take more room than files."""
    once: bool = False
    """The comparison of a protocol: its code is part of what it is, and no result of other code is taken into it."""

    @model_validator(mode="after")
    def _budgets_can_be_equal(self) -> Size:
        if self.recipe.echo_pretraining is None:
            raise ValueError("a comparison trains its own echo encoder")
        if self.recipe.aligning.patience < self.recipe.aligning.epochs:
            raise ValueError("an arm that stops early would not have the budget of the others")
        if uncommon := [name for name in _NOT_OF_ALL_ARMS if getattr(self.recipe.aligning, name)]:
            raise ValueError(f"not all arms have {' and '.join(uncommon)}")
        return self

    @property
    def masked_ecg(self) -> MaskedEcgPretraining:
        """The masked arm with the passes, batches and schedule of the others."""
        others = self.recipe.aligning
        return MaskedEcgPretraining(
            epochs=others.epochs,
            batch_size=others.batch_size,
            learning_rate=others.learning_rate,
            weight_decay=others.weight_decay,
            warmup_epochs=others.warmup_epochs,
            lr_floor=others.lr_floor,
            patience=others.epochs,
        )


def small() -> Size:
    """The demo's towers on 300 patients: with three seeds, about 20 minutes of two CPU cores."""
    recipe = demo()
    assert recipe.echo_pretraining is not None
    # A study has 16 clips, so that four passes show as many as the demo's towers need.
    echo_pretraining = recipe.echo_pretraining.model_copy(update={"epochs": 4, "patience": 4})
    # Few pairs give few steps an epoch: smaller batches make more of them.
    budget = {"epochs": 20, "patience": 20, "batch_size": 32}
    # The demo's own means, which not all arms have.
    plain = {"patch_dropout": 0.0, "weight_averaging": 0.0}
    recipe = recipe.aligned_with(**budget, **plain)
    return Size(
        name="small",
        patients=300,
        # Chosen by counts of labels alone: 17 of the 94 test ECGs are of the lowest LVEF class, as in the population.
        cohort_seed=20_260_404,
        recipe=recipe.model_copy(update={"name": "reproduce-small", "echo_pretraining": echo_pretraining}),
    )


_PROTOCOL: dict[str, Any] = {
    "patients": 2_400,
    "cohort_seed": EVALUATION_SEED,
    "arms": ARMS,
    "temperatures": (0.5, 0.2),
    "split": Split(train=1_500, val=200, test=700, seed=EVALUATION_SEED),
    "once": True,
}
"""What `docs/protocol.md` fixes, whatever the towers: all arms, left-out site and negative controls among them."""


def full() -> Size:
    """The protocol with the paper's towers and recipe, for a GPU. Files and decoded clips take some 75 GB of disk."""
    echo_pretraining = EchoPretraining(
        epochs=6,
        batch_size=32,
        learning_rate=5e-4,
        weight_decay=0.05,
        warmup_epochs=0.5,
        patience=6,
        shift_pixels=14,
        gain_sd=0.15,
    )
    return Size(
        name="full",
        clips_as_prepared=False,
        recipe=paper()
        .aligned_with(bf16=True)
        .model_copy(update={"name": "reproduce-full", "echo_pretraining": echo_pretraining}),
        **_PROTOCOL,
    )


def protocol() -> Size:
    """The demo's towers on the evaluation cohort of `docs/protocol.md`: three to four hours of two CPU cores."""
    recipe = demo()
    assert recipe.echo_pretraining is not None
    # A pass has some 45,000 clips: three show as many as ten of the demo's.
    echo_pretraining = recipe.echo_pretraining.model_copy(update={"epochs": 3, "patience": 3})
    budget = {"epochs": 16, "patience": 16, "batch_size": 64}
    plain = {"patch_dropout": 0.0, "weight_averaging": 0.0}
    recipe = recipe.aligned_with(**budget, **plain)
    recipe = recipe.model_copy(update={"name": "reproduce-protocol", "echo_pretraining": echo_pretraining})
    return Size(name="protocol", recipe=recipe, **_PROTOCOL)


SIZES = {make.__name__: make for make in (small, full, protocol)}
