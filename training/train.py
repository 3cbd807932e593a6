"""A training run, told from files to bundle."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd
import torch

from cohorts import CohortError
from embedding.given_views import given_views
from embedding.prepared import clip_store_name
from embedding.store import ArrayStore
from ground.findings import LV_PHENOTYPES
from ground.progress import silent
from models.bundle import Bundle, BundleManifest, make_self_test, read_echo_encoder, write_bundle
from models.device import Machine
from models.echo_encoder import EchoEncoder
from models.probes import Probes
from models.towers import EcgTower, EchoTower
from training.data.cohort_arrays import (
    Arrays,
    PreparedEcgs,
    prepare_ecgs,
    study_views,
    to_arrays,
    usable_pairs,
)
from training.ecg_only import train_ecg_only
from training.encoders.ecg import EcgStart, pretrained_ecg_encoder
from training.encoders.echo import train_echo_encoder
from training.engine.loop import FitResult, Score
from training.engine.ranks import ALONE, Ranks
from training.engine.run_log import require_tensorboard
from training.evaluation.card import CardRun, echo_encoder_sentence, model_card, probe_metrics
from training.evaluation.evaluate import EvaluationReport, evaluate
from training.evaluation.validation import validation_score
from training.objectives.alignment import align_towers
from training.plan import Plan, plan_run
from training.probes.data import fit_on_features
from training.probes.fit import ProbeFit
from training.recipes import Recipe


def train(
    cohort_dir: Path,
    recipe: Recipe,
    out: Path,
    machine: Machine,
    *,
    start: Path | None = None,
    ecg_start: Path | None = None,
    resume: bool = True,
    ranks: Ranks = ALONE,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Trains on a cohort folder as `recipe` says and writes the bundle `out`; returns `out`.

    `start` is a bundle whose echo encoder is used; a recipe without echo pre-training needs one, unless the cohort
    gives view vectors instead of clips: then the bundle names their source. `ecg_start` is one, the same or another,
    whose ECG encoder the alignment starts from instead of random ones. What is expensive is kept in `<out>.work` and
    found again by a later run: prepared ECGs and view vectors by the content of their files, checkpoints by recipe and
    cohort. `resume=False` starts this run's checkpoints afresh. Of several `ranks` the first prepares, scores and
    writes; all of them align. A recipe without alignment ends with its ECG encoder. `say` is told, in a sentence, what
    a person should know.
    Raises CohortError, BundleError or another Refusal that says what is wrong.
    """
    require_tensorboard()
    if recipe.alignment is None:
        with ranks.in_turn():  # the first trains, the others find the bundle
            starts = start, ecg_start
            return train_ecg_only(cohort_dir, recipe, out, machine, starts, resume, say) if ranks.is_main else out
    plan = plan_run(cohort_dir, recipe, out, start=start, ecg_start=ecg_start, resume=resume)
    recipe = plan.recipe
    if not ranks.is_main:
        machine = machine.telling(silent)
    elif say is not None:
        for sentence in plan.warnings():
            say(sentence)

    with ranks.in_turn():
        if ranks.is_main:
            plan.begin()
        # ECGs, read and prepared once. Test patients' files stay closed until the evaluation.
        ecgs = prepare_ecgs(plan.cohort.tables, plan.pairs, recipe.ecg, plan.work, machine)
        # The echo encoder, trained first where none is given, and its frozen view vectors.
        echo = freeze_echo(plan, machine)
        # The ECG encoder, where the recipe trains it on ECGs alone first.
        ecg_start_encoder = start_ecg(plan, machine)

    # Two towers, one contrastive loss, the epoch that retrieves best among the validation patients.
    towers, fit = align(plan, ecgs, echo, ecg_start_encoder, machine, ranks)
    if not ranks.is_main:
        ranks.wait()
        return out

    # Probes on the features as they will be served, calibrated on patients who trained nothing.
    parts: Parts = {
        "ecg_tower": towers.ecg,
        "echo_encoder": echo.encoder(),
        "echo_tower": towers.echo,
    }
    probes = probe(plan, parts, ecgs, machine)

    # Measured on the test patients by the very bundle; then written with what was found.
    report = measure(plan, parts, probes.probes, machine)
    draft = plan.draft.model_copy(update=outcome(plan, ecgs, echo, fit, probes, report))
    card = model_card(recipe, draft, report, probes, card_run(plan, echo, ecg_start_encoder))
    self_test = make_self_test(draft, parts["ecg_tower"], probes.probes)
    write_bundle(out, draft, **parts, probes=probes.probes, self_test=self_test, card=card)
    ranks.wait()
    return out


@dataclass(frozen=True)
class FrozenEcho:
    """The bundle that holds the echo encoder, its view vectors by study_id, and how many clips were left out, why.

    No bundle where the cohort gives the vectors of an encoder that nobody has here.
    """

    bundle: tuple[Path, BundleManifest] | None
    views: Arrays
    skipped: dict[str, int]

    def encoder(self) -> EchoEncoder | None:
        return None if self.bundle is None else read_echo_encoder(*self.bundle)


@dataclass(frozen=True)
class Towers:
    ecg: EcgTower
    echo: EchoTower


class Parts(TypedDict):
    """What a finished bundle holds beside its probes."""

    ecg_tower: EcgTower
    echo_encoder: EchoEncoder | None
    echo_tower: EchoTower


def freeze_echo(plan: Plan, machine: Machine) -> FrozenEcho:
    tables, seen = plan.cohort.tables, pd.concat([plan.pairs["train"], plan.pairs["val"]])["study_id"]
    if plan.start is None and plan.echo_place is None:
        return FrozenEcho(None, given_views(tables, seen, plan.work), {})
    with ArrayStore(plan.work / clip_store_name(plan.recipe.echo), np.uint8) as decoded:
        folder = plan.start
        if folder is None:
            assert plan.echo_place is not None
            folder = train_echo_encoder(tables, plan.recipe, decoded, plan.echo_place, plan.draft, machine)
        bundle = Bundle.load(folder, device=str(machine.device), parts=("echo",))
        views, skipped = study_views(bundle, tables, seen, plan.work, machine, decoded=decoded)
    return FrozenEcho((folder, bundle.manifest), views, dict(Counter(skipped.values())))


def start_ecg(plan: Plan, machine: Machine) -> EcgStart:
    if plan.ecg_place is None:
        return plan.ecg_start
    return pretrained_ecg_encoder(plan.cohort.tables, plan.recipe, plan.work, plan.ecg_place, machine)


def align(
    plan: Plan, ecgs: PreparedEcgs, echo: FrozenEcho, start: EcgStart, machine: Machine, ranks: Ranks
) -> tuple[Towers, FitResult]:
    """CohortError where too few pairs can be read, or where the val patients' studies are all alike."""
    recipe = plan.recipe
    train_pairs, val_pairs = (usable_pairs(plan.pairs[split], ecgs.signals, echo.views) for split in ("train", "val"))
    if train_pairs["patient_id"].nunique() < 2 or val_pairs["study_id"].nunique() < 2:
        raise CohortError("no_pairs", "Too few pairs can be read: training and validation need two studies each.")
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        towers = Towers(EcgTower(recipe.architecture), EchoTower(recipe.architecture))
    if start.encoder is not None:
        towers.ecg.ecg_encoder.load_state_dict(start.encoder.state_dict())
    val_arrays = to_arrays(val_pairs, ecgs.signals, echo.views)
    val_labels = plan.cohort.labels.loc[val_pairs["study_id"].unique(), list(LV_PHENOTYPES)]
    scored = [name for name in LV_PHENOTYPES if val_labels[name].nunique() >= 2]  # not every cohort has volumes
    if not scored:
        raise CohortError("labels_missing", "The studies of the val patients that can be read show a single LVEF.")
    val_phenotypes_SP = val_labels[scored].to_numpy(np.float64)

    def score() -> Score:
        return validation_score(towers.ecg, towers.echo, val_arrays, val_phenotypes_SP, recipe, machine.device)

    train_arrays = to_arrays(train_pairs, ecgs.signals, echo.views)
    with plan.run_place.logged() if ranks.is_main else nullcontext(plan.run_place) as place:
        return towers, align_towers(towers.ecg, towers.echo, train_arrays, score, recipe, place, machine, ranks=ranks)


def probe(plan: Plan, parts: Parts, ecgs: PreparedEcgs, machine: Machine) -> ProbeFit:
    aligned = Bundle.load(_write_draft(plan, "aligned", parts), device=str(machine.device), parts=("ecg",))
    return fit_on_features(aligned, plan.cohort.labels, plan.pairs, ecgs.signals, plan.recipe.lvef_classes)


def measure(plan: Plan, parts: Parts, probes: Probes, machine: Machine) -> EvaluationReport:
    return evaluate(_write_draft(plan, "probed", parts, probes), plan.cohort, "test", machine, work=plan.work)


def outcome(
    plan: Plan, ecgs: PreparedEcgs, echo: FrozenEcho, fit: FitResult, probes: ProbeFit, report: EvaluationReport
) -> dict[str, object]:
    """What the manifest says that is only known at the end."""
    return {
        "training_data": plan.draft.training_data | {"skipped_ecgs": ecgs.skipped, "skipped_clips": echo.skipped},
        "metrics": {
            "validation": {"best_epoch": fit.best_epoch, "score": fit.best_score, "epochs_run": fit.epochs_run},
            **probe_metrics(probes, report),
        },
    }


def card_run(plan: Plan, echo: FrozenEcho, ecg: EcgStart) -> CardRun:
    return CardRun(
        cohort_name=plan.cohort.root.name,
        bundle_name=plan.out.name,
        starts=plan.start_names,
        ecg_encoder=ecg.origin,
        echo_encoder=None
        if echo.bundle is None
        else echo_encoder_sentence(echo.bundle[1], trained_here=plan.start is None),
    )


def _write_draft(plan: Plan, name: str, parts: Parts, probes: Probes | None = None) -> Path:
    """A bundle on the way to the final one; a resumed run makes it again."""
    path = plan.run_place.folder / name
    shutil.rmtree(path, ignore_errors=True)
    write_bundle(path, plan.draft, **parts, probes=probes, card="A draft of an unfinished training run.\n")
    return path
