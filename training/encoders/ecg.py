"""Where the ECG encoder of a run starts: random weights, a bundle's encoder, or pre-training on the cohort's ECGs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cohorts import Cohort, CohortError
from ground.disk import short_name_of
from models.bundle import BundleError, BundleManifest, read_ecg_tower
from models.compare import first_difference, first_setting
from models.device import Machine
from models.ecg_encoder import EcgEncoder
from training.data.cohort_arrays import prepared_signals
from training.engine.loop import FitResult
from training.engine.place import Place
from training.objectives.masked_ecg import pretrain_ecg_encoder
from training.objectives.own_beat import pretrain_own_beat
from training.recipes import OwnBeatPretraining, Recipe


@dataclass(frozen=True)
class EcgStart:
    """The encoder that an ECG tower starts from (None: random weights), and where it is from, for the model card."""

    encoder: EcgEncoder | None = None
    origin: str = "Its weights started at random."
    fit: FitResult | None = None
    """How its training here ended."""


def bundle_ecg_encoder(path: Path, manifest: BundleManifest, recipe: Recipe) -> EcgEncoder:
    """The encoder of a bundle, imported or trained. BundleError when it has none, or one of other sizes.

    Stochastic depth has no weights: the recipe's counts.
    """
    if not manifest.gives("ecg_encoder"):
        raise BundleError("this bundle has no ECG encoder to start from")
    weights = read_ecg_tower(path, manifest).ecg_encoder.state_dict()
    encoder = random_ecg_encoder(recipe)
    difference = first_difference(encoder, {name: tuple(tensor.shape) for name, tensor in weights.items()})
    difference = difference or first_setting(
        manifest.architecture.ecg, recipe.architecture.ecg, apart_from=("drop_path",)
    )
    if difference:
        raise BundleError(f"the bundle's ECG encoder does not fit the recipe {recipe.name}: {difference}")
    encoder.load_state_dict(weights)
    return encoder


def random_ecg_encoder(recipe: Recipe) -> EcgEncoder:
    """Fresh weights by the recipe's seed; the caller's random state is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        return EcgEncoder(recipe.architecture.ecg)


def ecg_pretraining_key(recipe: Recipe, cohort_id: str, code_version: str) -> str:
    """Short name of all that decides a pre-trained encoder, and of nothing that only decides the alignment after it."""
    assert recipe.ecg_pretraining is not None
    pretraining = recipe.ecg_pretraining.model_dump()
    if pretraining["kind"] == "masked":
        del pretraining["kind"]  # the names of folders from before there was a choice
    decisive = {
        "pretraining": pretraining,
        "architecture": recipe.architecture.ecg.model_dump(),
        "ecg": recipe.ecg.model_dump(),
        "seed": recipe.seed,
        "cohort": cohort_id,
        "code": code_version,
    }
    return short_name_of(json.dumps(decisive))


def pretrained_ecg_encoder(cohort: Cohort, recipe: Recipe, work: Path, place: Place, machine: Machine) -> EcgStart:
    """An encoder trained on every readable ECG of the train patients, paired with a study or not.

    `work` keeps prepared ECGs, `place` the checkpoints: what is finished there is loaded, what is not goes on.
    """
    assert recipe.ecg_pretraining is not None

    def signals_of(split: str) -> list[NDArray[np.float32]]:
        ecg_ids = cohort.ecgs["ecg_id"][cohort.ecgs["patient_id"].isin(cohort.patients(split))]
        signals, _ = prepared_signals(cohort, ecg_ids, recipe.ecg, work, machine)
        return list(signals.values())

    train, val = signals_of("train"), signals_of("val")
    if not train or not val:
        raise CohortError("no_ecgs", "No ECG of the train patients, or none of the val patients, can be used.")
    encoder = random_ecg_encoder(recipe)
    settings, seed = recipe.ecg_pretraining, recipe.seed
    with place.logged() as place:
        if isinstance(settings, OwnBeatPretraining):
            rate_hz = recipe.ecg.rate_hz
            fit = pretrain_own_beat(encoder, train, val, settings, place, machine, rate_hz=rate_hz, seed=seed)
            learnt = "tell the median beat and the rhythm of the train patients' ECGs from windows of them"
        else:
            fit = pretrain_ecg_encoder(encoder, train, val, settings, place, machine, seed=seed)
            learnt = "fill in hidden patches of the train patients' ECGs"
    epochs = f"{fit.epochs_run} epochs, the best of them {fit.best_epoch + 1}"
    return EcgStart(encoder, f"It learnt first to {learnt} ({epochs}).", fit)
