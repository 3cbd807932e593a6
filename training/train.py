"""A training run, told from files to bundle."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from inputs.cohort import SHD_FLAGS, Cohort, derive_pairs, load_cohort
from inputs.errors import CohortError
from models.aligned import EcgTower, EchoTower
from models.bundle import Bundle, write_bundle
from models.bundle_files import read_echo_encoder
from models.device import resolve_device
from models.echo_encoder import EchoEncoder
from models.probes import LabelDefinitions
from training.align import align_towers
from training.array_store import ArrayStore
from training.card import model_card
from training.cohort_arrays import (
    clip_sources,
    ecg_labels,
    pairs_of_split,
    prepared_signals,
    study_labels,
    study_views,
    to_arrays,
    usable_pairs,
)
from training.echo_pretrain import ClipSet, phenotype_targets, pretrain_echo_encoder
from training.embed import validation_score
from training.evaluate import EmbeddedEcgs, embed_ecgs, evaluate
from training.fit_probes import ProbeData, fit_probes
from training.prepare import Sources, clip_bytes, fill_store, spec_hash
from training.progress import Progress, silent
from training.recipes import Recipe
from training.run_log import RunLog

_SCORED_PHENOTYPES = ("lvef_percent", "lvedv_ml", "lvesv_ml")


def train(
    cohort_dir: Path,
    recipe: Recipe,
    out: Path,
    *,
    start: Path | None = None,
    device: str = "auto",
    resume: bool = True,
    workers: int = 2,
    progress: Progress = silent,
) -> Path:
    """Trains on a cohort folder as `recipe` says and writes the bundle `out`; returns `out`.

    `start` is a bundle whose echo encoder is used; a recipe without echo pre-training needs one. What is expensive is
    kept in `<out>.work` and found again by a later run: prepared ECGs and view vectors by the content of their files,
    checkpoints by recipe and cohort. `resume=False` starts this run's checkpoints afresh.
    Raises CohortError, BundleError, or ValueError with a sentence that says what is wrong.
    """
    if out.exists():
        raise ValueError(f"{out.name} exists already; a bundle is never changed in place, so name another folder")
    if (recipe.echo_pretraining is None) == (start is None):
        wants = "trains its own echo encoder" if start else "needs a bundle with an echo encoder to start from"
        raise ValueError(f"the recipe {recipe.name} {wants}")
    torch_device = resolve_device(device)

    # The cohort: pairs of one patient within the window, each patient in one split, every label in every split.
    cohort = load_cohort(cohort_dir)
    labels = study_labels(cohort)
    pairs = derive_pairs(cohort, window_days=recipe.window_days)
    split_pairs = {split: pairs_of_split(pairs, cohort, split) for split in ("train", "val", "calibration", "test")}
    _check_labels(split_pairs, labels, recipe)

    key = _run_key(cohort_dir, recipe, start)
    work = out.with_name(f"{out.name}.work")
    run = work / f"run-{key}"
    if not resume:
        shutil.rmtree(run, ignore_errors=True)
    bundle_id = f"{recipe.name}-{key}"
    fields: dict[str, Any] = {
        "id": bundle_id,
        "created": datetime.now(UTC),
        "code_version": version("echo2ecg"),
        "seeds": {"training": recipe.seed},
        "architecture": recipe.architecture,
        "ecg": recipe.ecg,
        "echo": recipe.echo,
        "labels": LabelDefinitions(lvef=recipe.lvef_classes, shd_flags=SHD_FLAGS),
        "metrics": {},
        "training_data": {},
    }
    with RunLog(run) as log:
        # ECGs, read and prepared once. Test patients stay untouched until the evaluation.
        seen = pd.concat([split_pairs[split] for split in ("train", "val", "calibration")])
        signals, ecgs = prepared_signals(cohort, seen["ecg_id"], recipe.ecg, work, workers=workers, progress=progress)

        # The echo encoder, trained first where no published one is used, and its frozen view vectors.
        echo_dir = run / "echo-encoder"
        with ArrayStore(work / f"clips-{spec_hash(recipe.echo)}", np.uint8) as decoded:
            if start is not None:
                echo_dir = start
            elif not echo_dir.exists():
                _train_echo_encoder(
                    cohort,
                    recipe,
                    decoded,
                    fields,
                    echo_dir,
                    run,
                    torch_device,
                    log,
                    workers=workers,
                    progress=progress,
                )
            echo_bundle = Bundle.load(echo_dir, device=device, parts=("echo",))
            clips = clip_sources(cohort, pd.concat([split_pairs["train"], split_pairs["val"]])["study_id"])
            views, skipped_clips = study_views(
                echo_bundle, cohort, clips, work, workers=workers, progress=progress, decoded=decoded
            )

        # Two towers, one contrastive loss, the epoch that retrieves best on the validation patients.
        train_pairs = usable_pairs(split_pairs["train"], signals, views)
        val_pairs = usable_pairs(split_pairs["val"], signals, views)
        if train_pairs["patient_id"].nunique() < 2 or val_pairs.empty:
            raise CohortError("no_pairs", "Too few pairs can be read: training needs two patients, validation one.")
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            ecg_tower, echo_tower = EcgTower(recipe.architecture), EchoTower(recipe.architecture)
        val_arrays = to_arrays(val_pairs, signals, views)
        val_values = labels.loc[val_pairs["study_id"].unique(), list(_SCORED_PHENOTYPES)].to_numpy(np.float64)
        fit = align_towers(
            ecg_tower,
            echo_tower,
            to_arrays(train_pairs, signals, views),
            lambda: validation_score(ecg_tower, echo_tower, val_arrays, val_values, recipe, torch_device),
            recipe,
            device=torch_device,
            folder=run,
            log=log,
            progress=progress,
        )

    # Probes on the features of the towers as they will serve, calibrated on patients who trained nothing.
    parts: dict[str, Any] = {
        "ecg_tower": ecg_tower,
        "echo_encoder": read_echo_encoder(echo_dir, echo_bundle.manifest),
        "echo_tower": echo_tower,
    }
    aligned = Bundle.load(_draft(run / "aligned", fields, parts, None), device=device, parts=("ecg",))
    probe_data = {
        split: _probe_data(embed_ecgs(aligned, usable_ecgs, labels, signals))
        for split in ("train", "val", "calibration")
        for usable_ecgs in [split_pairs[split][split_pairs[split]["ecg_id"].isin(list(signals))]]
    }
    probes = fit_probes(probe_data["train"], probe_data["val"], probe_data["calibration"], recipe.lvef_classes)

    # Measured on the test patients, by the bundle as it will serve; then the bundle itself.
    report = evaluate(
        _draft(run / "probed", fields, parts, probes.probes),
        cohort_dir,
        "test",
        work=work,
        device=device,
        workers=workers,
        window_days=recipe.window_days,
        progress=progress,
    )
    fields["training_data"] = _describe(cohort_dir, split_pairs, recipe) | {
        "skipped_ecgs": ecgs.reasons(),
        "skipped_clips": Sources({}, skipped_clips).reasons(),
    }
    fields["metrics"] = {
        "validation": {"best_epoch": fit.best_epoch, "score": fit.best_score, "epochs_run": fit.epochs_run},
        "probe_choices": probes.choices,
        "test": report.model_dump(mode="json"),
    }
    card = model_card(
        recipe,
        report,
        created=fields["created"],
        code_version=fields["code_version"],
        training_data=fields["training_data"],
        commands=_commands(cohort_dir, out, recipe, fields["training_data"]),
        echo_encoder=_echo_sentence(echo_bundle, start),
        probe_choices=probes.choices,
    )
    write_bundle(out, manifest_fields=fields, **parts, probes=probes.probes, card=card)
    return out


def _check_labels(split_pairs: dict[str, pd.DataFrame], labels: pd.DataFrame, recipe: Recipe) -> None:
    """Refuses before the work, not after it, a cohort that cannot be trained on and measured."""
    for split, pairs in split_pairs.items():
        if pairs.empty:
            sentence = f"No ECG of a {split} patient lies within {recipe.window_days:g} days of an echo study."
            raise CohortError("no_pairs", sentence)
        found = ecg_labels(pairs, labels)
        lvef = found["lvef_percent"].dropna().to_numpy()
        if len(np.unique(recipe.lvef_classes.class_of(lvef))) < len(recipe.lvef_classes.labels):
            raise CohortError("labels_missing", f"The {split} patients do not show every LVEF class; more are needed.")
        if found["shd"].nunique() < 2:
            raise CohortError("labels_missing", f"The {split} patients all have SHD or all have none; more are needed.")


def _run_key(cohort_dir: Path, recipe: Recipe, start: Path | None) -> str:
    """Short name of everything that decides a run: another recipe, cohort, start or code is another run."""
    digest = hashlib.sha256(recipe.model_dump_json().encode() + version("echo2ecg").encode())
    digest.update(_tables_sha256(cohort_dir).encode())
    if start is not None:
        digest.update((start / "manifest.json").read_bytes())
    return digest.hexdigest()[:12]


def _tables_sha256(cohort_dir: Path) -> str:
    digest = hashlib.sha256()
    for name in ("ecgs", "echos", "studies", "splits"):
        for path in sorted(cohort_dir.glob(f"{name}.*")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _train_echo_encoder(
    cohort: Cohort,
    recipe: Recipe,
    decoded: ArrayStore,
    fields: dict[str, Any],
    echo_dir: Path,
    run: Path,
    device: torch.device,
    log: RunLog,
    *,
    workers: int,
    progress: Progress,
) -> None:
    """Trains the echo encoder on all clips of the train patients and writes it as a bundle of its own."""
    assert recipe.echo_pretraining is not None
    train_patients, val_patients = cohort.patients("train"), cohort.patients("val")
    studies = cohort.studies[cohort.studies["patient_id"].isin(train_patients | val_patients)].reset_index(drop=True)
    in_train = studies["patient_id"].isin(train_patients).to_numpy()
    names, targets_SP = phenotype_targets(studies, in_train)
    clips = clip_sources(cohort, studies["study_id"])
    clips = fill_store(
        decoded, clips, clip_bytes, recipe.echo, workers=workers, stage="prepare clips", progress=progress
    )
    study_of_clip = cohort.echos["study_id"].to_numpy()[[int(name) for name in clips.files]]
    row_N = pd.Index(studies["study_id"]).get_indexer(study_of_clip)
    arrays = [np.asarray(decoded[source.sha256]) for source in clips.files.values()]

    def clip_set(chosen_N: np.ndarray) -> ClipSet:
        return ClipSet([arrays[i] for i in np.flatnonzero(chosen_N)], targets_SP[row_N[chosen_N]])

    train_set, val_set = clip_set(in_train[row_N]), clip_set(~in_train[row_N])
    if not train_set.clips_THWC or not val_set.clips_THWC:
        raise CohortError("no_clips", "No echo clip of the train or of the val patients can be read.")
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        encoder = EchoEncoder(recipe.architecture.echo, recipe.architecture.view_dim)
    result = pretrain_echo_encoder(
        encoder,
        recipe.architecture.view_dim,
        names,
        train_set,
        val_set,
        recipe.echo_pretraining,
        recipe.echo,
        seed=recipe.seed,
        device=device,
        folder=run,
        log=log,
        progress=progress,
    )
    metrics = {
        "train_clips": len(train_set.clips_THWC),
        "val_clips": len(val_set.clips_THWC),
        "best_epoch": result.fit.best_epoch,
        "val_r2": result.r2,
    }
    write_bundle(
        echo_dir,
        manifest_fields=fields | {"metrics": metrics},
        ecg_tower=None,
        echo_encoder=encoder,
        echo_tower=None,
        probes=None,
        card="The echo encoder of an unfinished training run.\n",
    )


def _draft(path: Path, fields: dict[str, Any], parts: dict[str, Any], probes: Any) -> Path:
    """A bundle on the way to the final one; a resumed run makes it again."""
    shutil.rmtree(path, ignore_errors=True)
    write_bundle(path, manifest_fields=fields, **parts, probes=probes, card="A draft of an unfinished training run.\n")
    return path


def _probe_data(ecgs: EmbeddedEcgs) -> ProbeData:
    return ProbeData(
        ecgs.features_EF,
        ecgs.labels["lvef_percent"].to_numpy(dtype=np.float64),
        ecgs.labels["shd"].to_numpy(dtype=np.float64),
    )


def _describe(cohort_dir: Path, split_pairs: dict[str, pd.DataFrame], recipe: Recipe) -> dict[str, Any]:
    """Counts by split and, for a cohort that says so itself, where it is from."""
    stamp = cohort_dir / "cohort.json"
    about = json.loads(stamp.read_text(encoding="utf-8")) if stamp.exists() else {}
    counts = {
        f"{split}_{what}": int(pairs[column].nunique())
        for split, pairs in split_pairs.items()
        for what, column in (("patients", "patient_id"), ("ecgs", "ecg_id"), ("studies", "study_id"))
    }
    return about | counts | {"window_days": recipe.window_days, "tables_sha256": _tables_sha256(cohort_dir)}


def _commands(cohort_dir: Path, out: Path, recipe: Recipe, about: dict[str, Any]) -> tuple[str, ...]:
    training = f"echo2ecg train {cohort_dir.name} --recipe {recipe.name} --out {out.name}"
    if "simulator_version" not in about:
        return (training,)
    return (f"echo2ecg simulate {cohort_dir.name} --patients {about['patients']} --seed {about['seed']}", training)


def _echo_sentence(echo_bundle: Bundle, start: Path | None) -> str:
    if start is not None:
        return f"Taken from the bundle {echo_bundle.id}."
    metrics: dict[str, Any] = dict(echo_bundle.manifest.metrics)
    explained = metrics["val_r2"].get("lvef_percent")
    return (
        f"Trained first, on {metrics['train_clips']} clips of the train patients, to regress their phenotypes from "
        "single clips"
        + ("" if explained is None else f" (single validation clips explain {explained:.0%} of the variance of LVEF)")
        + "."
    )
