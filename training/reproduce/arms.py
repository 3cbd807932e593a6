"""The arms of the comparison: five ways to an ECG encoder of one architecture, with one budget.

All see the same train ECGs, the same number of times, prepared alike, in batches of one size, and start from the same
weights for the same seed. What disturbs the masked arm's windows is the mask instead of the augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from models.device import Machine
from models.towers import EcgTower, EchoTower
from training.engine.loop import FitResult, Score
from training.engine.place import Place
from training.evaluation.validation import validation_score
from training.objectives.alignment import align_towers
from training.objectives.masked_ecg import pretrain_ecg_encoder
from training.objectives.single_view import SingleViewTower
from training.objectives.supervised import train_supervised
from training.recipes import Recipe
from training.reproduce.data import ComparisonData
from training.reproduce.sizes import Size

Arm = Literal["multi-view", "single-view", "masked_ecg", "supervised", "random"]
ARMS: tuple[Arm, ...] = get_args(Arm)


@dataclass(frozen=True)
class TrainedArm:
    """In evaluation mode, on the device. Only an aligned arm has an echo tower, only a trained one a fit."""

    ecg_tower: EcgTower
    echo_tower: EchoTower | None
    fit: FitResult | None


def train_arm(arm: Arm, seed: int, size: Size, data: ComparisonData, folder: Path, machine: Machine) -> TrainedArm:
    """Trains one arm, or goes on from `folder`, or loads what is finished there."""
    recipe = size.recipe.model_copy(update={"seed": seed})
    echo_tower: EchoTower | None = None
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        ecg_tower = EcgTower(recipe.architecture)
        if arm in ("multi-view", "single-view"):
            echo_tower = (EchoTower if arm == "multi-view" else SingleViewTower)(recipe.architecture)
    if arm == "random":
        return TrainedArm(ecg_tower.to(machine.device).eval(), None, None)
    with Place(folder).logged() as place:
        if echo_tower is not None:
            fit = _align(ecg_tower, echo_tower, recipe, data, place, machine)
        elif arm == "masked_ecg":
            train_LN, val_LN = data.train.ecgs.signals_LN, data.val.ecgs.signals_LN
            encoder, settings = ecg_tower.ecg_encoder, size.masked_ecg
            fit = pretrain_ecg_encoder(encoder, train_LN, val_LN, settings, place, machine, seed=seed)
        else:
            fit = train_supervised(ecg_tower, data.train.ecgs, data.val.ecgs, recipe, place, machine)
    return TrainedArm(ecg_tower.to(machine.device).eval(), echo_tower, fit)


def _align(
    ecg_tower: EcgTower, echo_tower: EchoTower, recipe: Recipe, data: ComparisonData, place: Place, machine: Machine
) -> FitResult:
    # The first window of a validation record alone: with all of them scoring would take as long as training.
    quick = recipe.model_copy(update={"ecg": recipe.ecg.model_copy(update={"windows": "first"})})

    # Not every cohort knows volumes.
    known = [len(np.unique(value_S[np.isfinite(value_S)])) >= 2 for value_S in data.val.phenotypes_SP.T]
    phenotypes_SP = data.val.phenotypes_SP[:, known]

    def score() -> Score:
        return validation_score(ecg_tower, echo_tower, data.val.pairs, phenotypes_SP, quick, machine.device)

    return align_towers(ecg_tower, echo_tower, data.train.pairs, score, recipe, place, machine)
