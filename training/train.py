"""A training run, told from files to bundle."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from cohorts import SPLITS, CohortError, OpenCohort, open_checked_cohort
from embedding.sources import spec_hash
from embedding.store import ArrayStore
from ground.disk import sha256
from ground.errors import Refusal
from ground.findings import LV_PHENOTYPES, SHD_FLAGS
from ground.progress import Progress, silent
from models.bundle import Bundle, read_echo_encoder, read_manifest, write_bundle
from models.device import Machine, resolve_device
from models.labels import LabelDefinitions
from models.towers import EcgTower, EchoTower
from training.data.cohort_arrays import (
    clip_sources,
    prepared_signals,
    study_views,
    to_arrays,
    usable_pairs,
)
from training.encoders.ecg import bundle_ecg_encoder, ecg_pretraining_key, pretrained_ecg_encoder
from training.encoders.echo import check_start, echo_encoder_key, train_echo_encoder
from training.engine.ranks import ALONE, Ranks
from training.engine.run_log import RunLog
from training.evaluation.card import echo_encoder_sentence, model_card
from training.evaluation.evaluate import evaluate
from training.evaluation.validation import validation_score
from training.objectives.alignment import align_towers
from training.outlook import check_labels
from training.probes.data import probe_data
from training.probes.fit import fit_probes
from training.recipes import Recipe


def train(
    cohort_dir: Path,
    recipe: Recipe,
    out: Path,
    *,
    start: Path | None = None,
    ecg_start: Path | None = None,
    device: str = "auto",
    resume: bool = True,
    workers: int = 2,
    progress: Progress = silent,
    ranks: Ranks = ALONE,
) -> Path:
    """Trains on a cohort folder as `recipe` says and writes the bundle `out`; returns `out`.

    `start` is a bundle whose echo encoder is used; a recipe without echo pre-training needs one. `ecg_start` is one,
    the same or another, whose ECG encoder the alignment starts from instead of random ones. What is expensive is kept
    in `<out>.work` and found again by a later run: prepared ECGs and view vectors by the content of their files,
    checkpoints by recipe and cohort. `resume=False` starts this run's checkpoints afresh. Of several `ranks` the first
    prepares, scores and writes; all of them align.
    Raises CohortError, BundleError, or ValueError with a sentence that says what is wrong.
    """
    if out.exists():
        raise Refusal(
            "bundle_exists", f"{out.name} exists already; a bundle is never changed in place, so name another folder"
        )
    if (recipe.echo_pretraining is None) == (start is None):
        wants = "trains its own echo encoder" if start else "needs a bundle with an echo encoder to start from"
        raise Refusal("start_not_fitting", f"the recipe {recipe.name} {wants}")
    if start is not None:
        check_start(start, recipe)
    if recipe.ecg_pretraining is not None and ecg_start is not None:
        raise Refusal("start_not_fitting", f"the recipe {recipe.name} pre-trains its own ECG encoder")
    torch_device = resolve_device(device)
    ecg_encoder, ecg_origin = None, "Its weights started at random."
    if ecg_start is not None:
        manifest, _ = read_manifest(ecg_start)
        ecg_encoder = bundle_ecg_encoder(ecg_start, manifest, recipe)
        ecg_origin = f"Its weights started from the bundle {manifest.id}."
    work = out.with_name(f"{out.name}.work")
    if not ranks.is_main:
        progress = silent
    machine = Machine(torch_device, workers, progress)

    # The cohort: pairs of one patient within the window, each patient in one split, every label in every split.
    opened = open_checked_cohort(cohort_dir, recipe.window_days)
    cohort, labels = opened.tables, opened.labels
    split_pairs = {split: opened.split(split) for split in SPLITS}
    check_labels(split_pairs, labels, recipe)
    cohort_id = opened.sha256
    code_version = version("echo2ecg")
    run_key = _run_key(recipe, cohort_id, code_version, (start, ecg_start))
    fields: dict[str, Any] = {
        "id": f"{recipe.name}-{run_key}",
        "created": datetime.now(UTC),
        "code_version": code_version,
        "seeds": {"training": recipe.seed},
        "architecture": recipe.architecture,
        "ecg": recipe.ecg,
        "echo": recipe.echo,
        "labels": LabelDefinitions(lvef=recipe.lvef_classes, shd_flags=SHD_FLAGS),
        "metrics": {},
        "training_data": _describe(opened, split_pairs, recipe) | {"tables_sha256": opened.tables_sha256},
    }
    run = work / f"run-{run_key}"

    with ranks.in_turn():
        if not resume and ranks.is_main:
            shutil.rmtree(run, ignore_errors=True)

        # ECGs, read and prepared once. Test patients' files stay closed until the evaluation.
        seen = pd.concat([split_pairs[split] for split in ("train", "val", "calibration")])
        signals, ecgs = prepared_signals(cohort, seen["ecg_id"], recipe.ecg, work, machine)

        # The echo encoder, trained first where none is given, and its frozen view vectors.
        with ArrayStore(work / f"clips-{spec_hash(recipe.echo)}", np.uint8) as decoded:
            echo_dir = start
            if echo_dir is None:
                folder = work / f"echo-{echo_encoder_key(recipe, cohort_id, code_version)}"
                if not resume and ranks.is_main:
                    shutil.rmtree(folder, ignore_errors=True)
                echo_dir = train_echo_encoder(
                    cohort, recipe, decoded, folder, fields, device=torch_device, workers=workers, progress=progress
                )
            echo_bundle = Bundle.load(echo_dir, device=device, parts=("echo",))
            clips = clip_sources(cohort, pd.concat([split_pairs["train"], split_pairs["val"]])["study_id"])
            views, skipped_clips = study_views(echo_bundle, cohort, clips, work, machine, decoded=decoded)

        # The ECG encoder, where the recipe trains it on ECGs alone first.
        if recipe.ecg_pretraining is not None:
            folder = work / f"ecg-{ecg_pretraining_key(recipe, cohort_id, code_version)}"
            if not resume and ranks.is_main:
                shutil.rmtree(folder, ignore_errors=True)
            ecg_encoder, ecg_fit = pretrained_ecg_encoder(
                cohort, recipe, work, folder, device=torch_device, workers=workers, progress=progress
            )
            ecg_origin = (
                "It learnt first to fill in hidden patches of the train patients' ECGs "
                f"({ecg_fit.epochs_run} epochs, the best of them {ecg_fit.best_epoch + 1})."
            )

    # Two towers, one contrastive loss, the epoch that retrieves best among the validation patients.
    train_pairs = usable_pairs(split_pairs["train"], signals, views)
    val_pairs = usable_pairs(split_pairs["val"], signals, views)
    if train_pairs["patient_id"].nunique() < 2 or val_pairs["study_id"].nunique() < 2:
        raise CohortError("no_pairs", "Too few pairs can be read: training and validation need two studies each.")
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        ecg_tower, echo_tower = EcgTower(recipe.architecture), EchoTower(recipe.architecture)
    if ecg_encoder is not None:
        ecg_tower.ecg_encoder.load_state_dict(ecg_encoder.state_dict())
    val_arrays = to_arrays(val_pairs, signals, views)
    val_labels = labels.loc[val_pairs["study_id"].unique(), list(LV_PHENOTYPES)]
    scored = [name for name in LV_PHENOTYPES if val_labels[name].nunique() >= 2]  # not every cohort has volumes
    if not scored:
        raise CohortError("labels_missing", "The studies of the val patients that can be read show a single LVEF.")
    val_phenotypes_SP = val_labels[scored].to_numpy(np.float64)
    with RunLog(run) if ranks.is_main else nullcontext() as log:
        fit = align_towers(
            ecg_tower,
            echo_tower,
            to_arrays(train_pairs, signals, views),
            lambda: validation_score(ecg_tower, echo_tower, val_arrays, val_phenotypes_SP, recipe, torch_device),
            recipe,
            device=torch_device,
            folder=run,
            log=log,
            progress=progress,
            ranks=ranks,
        )
    if not ranks.is_main:
        ranks.wait()
        return out

    # Probes on the features as they will be served, calibrated on patients who trained nothing.
    parts: dict[str, Any] = {
        "ecg_tower": ecg_tower,
        "echo_encoder": read_echo_encoder(echo_dir, echo_bundle.manifest),
        "echo_tower": echo_tower,
    }
    aligned = Bundle.load(_write_draft(run / "aligned", fields, parts, None), device=device, parts=("ecg",))
    on_train, on_val, on_calibration = (
        probe_data(aligned, labels, split_pairs[split], signals) for split in ("train", "val", "calibration")
    )
    probes = fit_probes(on_train, on_val, on_calibration, recipe.lvef_classes)

    # Measured on the test patients by the very bundle; then written with what was found.
    report = evaluate(
        _write_draft(run / "probed", fields, parts, probes.probes),
        opened,
        "test",
        work=work,
        device=device,
        workers=workers,
        progress=progress,
    )
    skipped = {"skipped_ecgs": ecgs.reasons(), "skipped_clips": dict(Counter(skipped_clips.values()))}
    fields["training_data"] |= skipped
    fields["metrics"] = {
        "validation": {"best_epoch": fit.best_epoch, "score": fit.best_score, "epochs_run": fit.epochs_run},
        "probe_choices": probes.choices,
        "flags_without_probe": list(probes.too_few),
        "test": report.model_dump(mode="json"),
    }
    card = model_card(
        recipe,
        report,
        created=fields["created"],
        code_version=code_version,
        training_data=fields["training_data"],
        cohort_name=cohort_dir.name,
        bundle_name=out.name,
        starts={
            option: path.resolve().name
            for option, path in (("--start", start), ("--ecg-start", ecg_start))
            if path is not None
        },
        ecg_encoder=ecg_origin,
        echo_encoder=echo_encoder_sentence(echo_bundle.manifest, trained_here=start is None),
        probes=probes,
    )
    write_bundle(out, manifest_fields=fields, **parts, probes=probes.probes, card=card)
    ranks.wait()
    return out


def _run_key(recipe: Recipe, cohort_id: str, code_version: str, starts: tuple[Path | None, ...]) -> str:
    """Short name of everything that decides a run: another recipe, cohort, start or code is another run."""
    digest = sha256(f"{recipe.model_dump_json()} {cohort_id} {code_version}".encode())
    for start in starts:
        digest.update(b"" if start is None else (start / "manifest.json").read_bytes())
    return digest.hexdigest()[:12]


def _describe(cohort: OpenCohort, split_pairs: dict[str, pd.DataFrame], recipe: Recipe) -> dict[str, Any]:
    """Counts by split, the whole recipe and, for a cohort that says so itself, where it is from."""
    counts = {
        f"{split}_{what}": int(pairs[column].nunique())
        for split, pairs in split_pairs.items()
        for what, column in (("patients", "patient_id"), ("ecgs", "ecg_id"), ("studies", "study_id"))
    }
    settings = {"window_days": recipe.window_days, "recipe": recipe.model_dump(mode="json")}
    return dict(cohort.about.written) | counts | settings


def _write_draft(path: Path, fields: dict[str, Any], parts: dict[str, Any], probes: Any) -> Path:
    """A bundle on the way to the final one; a resumed run makes it again."""
    shutil.rmtree(path, ignore_errors=True)
    write_bundle(path, manifest_fields=fields, **parts, probes=probes, card="A draft of an unfinished training run.\n")
    return path
