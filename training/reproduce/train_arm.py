"""One arm of the comparison, trained with one seed on what it sees of the patients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.device import Machine
from models.ecg_encoder import EcgEncoder
from models.towers import EcgTower, EchoTower
from training.engine.loop import FitResult, Score
from training.engine.place import Place
from training.evaluation.validation import validation_score
from training.objectives.alignment import align_towers
from training.objectives.masked_ecg import pretrain_ecg_encoder
from training.objectives.supervised import train_supervised
from training.recipes import Recipe
from training.reproduce.arms import ALIGNED, Arm
from training.reproduce.data import ComparisonData
from training.reproduce.endpoints import CHOOSING
from training.reproduce.sizes import Size


@dataclass(frozen=True)
class TrainedArm:
    """In evaluation mode, on the device. Only an aligned arm has an echo tower and a temperature, only a trained one a
    fit."""

    ecg_tower: EcgTower
    echo_tower: EchoTower | None
    fit: FitResult | None
    temperature: float | None = None


def train_arm(
    arm: Arm,
    seed: int,
    size: Size,
    data: ComparisonData,
    folder: Path,
    machine: Machine,
    *,
    temperature: float | None = None,
    start: EcgEncoder | None = None,
) -> TrainedArm:
    """Trains one arm on the patients as it sees them, or goes on from `folder`, or loads what is finished there.

    Every trained arm's ECG encoder starts from `start`, or from random weights, the same for every arm of a seed.
    An aligned arm without a temperature is trained with each of `size.temperatures`, and the one with the best
    validation score is kept, the earlier of equals.
    """
    if arm not in ALIGNED:
        return _train_unaligned(arm, seed, size, data, folder, machine, start)
    if temperature is not None or not size.temperatures:
        return _align(arm, seed, size, data, folder, machine, temperature, start)
    tried = [_align(arm, seed, size, data, folder / f"t{t:g}", machine, t, start) for t in size.temperatures]
    return max(tried, key=lambda one: -np.inf if one.fit is None else one.fit.best_score)


def _train_unaligned(
    arm: Arm,
    seed: int,
    size: Size,
    data: ComparisonData,
    folder: Path,
    machine: Machine,
    start: EcgEncoder | None,
) -> TrainedArm:
    recipe = size.recipe.model_copy(update={"seed": seed})
    ecg_tower = _fresh_ecg_tower(recipe, None if arm == "random" else start)
    if arm == "random":
        return TrainedArm(ecg_tower.to(machine.device).eval(), None, None)
    with Place(folder).logged() as place:
        if arm == "masked":
            train_LN, val_LN = data.train.ecgs.signals_LN, data.val.ecgs.signals_LN
            encoder, settings = ecg_tower.ecg_encoder, size.masked_ecg
            fit = pretrain_ecg_encoder(encoder, train_LN, val_LN, settings, place, machine, seed=seed)
        else:
            assert arm == "supervised"
            fit = train_supervised(ecg_tower, data.train.ecgs, data.val.ecgs, recipe, place, machine)
    return TrainedArm(ecg_tower.to(machine.device).eval(), None, fit)


def _align(
    arm: Arm,
    seed: int,
    size: Size,
    data: ComparisonData,
    folder: Path,
    machine: Machine,
    temperature: float | None,
    start: EcgEncoder | None,
) -> TrainedArm:
    recipe = size.recipe.model_copy(update={"seed": seed})
    if temperature is not None:
        recipe = recipe.aligned_with(temperature=temperature)
    ecg_tower = _fresh_ecg_tower(recipe, start)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        echo_tower = ALIGNED[arm].tower(recipe.architecture)
    # The first window of a validation record alone: with all of them scoring would take as long as training.
    quick = recipe.model_copy(update={"ecg": recipe.ecg.model_copy(update={"windows": "first"})})

    # Not every cohort knows volumes.
    choosing_SP = data.val.phenotypes_SP[:, :CHOOSING]
    known = [len(np.unique(value_S[np.isfinite(value_S)])) >= 2 for value_S in choosing_SP.T]

    def score() -> Score:
        return validation_score(ecg_tower, echo_tower, data.val.pairs, choosing_SP[:, known], quick, machine.device)

    with Place(folder).logged() as place:
        fit = align_towers(ecg_tower, echo_tower, data.train.pairs, score, recipe, place, machine)
    return TrainedArm(ecg_tower.eval(), echo_tower.eval(), fit, recipe.aligning.temperature)


def _fresh_ecg_tower(recipe: Recipe, start: EcgEncoder | None) -> EcgTower:
    """The same weights for every arm of a seed; the caller's random state is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        tower = EcgTower(recipe.architecture)
    if start is not None:
        tower.ecg_encoder.load_state_dict(start.state_dict())
    return tower
