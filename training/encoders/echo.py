"""Where the frozen echo encoder of a run comes from, when no published one is used: trained on the cohort's own clips.

Letters: S studies, N clips.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cohorts import Cohort, CohortError
from embedding.ecgs import fill_store
from embedding.prepared import clip_bytes
from embedding.sources import clip_sha256
from embedding.store import ArrayStore
from ground.disk import short_name_of
from models.bundle import BundleDraft, BundleError, read_manifest, write_bundle
from models.compare import first_difference, first_setting
from models.device import Machine
from models.echo_encoder import EchoEncoder
from training.data.cohort_arrays import clip_sources
from training.engine.place import Place
from training.objectives.echo_clips import taught_by_clips, taught_by_studies
from training.objectives.echo_pretraining import ClipSet, pretrain_echo_encoder
from training.recipes import Recipe


def check_start(start: Path, recipe: Recipe) -> None:
    """BundleError unless the bundle has an echo encoder of the recipe's sizes, for clips as the recipe prepares."""
    manifest, _ = read_manifest(start)
    if not manifest.gives("view_vectors"):
        raise BundleError("this bundle has no echo encoder to start from")
    theirs, ours = manifest.architecture, recipe.architecture
    with torch.device("meta"):
        given, wanted = (EchoEncoder(sizes.echo, sizes.view_dim) for sizes in (theirs, ours))
    difference = first_difference(wanted, {name: tuple(tensor.shape) for name, tensor in given.state_dict().items()})
    difference = difference or first_setting(theirs.echo, ours.echo)
    if difference:
        raise BundleError(f"the echo encoder of {manifest.id} does not fit the recipe {recipe.name}: {difference}")
    if difference := first_setting(manifest.echo, recipe.echo):
        raise BundleError(f"the echo encoder of {manifest.id} takes clips prepared otherwise: {difference}")


def echo_encoder_key(recipe: Recipe, cohort_id: str, code_version: str) -> str:
    """Short name of all that decides the encoder, and of nothing that only decides the alignment after it."""
    assert recipe.echo_pretraining is not None
    pretraining = recipe.echo_pretraining.model_dump()
    if pretraining["taught_by"] == "clip":
        del pretraining["taught_by"]  # the names of folders from before there was a choice
    decisive = {
        "pretraining": pretraining,
        "architecture": recipe.architecture.echo.model_dump(),
        "view_dim": recipe.architecture.view_dim,
        "echo": recipe.echo.model_dump(),
        "seed": recipe.seed,
        "cohort": cohort_id,
        "code": code_version,
    }
    return short_name_of(json.dumps(decisive))


def taught_facts(cohort: Cohort, recipe: Recipe) -> pd.DataFrame | None:
    """What each clip shows, where clips are taught that; None where they are taught the phenotypes of their studies."""
    assert recipe.echo_pretraining is not None
    return cohort.clip_facts if recipe.echo_pretraining.taught_by == "clip" else None


def train_echo_encoder(
    cohort: Cohort,
    recipe: Recipe,
    decoded: ArrayStore,
    place: Place,
    draft: BundleDraft,
    machine: Machine,
) -> Path:
    """The echo encoder as a bundle of its own in `place`, under the name `bundle`; a finished one is not trained again.

    It sees every readable clip of the train patients, paired with an ECG or not; `decoded` keeps them. What it was
    taught and how well it answered of the validation patients' clips stands in the bundle's metrics.
    """
    assert recipe.echo_pretraining is not None
    bundle_dir = place.folder / "bundle"
    if bundle_dir.exists():
        return bundle_dir
    train_patients, val_patients = cohort.patients("train"), cohort.patients("val")
    studies = cohort.studies[cohort.studies["patient_id"].isin(train_patients | val_patients)].reset_index(drop=True)
    in_train_S = studies["patient_id"].isin(train_patients).to_numpy()
    clips = fill_store(
        decoded,
        clip_sources(cohort, studies["study_id"]),
        clip_bytes,
        recipe.echo,
        machine,
        stage="prepare clips",
        hash_of=clip_sha256,
    )
    row_N = [int(name) for name in clips.files]
    study_N = pd.Index(studies["study_id"]).get_indexer(cohort.echos["study_id"].to_numpy()[row_N])
    train_N = in_train_S[study_N]
    if not train_N.any() or train_N.all():
        raise CohortError("no_clips", "No echo clip of the train patients, or none of the val patients, can be read.")
    facts = taught_facts(cohort, recipe)
    if facts is None:
        taught = taught_by_studies(studies, in_train_S, study_N)
    else:
        taught = taught_by_clips(facts.iloc[row_N], train_N)
    if not taught.lessons.answers:
        raise CohortError("nothing_taught", f"The {taught.by}s of the train patients do not differ in what is known.")
    arrays = [np.asarray(decoded[source.sha256]) for source in clips.files.values()]

    def clip_set(chosen_N: NDArray[np.bool_]) -> ClipSet:
        return ClipSet([arrays[i] for i in np.flatnonzero(chosen_N)], taught.targets_NA[chosen_N])

    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        encoder = EchoEncoder(recipe.architecture.echo, recipe.architecture.view_dim)
    with place.logged() as place:
        train, val = clip_set(train_N), clip_set(~train_N)
        result = pretrain_echo_encoder(encoder, taught.lessons, train, val, recipe, place, machine)
    metrics = {
        "taught_by": taught.by,
        "train_clips": len(train.clips_THWC),
        "val_clips": len(val.clips_THWC),
        "best_epoch": result.fit.best_epoch,
        "val_r2": result.r2,
        "val_views_named_right": result.views_named_right,
    }
    write_bundle(
        bundle_dir,
        draft.model_copy(update={"metrics": metrics}),
        echo_encoder=encoder,
        card="The echo encoder of an unfinished training run.\n",
    )
    return bundle_dir
